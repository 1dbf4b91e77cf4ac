//! Metrics: one file each. Measured, not trained on.

mod accuracy;
mod binary_accuracy;

pub use accuracy::Accuracy;
pub use binary_accuracy::BinaryAccuracy;

use std::fmt;

use crate::graph::Shape;

/// Something to measure about an output: a mean over samples.
pub trait Metric: fmt::Debug + Send + Sync {
    /// The name, as in histories: `"accuracy"`.
    fn name(&self) -> &'static str;

    /// The sum over these samples.
    fn sum(&self, pass: &MetricPass<'_>) -> f64;
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
