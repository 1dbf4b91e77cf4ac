//! Callbacks: who is told of the steps and epochs of a training, and may act on it. One file each.

mod closures;
mod progress;
mod save_state;

pub use closures::{EachBatch, EachEpoch, each_batch, each_epoch};
pub use progress::Progress;
pub use save_state::SaveState;

use crate::error::Result;
use crate::train::Training;

/// Is told what happens in `fit`, with the training in its hands: it may read and set parameters, read any layer's
/// activations, change the learning rate, save the state, stop. An error ends the training and is what `fit` returns; the
/// model keeps what it learned up to there. [`each_epoch`] and [`each_batch`] make callbacks of closures.
///
/// ```
/// use samara_trainer::prelude::*;
///
/// /// Stops when the validation loss has not fallen for some epochs, and goes back to the best weights.
/// struct EarlyStopping {
///     patience: usize,
///     best: Option<(usize, f64, Weights)>,
/// }
///
/// impl Callback for EarlyStopping {
///     fn epoch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
///         let loss = training.log().and_then(|log| log.measurements.get("val_loss")).unwrap_or(f64::INFINITY);
///         match &self.best {
///             Some((_, lowest, _)) if *lowest <= loss => {}
///             _ => self.best = Some((training.epoch(), loss, training.weights())),
///         }
///         if let Some((epoch, _, weights)) = &self.best
///             && training.epoch() >= epoch + self.patience
///         {
///             training.set_weights(weights)?;
///             training.stop();
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Callback: Send {
    /// Before the first step.
    fn train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        let _ = training;
        Ok(())
    }

    /// Before the first step of an epoch, or the first that a resumed training makes in it.
    fn epoch_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        let _ = training;
        Ok(())
    }

    /// After every step.
    fn batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        let _ = training;
        Ok(())
    }

    /// After every epoch, validation included: [`Training::log`] is the epoch's.
    fn epoch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        let _ = training;
        Ok(())
    }

    /// After the last epoch, also where a callback stopped the training.
    fn train_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        let _ = training;
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

    fn batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        (**self).batch_end(training)
    }

    fn epoch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        (**self).epoch_end(training)
    }

    fn train_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        (**self).train_end(training)
    }
}
