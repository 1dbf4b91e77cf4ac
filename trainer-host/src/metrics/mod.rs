//! Metrics: one file each. Measured, not trained on.
//!
//! Some have the names of losses, as in Keras: the prelude has the loss [`MeanSquaredError`](crate::losses::MeanSquaredError),
//! and `metrics::MeanSquaredError` is what is measured.

mod accuracy;
mod auc;
mod binary_accuracy;
mod confusion_matrix;
mod cosine_similarity;
mod counts;
mod errors;
mod r2_score;
mod top_k;

pub use accuracy::Accuracy;
pub use auc::Auc;
pub use binary_accuracy::BinaryAccuracy;
pub use confusion_matrix::ConfusionMatrix;
pub use cosine_similarity::CosineSimilarity;
pub use counts::{Average, Dice, F1Score, Precision, Recall};
pub use errors::{MeanAbsoluteError, MeanSquaredError};
pub use r2_score::R2Score;
pub use top_k::TopKCategoricalAccuracy;

use std::fmt;

use crate::graph::Shape;

/// Something to measure about an output: a mean over samples, or what follows from sums over them.
pub trait Metric: fmt::Debug + Send + Sync {
    /// The name, as in histories: `"accuracy"`.
    fn name(&self) -> &'static str;

    /// Says why the metric does not fit an output with targets, both of these shapes without the batch, if it does not.
    ///
    /// # Errors
    /// What it wants.
    fn check(&self, output: &Shape, target: &Shape) -> Result<(), String> {
        let _ = (output, target);
        Ok(())
    }

    /// How many sums the metric keeps; one is enough for a mean over samples.
    fn sums(&self) -> usize {
        1
    }

    /// Adds these samples to the sums.
    fn add(&self, pass: &MetricPass<'_>, sums: &mut [f64]);

    /// The metric's value from its sums over all samples; by default the mean, the first sum over the number of samples.
    fn result(&self, sums: &[f64], samples: usize) -> f64 {
        sums.first().map_or(0.0, |sum| sum / samples as f64)
    }

    /// The metric's value for these samples alone.
    fn value(&self, pass: &MetricPass<'_>) -> f64 {
        let mut sums = vec![0.0; self.sums()];
        self.add(pass, &mut sums);
        self.result(&sums, pass.samples)
    }
}

/// Some samples of an output, and their targets.
#[derive(Debug)]
pub struct MetricPass<'a> {
    /// Number of samples.
    pub samples: usize,
    /// The output's shape.
    pub shape: &'a Shape,
    /// The output.
    pub output: &'a [f32],
    /// The targets.
    pub targets: &'a [f32],
}

/// For metrics that compare each value of an output with its target.
fn check_same_shape(output: &Shape, target: &Shape) -> Result<(), String> {
    if output == target { Ok(()) } else { Err(format!("a target for each value, but the loss has targets of shape {target}")) }
}

/// The sum over samples of each one's share of positions for which `is_right` says yes of the outputs and the number of the
/// right class. Targets are class numbers, or one value per class, the largest of which is the right class's.
fn right_classes(pass: &MetricPass<'_>, is_right: impl Fn(&[f32], usize) -> bool) -> f64 {
    let classes = pass.shape.channels();
    let outputs = pass.output.chunks_exact(classes);
    let rows = outputs.len();
    let right = if pass.targets.len() == rows {
        outputs.zip(pass.targets).filter(|(output, target)| is_right(output, **target as usize)).count()
    } else {
        outputs.zip(pass.targets.chunks_exact(classes)).filter(|(output, target)| is_right(output, largest(target))).count()
    };
    right as f64 * pass.samples as f64 / if rows == 0 { 1.0 } else { rows as f64 }
}

/// The sum over samples of each one's share of outputs that lie on the same side of the threshold as their targets of 0.5.
fn right_answers(pass: &MetricPass<'_>, threshold: f32) -> f64 {
    let answers = pass.output.iter().zip(pass.targets);
    let right = answers.filter(|(output, target)| (**output > threshold) == (**target > 0.5)).count();
    right as f64 / pass.shape.size() as f64
}

/// The position of the largest value, the first of equals.
pub(crate) fn largest(values: &[f32]) -> usize {
    let mut best = 0;
    for (position, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = position;
        }
    }
    best
}
