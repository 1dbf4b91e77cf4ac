//! AdaMax (Kingma and Ba 2014), Adam with the largest gradient for their mean square: `m = b1 * m + (1 - b1) * g`,
//! `u = max(b2 * u, |g|)`, `p -= rate / (1 - b1^t) * m / (u + epsilon)`.

use super::moments::{Moments, moments_methods};
use super::{Optimizer, Update};
use crate::error::Result;
use crate::numeric::vectorized;

/// AdaMax with Keras's defaults: beta 1 0.9, beta 2 0.999, epsilon 1e-7.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaMax {
    learning_rate: f32,
    moments: Moments,
}

impl AdaMax {
    /// AdaMax with a learning rate; 0.001 is Keras's default.
    pub fn new(learning_rate: f32) -> Self {
        Self { learning_rate, moments: Moments::new() }
    }

    moments_methods!();
}

impl Optimizer for AdaMax {
    fn name(&self) -> &'static str {
        "adamax"
    }

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn slots(&self) -> &'static [&'static str] {
        &["m", "u"]
    }

    fn check(&self) -> Result<()> {
        self.moments.check()
    }

    fn has_momentum(&self) -> bool {
        true
    }

    fn update(&self, update: &mut Update<'_>) {
        let Moments { beta_1, beta_2, epsilon } = self.moments.of(update);
        let rate = (f64::from(update.learning_rate) / (1.0 - f64::from(beta_1).powf(update.step as f64))) as f32;
        let Update { parameters, gradients, slots, .. } = update;
        let [means, largest] = &mut **slots else { return };
        vectorized(
            #[inline(always)]
            || {
                let values = parameters.iter_mut().zip(*gradients).zip(means.iter_mut()).zip(largest.iter_mut());
                for (((parameter, &gradient), m), u) in values {
                    *m += (gradient - *m) * (1.0 - beta_1);
                    let (size, faded) = (gradient.abs(), beta_2 * *u);
                    *u = if size > faded { size } else { faded };
                    *parameter -= rate * *m / (*u + epsilon);
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_as_in_keras() {
        super::super::check_steps(
            &AdaMax::new(0.1),
            [
                [0.9, 2.1, -1.1, 0.4],
                [0.8, 2.094_736_8, -1.121_073_6, 0.378_926_3],
                [0.805_350_6, 2.072_944, -1.162_402, 0.356_372],
            ],
        );
        super::super::check_steps(
            &AdaMax::new(0.1).betas(0.8, 0.9),
            [
                [0.9, 2.1, -1.1, 0.4],
                [0.8, 2.088_889, -1.118_518_6, 0.381_481_44],
                [0.811_475_34, 2.058_834_3, -1.162_780_9, 0.356_688_9],
            ],
        );
    }
}
