//! Cosine similarity: `sum(t y) / (|t| |y|)` over the last axis, mean over positions.

use super::{Metric, MetricPass, check_same_shape};
use crate::graph::Shape;
use crate::losses::length_and_cosine;

/// How far outputs point where targets do: 1 for the same direction, -1 for the opposite one.
#[derive(Debug, Clone, Copy, Default)]
pub struct CosineSimilarity;

impl Metric for CosineSimilarity {
    fn name(&self) -> &'static str {
        "cosine_similarity"
    }

    fn check(&self, output: &Shape, target: &Shape) -> Result<(), String> {
        check_same_shape(output, target)
    }

    fn add(&self, pass: &MetricPass<'_>, sums: &mut [f64]) {
        let channels = pass.shape.channels();
        let positions = pass.output.chunks_exact(channels).zip(pass.targets.chunks_exact(channels));
        let sum: f64 = positions.map(|(output, target)| length_and_cosine(output, target).2).sum();
        sums[0] += sum * channels as f64 / pass.shape.size() as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keras 3.15's `CosineSimilarity`.
    #[test]
    fn as_in_keras() {
        let shape = Shape::from([3]);
        let output = [0.5, 1.25, -1.0, 0.0, -4.0, 2.0];
        let pass = MetricPass { samples: 2, shape: &shape, output: &output, targets: &[0.0, 1.0, 2.0, 1.0, -1.0, 0.5] };
        let found = CosineSimilarity.value(&pass);
        assert!((found - 0.272_678).abs() < 1e-6, "{found}");
    }
}
