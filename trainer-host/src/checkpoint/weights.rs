//! The parameters of a model, by name.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::records::{self, Record, Values};
use super::{CheckpointError, read_file, write_file};
use crate::error::Result;
use crate::graph::ParameterEntry;
use crate::train::Model;

/// The first bytes of every file of weights.
const MAGIC: [u8; 4] = *b"SMRW";
/// What the names of parameters have before them in files.
pub(crate) const PREFIX: &str = "weights/";

/// A model's parameters, statistics included.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// The model's name.
    pub model: String,
    /// Its parameters.
    pub parameters: Vec<SavedParameter>,
}

/// A parameter.
#[derive(Clone, PartialEq)]
pub struct SavedParameter {
    /// Its name: `"dense/kernel"`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, the last dimension closest.
    pub values: Vec<f32>,
}

/// Without the values, which may be many.
impl std::fmt::Debug for SavedParameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.name, self.shape)
    }
}

impl SavedParameter {
    pub(crate) fn record(&self, prefix: &str) -> Record {
        let Self { name, shape, values } = self;
        Record { name: format!("{prefix}{name}"), shape: shape.clone(), values: Values::F32(values.clone()) }
    }

    /// The parameter in a record whose name has this prefix.
    pub(crate) fn from_record(record: &Record, prefix: &str) -> Option<Self> {
        let name = record.name.strip_prefix(prefix)?.to_owned();
        let Values::F32(values) = &record.values else { return None };
        Some(Self { name, shape: record.shape.clone(), values: values.clone() })
    }
}

impl Weights {
    /// What the model has now.
    pub fn of(model: &Model) -> Self {
        let save = |parameter: &ParameterEntry| SavedParameter {
            name: parameter.name.clone(),
            shape: parameter.shape.to_vec(),
            values: parameter.values(),
        };
        Self { model: model.name().to_owned(), parameters: model.parameters().iter().map(save).collect() }
    }

    /// All values, one parameter behind the other.
    pub(crate) fn concatenated(&self) -> Vec<f32> {
        self.parameters.iter().flat_map(|parameter| &parameter.values).copied().collect()
    }

    /// The same parameters with other values, one parameter behind the other; none if they are not as many, or not finite.
    pub(crate) fn with_values(mut self, mut values: &[f32]) -> Option<Self> {
        for parameter in &mut self.parameters {
            parameter.values = values.split_off(..parameter.values.len())?.to_vec();
        }
        let is_finite = self.parameters.iter().flat_map(|parameter| &parameter.values).all(|value| value.is_finite());
        (values.is_empty() && is_finite).then_some(self)
    }

    /// Gives a model these parameters, by name: all that it has, and no others. It is left as it was if they do not fit.
    ///
    /// # Errors
    /// If names or shapes differ, or a value is not finite.
    pub fn restore(&self, model: &Model) -> Result<()> {
        let fitting = self.fitting(model, "")?;
        let wanted = model.parameters();
        if let Some(extra) = self.parameters.iter().find(|saved| wanted.iter().all(|entry| entry.name != saved.name)) {
            let reason =
                format!("they have {}, of model {}, which it has not; `restore_by_name` leaves it out", extra.name, self.model);
            return Err(CheckpointError::Parameters { model: model.name().to_owned(), reason }.into());
        }
        fitting.iter().try_for_each(|(name, saved)| model.set_parameter(name, &saved.values))
    }

    /// Gives the part of a model under a prefix these parameters: those of `base` for the prefix `"base"`, whose `dense/kernel`
    /// is `base/dense/kernel` there. Parameters that the part does not have are left out.
    ///
    /// # Errors
    /// If the model has no parameter under the prefix, or one of them is missing here, has another shape, or has a value
    /// that is not finite. The model is left as it was.
    pub fn restore_under(&self, prefix: &str, model: &Model) -> Result<()> {
        let fitting = self.fitting(model, &format!("{}/", prefix.trim_end_matches('/')))?;
        fitting.iter().try_for_each(|(name, saved)| model.set_parameter(name, &saved.values))
    }

    /// Gives a model those of these parameters whose names it has, as Keras's `by_name`, and tells the names of its own that it
    /// keeps as they are: those of a new head on a trained body, say. It is left as it was if there is an error.
    ///
    /// # Errors
    /// If one of a common name has another shape, or a value that is not finite.
    pub fn restore_by_name(&self, model: &Model) -> Result<Vec<String>> {
        let saved: HashSet<&str> = self.parameters.iter().map(|saved| saved.name.as_str()).collect();
        let (common, kept): (Vec<_>, Vec<_>) = model.parameters().iter().partition(|entry| saved.contains(&*entry.name));
        let fitting = self.fitting_of(common, model, "")?;
        fitting.iter().try_for_each(|(name, saved)| model.set_parameter(name, &saved.values))?;
        Ok(kept.into_iter().map(|entry| entry.name.clone()).collect())
    }

