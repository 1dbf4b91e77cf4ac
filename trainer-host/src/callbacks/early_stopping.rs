//! Stops a training that no longer gets better.

use super::monitor::{Monitor, monitor_methods};
use super::{Callback, Kept};
use crate::checkpoint::Weights;
use crate::error::{Error, Result};
use crate::train::Training;

/// Stops when a measurement has not become better for some epochs, as Keras's `EarlyStopping`. A resumed training stops in the
/// same epoch; with more patience, it goes on.
///
/// ```
/// use samara_trainer::prelude::*;
///
/// let stop = callbacks::EarlyStopping::new(10).restore_best_weights();
/// let fit = Fit { epochs: 1000, callbacks: vec![Box::new(stop)], ..Fit::default() };
/// ```
#[derive(Debug, Clone)]
pub struct EarlyStopping {
    monitor: Monitor,
    patience: usize,
    baseline: Option<f64>,
    restore_best_weights: bool,
    start_from_epoch: usize,
    best: f64,
    best_epoch: usize,
    best_weights: Option<Weights>,
    /// Epochs since the best.
    wait: usize,
    stopped_epoch: Option<usize>,
}

impl EarlyStopping {
    /// Stops when `val_loss` has not become smaller for `patience` epochs.
    pub fn new(patience: usize) -> Self {
        Self {
            monitor: Monitor::new("val_loss"),
            patience,
            baseline: None,
            restore_best_weights: false,
            start_from_epoch: 0,
            best: f64::NAN,
            best_epoch: 0,
            best_weights: None,
            wait: 0,
            stopped_epoch: None,
        }
    }

    monitor_methods!(min_delta);

    /// Patience begins anew only with a measurement that is also better than this.
    pub fn baseline(self, baseline: f64) -> Self {
        Self { baseline: Some(baseline), ..self }
    }

    /// Ends with the weights of the best epoch, whether the training was stopped or not.
    pub fn restore_best_weights(self) -> Self {
        Self { restore_best_weights: true, ..self }
    }

    /// Does not look at the epochs before this one, counted from 1.
    pub fn start_from_epoch(self, epoch: usize) -> Self {
        Self { start_from_epoch: epoch, ..self }
    }

    /// The epoch after which it stopped the training, if it did.
    pub fn stopped_epoch(&self) -> Option<usize> {
        self.stopped_epoch
    }

    /// The epoch, from 1, with the best measurement so far; 0 before the first.
    pub fn best_epoch(&self) -> usize {
        self.best_epoch
    }
}

impl Callback for EarlyStopping {
    fn train_begin(&mut self, _training: &mut Training<'_>) -> Result<()> {
        self.monitor.check()?;
        if self.baseline.is_some_and(f64::is_nan) {
            let (found, expected) = ("NaN".to_owned(), "a number".to_owned());
            return Err(Error::Argument { name: "the baseline", found, expected });
        }
        self.best = self.monitor.worst()?;
        (self.best_epoch, self.best_weights, self.wait, self.stopped_epoch) = (0, None, 0, None);
        Ok(())
    }

    fn epoch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        let value = self.monitor.value(training)?;
        if training.epoch() < self.start_from_epoch {
            return Ok(());
        }
        let is_better = self.monitor.is_better(value, self.best)?;
        if self.restore_best_weights && (is_better || self.best_weights.is_none()) {
            self.best_weights = Some(training.weights());
            self.best_epoch = training.epoch();
        }
        self.wait += 1;
        if is_better {
            (self.best, self.best_epoch) = (value, training.epoch());
            let beats_baseline = self.baseline.map_or(Ok(true), |baseline| self.monitor.is_better(value, baseline))?;
            if beats_baseline {
                self.wait = 0;
            }
        } else if self.wait >= self.patience && training.epoch() > 1 {
            self.stopped_epoch = Some(training.epoch());
            training.stop();
        }
        Ok(())
    }

    fn train_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.best_weights.as_ref().map_or(Ok(()), |weights| training.set_weights(weights))
    }

    fn keeps(&self) -> Option<Kept> {
        let counters = [self.best_epoch, self.wait, self.stopped_epoch.unwrap_or(0)].map(|count| count as u64);
        let kept = Kept::new("early_stopping").with_f64("best", [self.best]).with_u64("counters", counters);
        Some(match &self.best_weights {
            Some(weights) => kept.with_f32("best_weights", weights.concatenated()),
            None => kept,
        })
    }

    fn restore(&mut self, kept: &Kept, training: &mut Training<'_>) -> Result<()> {
        [self.best] = kept.f64("best")?;
        let counters: [u64; 3] = kept.u64("counters")?;
        let [best_epoch, wait, stopped_epoch] = counters.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        (self.best_epoch, self.wait) = (best_epoch, wait);
        if let Some(values) = kept.f32("best_weights")? {
            let weights = training.weights().with_values(values).ok_or_else(|| kept.wrong("best_weights"))?;
            self.best_weights = self.restore_best_weights.then_some(weights);
        }
        if stopped_epoch > 0 && wait >= self.patience {
            self.stopped_epoch = Some(stopped_epoch);
            training.stop();
        }
        Ok(())
    }
}
