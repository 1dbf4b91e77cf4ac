//! Steps down: `factor^floor(step / every)`.

use super::{Schedule, check_steps};
use crate::error::Result;
use crate::optimizers::check_option;

/// Multiplies the learning rate with a factor each time that so many steps are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepDecay {
    every: usize,
    factor: f32,
}

impl StepDecay {
    /// Multiplies with the factor after every so many steps, at least 1.
    pub fn new(every: usize, factor: f32) -> Self {
        Self { every, factor }
    }
}

impl Schedule for StepDecay {
    fn factor(&self, step: usize, _steps: usize) -> f32 {
        f64::from(self.factor).powf((step / self.every) as f64) as f32
    }

    fn check(&self) -> Result<()> {
        check_steps("the steps of a schedule", self.every)?;
        check_option("the factor of a schedule", self.factor, 0.0..=f32::MAX, "0 or a positive number")
    }
}

#[cfg(test)]
mod tests {
    use super::super::check_values;
    use super::*;

    /// Keras 3.15's `ExponentialDecay(1.0, 10, 0.5, staircase=True)`.
    #[test]
    fn as_the_staircase_of_keras() {
        check_values(&StepDecay::new(10, 0.5), &[0, 1, 9, 10, 25], &[1.0, 1.0, 1.0, 0.5, 0.25]);
        let message = StepDecay::new(0, 0.5).check().unwrap_err().to_string();
        assert_eq!(message, "the steps of a schedule is 0, but must be at least 1");
        assert!(StepDecay::new(1, -0.5).check().is_err());
    }
}
