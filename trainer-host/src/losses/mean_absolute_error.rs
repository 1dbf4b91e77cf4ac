//! Mean absolute error: `mean(|y - t|)` over a sample's values. The gradient is 0 where `y = t`.

use super::{Loss, LossPass};
use crate::graph::Shape;

/// Mean absolute error.
#[derive(Debug, Clone, Copy, Default)]
pub struct MeanAbsoluteError;

impl Loss for MeanAbsoluteError {
    fn name(&self) -> &'static str {
        "mean_absolute_error"
    }

    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        Ok(output.clone())
    }

    fn evaluate(&self, pass: &mut LossPass<'_>) -> f64 {
        let size = pass.shape.size() as f32;
        let mut sum = 0.0;
        for (&output, &target) in pass.output.iter().zip(pass.targets) {
            sum += f64::from(output - target).abs();
        }
        if let Some(gradient) = &mut pass.gradient {
            let factor = pass.scale / size;
            for ((value, &output), &target) in gradient.iter_mut().zip(pass.output).zip(pass.targets) {
                let difference = output - target;
                *value = if difference == 0.0 { 0.0 } else { factor.copysign(difference * factor) };
            }
        }
        sum / f64::from(size)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn by_hand() {
        let (loss, gradient) =
            check::evaluate(&MeanAbsoluteError, &Shape::from([4]), &[1.0, 3.0, -2.0, 5.0], &[0.0, 3.0, 1.0, 5.5], false);
        // (1 + 0 + 3 + 0.5) / 4
        assert_eq!(loss, 1.125);
        assert_eq!(gradient, [0.25, 0.0, -0.25, -0.25]);
    }

    #[test]
    fn as_in_keras() {
        let values = [0.5, 1.25, 0.0, -4.0];
        let (sum, _) = check::evaluate(&MeanAbsoluteError, &Shape::from([2]), &values, &[0.0, 1.0, 2.0, -1.0], false);
        assert!((sum / 2.0 - 1.4375).abs() < 1e-6);
    }
}
