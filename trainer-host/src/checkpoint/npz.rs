//! Weights as an NPZ archive, as NumPy reads and writes it: an array for each parameter, under its name.
//!
//! Names and shapes are the model's own, as in safetensors; there is no place for the model's name.

use std::path::Path;

use super::{CheckpointError, SavedParameter, Weights};
use crate::data::sources::{Elements, NpzFile};
use crate::data::{TOO_LARGE, npz_bytes};
use crate::error::Result;

impl Weights {
    /// All parameters as an NPZ archive of f32 arrays: `np.load("weights.npz")["dense/kernel"]`.
    ///
    /// # Errors
    /// If it would be larger than the format's 4 GiB.
    pub fn to_npz(&self) -> Result<Vec<u8>> {
        let arrays =
            self.parameters.iter().map(|SavedParameter { name, shape, values }| (name.as_str(), &shape[..], &values[..]));
        let refuse = || CheckpointError::Parameters { model: self.model.clone(), reason: format!("NPZ cannot be {TOO_LARGE}") };
        Ok(npz_bytes(arrays).ok_or_else(refuse)?)
    }

    /// Reads an NPZ archive, in the order of its arrays; the model's name is empty.
    ///
    /// # Errors
    /// If the archive is damaged, or an array holds no numbers.
    pub fn from_npz(bytes: &[u8]) -> Result<Self> {
        let archive = NpzFile::parse(Path::new("the archive"), bytes.to_vec())?;
        let parameter = |name: &str| {
            let array = archive.array(name)?;
            let values = match array.elements {
                Elements::Bytes(bytes) => bytes.into_iter().map(f32::from).collect(),
                Elements::Numbers(values) => values,
            };
            Ok(SavedParameter { name: name.to_owned(), shape: array.shape, values })
        };
        Ok(Self { model: String::new(), parameters: archive.names().map(parameter).collect::<Result<_>>()? })
    }

    /// `true` if bytes begin as a ZIP archive does.
    pub(super) fn may_be_npz(bytes: &[u8]) -> bool {
        bytes.starts_with(b"PK\x03\x04")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights() -> Weights {
        let parameter = |name: &str, shape: &[usize], values: &[f32]| SavedParameter {
            name: name.to_owned(),
            shape: shape.to_vec(),
            values: values.to_vec(),
        };
        let parameters = vec![
            parameter("a/kernel", &[2, 1], &[1.0, -2.5]),
            parameter("b", &[1], &[0.125]),
            parameter("scale", &[], &[f32::MIN_POSITIVE]),
        ];
        Weights { model: String::new(), parameters }
    }

    /// What NumPy wrote of the same arrays: `numpy.savez(file, **{"a/kernel": numpy.array([[1], [-2.5]], "f4"), "b": numpy.array([0.125],
    /// "f4"), "scale": numpy.array(2.0 ** -126, "f4")})`.
    const BY_NUMPY: &[u8] = include_bytes!("numpy.npz");

    #[test]
    fn what_numpy_wrote_is_read_and_the_way_round_keeps_all() {
        assert_eq!(Weights::from_bytes(BY_NUMPY).unwrap(), weights());
        let bytes = weights().to_npz().unwrap();
        assert_eq!(Weights::from_bytes(&bytes).unwrap(), weights());
        // The arrays have NumPy's own bytes, headers included.
        for name in ["kernel", "b", "scale"] {
            let array = |bytes: &[u8]| {
                let place =
                    bytes.windows(name.len() + 4).position(|window| window == format!("{name}.npy").as_bytes()).unwrap();
                let magic = bytes[place..].windows(6).position(|window| window == b"\x93NUMPY").unwrap() + place;
                bytes[magic..magic + 132].to_vec()
            };
            assert_eq!(array(&bytes), array(BY_NUMPY), "{name}");
        }
    }

    #[test]
    fn damaged_archives_are_refused() {
        let good = weights().to_npz().unwrap();
        for length in 0..good.len() {
            assert!(Weights::from_bytes(&good[..length]).is_err(), "{length} bytes of {}", good.len());
        }
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 0xff;
            let _ = Weights::from_bytes(&bad);
        }
    }
}
