//! Warm restarts (Loshchilov and Hutter 2016): half a cosine down, again and again, each longer and from a lower rate, if wanted.

use super::{Schedule, along_cosine, check_steps};
use crate::error::Result;
use crate::optimizers::check_option;

/// Down along half a cosine, then up at once and down again, as Keras's `CosineDecayRestarts`, after an optional linear warm-up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CosineRestarts {
    first_steps: usize,
    growth: f32,
    height: f32,
    final_factor: f32,
    warm_up_steps: usize,
}

impl CosineRestarts {
    /// The first way down takes so many steps, each further one twice as many as the one before; Keras's defaults.
    pub fn new(first_steps: usize) -> Self {
        Self { first_steps, growth: 2.0, height: 1.0, final_factor: 0.0, warm_up_steps: 0 }
    }

    /// Sets how many times longer than the one before each way down is, at least 1: Keras's `t_mul`.
    pub fn growth(self, growth: f32) -> Self {
        Self { growth, ..self }
    }

    /// Sets the height of each way down, as a share of the one before: Keras's `m_mul`.
    pub fn height(self, height: f32) -> Self {
        Self { height, ..self }
    }

    /// Ends each way down at this fraction of the rate: Keras's `alpha`.
    pub fn final_factor(self, final_factor: f32) -> Self {
        Self { final_factor, ..self }
    }

    /// Rises linearly to the full rate over the first steps.
    pub fn warm_up_steps(self, warm_up_steps: usize) -> Self {
        Self { warm_up_steps, ..self }
    }
}

impl Schedule for CosineRestarts {
    fn factor(&self, step: usize, _steps: usize) -> f32 {
        if step < self.warm_up_steps {
            return (step + 1) as f32 / self.warm_up_steps as f32;
        }
        let (mut begin, mut length, mut height) = (0.0, self.first_steps as f64, 1.0);
        let step = (step - self.warm_up_steps) as f64;
        while step >= begin + length {
            begin += length;
            length *= f64::from(self.growth);
            height *= f64::from(self.height);
        }
        let end = f64::from(self.final_factor);
        ((1.0 - end) * along_cosine(height, 0.0, (step - begin) / length) + end) as f32
    }

    fn check(&self) -> Result<()> {
        check_steps("the steps of a schedule", self.first_steps)?;
        check_option("the growth of a schedule", self.growth, 1.0..=f32::MAX, "a number from 1 on")?;
        check_option("the height of a schedule", self.height, 0.0..=1.0, "from 0 to 1")?;
        check_option("the last factor of a schedule", self.final_factor, 0.0..=f32::MAX, "0 or a positive number")
    }
}

#[cfg(test)]
mod tests {
    use super::super::check_values;
    use super::*;

    /// Keras 3.15's `CosineDecayRestarts(1.0, 4, t_mul=2.0, m_mul=0.5, alpha=0.1)` and `CosineDecayRestarts(1.0, 4, t_mul=1.0)`.
    #[test]
    fn as_in_keras() {
        let schedule = CosineRestarts::new(4).height(0.5).final_factor(0.1);
        check_values(
            &schedule,
            &[0, 1, 2, 3, 4, 6, 8, 11, 12, 20, 27, 28],
            &[1.0, 0.868_198_1, 0.55, 0.231_802, 0.55, 0.484_099, 0.325, 0.117_127_1, 0.325, 0.212_5, 0.102_161_65, 0.212_5],
        );
        let even = CosineRestarts::new(4).growth(1.0);
        check_values(&even, &[0, 1, 2, 3, 4, 6, 8, 11], &[1.0, 0.853_553_4, 0.5, 0.146_446_6, 1.0, 0.5, 1.0, 0.146_446_6]);
        // (step + 1) / 2, then as before.
        check_values(&even.warm_up_steps(2), &[0, 1, 2, 3, 6], &[0.5, 1.0, 1.0, 0.853_553_4, 1.0]);
        assert!(CosineRestarts::new(1).growth(0.5).check().is_err());
    }
}
