//! Losses: one file each.
//!
//! A loss sees the model's outputs, whichever activation made them. Keras differs for two pairs that do not belong together:
//! from a sigmoid with a categorical cross-entropy, or a softmax with the binary one, it takes the values before the
//! activation, as the loss's own logits.

mod binary_crossentropy;
mod categorical_crossentropy;
mod cosine_similarity;
mod distillation;
mod focal_crossentropy;
mod from_logits;
mod hinge;
mod huber;
mod kl_divergence;
mod label_smoothing;
mod mean_absolute_error;
mod mean_squared_error;
mod poisson;
mod sparse_categorical_crossentropy;

pub use binary_crossentropy::BinaryCrossentropy;
pub use categorical_crossentropy::CategoricalCrossentropy;
pub use cosine_similarity::CosineSimilarity;
pub(crate) use cosine_similarity::length_and_cosine;
pub use distillation::Distillation;
pub use focal_crossentropy::{BinaryFocalCrossentropy, CategoricalFocalCrossentropy};
pub use from_logits::{
    BinaryCrossentropyFromLogits, CategoricalCrossentropyFromLogits, SparseCategoricalCrossentropyFromLogits,
};
pub use hinge::{CategoricalHinge, Hinge, SquaredHinge};
pub use huber::Huber;
pub use kl_divergence::KlDivergence;
pub use label_smoothing::LabelSmoothing;
pub use mean_absolute_error::MeanAbsoluteError;
pub use mean_squared_error::MeanSquaredError;
pub use poisson::Poisson;
pub use sparse_categorical_crossentropy::SparseCategoricalCrossentropy;

use std::fmt;
use std::sync::Arc;

use crate::activation::Activation;
use crate::graph::Shape;
use crate::metrics::Metric;

/// What training makes small. The value for a batch is the mean over its samples.
pub trait Loss: fmt::Debug + Send + Sync {
    /// The name, as in histories and on the command line: `"sparse_categorical_crossentropy"`.
    fn name(&self) -> &'static str;

    /// The shape of one sample's target for an output of this shape, or why there is none.
    fn target_shape(&self, output: &Shape) -> Result<Shape, String>;

    /// The activation at the end of the model that the loss is computed together with, from the values before it, so
    /// that nothing is lost to rounding where a probability is near 0 or 1.
    fn fused_activation(&self) -> Option<Activation> {
        None
    }

    /// What is wrong with an output that ends in this activation, if the loss does not go with it: what the loss expects, and
    /// what to write instead. [`Model::warnings`](crate::Model::warnings) tells it.
    fn mismatch(&self, last: Activation) -> Option<String> {
        let _ = last;
        None
    }

    /// The first value of one sample's target that the loss cannot take, if any.
    fn target_fault(&self, target: &[f32], output: &Shape) -> Option<TargetFault> {
        let _ = (target, output);
        None
    }

    /// The sum of the samples' losses; fills the gradient, if wanted.
    fn evaluate(&self, pass: &mut LossPass<'_>) -> f64;

    /// The metric that goes with the loss by default.
    fn default_metric(&self) -> Option<Arc<dyn Metric>> {
        None
    }
}

/// A target that a loss cannot take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TargetFault {
    /// A label that is no class number.
    Label {
        /// The label.
        label: f32,
        /// Number of classes.
        classes: usize,
    },
    /// A value out of range.
    Range {
        /// The value.
        value: f32,
        /// What is wanted.
        wanted: &'static str,
    },
}

/// Some samples of an output, and their targets.
#[derive(Debug)]
pub struct LossPass<'a> {
    /// Number of samples.
    pub samples: usize,
    /// The output's shape.
    pub shape: &'a Shape,
    /// The output.
    pub output: &'a [f32],
    /// The values before the fused activation, if the model ends in it.
    pub before_activation: Option<&'a [f32]>,
    /// The targets.
    pub targets: &'a [f32],
    /// Where the gradient goes: of the values before the fused activation if there are such, else of the output.
    pub gradient: Option<&'a mut [f32]>,
    /// What the gradient is multiplied with: the loss's weight over the number of samples in the batch.
    pub scale: f32,
}

/// [`Loss::mismatch`] of a loss of the probabilities that some activations make, the first of them before all.
pub(crate) fn probabilities_from(makers: &[Activation], last: Activation, of_logits: &str) -> Option<String> {
    let usual = makers.first().filter(|_| !makers.contains(&last))?;
    Some(format!(
        "expects probabilities: write `.activation(Activation::{usual:?})` at the last layer, or use `{of_logits}` with values \
         that no activation has changed"
    ))
}

/// Keras's guard against logarithms of zero, where a loss sees probabilities only.
pub(crate) const EPSILON: f32 = 1e-7;

/// All losses, to be found by name.
pub fn all() -> Vec<Arc<dyn Loss>> {
    vec![
        Arc::new(MeanSquaredError),
        Arc::new(BinaryCrossentropy),
        Arc::new(CategoricalCrossentropy),
        Arc::new(SparseCategoricalCrossentropy),
        Arc::new(MeanAbsoluteError),
        Arc::new(Huber::default()),
        Arc::new(BinaryCrossentropyFromLogits),
        Arc::new(CategoricalCrossentropyFromLogits),
        Arc::new(SparseCategoricalCrossentropyFromLogits),
        Arc::new(CategoricalFocalCrossentropy::default()),
        Arc::new(BinaryFocalCrossentropy::default()),
        Arc::new(KlDivergence),
        Arc::new(CosineSimilarity),
        Arc::new(Poisson),
        Arc::new(Hinge),
        Arc::new(SquaredHinge),
        Arc::new(CategoricalHinge),
    ]
}

#[cfg(test)]
pub(crate) mod check {
    //! Gradients of losses against finite differences.

    use super::*;
    use crate::layers::softmax_rows;

    /// The loss and gradient for values before the activation, or for outputs.
    pub fn evaluate(loss: &dyn Loss, shape: &Shape, values: &[f32], targets: &[f32], fused: bool) -> (f64, Vec<f32>) {
        let samples = values.len() / shape.size();
        let mut output = values.to_vec();
        if fused {
            match loss.fused_activation() {
                Some(Activation::Softmax) => softmax_rows(&mut output, shape.channels()),
                Some(Activation::Sigmoid) => output.iter_mut().for_each(|v| *v = 1.0 / (1.0 + (-*v).exp())),
                other => panic!("{other:?}"),
            }
        }
        let mut gradient = vec![f32::NAN; values.len()];
        let sum = loss.evaluate(&mut LossPass {
            samples,
            shape,
            output: &output,
            before_activation: fused.then_some(values),
            targets,
            gradient: Some(&mut gradient),
            scale: 1.0,
        });
        (sum, gradient)
    }

    /// Compares the gradient with central differences.
    pub fn gradient(loss: &dyn Loss, shape: &Shape, values: &[f32], targets: &[f32], fused: bool) {
        let (_, gradient) = evaluate(loss, shape, values, targets, fused);
        for position in 0..values.len() {
            let step = 1e-2;
            let mut moved = values.to_vec();
            moved[position] += step;
            let above = evaluate(loss, shape, &moved, targets, fused).0;
            moved[position] -= 2.0 * step;
            let below = evaluate(loss, shape, &moved, targets, fused).0;
            let expected = (above - below) / (2.0 * f64::from(step));
            let found = f64::from(gradient[position]);
            assert!((found - expected).abs() < 2e-3 * (1.0 + expected.abs()), "{position}: {found} {expected}");
        }
    }
}
