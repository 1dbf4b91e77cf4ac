//! Binary accuracy: the share of yes-or-no answers on the right side of a threshold.

use super::{Metric, MetricPass, check_same_shape};
use crate::graph::Shape;

/// The share of outputs on the same side of the threshold as their targets are of 0.5, each output a question of its
/// own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BinaryAccuracy {
    threshold: f32,
}

impl BinaryAccuracy {
    /// Outputs above the threshold mean yes: 0.5 for probabilities, 0 for logits.
    pub fn new(threshold: f32) -> Self {
        Self { threshold }
    }
}

impl Metric for BinaryAccuracy {
    fn name(&self) -> &'static str {
        "binary_accuracy"
    }

    fn check(&self, output: &Shape, target: &Shape) -> Result<(), String> {
        check_same_shape(output, target)
    }

    fn sum(&self, pass: &MetricPass<'_>) -> f64 {
        let answers = pass.output.iter().zip(pass.targets);
        let right = answers.filter(|(output, target)| (**output > self.threshold) == (**target > 0.5)).count();
        right as f64 / pass.shape.size() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_answer() {
        let shape = Shape::from([2]);
        let output = [0.7, 0.2, -0.1, 0.4];
        let pass = MetricPass { samples: 2, shape: &shape, output: &output, targets: &[1.0, 0.0, 1.0, 1.0] };
        assert_eq!(BinaryAccuracy::new(0.5).sum(&pass), 1.0);
        assert_eq!(BinaryAccuracy::new(0.0).sum(&pass), 1.0);
        assert_eq!(BinaryAccuracy::new(0.3).sum(&pass), 1.5);
    }
}
