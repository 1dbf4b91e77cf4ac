//! The state of a training: all that going on with it needs, as a value and as a file.

use std::path::Path;

use super::training::Training;
use super::{EpochLog, History, Measurements};
use crate::callbacks::Kept;
use crate::checkpoint::records::{self, Record, Values};
use crate::checkpoint::{CheckpointError, SavedParameter, WEIGHTS_PREFIX, Weights, read_file, write_file};
use crate::error::Result;
use crate::graph::{ParameterEntry, ParameterKind};

/// The first bytes of every file.
const MAGIC: [u8; 4] = *b"SMRT";
/// What the names of an optimizer's slots have before them in files.
const SLOTS_PREFIX: &str = "slots/";
/// What the names of the states of `stateful` layers have before them in files.
const STATES_PREFIX: &str = "states/";
/// What the names of callbacks have before them in files.
const CALLBACKS_PREFIX: &str = "callbacks/";
/// What the names of settings have before them in files.
const SETTINGS_PREFIX: &str = "settings/";

/// Where a training stands: weights and statistics, what the optimizer keeps, the states of `stateful` layers, the position, what was
/// measured, what callbacks [keep](crate::callbacks::Callback::keeps). A training that is resumed from it
/// ([`Fit::resume`](super::Fit::resume)) ends with the same bits as one that was not interrupted, if model, optimizer, losses,
/// schedule, callbacks, data and options are the same.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingState {
    optimizer: String,
    seed: u64,
    batch: usize,
    samples: usize,
    shuffle: bool,
    /// Optimizer, losses and schedule with all that is set of them.
    settings: Vec<(String, String)>,
    epoch: usize,
    step: usize,
    /// Epochs of trainings that it followed.
    before: usize,
    /// Of the optimizer, from its first on.
    steps: u64,
    /// What the schedule multiplies.
    base_rate: f32,
    /// Of the last step.
    learning_rate: f32,
    /// What the steps of the epoch measured.
    sums: Vec<f64>,
    history: History,
    weights: Weights,
    /// Of each parameter: does its layer learn, and by what factor of the learning rate.
    layers: Vec<(bool, f32)>,
    slots: Vec<SavedParameter>,
    /// Of `stateful` layers, `[rows of a batch, values]`.
    states: Vec<SavedParameter>,
    /// What callbacks keep, each under another name.
    pub(super) callbacks: Vec<Kept>,
}

impl TrainingState {
    pub(super) fn of(training: &Training<'_>) -> Self {
        let graph = training.model.graph();
        // An epoch that was stopped halfway is logged, but not finished.
        let is_finished = training.step == training.steps();
        let logs = training.history.epochs.iter().filter(|log| log.epoch < training.epoch || is_finished);
        let of_layer = |entry: &ParameterEntry| {
            let base = entry.layer.base();
            (base.is_trainable(), base.learning_rate_factor())
        };
        let mut slots = Vec::new();
        for (name, slot) in training.trainer.slots() {
            for (entry, values) in entries_of(graph, slot) {
                let name = format!("{}/{name}/{}", training.trainer.optimizer_name(), entry.name);
                slots.push(SavedParameter { name, shape: entry.shape.to_vec(), values: values.to_vec() });
            }
        }
        Self {
            optimizer: training.trainer.optimizer_name().to_owned(),
            seed: training.trainer.seed(),
            batch: training.batch,
            samples: training.samples,
            shuffle: training.shuffle,
            settings: settings_of(training),
            epoch: training.epoch,
            step: training.step,
            before: training.before,
            steps: training.trainer.state().steps,
            base_rate: training.base_rate,
            learning_rate: training.learning_rate,
            sums: training.sums.clone(),
            history: History { epochs: logs.cloned().collect() },
            weights: training.weights(),
            layers: graph.parameters.iter().map(of_layer).collect(),
            slots,
            states: training.trainer.values().carried.save(graph),
            callbacks: Vec::new(),
        }
    }

