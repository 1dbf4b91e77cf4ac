//! Lowers the learning rate when a training no longer gets better.

use super::monitor::{Monitor, monitor_methods};
use super::{Callback, Kept};
use crate::error::Result;
use crate::optimizers::check_option;
use crate::train::Training;

/// Multiplies the learning rate with a factor when a measurement has not become better for some epochs, as Keras's
/// `ReduceLROnPlateau`; a schedule of the training multiplies the lower rate.
#[derive(Debug, Clone)]
pub struct ReduceLROnPlateau {
    monitor: Monitor,
    factor: f32,
    patience: usize,
    cooldown: usize,
    min_rate: f32,
    best: f64,
    /// Epochs since the best.
    wait: usize,
    /// Epochs to go before looking again.
    cooling: usize,
}

impl ReduceLROnPlateau {
    /// Multiplies with the factor, from 0 to below 1, when `val_loss` has not become smaller by more than 0.0001 for
    /// `patience` epochs. Keras's defaults are 0.1 and 10.
    pub fn new(factor: f32, patience: usize) -> Self {
        let monitor = Monitor { min_delta: 1e-4, ..Monitor::new("val_loss") };
        Self { monitor, factor, patience, cooldown: 0, min_rate: 0.0, best: f64::NAN, wait: 0, cooling: 0 }
    }

    monitor_methods!(min_delta);

    /// Waits for so many epochs after the rate was lowered before it counts again.
    pub fn cooldown(self, epochs: usize) -> Self {
        Self { cooldown: epochs, ..self }
    }

    /// Never goes below this rate.
    pub fn min_rate(self, rate: f32) -> Self {
        Self { min_rate: rate, ..self }
    }

    fn lower(&self, training: &mut Training<'_>) -> Result<()> {
        let old = training.base_learning_rate();
        if old <= self.min_rate {
            return Ok(());
        }
        let new = old * self.factor;
        training.set_base_learning_rate(if new < self.min_rate { self.min_rate } else { new })
    }
}

impl Callback for ReduceLROnPlateau {
    fn train_begin(&mut self, _training: &mut Training<'_>) -> Result<()> {
        self.monitor.check()?;
        check_option("the factor of the plateau", self.factor, 0.0..1.0, "at least 0 and below 1")?;
        check_option("the smallest rate", self.min_rate, 0.0..=f32::MAX, "0 or a positive number")?;
        (self.best, self.wait, self.cooling) = (self.monitor.worst()?, 0, 0);
        Ok(())
    }

    fn epoch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        let value = self.monitor.value(training)?;
        if self.cooling > 0 {
            self.cooling -= 1;
            self.wait = 0;
        }
        if self.monitor.is_better(value, self.best)? {
            (self.best, self.wait) = (value, 0);
        } else if self.cooling == 0 {
            self.wait += 1;
            if self.wait >= self.patience {
                self.lower(training)?;
                (self.cooling, self.wait) = (self.cooldown, 0);
            }
        }
        Ok(())
    }

    fn keeps(&self) -> Option<Kept> {
        let counters = [self.wait, self.cooling].map(|count| count as u64);
        Some(Kept::new("reduce_lr_on_plateau").with_f64("best", [self.best]).with_u64("counters", counters))
    }

    fn restore(&mut self, kept: &Kept, _training: &mut Training<'_>) -> Result<()> {
        [self.best] = kept.f64("best")?;
        let counters: [u64; 2] = kept.u64("counters")?;
        [self.wait, self.cooling] = counters.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        Ok(())
    }
}
