//! The coefficient of determination: `1 - sum((t - y)^2) / sum((t - mean(t))^2)`, mean over the values of an output.

use super::{Metric, MetricPass, check_same_shape};
use crate::graph::Shape;

/// What share of the targets' variance the outputs explain: 1 at best, 0 for their mean, less for what is worse.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct R2Score {
    values: usize,
}

/// Sums of a value: samples, targets, their squares, squared errors.
const SUMS: usize = 4;

impl R2Score {
    /// Of an output with so many values, each of which has its own mean.
    pub fn new(values: usize) -> Self {
        Self { values }
    }
}

impl Metric for R2Score {
    fn name(&self) -> &'static str {
        "r2_score"
    }

    fn check(&self, output: &Shape, target: &Shape) -> Result<(), String> {
        if output.size() != self.values {
            return Err(format!("as many values as the output has, {}, not {}", output.size(), self.values));
        }
        check_same_shape(output, target)
    }

    fn sums(&self) -> usize {
        SUMS * self.values
    }

    fn add(&self, pass: &MetricPass<'_>, sums: &mut [f64]) {
        for (position, (&output, &target)) in pass.output.iter().zip(pass.targets).enumerate() {
            let value = position % self.values;
            let (output, target) = (f64::from(output), f64::from(target));
            let own = &mut sums[SUMS * value..SUMS * (value + 1)];
            for (sum, part) in own.iter_mut().zip([1.0, target, target * target, (target - output).powi(2)]) {
                *sum += part;
            }
        }
    }

    /// A value whose targets are all the same counts 1 if they are met, else 0.
    fn result(&self, sums: &[f64], _samples: usize) -> f64 {
        let of_value = |sums: &[f64]| {
            let [count, targets, squares, errors] = [sums[0], sums[1], sums[2], sums[3]];
            let variance = squares - targets * targets / if count > 0.0 { count } else { 1.0 };
            if variance > 0.0 { 1.0 - errors / variance } else { f64::from(u8::from(errors == 0.0)) }
        };
        sums.chunks_exact(SUMS).map(of_value).sum::<f64>() / self.values as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(values: usize, output: &[f32], targets: &[f32]) -> f64 {
        let shape = Shape::from([values]);
        R2Score::new(values).value(&MetricPass { samples: output.len() / values, shape: &shape, output, targets })
    }

    /// Keras 3.15's `R2Score`.
    #[test]
    fn as_in_keras() {
        let found = value(1, &[1.5, 2.0, 3.0], &[1.0, 2.0, 4.0]);
        assert!((found - 0.732_142_9).abs() < 1e-6, "{found}");
        let found = value(3, &[0.5, 1.25, -1.0, 0.0, -4.0, 2.0], &[0.0, 1.0, 2.0, 1.0, -1.0, 0.5]);
        assert!((found + 4.677_083_5).abs() < 1e-6, "{found}");
        assert_eq!([value(1, &[2.0, 2.0], &[2.0, 2.0]), value(1, &[2.0, 3.0], &[2.0, 2.0])], [1.0, 0.0]);
        let shape = Shape::from([2]);
        let reason = R2Score::new(1).check(&shape, &shape).unwrap_err();
        assert_eq!(reason, "as many values as the output has, 2, not 1");
    }
}
