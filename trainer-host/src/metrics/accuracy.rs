//! Accuracy: the share of right answers, whichever way targets are given.

use super::{Metric, MetricPass, largest};

/// The share of right answers. With class numbers as targets, or with one value per class, the largest output must be
/// the right class; with a single yes-or-no output, it must lie on the right side of 0.5.
#[derive(Debug, Clone, Copy, Default)]
pub struct Accuracy;

impl Metric for Accuracy {
    fn name(&self) -> &'static str {
        "accuracy"
    }

    fn sum(&self, pass: &MetricPass<'_>) -> f64 {
        let classes = pass.shape.channels();
        let rows = pass.output.len() / classes;
        let right = if classes > 1 && pass.targets.len() == rows {
            let pairs = pass.output.chunks_exact(classes).zip(pass.targets);
            pairs.filter(|(output, target)| largest(output) == **target as usize).count()
        } else if classes > 1 {
            let pairs = pass.output.chunks_exact(classes).zip(pass.targets.chunks_exact(classes));
            pairs.filter(|(output, target)| largest(output) == largest(target)).count()
        } else {
            pass.output.iter().zip(pass.targets).filter(|(output, target)| (**output > 0.5) == (**target > 0.5)).count()
        };
        right as f64 * pass.samples as f64 / if rows == 0 { 1.0 } else { rows as f64 }
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
            Accuracy.sum(&MetricPass { samples, shape: &shape, output, targets })
        };
        assert_eq!(count(3, &[0.1, 0.8, 0.1, 0.5, 0.2, 0.3], &[1.0, 2.0]), 1.0);
        assert_eq!(count(3, &[0.1, 0.8, 0.1, 0.5, 0.2, 0.3], &[0.0, 1.0, 0.0, 1.0, 0.0, 0.0]), 2.0);
        assert_eq!(count(1, &[0.7, 0.2, 0.6], &[1.0, 0.0, 0.0]), 2.0);
    }
}
