//! Files with a model's parameters in f32: to quantize again, to evaluate, to go on training.
//!
//! Magic `SMRW`, format version (u16, little-endian), CRC-32 of what follows (u32, little-endian), then one postcard value:
//! the model's name and, for each parameter, its name, shape and values. A file is read only by the version that it names.

use std::fmt;

use samara_trainer::Model;
use serde::{Deserialize, Serialize};

/// First bytes of every checkpoint.
pub const MAGIC: [u8; 4] = *b"SMRW";
/// The version that this crate reads and writes.
pub const VERSION: u16 = 1;
/// Magic, version and checksum.
const HEADER_BYTES: usize = 10;

/// A model's parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The model's name.
    pub model: String,
    /// Its parameters, statistics included.
    pub parameters: Vec<SavedParameter>,
}

/// A parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedParameter {
    /// Its name: `"dense/kernel"`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, the last dimension closest.
    pub values: Vec<f32>,
}

/// Why bytes are no checkpoint, or not one of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The bytes do not start with the magic.
    Magic,
    /// A version that this crate does not read.
    Version(u16),
    /// Shorter than it should be, or the checksum is wrong.
    Damaged,
    /// The parameters are not the model's.
    Parameters {
        /// The model's name.
        model: String,
        /// What differs.
        reason: String,
    },
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("the file does not start with SMRW: it holds no weights of samara"),
            Self::Version(found) => write!(f, "the file has weights of format version {found}, this version reads {VERSION}"),
            Self::Damaged => f.write_str("the file was cut short or damaged: its checksum is wrong"),
            Self::Parameters { model, reason } => write!(f, "the weights do not fit the model {model}: {reason}"),
        }
    }
}

impl std::error::Error for CheckpointError {}

impl Checkpoint {
    /// What the model has now.
    pub fn of(model: &Model) -> Self {
        let save = |parameter: &samara_trainer::graph::ParameterEntry| SavedParameter {
            name: parameter.name.clone(),
            shape: parameter.shape.to_vec(),
            values: parameter.values(),
        };
        Self { model: model.name().to_owned(), parameters: model.parameters().iter().map(save).collect() }
    }

    /// Gives a model these parameters. It is left as it was if they do not fit.
    ///
    /// # Errors
    /// [`CheckpointError::Parameters`] if names or shapes differ, or a value is not finite.
    pub fn restore(&self, model: &Model) -> Result<(), CheckpointError> {
        let refuse = |reason: String| CheckpointError::Parameters { model: model.name().to_owned(), reason };
        if self.parameters.len() != model.parameters().len() {
            let (found, expected) = (self.parameters.len(), model.parameters().len());
            return Err(refuse(format!("the file, of model {}, has {found} parameters, expected {expected}", self.model)));
        }
        for (saved, wanted) in self.parameters.iter().zip(model.parameters()) {
            if saved.name != wanted.name || saved.shape[..] != wanted.shape[..] {
                let found = format!("{} of shape {:?}", saved.name, saved.shape);
                return Err(refuse(format!("found {found}, expected {} of shape {}", wanted.name, wanted.shape)));
            }
            if saved.values.len() != wanted.shape.size() || saved.values.iter().any(|value| !value.is_finite()) {
                return Err(refuse(format!("{} has too few or too many values, or some that are not finite", saved.name)));
            }
        }
        for saved in &self.parameters {
            model.set_parameter(&saved.name, &saved.values).map_err(|error| refuse(error.to_string()))?;
        }
        Ok(())
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let body = samara_runtime::format::writer::encode_parameters(self);
        let crc = samara_runtime::crc32(&body).to_le_bytes();
        [&MAGIC[..], &VERSION.to_le_bytes(), &crc, &body].concat()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it is none, of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CheckpointError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(CheckpointError::Magic);
        }
        let (header, body) = bytes.split_at_checked(HEADER_BYTES).ok_or(CheckpointError::Damaged)?;
        let version = u16::from_le_bytes([header[4], header[5]]);
        if version != VERSION {
            return Err(CheckpointError::Version(version));
        }
        let crc = u32::from_le_bytes([header[6], header[7], header[8], header[9]]);
        if samara_runtime::crc32(body) != crc {
            return Err(CheckpointError::Damaged);
        }
        postcard::from_bytes(body).map_err(|_| CheckpointError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use samara_trainer::prelude::*;

    fn model(units: usize) -> Model {
        Sequential::new("tiny", [2]).add(Dense::new(units)).build().unwrap()
    }

    #[test]
    fn parameters_survive_the_round_trip() {
        let trained = model(2);
        trained.set_parameter("dense/kernel", &[1.0, 2.0, 3.0, 4.0]).unwrap();
        trained.set_parameter("dense/bias", &[-0.5, 0.25]).unwrap();
        let bytes = Checkpoint::of(&trained).to_bytes();
        let other = model(2);
        Checkpoint::from_bytes(&bytes).unwrap().restore(&other).unwrap();
        assert_eq!(other.parameter("dense/kernel").unwrap(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(other.parameter("dense/bias").unwrap(), [-0.5, 0.25]);
    }

    #[test]
    fn a_checkpoint_of_another_model_changes_nothing() {
        let saved = Checkpoint::of(&model(3));
        let other = model(2);
        let before = other.parameter("dense/kernel").unwrap();
        let message = saved.restore(&other).unwrap_err().to_string();
        assert_eq!(
            message,
            "the weights do not fit the model tiny: found dense/kernel of shape [2, 3], expected dense/kernel of shape [2, 2]"
        );
        assert_eq!(other.parameter("dense/kernel").unwrap(), before);
    }

    #[test]
    fn every_truncation_and_flipped_byte_is_told() {
        let good = Checkpoint::of(&model(2)).to_bytes();
        for length in 0..good.len() {
            assert!(Checkpoint::from_bytes(&good[..length]).is_err(), "cut to {length}");
        }
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 1;
            assert!(Checkpoint::from_bytes(&bad).is_err(), "byte {position} changed");
        }
        let mut newer = good;
        newer[4] = 2;
        let message = Checkpoint::from_bytes(&newer).unwrap_err().to_string();
        assert_eq!(message, "the file has weights of format version 2, this version reads 1");
    }
}