    /// Puts a training that has not begun where this one was; changes nothing if it is another training.
    pub(super) fn restore(&self, training: &mut Training<'_>) -> Result<()> {
        let check = |what: &str, found: String, expected: String| {
            if found == expected {
                return Ok(());
            }
            Err(CheckpointError::Training { what: what.to_owned(), found, expected })
        };
        check("model", self.weights.model.clone(), training.model.name().to_owned())?;
        check("optimizer", self.optimizer.clone(), training.trainer.optimizer_name().to_owned())?;
        check("seed", self.seed.to_string(), training.trainer.seed().to_string())?;
        check("batch", self.batch.to_string(), training.batch.to_string())?;
        check("number of samples", self.samples.to_string(), training.samples.to_string())?;
        check("shuffling", self.shuffle.to_string(), training.shuffle.to_string())?;
        let here = settings_of(training);
        check("number of settings", self.settings.len().to_string(), here.len().to_string())?;
        for ((saved_name, saved), (name, own)) in self.settings.iter().zip(here) {
            check("setting", saved_name.clone(), name.clone())?;
            check(&name, saved.clone(), own)?;
        }
        check("number of measurements", self.sums.len().to_string(), training.sums.len().to_string())?;
        let model = training.model;
        self.weights.fitting(model, "")?;
        let graph = model.graph();
        check("number of parameters", self.layers.len().to_string(), graph.parameters.len().to_string())?;
        // The slots that there should be, in order.
        let mut saved = self.slots.iter();
        for (name, _) in training.trainer.slots() {
            for entry in graph.parameters.iter().filter(|entry| entry.kind == ParameterKind::Weight) {
                let expected = format!("{}/{name}/{} {:?}", self.optimizer, entry.name, &entry.shape[..]);
                check("slot", saved.next().map_or("missing".to_owned(), |slot| format!("{slot:?}")), expected)?;
            }
        }
        check("number of slots", self.slots.len().to_string(), (self.slots.len() - saved.len()).to_string())?;

        let batch = training.batch;
        let restored = training.trainer.values_mut().carried.restore(graph, batch, &self.states);
        restored.or_else(|(found, expected)| check("state", found, expected))?;
        training.set_weights(&self.weights)?;
        for (entry, &(is_trainable, factor)) in graph.parameters.iter().zip(&self.layers) {
            entry.layer.base().set_trainable(is_trainable);
            entry.layer.base().set_learning_rate_factor(factor);
        }
        let mut saved = self.slots.iter();
        training.trainer.restore_state(self.steps, |to| {
            for (to, saved) in to.into_iter().zip(&mut saved) {
                to.copy_from_slice(&saved.values);
            }
        });
        (training.epoch, training.step, training.before) = (self.epoch, self.step, self.before);
        (training.base_rate, training.learning_rate) = (self.base_rate, self.learning_rate);
        training.kept_by_callbacks.clone_from(&self.callbacks);
        training.sums.clone_from(&self.sums);
        training.history.clone_from(&self.history);
        training.keep();
        Ok(())
    }

    /// The epoch under way or just finished, from 1; 0 before the first.
    pub fn epoch(&self) -> usize {
        self.epoch
    }

    /// How many steps of this epoch were made.
    pub fn step(&self) -> usize {
        self.step
    }

    /// How many epochs belong to trainings that it [followed](super::Fit::follows).
    pub fn before(&self) -> usize {
        self.before
    }

