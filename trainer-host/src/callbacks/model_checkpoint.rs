//! Saves the model while it trains.

use std::path::PathBuf;

use super::file_name::{FileName, Value};
use super::monitor::{Monitor, monitor_methods};
use super::{Callback, Kept};
use crate::checkpoint::write_file;
use crate::error::{Error, Result};
use crate::train::{Measurements, Training};

/// Saves the model after every epoch, or some, or those that are the best so far, as Keras's `ModelCheckpoint`. The file appears whole
/// or not at all; [`Model::load`](crate::Model::load) reads it. What a training needs to go on is another file:
/// [`SaveState`](super::SaveState).
///
/// ```
/// use samara_trainer::prelude::*;
///
/// let best = callbacks::ModelCheckpoint::new("best-{epoch:02}-{val_accuracy:.3}.model").best_only().monitor("val_accuracy");
/// let fit = Fit { epochs: 100, callbacks: vec![Box::new(best)], ..Fit::default() };
/// ```
#[derive(Debug, Clone)]
pub struct ModelCheckpoint {
    name: FileName,
    monitor: Monitor,
    best_only: bool,
    weights_only: bool,
    every: Every,
    threshold: Option<f64>,
    best: f64,
}

/// When to save.
#[derive(Debug, Clone, Copy)]
enum Every {
    Epochs(usize),
    Steps(usize),
}

impl ModelCheckpoint {
    /// Saves to this file after every epoch. Its name may have placeholders: `{epoch}`, from 1, `{step}` of it, and the names of
    /// measurements, with a format if need be: `{epoch:02}`, `{val_loss:.3}`.
    pub fn new(name: impl Into<PathBuf>) -> Self {
        Self {
            name: FileName::new(&name.into()),
            monitor: Monitor::new("val_loss"),
            best_only: false,
            weights_only: false,
            every: Every::Epochs(1),
            threshold: None,
            best: f64::NAN,
        }
    }

    monitor_methods!();

    /// Saves only if the measurement, `val_loss` by default, is the best so far.
    pub fn best_only(self) -> Self {
        Self { best_only: true, ..self }
    }

    /// The best so far, to begin with: with [`ModelCheckpoint::best_only`], only what is better is saved.
    pub fn initial_threshold(self, threshold: f64) -> Self {
        Self { threshold: Some(threshold), ..self }
    }

    /// Saves the weights alone, for [`Model::load_weights`](crate::Model::load_weights).
    pub fn weights_only(self) -> Self {
        Self { weights_only: true, ..self }
    }

    /// Saves after the epochs whose number this divides, at least 1.
    pub fn every_epochs(self, epochs: usize) -> Self {
        Self { every: Every::Epochs(if epochs == 0 { 1 } else { epochs }), ..self }
    }

    /// Saves after the steps whose number, of all epochs, this divides, at least 1, instead of after epochs. Measurements are
    /// then those of the epoch so far.
    pub fn every_steps(self, steps: usize) -> Self {
        Self { every: Every::Steps(if steps == 0 { 1 } else { steps }), ..self }
    }

    fn save(&mut self, training: &Training<'_>, measured: &Measurements) -> Result<()> {
        let value = |name: &str| {
            let known = || measured.iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
            measured.get(name).ok_or_else(|| Error::NotFound {
                model: training.model().name().to_owned(),
                what: "measurement",
                name: name.to_owned(),
                known: known(),
            })
        };
        if self.best_only {
            let found = value(&self.monitor.name)?;
            if !self.monitor.is_better(found, self.best)? {
                return Ok(());
            }
            self.best = found;
        }
        let path = self.name.fill(|key| match key {
            "epoch" => Ok(Value::Count(training.epoch())),
            "step" => Ok(Value::Count(training.step())),
            _ => value(key).map(Value::Real),
        })?;
        let weights = training.weights();
        let bytes = if self.weights_only { weights.to_bytes() } else { training.model().to_bytes_with(&weights)? };
        Ok(write_file(&path, &bytes)?)
    }
}

impl Callback for ModelCheckpoint {
    fn train_begin(&mut self, _training: &mut Training<'_>) -> Result<()> {
        self.name.check()?;
        self.best = f64::NAN;
        if self.best_only {
            self.monitor.check()?;
            self.best = self.threshold.map_or_else(|| self.monitor.worst(), Ok)?;
        }
        Ok(())
    }

    fn batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        let step = (training.epoch() - 1) * training.steps() + training.step();
        match self.every {
            Every::Steps(steps) if step.is_multiple_of(steps) => self.save(training, &training.measurements()),
            _ => Ok(()),
        }
    }

    fn epoch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        match (self.every, training.log()) {
            (Every::Epochs(epochs), Some(log)) if log.epoch.is_multiple_of(epochs) => self.save(training, &log.measurements),
            _ => Ok(()),
        }
    }

    fn keeps(&self) -> Option<Kept> {
        Some(Kept::new("model_checkpoint").with_f64("best", [self.best]))
    }

    fn restore(&mut self, kept: &Kept, _training: &mut Training<'_>) -> Result<()> {
        [self.best] = kept.f64("best")?;
        Ok(())
    }
}
