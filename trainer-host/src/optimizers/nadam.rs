//! Nadam (Dozat 2016), Adam with Nesterov's look ahead: `u(t) = b1 * (1 - 0.96^t / 2)`, `U(t) = u(1) * ... * u(t)`, `m` and
//! `v` as Adam's, `p -= rate * (u(t + 1) * m / (1 - U(t + 1)) + (1 - u(t)) * g / (1 - U(t))) / (sqrt(v / (1 - b2^t)) + epsilon)`.

use super::moments::{Moments, moments_methods};
use super::{Optimizer, Update};
use crate::error::Result;

/// Nadam with Keras's defaults: beta 1 0.9, beta 2 0.999, epsilon 1e-7.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nadam {
    learning_rate: f32,
    moments: Moments,
}

/// How fast the momentum rises from half of beta 1 to beta 1.
const MOMENTUM_DECAY: f64 = 0.96;
/// Products of momenta below this make no difference to an f32.
const NEGLIGIBLE: f64 = 1e-12;

impl Nadam {
    /// Nadam with a learning rate; 0.001 is Keras's default.
    pub fn new(learning_rate: f32) -> Self {
        Self { learning_rate, moments: Moments::new() }
    }

    moments_methods!();

    fn momentum(&self, step: u64) -> f64 {
        f64::from(self.moments.beta_1) * (1.0 - 0.5 * MOMENTUM_DECAY.powf(step as f64))
    }

    /// The product of the momenta of steps 1 to `step`. It is made anew in every step, so that the step's number is all
    /// there is to save; a few hundred factors at most, and then it is negligible.
    fn momentum_product(&self, step: u64) -> f64 {
        let mut product = 1.0;
        for number in 1..=step {
            product *= self.momentum(number);
            if product < NEGLIGIBLE {
                return 0.0;
            }
        }
        product
    }
}

impl Optimizer for Nadam {
    fn name(&self) -> &'static str {
        "nadam"
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

    fn update(&self, update: &mut Update<'_>) {
        let (step, rate) = (update.step, f64::from(update.learning_rate));
        let Moments { beta_2, epsilon, .. } = self.moments;
        let (now, next, product) = (self.momentum(step), self.momentum(step + 1), self.momentum_product(step));
        let mean_factor = (rate * next / (1.0 - product * next)) as f32;
        let gradient_factor = (rate * (1.0 - now) / (1.0 - product)) as f32;
        let square_factor = (1.0 / (1.0 - f64::from(beta_2).powf(step as f64))) as f32;
        self.moments.update(
            update,
            #[inline(always)]
            |gradient, m, v| (mean_factor * m + gradient_factor * gradient) / ((square_factor * v).sqrt() + epsilon),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_as_in_keras() {
        super::super::check_steps(
            &Nadam::new(0.1),
            [
                [0.893_721_2, 2.106_278_7, -1.106_278_8, 0.393_721_22],
                [0.816_362_44, 2.039_115_7, -1.067_019_5, 0.432_980_6],
                [0.896_979_7, 2.002_901_3, -1.168_230_2, 0.406_646_7],
            ],
        );
    }

    #[test]
    fn momenta_multiply() {
        // 0.468 * 0.48528; after many steps nothing is left.
        let product = Nadam::new(0.1).momentum_product(2);
        assert!((product - 0.227_111_04).abs() < 1e-7, "{product}");
        assert_eq!(Nadam::new(0.1).momentum_product(u64::MAX), 0.0);
    }
}
