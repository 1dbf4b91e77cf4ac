//! Power scheduling: `1 / (1 + rate * step / decay_steps)^power`; with a power of 1, Keras's `InverseTimeDecay`.

use super::{Schedule, check_steps};
use crate::error::Result;
use crate::optimizers::check_option;

/// Falls fast at first, then slower and slower: with a rate and a power of 1 to a half after `decay_steps` steps, to a third after
/// twice as many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InverseTimeDecay {
    decay_steps: usize,
    rate: f32,
    power: f32,
    staircase: bool,
}

impl InverseTimeDecay {
    /// With a power of 1; the rate is 0 or positive.
    pub fn new(decay_steps: usize, rate: f32) -> Self {
        Self { decay_steps, rate, power: 1.0, staircase: false }
    }

    /// Sets the power.
    pub fn power(self, power: f32) -> Self {
        Self { power, ..self }
    }

    /// Falls once every `decay_steps` steps only.
    pub fn staircase(self) -> Self {
        Self { staircase: true, ..self }
    }
}

impl Schedule for InverseTimeDecay {
    fn factor(&self, step: usize, _steps: usize) -> f32 {
        let time = step as f64 / self.decay_steps as f64;
        let time = if self.staircase { time.floor() } else { time };
        (1.0 + f64::from(self.rate) * time).powf(-f64::from(self.power)) as f32
    }

    fn check(&self) -> Result<()> {
        check_steps("the steps of a schedule", self.decay_steps)?;
        check_option("the rate of a schedule", self.rate, 0.0..=f32::MAX, "0 or a positive number")?;
        check_option("the power of a schedule", self.power, 0.0..=f32::MAX, "0 or a positive number")
    }
}

#[cfg(test)]
mod tests {
    use super::super::check_values;
    use super::*;

    /// Keras 3.15's `InverseTimeDecay(1.0, 10, 0.5)`, and with `staircase=True`.
    #[test]
    fn as_in_keras() {
        let schedule = InverseTimeDecay::new(10, 0.5);
        check_values(&schedule, &[0, 1, 5, 10, 25], &[1.0, 0.952_381, 0.8, 0.666_666_7, 0.444_444_4]);
        check_values(&schedule.staircase(), &[0, 1, 9, 10, 25], &[1.0, 1.0, 1.0, 0.666_666_7, 0.5]);
        // 1 / 1.5^2 and 1 / 2^2.
        check_values(&schedule.power(2.0), &[0, 10, 20], &[1.0, 0.444_444_4, 0.25]);
    }
}
