//! Stops a training that diverged, without an error.

use super::Callback;
use crate::checkpoint::Weights;
use crate::error::Result;
use crate::train::Training;

/// Ends a training whose loss is no longer a number, as Keras's `TerminateOnNaN`: with the weights of the last epoch that was
/// finished and the history up to there, instead of the error that [`Model::fit`](crate::Model::fit) else gives.
#[derive(Debug, Clone, Copy, Default)]
pub struct TerminateOnNan;

impl Callback for TerminateOnNan {
    fn train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        training.go_on_when_diverged();
        Ok(())
    }

    fn batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        if !training.loss().is_finite() {
            let last = Weights::of(training.model());
            training.set_weights(&last)?;
            training.stop();
        }
        Ok(())
    }
}
