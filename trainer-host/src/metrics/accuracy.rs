//! Accuracy: the share of right answers, whichever way targets are given.

use super::{Metric, MetricPass, largest, right_answers, right_classes};

/// The share of right answers. With class numbers as targets, or with one value per class, the largest output must be
/// the right class; with a single yes-or-no output, it must lie on the right side of 0.5.
#[derive(Debug, Clone, Copy, Default)]
pub struct Accuracy;

impl Metric for Accuracy {
    fn name(&self) -> &'static str {
        "accuracy"
    }

    fn add(&self, pass: &MetricPass<'_>, sums: &mut [f64]) {
        sums[0] += if pass.shape.channels() > 1 {
            right_classes(pass, |output, class| largest(output) == class)
        } else {
            right_answers(pass, 0.5)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Shape;

    #[test]
    fn counts_right_answers() {
        let count = |shape: usize, output: &[f32], targets: &[f32]| {
            let shape = Shape::from([shape]);
            let samples = output.len() / shape.size();
            Accuracy.value(&MetricPass { samples, shape: &shape, output, targets }) * samples as f64
        };
        assert_eq!(count(3, &[0.1, 0.8, 0.1, 0.5, 0.2, 0.3], &[1.0, 2.0]), 1.0);
        assert_eq!(count(3, &[0.1, 0.8, 0.1, 0.5, 0.2, 0.3], &[0.0, 1.0, 0.0, 1.0, 0.0, 0.0]), 2.0);
        assert_eq!(count(1, &[0.7, 0.2, 0.6], &[1.0, 0.0, 0.0]), 2.0);
    }
}
