//! Callbacks: who is told of the steps and epochs of a training, and may act on it. One file each, with Keras's names;
//! docs/training.md has a table.

mod backup_and_restore;
mod closures;
mod csv_logger;
mod early_stopping;
mod file_name;
mod json_lines;
mod kept;
mod lambda;
mod learning_rate_scheduler;
mod log_file;
mod model_checkpoint;
mod monitor;
mod progress;
mod quantization_aware;
mod reduce_lr_on_plateau;
mod save_state;
mod tensorboard;
mod terminate_on_nan;
#[cfg(test)]
mod tests;
mod weight_averages;

pub use backup_and_restore::BackupAndRestore;
pub use closures::{EachBatch, EachEpoch, each_batch, each_epoch};
pub use csv_logger::CsvLogger;
pub use early_stopping::EarlyStopping;
pub use json_lines::JsonLines;
pub use kept::Kept;
pub use lambda::Lambda;
pub use learning_rate_scheduler::LearningRateScheduler;
pub use model_checkpoint::ModelCheckpoint;
pub use monitor::Mode;
pub use progress::Progress;
pub use quantization_aware::QuantizationAware;
pub use reduce_lr_on_plateau::ReduceLROnPlateau;
pub use save_state::SaveState;
pub use tensorboard::{Hyperparameter, TensorBoard, UpdateFreq};
pub use terminate_on_nan::TerminateOnNan;
pub use weight_averages::{ExponentialMovingAverage, StochasticWeightAveraging};

use crate::error::Result;
use crate::train::{Training, TrainingState};

/// Is told what happens in `fit`, with the training in its hands: it may read and set parameters, read any layer's
/// activations, change the learning rate, save the state, stop. An error ends the training and is what `fit` returns; the
/// model keeps what it learned up to there. [`each_epoch`], [`each_batch`] and [`Lambda`] make callbacks of closures.
///
/// What a callback keeps from step to step is part of the training's state if [`Callback::keeps`] gives it: a resumed
/// training then goes on with the same bits.
///
/// ```
/// use samara_trainer::callbacks::Kept;
/// use samara_trainer::prelude::*;
///
/// /// Halves the learning rate whenever the loss has risen.
/// #[derive(Default)]
/// struct HalveOnRise {
///     last: f64,
/// }
///
/// impl Callback for HalveOnRise {
///     fn epoch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
///         let loss = training.log().and_then(|log| log.measurements.get("loss")).unwrap_or(0.0);
///         if training.epoch() > 1 && loss > self.last {
///             training.set_base_learning_rate(0.5 * training.base_learning_rate())?;
///         }
///         self.last = loss;
///         Ok(())
///     }
///
///     fn keeps(&self) -> Option<Kept> {
///         Some(Kept::new("halve_on_rise").with_f64("last", [self.last]))
///     }
///
///     fn restore(&mut self, kept: &Kept, _training: &mut Training<'_>) -> Result<()> {
///         [self.last] = kept.f64("last")?;
///         Ok(())
///     }
/// }
/// ```
pub trait Callback: Send {
    /// Before the first step, also that of a resumed training; what the callback kept is restored behind it.
    ///
    /// # Errors
    /// Whatever shall end the training.
    fn train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        let _ = training;
        Ok(())
    }

    /// Before the first step of an epoch, or the first that a resumed training makes in it.
    ///
    /// # Errors
    /// Whatever shall end the training.
    fn epoch_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        let _ = training;
        Ok(())
    }

    /// Before every step.
    ///
    /// # Errors
    /// Whatever shall end the training.
    fn batch_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        let _ = training;
        Ok(())
    }

    /// After every step.
    ///
    /// # Errors
    /// Whatever shall end the training.
    fn batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        let _ = training;
        Ok(())
    }

    /// Before the validation at the end of an epoch, if there is one.
    ///
    /// # Errors
    /// Whatever shall end the training.
    fn test_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        let _ = training;
        Ok(())
    }

    /// After the validation at the end of an epoch, if there is one; its measurements come with [`Callback::epoch_end`].
    ///
    /// # Errors
    /// Whatever shall end the training.
    fn test_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        let _ = training;
        Ok(())
    }

    /// After every epoch, validation included: [`Training::log`] is the epoch's.
    ///
    /// # Errors
    /// Whatever shall end the training.
    fn epoch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        let _ = training;
        Ok(())
    }

    /// After the last epoch, also where a callback stopped the training.
    ///
    /// # Errors
    /// Whatever shall end the training.
    fn train_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        let _ = training;
        Ok(())
    }

    /// What must be restored for the callback to go on in a resumed training, under the callback's name; none if it keeps nothing.
    fn keeps(&self) -> Option<Kept> {
        None
    }

    /// Takes back what [`Callback::keeps`] gave when the state was saved; behind [`Callback::train_begin`].
    ///
    /// # Errors
    /// If something is missing or makes no sense.
    fn restore(&mut self, kept: &Kept, training: &mut Training<'_>) -> Result<()> {
        let _ = (kept, training);
        Ok(())
    }

    /// Asked after each step, and after each epoch, when all callbacks were told of it: `true` to be given the state of the
    /// training, with all that callbacks keep, in [`Callback::take_state`].
    fn wants_state(&self, training: &Training<'_>) -> bool {
        let _ = training;
        false
    }

    /// Takes the state that [`Callback::wants_state`] asked for.
    ///
    /// # Errors
    /// Whatever shall end the training.
    fn take_state(&mut self, state: &TrainingState) -> Result<()> {
        let _ = state;
        Ok(())
    }
}

/// A callback that the caller of `fit` keeps.
impl<C: Callback + ?Sized> Callback for &mut C {
    fn train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        (**self).train_begin(training)
    }

    fn epoch_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        (**self).epoch_begin(training)
    }

    fn batch_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        (**self).batch_begin(training)
    }

    fn batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        (**self).batch_end(training)
    }

    fn test_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        (**self).test_begin(training)
    }

    fn test_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        (**self).test_end(training)
    }

    fn epoch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        (**self).epoch_end(training)
    }

    fn train_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        (**self).train_end(training)
    }

    fn keeps(&self) -> Option<Kept> {
        (**self).keeps()
    }

    fn restore(&mut self, kept: &Kept, training: &mut Training<'_>) -> Result<()> {
        (**self).restore(kept, training)
    }

    fn wants_state(&self, training: &Training<'_>) -> bool {
        (**self).wants_state(training)
    }

    fn take_state(&mut self, state: &TrainingState) -> Result<()> {
        (**self).take_state(state)
    }
}
