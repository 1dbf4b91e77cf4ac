//! Mean errors of outputs that are quantities: `mean(|y - t|)` and `mean((y - t)^2)` over a sample's values.

use super::{Metric, MetricPass, check_same_shape};
use crate::graph::Shape;

/// Mean absolute error, measured.
#[derive(Debug, Clone, Copy, Default)]
pub struct MeanAbsoluteError;

/// Mean squared error, measured.
#[derive(Debug, Clone, Copy, Default)]
pub struct MeanSquaredError;

/// The sum over samples of the mean over each one's values.
fn mean_of(pass: &MetricPass<'_>, error: impl Fn(f64) -> f64) -> f64 {
    let pairs = pass.output.iter().zip(pass.targets);
    pairs.map(|(&output, &target)| error(f64::from(output) - f64::from(target))).sum::<f64>() / pass.shape.size() as f64
}

impl Metric for MeanAbsoluteError {
    fn name(&self) -> &'static str {
        "mean_absolute_error"
    }

    fn check(&self, output: &Shape, target: &Shape) -> Result<(), String> {
        check_same_shape(output, target)
    }

    fn add(&self, pass: &MetricPass<'_>, sums: &mut [f64]) {
        sums[0] += mean_of(pass, f64::abs);
    }
}

impl Metric for MeanSquaredError {
    fn name(&self) -> &'static str {
        "mean_squared_error"
    }

    fn check(&self, output: &Shape, target: &Shape) -> Result<(), String> {
        check_same_shape(output, target)
    }

    fn add(&self, pass: &MetricPass<'_>, sums: &mut [f64]) {
        sums[0] += mean_of(pass, |difference| difference * difference);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let shape = Shape::from([2]);
        let output = [1.0, 3.0, -2.0, 5.0];
        let pass = MetricPass { samples: 2, shape: &shape, output: &output, targets: &[0.0, 3.0, 1.0, 5.5] };
        // Samples: (1 + 0) / 2 and (3 + 0.5) / 2; (1 + 0) / 2 and (9 + 0.25) / 2.
        assert_eq!(MeanAbsoluteError.value(&pass) * 2.0, 2.25);
        assert_eq!(MeanSquaredError.value(&pass) * 2.0, 5.125);
    }
}
