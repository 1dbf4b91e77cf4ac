//! Adam (Kingma and Ba 2014): `m = b1 * m + (1 - b1) * g`, `v = b2 * v + (1 - b2) * g^2`,
//! `p -= rate * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + epsilon)`: Keras's form, whose epsilon is the paper's
//! "epsilon hat".

use super::moments::{Moments, moments_methods};
use super::{Optimizer, Update};
use crate::error::Result;

/// Adam with Keras's defaults: beta 1 0.9, beta 2 0.999, epsilon 1e-7.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    learning_rate: f32,
    moments: Moments,
}

impl Adam {
    /// Adam with a learning rate; 0.001 is Keras's default.
    pub fn new(learning_rate: f32) -> Self {
        Self { learning_rate, moments: Moments::new() }
    }

    moments_methods!();
}

impl Optimizer for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn slots(&self) -> &'static [&'static str] {
        Moments::SLOTS
    }

    fn check(&self) -> Result<()> {
        self.moments.check()
    }

    fn has_momentum(&self) -> bool {
        true
    }

    fn update(&self, update: &mut Update<'_>) {
        let moments = self.moments.of(update);
        let Moments { beta_1, beta_2, epsilon } = moments;
        let power = |base: f32| f64::from(base).powf(update.step as f64);
        let rate = (f64::from(update.learning_rate) * (1.0 - power(beta_2)).sqrt() / (1.0 - power(beta_1))) as f32;
        moments.update(
            update,
            #[inline(always)]
            |_, m, v| rate * m / (v.sqrt() + epsilon),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_by_hand() {
        // First step: the gradient's sign times the rate. Second: m = 0.02, v = 0.00031225,
        // rate * sqrt(0.001999) / 0.19 * 0.02 / sqrt(0.00031225) = 0.026633
        let [first, second] = super::super::two_steps(&Adam::new(0.1));
        assert!((first - 0.9).abs() < 1e-5, "{first}");
        assert!((second - 0.873_367).abs() < 1e-5, "{second}");
    }
}