    /// What the finished epochs measured.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The parameters.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Writes it to a file, which appears whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written; what was at `path` is then still there.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        Ok(write_file(path.as_ref(), &self.to_bytes())?)
    }

    /// Reads a file that [`TrainingState::save`] wrote.
    ///
    /// # Errors
    /// If it cannot be read, is of another version, or damaged.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_bytes(&read_file(path.as_ref())?)
    }

    /// The file; docs/checkpoints.md lists its records.
    pub fn to_bytes(&self) -> Vec<u8> {
        let text = |name: &str, text: &str| Record::list(name, Values::Text(text.to_owned()));
        let (learn, factors): (Vec<bool>, Vec<f32>) = self.layers.iter().copied().unzip();
        let position = [self.epoch as u64, self.step as u64, self.steps];
        let options = [self.seed, self.batch as u64, self.samples as u64, u64::from(self.shuffle)];
        let mut records = vec![
            text("model", &self.weights.model),
            text("optimizer", &self.optimizer),
            Record::list("options", Values::U64(options.to_vec())),
            Record::list("position", Values::U64(position.to_vec())),
            Record::list("before", Values::U64(vec![self.before as u64])),
            Record::list("rates", Values::F32(vec![self.base_rate, self.learning_rate])),
            Record::list("sums", Values::F64(self.sums.clone())),
            Record::list("layers/trainable", Values::U64(learn.into_iter().map(u64::from).collect())),
            Record::list("layers/rate_factors", Values::F32(factors)),
        ];
        records.extend(self.settings.iter().map(|(name, value)| text(&format!("{SETTINGS_PREFIX}{name}"), value)));
        for log in &self.history.epochs {
            let EpochLog { epoch, learning_rate, seconds, measurements } = log;
            let facts = vec![*epoch as f64, f64::from(*learning_rate), *seconds];
            records.push(Record::list(&format!("history/{epoch}"), Values::F64(facts)));
            records.extend(
                measurements
                    .iter()
                    .map(|(name, value)| Record::list(&format!("history/{epoch}/{name}"), Values::F64(vec![value]))),
            );
        }
        records.extend(self.weights.parameters.iter().map(|parameter| parameter.record(WEIGHTS_PREFIX)));
        records.extend(self.slots.iter().map(|slot| slot.record(SLOTS_PREFIX)));
        records.extend(self.states.iter().map(|state| state.record(STATES_PREFIX)));
        for Kept { callback, records: kept } in &self.callbacks {
            let renamed =
                |record: &Record| Record { name: format!("{CALLBACKS_PREFIX}{callback}/{}", record.name), ..record.clone() };
            records.extend(kept.iter().map(renamed));
        }
        records::write(MAGIC, &records)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it is none, of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let records = records::read(MAGIC, bytes)?;
        Self::from_records(&records).map_err(|name| {
            CheckpointError::Damaged { reason: format!("its record {name} is missing, or makes no sense") }.into()
        })
    }

    /// The state in these records, or the name of one that is missing or wrong.
    fn from_records(records: &[Record]) -> Result<Self, String> {
        let find = |name: &str| records.iter().find(|record| record.name == name).map(|record| &record.values);
        let text = |name: &str| match find(name) {
            Some(Values::Text(text)) => Ok(text.clone()),
            _ => Err(name.to_owned()),
        };
        let numbers = |name: &str| match find(name) {
            Some(Values::U64(numbers)) => Ok(&numbers[..]),
            _ => Err(name.to_owned()),
        };
        let reals = |name: &str| match find(name) {
            Some(Values::F32(reals)) => Ok(&reals[..]),
            _ => Err(name.to_owned()),
        };
        let size = |number: u64, name: &str| usize::try_from(number).map_err(|_| name.to_owned());
        let &[seed, batch, samples, shuffle] = numbers("options")? else { return Err("options".to_owned()) };
        let (batch, samples) = (size(batch, "options")?, size(samples, "options")?);
        let &[epoch, step, steps] = numbers("position")? else { return Err("position".to_owned()) };
        let (epoch, step) = (size(epoch, "position")?, size(step, "position")?);
        let &[before] = numbers("before")? else { return Err("before".to_owned()) };
        let before = size(before, "before")?;
        if before > epoch {
            return Err("before".to_owned());
        }
        if batch == 0 || batch > samples || shuffle > 1 {
            return Err("options".to_owned());
        }
        if step > samples.div_ceil(batch) {
            return Err("position".to_owned());
        }
        let &[base_rate, learning_rate] = reals("rates")? else { return Err("rates".to_owned()) };
        let Some(Values::F64(sums)) = find("sums") else { return Err("sums".to_owned()) };
        let (learn, factors) = (numbers("layers/trainable")?, reals("layers/rate_factors")?);
        let is_factor = |factor: &f32| factor.is_finite() && *factor >= 0.0;
        if learn.len() != factors.len() || !factors.iter().all(is_factor) {
            return Err("layers/rate_factors".to_owned());
        }
        if !is_factor(&base_rate) {
            return Err("rates".to_owned());
        }
        let mut state = Self {
            optimizer: text("optimizer")?,
            seed,
            batch,
            samples,
            shuffle: shuffle == 1,
            settings: Vec::new(),
            epoch,
            step,
            before,
            steps,
            base_rate,
            learning_rate,
            sums: sums.clone(),
            history: History::default(),
            weights: Weights { model: text("model")?, parameters: Vec::new() },
            layers: learn.iter().map(|&learns| learns != 0).zip(factors.iter().copied()).collect(),
            slots: Vec::new(),
            states: Vec::new(),
            callbacks: Vec::new(),
        };
        for record in records {
            let wrong = || record.name.clone();
            if let Some(rest) = record.name.strip_prefix("history/") {
                state.history.read(rest, &record.values).ok_or_else(wrong)?;
            } else if record.name.starts_with(WEIGHTS_PREFIX) {
                state.weights.parameters.push(SavedParameter::from_record(record, WEIGHTS_PREFIX).ok_or_else(wrong)?);
            } else if let Some(name) = record.name.strip_prefix(SETTINGS_PREFIX) {
                state.settings.push((name.to_owned(), text(&record.name)?));
            } else if record.name.starts_with(SLOTS_PREFIX) {
                state.slots.push(SavedParameter::from_record(record, SLOTS_PREFIX).ok_or_else(wrong)?);
            } else if record.name.starts_with(STATES_PREFIX) {
                state.states.push(SavedParameter::from_record(record, STATES_PREFIX).ok_or_else(wrong)?);
            } else if let Some(rest) = record.name.strip_prefix(CALLBACKS_PREFIX) {
                let (callback, name) = rest.split_once('/').ok_or_else(wrong)?;
                let record = Record { name: name.to_owned(), ..record.clone() };
                match state.callbacks.last_mut().filter(|kept| kept.callback == callback) {
                    Some(kept) => kept.records.push(record),
                    None => state.callbacks.push(Kept { callback: callback.to_owned(), records: vec![record] }),
                }
            }
        }
        let last = state.history.epochs.last().map_or(0, |log| log.epoch);
        if last > epoch || last + 1 < epoch {
            return Err("position".to_owned());
        }
        Ok(state)
    }
}

