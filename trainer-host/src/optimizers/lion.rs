//! Lion (Chen et al. 2023): `p -= rate * sign(b1 * m + (1 - b1) * g)`, then `m = b2 * m + (1 - b2) * g`.

use super::{Optimizer, Update, check_option};
use crate::error::Result;
use crate::numeric::vectorized;

/// Steps of one size, the learning rate's, in each weight: rates are smaller than Adam's, weight decay
/// ([`Optimizer::with_weight_decay`]) larger. Keras's defaults: beta 1 0.9, beta 2 0.99.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lion {
    learning_rate: f32,
    beta_1: f32,
    beta_2: f32,
}

impl Lion {
    /// Lion with a learning rate; 0.001 is Keras's default.
    pub fn new(learning_rate: f32) -> Self {
        Self { learning_rate, beta_1: 0.9, beta_2: 0.99 }
    }

    /// Sets how much the mean of gradients counts in a step, and how slowly it follows.
    pub fn betas(self, beta_1: f32, beta_2: f32) -> Self {
        Self { beta_1, beta_2, ..self }
    }
}

impl Optimizer for Lion {
    fn name(&self) -> &'static str {
        "lion"
    }

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn slots(&self) -> &'static [&'static str] {
        &["m"]
    }

    fn check(&self) -> Result<()> {
        check_option("beta_1", self.beta_1, 0.0..1.0, "at least 0 and below 1")?;
        check_option("beta_2", self.beta_2, 0.0..1.0, "at least 0 and below 1")
    }

    fn has_momentum(&self) -> bool {
        true
    }

    fn update(&self, update: &mut Update<'_>) {
        let Update { learning_rate: rate, momentum, parameters, gradients, slots, .. } = update;
        let [means] = &mut **slots else { return };
        let (rate, beta_1, beta_2) = (*rate, momentum.unwrap_or(self.beta_1), self.beta_2);
        vectorized(
            #[inline(always)]
            || {
                for ((parameter, &gradient), m) in parameters.iter_mut().zip(*gradients).zip(means.iter_mut()) {
                    let direction = beta_1 * *m + (1.0 - beta_1) * gradient;
                    let sign = f32::from(i8::from(direction > 0.0) - i8::from(direction < 0.0));
                    *parameter -= rate * sign;
                    *m = beta_2 * *m + (1.0 - beta_2) * gradient;
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
        let expected = [[0.9, 2.1, -1.1, 0.4], [0.8, 2.0, -1.0, 0.5], [0.9, 1.9, -1.1, 0.4]];
        super::super::check_steps(&Lion::new(0.1), expected);
        super::super::check_steps(
            &Lion::new(0.1).with_weight_decay(0.05),
            [
                [0.895, 2.09, -1.095, 0.397_5],
                [0.790_525, 1.979_55, -0.989_525, 0.495_512_5],
                [0.886_572_4, 1.869_652_3, -1.084_577_3, 0.393_034_97],
            ],
        );
        // Half of 0.5 and -0.25 is a step up, a quarter of each a step down: m = 0.375 after a gradient of 0.5 with a beta 2 of 0.25.
        let [first, second] = super::super::two_steps(&Lion::new(0.1).betas(0.5, 0.25));
        assert!((first - 0.9).abs() < 1e-6 && (second - 0.8).abs() < 1e-6, "{first} {second}");
        // A gradient of 0 with no mean moves nothing.
        assert_eq!(super::super::steps(&Lion::new(0.1), [1.0], &[[0.0]]), [[1.0]]);
    }
}
