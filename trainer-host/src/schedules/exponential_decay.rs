//! Exponential decay: `rate^(step / decay_steps)`.

use super::{Schedule, check_steps};
use crate::error::Result;
use crate::optimizers::check_option;

/// Multiplies the learning rate with a factor over so many steps, evenly; [`StepDecay`](super::StepDecay) does it at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExponentialDecay {
    decay_steps: usize,
    factor: f32,
}

impl ExponentialDecay {
    /// Multiplies with the factor over every `decay_steps` steps, at least 1.
    pub fn new(decay_steps: usize, factor: f32) -> Self {
        Self { decay_steps, factor }
    }
}

impl Schedule for ExponentialDecay {
    fn factor(&self, step: usize, _steps: usize) -> f32 {
        f64::from(self.factor).powf(step as f64 / self.decay_steps as f64) as f32
    }

    fn check(&self) -> Result<()> {
        check_steps("the steps of a schedule", self.decay_steps)?;
        check_option("the factor of a schedule", self.factor, 0.0..=f32::MAX, "0 or a positive number")
    }
}

#[cfg(test)]
mod tests {
    use super::super::check_values;
    use super::*;

    /// Keras 3.15's `ExponentialDecay(1.0, 10, 0.5)`.
    #[test]
    fn as_in_keras() {
        let expected = [1.0, 0.933_033, 0.707_106_77, 0.5, 0.176_776_69];
        check_values(&ExponentialDecay::new(10, 0.5), &[0, 1, 5, 10, 25], &expected);
    }
}