    /// Those of a part of the model, for a model of its own that is this part: of `base/dense/kernel` and all others under the
    /// prefix `"base"`, `dense/kernel`. None, if there is no such part.
    pub fn under(&self, prefix: &str) -> Self {
        let prefix = format!("{}/", prefix.trim_end_matches('/'));
        let part = self.parameters.iter().filter_map(|saved| {
            let name = saved.name.strip_prefix(&prefix)?.to_owned();
            Some(SavedParameter { name, ..saved.clone() })
        });
        Self { model: self.model.clone(), parameters: part.collect() }
    }

    /// For each parameter of the model under the prefix its name and what is saved of it.
    pub(crate) fn fitting<'a>(&'a self, model: &'a Model, prefix: &str) -> Result<Vec<(&'a str, &'a SavedParameter)>> {
        let fitting = self.fitting_of(model.parameters(), model, prefix)?;
        if fitting.is_empty() && !prefix.is_empty() {
            let reason = format!("it has no parameter under {prefix}");
            return Err(CheckpointError::Parameters { model: model.name().to_owned(), reason }.into());
        }
        Ok(fitting)
    }

    /// As [`Weights::fitting`], for some of the model's parameters.
    fn fitting_of<'a>(
        &'a self,
        parameters: impl IntoIterator<Item = &'a ParameterEntry>,
        model: &Model,
        prefix: &str,
    ) -> Result<Vec<(&'a str, &'a SavedParameter)>> {
        let refuse = |reason: String| CheckpointError::Parameters { model: model.name().to_owned(), reason };
        let saved: HashMap<&str, &SavedParameter> = self.parameters.iter().map(|saved| (saved.name.as_str(), saved)).collect();
        let mut fitting = Vec::new();
        for entry in parameters {
            let Some(name) = entry.name.strip_prefix(prefix) else { continue };
            let Some(&saved) = saved.get(name) else {
                return Err(refuse(format!(
                    "{name} is missing, they are of model {}; `restore_by_name` takes those that there are",
                    self.model
                ))
                .into());
            };
            if saved.shape[..] != entry.shape[..] {
                let expected = format!("expected {} of shape {}", entry.name, entry.shape);
                let fix = "build the layer as it was when they were saved, or give it another name and take the others by `restore_by_name`";
                return Err(refuse(format!("found {name} of shape {:?}, {expected}; {fix}", saved.shape)).into());
            }
            if saved.values.len() != entry.shape.size() || saved.values.iter().any(|value| !value.is_finite()) {
                return Err(refuse(format!("{name} has too few or too many values, or some that are not finite")).into());
            }
            fitting.push((entry.name.as_str(), saved));
        }
        Ok(fitting)
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut records = vec![Record::list("model", Values::Text(self.model.clone()))];
        records.extend(self.parameters.iter().map(|parameter| parameter.record(PREFIX)));
        records::write(MAGIC, &records)
    }

    /// `true` if the bytes begin as a file of weights does: the library's own, a safetensors file or an NPZ archive.
    pub fn are_in(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC) || Self::may_be_safetensors(bytes) || Self::may_be_npz(bytes)
    }

    /// Reads a file: the library's own, a safetensors file or an NPZ archive. Keras's are read by [`Weights::from_keras`].
    ///
    /// # Errors
    /// If it is none, of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        if Self::may_be_safetensors(bytes) {
            return Self::from_safetensors(bytes);
        }
        if Self::may_be_npz(bytes) {
            return Self::from_npz(bytes);
        }
        let records = records::read(MAGIC, bytes)?;
        let damaged = |what: &str| CheckpointError::Damaged { reason: format!("{what} makes no sense") };
        let [Record { name, values: Values::Text(model), .. }, parameters @ ..] = &records[..] else {
            return Err(damaged("its first record").into());
        };
        if name != "model" {
            return Err(damaged(&format!("the record {name}")).into());
        }
        let parameter = |record: &Record| {
            SavedParameter::from_record(record, PREFIX).ok_or_else(|| damaged(&format!("the record {}", record.name)))
        };
        Ok(Self { model: model.clone(), parameters: parameters.iter().map(parameter).collect::<Result<_, _>>()? })
    }
}

impl Model {
    /// Writes all parameters to a file, which appears whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save_weights(&self, path: impl AsRef<Path>) -> Result<()> {
        Ok(write_file(path.as_ref(), &Weights::of(self).to_bytes())?)
    }

    /// Reads all parameters from a file that [`Model::save_weights`] wrote; for parts of a model see
    /// [`Weights::restore_under`].
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or does not fit the model, which is then left as it was.
    pub fn load_weights(&self, path: impl AsRef<Path>) -> Result<()> {
        Weights::load(path)?.restore(self)
    }
}

