//! Stochastic gradient descent: `p -= rate * g`; with momentum `v = momentum * v - rate * g`, `p += v`; Nesterov's way
//! `p += momentum * v - rate * g`.

use super::{Optimizer, Update, check_option};
use crate::error::Result;
use crate::numeric::vectorized;

/// Stochastic gradient descent, plain or with momentum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    learning_rate: f32,
    momentum: f32,
    nesterov: bool,
}

impl Sgd {
    /// Plain descent; Keras's default rate is 0.01.
    pub fn new(learning_rate: f32) -> Self {
        Self { learning_rate, momentum: 0.0, nesterov: false }
    }

    /// Adds momentum, such as 0.9.
    pub fn momentum(self, momentum: f32) -> Self {
        Self { momentum, ..self }
    }

    /// Looks ahead along the momentum (Nesterov 1983).
    pub fn nesterov(self) -> Self {
        Self { nesterov: true, ..self }
    }
}

impl Optimizer for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn slots(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { &["velocity"] }
    }

    fn check(&self) -> Result<()> {
        check_option("momentum", self.momentum, 0.0..=1.0, "from 0 to 1")
    }

    fn has_momentum(&self) -> bool {
        self.momentum > 0.0
    }

    fn update(&self, update: &mut Update<'_>) {
        let Update { learning_rate: rate, momentum, parameters, gradients, slots, .. } = update;
        let (rate, momentum, nesterov) = (*rate, momentum.unwrap_or(self.momentum), self.nesterov);
        vectorized(
            #[inline(always)]
            || match &mut **slots {
                [velocities] => {
                    for ((parameter, &gradient), velocity) in parameters.iter_mut().zip(*gradients).zip(velocities.iter_mut()) {
                        *velocity = momentum * *velocity - rate * gradient;
                        *parameter += if nesterov { momentum * *velocity - rate * gradient } else { *velocity };
                    }
                }
                _ => {
                    for (parameter, &gradient) in parameters.iter_mut().zip(*gradients) {
                        *parameter -= rate * gradient;
                    }
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_by_hand() {
        let [first, second] = super::super::two_steps(&Sgd::new(0.1));
        assert!((first - 0.95).abs() < 1e-6 && (second - 0.975).abs() < 1e-6);
        // v = -0.05, then 0.9 * -0.05 + 0.025 = -0.02
        let [first, second] = super::super::two_steps(&Sgd::new(0.1).momentum(0.9));
        assert!((first - 0.95).abs() < 1e-6 && (second - 0.93).abs() < 1e-6);
        // 1 + 0.9 * -0.05 - 0.05 = 0.905; + 0.9 * -0.02 + 0.025 = 0.912
        let [first, second] = super::super::two_steps(&Sgd::new(0.1).momentum(0.9).nesterov());
        assert!((first - 0.905).abs() < 1e-6 && (second - 0.912).abs() < 1e-6);
    }
}
