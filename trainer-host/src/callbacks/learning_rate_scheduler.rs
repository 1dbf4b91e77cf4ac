//! Sets the learning rate of each epoch.

use super::Callback;
use crate::error::Result;
use crate::train::Training;

/// Sets the learning rate at the beginning of each epoch, as Keras's `LearningRateScheduler`; a schedule of the training
/// multiplies it from step to step.
///
/// ```
/// use samara_trainer::prelude::*;
///
/// // Constant for ten epochs, then down by a tenth with each.
/// let rates = callbacks::LearningRateScheduler::new(|epoch, rate| if epoch <= 10 { rate } else { 0.9 * rate });
/// let fit = Fit { epochs: 30, callbacks: vec![Box::new(rates)], ..Fit::default() };
/// ```
pub struct LearningRateScheduler<F>(F);

impl<F: FnMut(usize, f32) -> f32 + Send> LearningRateScheduler<F> {
    /// The closure is given the epoch, from 1, and the learning rate, and gives the epoch's.
    pub fn new(rate: F) -> Self {
        Self(rate)
    }
}

impl<F: FnMut(usize, f32) -> f32 + Send> Callback for LearningRateScheduler<F> {
    fn epoch_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        // An epoch that is resumed halfway has its rate.
        if training.step() > 0 {
            return Ok(());
        }
        let rate = (self.0)(training.epoch(), training.base_learning_rate());
        training.set_base_learning_rate(rate)
    }
}