impl Weights {
    /// Reads a file that [`Model::save_weights`] wrote.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_bytes(&read_file(path.as_ref())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn model(units: usize) -> Model {
        Sequential::new("tiny", [2]).add(Dense::new(units)).build().unwrap()
    }

    #[test]
    fn parameters_survive_the_round_trip_in_any_order() {
        let trained = model(2);
        trained.set_parameter("dense/kernel", &[1.0, 2.0, 3.0, 4.0]).unwrap();
        trained.set_parameter("dense/bias", &[-0.5, 0.25]).unwrap();
        let mut saved = Weights::of(&trained);
        saved.parameters.reverse();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("weights.bin");
        write_file(&path, &saved.to_bytes()).unwrap();
        let other = model(2);
        other.load_weights(&path).unwrap();
        assert_eq!(other.parameter("dense/kernel").unwrap(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(other.parameter("dense/bias").unwrap(), [-0.5, 0.25]);
        let message = other.load_weights(directory.path().join("none")).unwrap_err().to_string();
        assert!(message.contains("none cannot be read: "), "{message}");
    }

    #[test]
    fn weights_of_another_model_change_nothing() {
        let other = model(2);
        let before = Weights::of(&other);
        let refused = |saved: &Weights, expected: &str| {
            let message = saved.restore(&other).unwrap_err().to_string();
            assert!(message.starts_with(&format!("the weights do not fit the model tiny: {expected}")), "{message}");
            assert_eq!(Weights::of(&other), before);
        };
        refused(&Weights::of(&model(3)), "found dense/kernel of shape [2, 3], expected dense/kernel of shape [2, 2]");
        let mut saved = before.clone();
        saved.parameters[1].values[0] = f32::NAN;
        refused(&saved, "dense/bias has too few or too many values, or some that are not finite");
        saved.parameters[1].name = "dense/gamma".to_owned();
        refused(&saved, "dense/bias is missing, they are of model tiny");
        let mut saved = before.clone();
        saved.parameters.push(SavedParameter { name: "more".to_owned(), shape: vec![0], values: vec![] });
        refused(&saved, "they have more, of model tiny, which it has not");
    }

    #[test]
    fn a_part_of_a_model_takes_weights_under_its_prefix() {
        let base = model(2);
        base.set_parameter("dense/kernel", &[1.0, 2.0, 3.0, 4.0]).unwrap();
        let x = input([2]);
        let y = Dense::new(1).named("head").apply(Dense::new(2).without_bias().named("base/dense").apply(&x));
        let whole = Model::new("whole", x, y).unwrap();
        let head = whole.parameter("head/kernel").unwrap();
        // The base's bias is not in the part.
        Weights::of(&base).restore_under("base", &whole).unwrap();
        assert_eq!(whole.parameter("base/dense/kernel").unwrap(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(whole.parameter("head/kernel").unwrap(), head);
        let message = Weights::of(&base).restore_under("head", &whole).unwrap_err().to_string();
        let wanted = "the weights do not fit the model whole: kernel is missing, they are of model tiny;";
        assert!(message.starts_with(wanted), "{message}");
        assert!(Weights::of(&base).restore_under("tail", &whole).is_err());
    }

    #[test]
    fn a_new_head_keeps_its_weights_and_a_part_of_a_model_becomes_one() {
        let chain = |head: &str, classes: usize| {
            let x = input([2]);
            let y = Dense::new(classes).named(head).apply(Dense::new(2).named("base/dense").apply(&x));
            Model::new(head, x, y).unwrap()
        };
        let (trained, new) = (chain("old", 3), chain("new", 1));
        trained.set_parameter("base/dense/kernel", &[1.0, 2.0, 3.0, 4.0]).unwrap();
        let head = new.parameter("new/kernel").unwrap();
        assert_eq!(Weights::of(&trained).restore_by_name(&new).unwrap(), ["new/kernel", "new/bias"]);
        assert_eq!(new.parameter("base/dense/kernel").unwrap(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(new.parameter("new/kernel").unwrap(), head);
        // A common name with another shape: nothing is changed.
        let message = Weights::of(&trained).restore_by_name(&chain("old", 1)).unwrap_err().to_string();
        let wanted =
            "the weights do not fit the model old: found old/kernel of shape [2, 3], expected old/kernel of shape [2, 1];";
        assert!(message.starts_with(wanted), "{message}");
        let base = model(2);
        Weights::of(&trained).under("base").restore(&base).unwrap();
        assert_eq!(base.parameter("dense/kernel").unwrap(), [1.0, 2.0, 3.0, 4.0]);
        assert!(Weights::of(&trained).under("bas").parameters.is_empty());
    }
}