impl History {
    /// Takes a record in, of which `rest` is the name behind "history/".
    fn read(&mut self, rest: &str, values: &Values) -> Option<()> {
        let Values::F64(values) = values else { return None };
        match rest.split_once('/') {
            None => {
                let &[epoch, learning_rate, seconds] = &values[..] else { return None };
                let expected = self.epochs.last().map_or(1, |log| log.epoch + 1);
                if epoch != expected as f64 || rest != expected.to_string() {
                    return None;
                }
                let learning_rate = learning_rate as f32;
                self.epochs.push(EpochLog { epoch: expected, learning_rate, seconds, measurements: Measurements::default() });
            }
            Some((epoch, name)) => {
                let log = self.epochs.last_mut()?;
                let &[value] = &values[..] else { return None };
                if epoch != log.epoch.to_string() {
                    return None;
                }
                log.measurements.push(name.to_owned(), value);
            }
        }
        Some(())
    }
}

/// Optimizer, losses and schedule with all that is set of them, as texts to be compared.
fn settings_of(training: &Training<'_>) -> Vec<(String, String)> {
    let [optimizer, losses] = training.trainer.settings();
    let all = [optimizer, losses, ("schedule", training.schedule.clone())];
    all.map(|(name, value)| (name.to_owned(), value)).into()
}

/// The weights of a graph, with their stretches of a buffer that is laid out as all weights.
pub(super) fn entries_of<'a>(graph: &'a crate::graph::Graph, mut buffer: &'a [f32]) -> Vec<(&'a ParameterEntry, &'a [f32])> {
    let weights = graph.parameters.iter().filter(|entry| entry.kind == ParameterKind::Weight);
    weights.filter_map(|entry| Some((entry, buffer.split_off(..entry.shape.size())?))).collect()
}
