//! Whole models: layers, how they are connected, and parameters.

use std::collections::HashMap;
use std::path::Path;

use super::architecture::Architecture;
use super::records::{self, Record, Values};
use super::{CheckpointError, SavedParameter, WEIGHTS_PREFIX, Weights, read_file, write_file};
use crate::error::Result;
use crate::graph::Layer;
use crate::train::Model;

/// The first bytes of every file.
const MAGIC: [u8; 4] = *b"SMRM";
/// The record of the layers and their connections.
const ARCHITECTURE: &str = "architecture";

impl Model {
    /// Writes the whole model to a file, which appears whole or not at all: layers with all that is set of them, initializers,
    /// regularizers, constraints and what is frozen included; connections, names, shared layers and applied models; all parameters. What the
    /// model was compiled with and a training's state are not in it ([`TrainingState`](crate::TrainingState) is another file),
    /// nor are transforms ([`Model::set_transform`]).
    ///
    /// ```
    /// use samara_trainer::prelude::*;
    ///
    /// # let directory = std::env::temp_dir().join(format!("samara-save-{}", std::process::id()));
    /// # let path = directory.join("line.model");
    /// let x = input([2]);
    /// let model = Model::new("line", &x, Dense::new(1).apply(&x))?;
    /// model.save(&path)?;
    /// let mut again = Model::load(&path)?;
    /// assert_eq!(again.parameter("dense/kernel")?, model.parameter("dense/kernel")?);
    /// again.compile(Adam::new(0.01), MeanSquaredError)?; // and it goes on learning
    /// # std::fs::remove_dir_all(directory)?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If a layer cannot be saved: one from outside of the library that gives no [options](Layer::options), or one with an
    /// initializer, regularizer or constraint from outside. If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        Ok(write_file(path.as_ref(), &self.to_bytes()?)?)
    }

    /// Reads a file that [`Model::save`] wrote.
    ///
    /// # Errors
    /// If it cannot be read, is none or damaged, or has layers that the library does not have.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_with(path, &[])
    }

    /// As [`Model::load`], for models with layers from outside of the library: of each kind there must be one among `kinds`,
    /// whatever is set of it. Kinds of the library's names take their place.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_with(path: impl AsRef<Path>, kinds: &[&dyn Layer]) -> Result<Self> {
        Self::from_bytes(&read_file(path.as_ref())?, kinds)
    }

    /// The file that [`Model::save`] writes.
    ///
    /// # Errors
    /// If a layer cannot be saved.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.to_bytes_with(&Weights::of(self))
    }

    /// The file with these parameters.
    pub(crate) fn to_bytes_with(&self, weights: &Weights) -> Result<Vec<u8>> {
        let architecture = serde_json::to_string(&Architecture::of(self.graph())?);
        let architecture = architecture.map_err(|error| CheckpointError::Damaged { reason: error.to_string() })?;
        let mut records = vec![
            Record::list("model", Values::Text(self.name().to_owned())),
            Record::list(ARCHITECTURE, Values::Text(architecture)),
        ];
        records.extend(weights.parameters.iter().map(|parameter| parameter.record(WEIGHTS_PREFIX)));
        Ok(records::write(MAGIC, &records))
    }

    /// `true` if the bytes begin as a file of a whole model does.
    pub fn is_in(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }

    /// Reads what [`Model::to_bytes`] gave, with layers as for [`Model::load_with`].
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_bytes(bytes: &[u8], kinds: &[&dyn Layer]) -> Result<Self> {
        let damaged = |reason: String| CheckpointError::Damaged { reason };
        let (mut model, mut architecture, mut parameters) = (None, None, HashMap::new());
        for record in records::read(MAGIC, bytes)? {
            match (record.name.as_str(), &record.values) {
                ("model", Values::Text(name)) => model = Some(name.clone()),
                (ARCHITECTURE, Values::Text(text)) => {
                    let read = serde_json::from_str::<Architecture>(text);
                    architecture = Some(read.map_err(|error| damaged(format!("its architecture makes no sense: {error}")))?);
                }
                _ => {
                    let parameter = SavedParameter::from_record(&record, WEIGHTS_PREFIX);
                    let parameter = parameter.ok_or_else(|| damaged(format!("the record {} makes no sense", record.name)))?;
                    parameters.insert(parameter.name.clone(), parameter);
                }
            }
        }
        let (Some(name), Some(architecture)) = (model, architecture) else {
            return Err(damaged("it has no architecture".to_owned()).into());
        };
        let model = architecture.build(&name, &mut parameters, kinds)?;
        match parameters.keys().min() {
            None => Ok(model),
            Some(extra) => {
                let reason = format!("they have {extra}, which none of its layers has");
                Err(CheckpointError::Parameters { model: name, reason }.into())
            }
        }
    }
}
