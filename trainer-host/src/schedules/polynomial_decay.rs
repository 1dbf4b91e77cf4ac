//! Polynomial decay: `(1 - end) * (1 - step / decay_steps)^power + end`, and `end` from there on.

use super::{Schedule, check_steps};
use crate::error::Result;
use crate::optimizers::check_option;

/// Down to a fraction of the learning rate within so many steps, along a power of what is left of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PolynomialDecay {
    decay_steps: usize,
    power: f32,
    final_factor: f32,
    cycle: bool,
}

impl PolynomialDecay {
    /// Down to zero along a line, within so many steps, at least 1.
    pub fn new(decay_steps: usize) -> Self {
        Self { decay_steps, power: 1.0, final_factor: 0.0, cycle: false }
    }

    /// Sets the power.
    pub fn power(self, power: f32) -> Self {
        Self { power, ..self }
    }

    /// Ends at this fraction of the rate.
    pub fn final_factor(self, final_factor: f32) -> Self {
        Self { final_factor, ..self }
    }

    /// Rises again whenever it is at its end, and takes longer each time, as Keras's `cycle`.
    pub fn cycle(self) -> Self {
        Self { cycle: true, ..self }
    }
}

impl Schedule for PolynomialDecay {
    fn factor(&self, step: usize, _steps: usize) -> f32 {
        let rounds = if self.cycle && step > 0 { step.div_ceil(self.decay_steps) } else { 1 };
        let progress = step as f64 / (self.decay_steps * rounds) as f64;
        let left = if progress > 1.0 { 0.0 } else { 1.0 - progress };
        let end = f64::from(self.final_factor);
        ((1.0 - end) * left.powf(f64::from(self.power)) + end) as f32
    }

    fn check(&self) -> Result<()> {
        check_steps("the steps of a schedule", self.decay_steps)?;
        check_option("the power of a schedule", self.power, f32::MIN_POSITIVE..=f32::MAX, "a positive number")?;
        check_option("the last factor of a schedule", self.final_factor, 0.0..=f32::MAX, "0 or a positive number")
    }
}

#[cfg(test)]
mod tests {
    use super::super::check_values;
    use super::*;

    /// Keras 3.15's `PolynomialDecay(1.0, 10, 0.1, power=2.0)`, with `cycle=True`, and `PolynomialDecay(1.0, 10, 0.0001)`.
    #[test]
    fn as_in_keras() {
        let schedule = PolynomialDecay::new(10).power(2.0).final_factor(0.1);
        check_values(&schedule, &[0, 1, 5, 10, 25], &[1.0, 0.829, 0.325, 0.1, 0.1]);
        check_values(&schedule.cycle(), &[0, 1, 5, 10, 11, 25], &[1.0, 0.829, 0.325, 0.1, 0.282_25, 0.125]);
        let line = PolynomialDecay::new(10).final_factor(1e-4);
        check_values(&line, &[0, 1, 5, 10, 25], &[1.0, 0.900_01, 0.500_05, 1e-4, 1e-4]);
    }
}
