//! Huber's loss (1964): with `e = y - t`, `e^2 / 2` where `|e| <= delta`, else `delta * (|e| - delta / 2)`; mean over a
//! sample's values. The gradient is `e`, limited to `-delta..=delta`.

use super::{Loss, LossPass};
use crate::graph::Shape;

/// Squared for small errors, absolute for large ones: outliers pull no harder than `delta`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Huber {
    delta: f32,
}

impl Huber {
    /// Squared up to errors of `delta`, a positive number; 1 is Keras's default.
    pub fn new(delta: f32) -> Self {
        Self { delta }
    }
}

impl Default for Huber {
    fn default() -> Self {
        Self::new(1.0)
    }
}

impl Loss for Huber {
    fn name(&self) -> &'static str {
        "huber"
    }

    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        if !(self.delta > 0.0 && self.delta.is_finite()) {
            return Err(format!("delta is {}, but must be a positive number", self.delta));
        }
        Ok(output.clone())
    }

    fn evaluate(&self, pass: &mut LossPass<'_>) -> f64 {
        let size = pass.shape.size() as f32;
        let delta = f64::from(self.delta);
        let mut sum = 0.0;
        for (&output, &target) in pass.output.iter().zip(pass.targets) {
            let error = f64::from(output - target).abs();
            sum += if error <= delta { 0.5 * error * error } else { delta * (error - 0.5 * delta) };
        }
        if let Some(gradient) = &mut pass.gradient {
            let factor = pass.scale / size;
            for ((value, &output), &target) in gradient.iter_mut().zip(pass.output).zip(pass.targets) {
                *value = factor * (output - target).clamp(-self.delta, self.delta);
            }
        }
        sum / f64::from(size)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    const VALUES: [f32; 4] = [0.5, 1.25, 0.0, -4.0];
    const TARGETS: [f32; 4] = [0.0, 1.0, 2.0, -1.0];

    #[test]
    fn as_in_keras() {
        let shape = Shape::from([2]);
        for (delta, mean) in [(1.0, 1.039_062_5), (0.3, 0.386_562_5)] {
            let (sum, _) = check::evaluate(&Huber::new(delta), &shape, &VALUES, &TARGETS, false);
            assert!((sum / 2.0 - mean).abs() < 1e-6, "{sum}");
            check::gradient(&Huber::new(delta), &shape, &VALUES, &TARGETS, false);
        }
        let (_, gradient) = check::evaluate(&Huber::default(), &shape, &VALUES, &TARGETS, false);
        assert_eq!(gradient, [0.25, 0.125, -0.5, -0.5]);
    }

    #[test]
    fn delta_must_be_positive() {
        for delta in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            let reason = Huber::new(delta).target_shape(&Shape::from([1])).unwrap_err();
            assert_eq!(reason, format!("delta is {delta}, but must be a positive number"));
        }
    }
}
