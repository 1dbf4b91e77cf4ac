//! Callbacks made of closures.

use super::Callback;
use crate::error::Result;
use crate::train::Training;

/// The callback of [`each_epoch`].
pub struct EachEpoch<F>(F);

/// The callback of [`each_batch`].
pub struct EachBatch<F>(F);

/// Calls a closure after every epoch.
pub fn each_epoch<F: FnMut(&mut Training<'_>) -> Result<()> + Send>(closure: F) -> EachEpoch<F> {
    EachEpoch(closure)
}

/// Calls a closure after every step.
pub fn each_batch<F: FnMut(&mut Training<'_>) -> Result<()> + Send>(closure: F) -> EachBatch<F> {
    EachBatch(closure)
}

impl<F: FnMut(&mut Training<'_>) -> Result<()> + Send> Callback for EachEpoch<F> {
    fn epoch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        (self.0)(training)
    }
}

impl<F: FnMut(&mut Training<'_>) -> Result<()> + Send> Callback for EachBatch<F> {
    fn batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        (self.0)(training)
    }
}
