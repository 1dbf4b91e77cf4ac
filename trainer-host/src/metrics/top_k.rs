//! Top-k accuracy: the share of positions whose right class is among the `k` largest outputs.

use super::{Metric, MetricPass, right_classes};

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

    fn add(&self, pass: &MetricPass<'_>, sums: &mut [f64]) {
        sums[0] += right_classes(pass, |output, class| self.is_right(output, class));
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
            let pass = MetricPass { samples: 2, shape: &shape, output: &output, targets };
            TopKCategoricalAccuracy::new(k).value(&pass) * 2.0
        };
        assert_eq!((count(1, &[2.0, 2.0]), count(2, &[2.0, 2.0]), count(3, &[2.0, 2.0])), (0.0, 1.0, 2.0));
        assert_eq!(count(2, &[0.0, 0.0, 1.0, 0.0, 0.0, 1.0]), 1.0);
    }
}
