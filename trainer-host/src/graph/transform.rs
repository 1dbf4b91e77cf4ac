//! What stands between the weights that are stored and those that layers compute with.

use std::fmt;
use std::sync::Arc;

use super::Shape;

/// Makes the effective values of a weight from the stored ones: rounded as a quantized file will have them, or with the
/// pruned ones at zero. It runs once per step. Layers, predictions, measurements and exports see the effective values; the
/// optimizer changes the stored ones, which are also what regularizers, [`Model::parameter`](crate::Model::parameter) and
/// checkpoints see. A transform is not part of a checkpoint: whoever loads one sets it again.
///
/// ```
/// use samara_trainer::prelude::*;
///
/// /// Keeps what is small at zero.
/// #[derive(Debug)]
/// struct Threshold(f32);
///
/// impl Transform for Threshold {
///     fn apply(&self, _shape: &Shape, stored: &[f32], effective: &mut [f32]) {
///         for (to, &value) in effective.iter_mut().zip(stored) {
///             *to = if value.abs() < self.0 { 0.0 } else { value };
///         }
///     }
/// }
///
/// let x = input([2]);
/// let model = Model::new("m", &x, Dense::new(1).without_bias().apply(&x))?;
/// model.set_parameter("dense/kernel", &[0.01, 1.0])?;
/// model.set_transform("dense/kernel", Threshold(0.1))?;
/// assert_eq!(model.predict(&Tensor::new([1, 2], vec![5.0, 3.0])?)?.values(), [3.0]);
/// # Ok::<(), Error>(())
/// ```
pub trait Transform: fmt::Debug + Send + Sync {
    /// Writes the effective values of a weight of this shape.
    fn apply(&self, shape: &Shape, stored: &[f32], effective: &mut [f32]);

    /// Turns the gradient of effective values into that of the stored ones, from the value with the number `first` on: as it
    /// is, unless a transform says otherwise.
    fn change_gradient(&self, first: usize, stored: &[f32], gradient: &mut [f32]) {
        let _ = (first, stored, gradient);
    }
}

/// A transform that layers share.
pub type SharedTransform = Arc<dyn Transform>;
