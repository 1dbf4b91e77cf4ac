//! Metrics: one file each. Measured, not trained on.

mod accuracy;
mod auc;
mod binary_accuracy;
mod errors;
mod top_k;

pub use accuracy::Accuracy;
pub use auc::Auc;
pub use binary_accuracy::BinaryAccuracy;
pub use errors::{MeanAbsoluteError, MeanSquaredError};
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

    /// The sum over these samples.
    fn sum(&self, pass: &MetricPass<'_>) -> f64;

    /// How many sums the metric keeps: one, unless it is no mean over samples.
    fn sums(&self) -> usize {
        1
    }

    /// Adds these samples to the sums.
    fn add(&self, pass: &MetricPass<'_>, sums: &mut [f64]) {
        if let Some(total) = sums.first_mut() {
            *total += self.sum(pass);
        }
    }

    /// The metric's value from its sums over all samples.
    fn result(&self, sums: &[f64], samples: usize) -> f64 {
        sums.first().map_or(0.0, |sum| sum / samples as f64)
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
