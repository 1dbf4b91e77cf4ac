//! Binary accuracy: the share of yes-or-no answers on the right side of a threshold.

use super::{Metric, MetricPass, check_same_shape, right_answers};
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

    fn add(&self, pass: &MetricPass<'_>, sums: &mut [f64]) {
        sums[0] += right_answers(pass, self.threshold);
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
        assert_eq!(BinaryAccuracy::new(0.5).value(&pass) * 2.0, 1.0);
        assert_eq!(BinaryAccuracy::new(0.0).value(&pass) * 2.0, 1.0);
        assert_eq!(BinaryAccuracy::new(0.3).value(&pass) * 2.0, 1.5);
    }
}
