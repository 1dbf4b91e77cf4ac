//! Poisson loss: `y - t ln(y)`, mean over a sample's values; for counts as targets and rates as outputs.

use super::{EPSILON, Loss, LossPass, TargetFault};
use crate::graph::Shape;

/// For targets that count what happened: outputs are how often it is to be expected.
#[derive(Debug, Clone, Copy, Default)]
pub struct Poisson;

impl Loss for Poisson {
    fn name(&self) -> &'static str {
        "poisson"
    }

    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        Ok(output.clone())
    }

    fn target_fault(&self, target: &[f32], _output: &Shape) -> Option<TargetFault> {
        let wanted = "counts of 0 and more";
        target.iter().find(|value| **value < 0.0).map(|&value| TargetFault::Range { value, wanted })
    }

    fn evaluate(&self, pass: &mut LossPass<'_>) -> f64 {
        let size = pass.shape.size() as f32;
        let scale = pass.scale / size;
        let mut sum = 0.0;
        for (position, (&y, &t)) in pass.output.iter().zip(pass.targets).enumerate() {
            let guarded = y + EPSILON;
            sum += f64::from(y) - f64::from(t) * f64::from(guarded).ln();
            if let Some(gradient) = &mut pass.gradient {
                gradient[position] = scale * (1.0 - t / guarded);
            }
        }
        sum / f64::from(size)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    /// Keras 3.15's `Poisson`.
    #[test]
    fn as_in_keras() {
        let (values, targets) = ([0.5, 1.25, 1.0, 0.25, 4.0, 2.0], [1.0, 0.0, 3.0, 2.0, 1.0, 0.0]);
        let shape = Shape::from([3]);
        let (sum, gradient) = check::evaluate(&Poisson, &shape, &values, &targets, false);
        assert!((sum / 2.0 - 1.846_573_4).abs() < 1e-6, "{sum}");
        let expected = [-0.166_666_6, 0.166_666_7, -0.333_333_3, -1.166_666_3, 0.125, 0.166_666_7];
        assert!(gradient.iter().zip(expected).all(|(a, b)| (a / 2.0 - b).abs() < 1e-6), "{gradient:?}");
        check::gradient(&Poisson, &shape, &values, &targets, false);
        assert!(Poisson.target_fault(&[0.0, -1.0], &shape).is_some());
    }
}
