//! Top-k accuracy: the share of positions whose right class is among the `k` largest outputs.

use super::{Metric, MetricPass, largest};

/// How often the right class is among the `k` largest outputs. Targets are class numbers or one value per class. As in
/// Keras, a class is among them if fewer than `k` outputs are larger than its own: ties count as right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TopKCategoricalAccuracy {
    k: usize,
}

impl TopKCategoricalAccuracy {
    /// Among the `k` largest, at least 1; Keras's default is 5.
    pub fn new(k: usize) -> Self {
        Self { k }
    }

    fn is_right(&self, output: &[f32], class: usize) -> bool {
        let Some(&own) = output.get(class) else { return false };
        output.iter().filter(|&&other| other > own).count() < self.k
    }
}

impl Metric for TopKCategoricalAccuracy {
    fn name(&self) -> &'static str {
        "top_k_categorical_accuracy"
    }

    fn sum(&self, pass: &MetricPass<'_>) -> f64 {
        let classes = pass.shape.channels();
        let outputs = pass.output.chunks_exact(classes);
        let rows = outputs.len();
        let right = if pass.targets.len() == rows {
            outputs.zip(pass.targets).filter(|(output, target)| self.is_right(output, **target as usize)).count()
        } else {
            let pairs = outputs.zip(pass.targets.chunks_exact(classes));
            pairs.filter(|(output, target)| self.is_right(output, largest(target))).count()
        };
        right as f64 * pass.samples as f64 / if rows == 0 { 1.0 } else { rows as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Shape;

    #[test]
    fn counts_the_largest() {
        let shape = Shape::from([3]);
        let output = [0.2, 0.5, 0.3, 0.6, 0.3, 0.1];
        let count = |k: usize, targets: &[f32]| {
            TopKCategoricalAccuracy::new(k).sum(&MetricPass { samples: 2, shape: &shape, output: &output, targets })
        };
        assert_eq!((count(1, &[2.0, 2.0]), count(2, &[2.0, 2.0]), count(3, &[2.0, 2.0])), (0.0, 1.0, 2.0));
        assert_eq!(count(2, &[0.0, 0.0, 1.0, 0.0, 0.0, 1.0]), 1.0);
    }
}
