//! Mean squared error: `mean((y - t)^2)` over a sample's values.

use super::{Loss, LossPass};
use crate::graph::Shape;

/// Mean squared error.
#[derive(Debug, Clone, Copy, Default)]
pub struct MeanSquaredError;

impl Loss for MeanSquaredError {
    fn name(&self) -> &'static str {
        "mean_squared_error"
    }

    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        Ok(output.clone())
    }

    fn evaluate(&self, pass: &mut LossPass<'_>) -> f64 {
        let size = pass.shape.size() as f32;
        let mut sum = 0.0;
        for (&output, &target) in pass.output.iter().zip(pass.targets) {
            sum += f64::from(output - target).powi(2);
        }
        if let Some(gradient) = &mut pass.gradient {
            let factor = 2.0 * pass.scale / size;
            for ((value, &output), &target) in gradient.iter_mut().zip(pass.output).zip(pass.targets) {
                *value = factor * (output - target);
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
        // ((1 - 0)^2 + (3 - 1)^2) / 2 = 2.5; gradient [1, 2]
        let (loss, gradient) = check::evaluate(&MeanSquaredError, &Shape::from([2]), &[1.0, 3.0], &[0.0, 1.0], false);
        assert_eq!(loss, 2.5);
        assert_eq!(gradient, [1.0, 2.0]);
    }
}
