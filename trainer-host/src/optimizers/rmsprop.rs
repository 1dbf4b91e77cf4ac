//! RMSprop (Hinton 2012): `v = rho * v + (1 - rho) * g^2`, `p -= rate * g / sqrt(v + epsilon)`.

use super::{Optimizer, Update, check_epsilon, check_option};
use crate::error::Result;
use crate::numeric::vectorized;

/// Divides each gradient by a running mean of its size. Keras's defaults: rho 0.9, epsilon 1e-7.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsProp {
    learning_rate: f32,
    rho: f32,
    epsilon: f32,
}

impl RmsProp {
    /// RMSprop with a learning rate; 0.001 is Keras's default.
    pub fn new(learning_rate: f32) -> Self {
        Self { learning_rate, rho: 0.9, epsilon: 1e-7 }
    }

    /// Sets how slowly the running mean follows.
    pub fn rho(self, rho: f32) -> Self {
        Self { rho, ..self }
    }

    /// Sets the guard against division by zero.
    pub fn epsilon(self, epsilon: f32) -> Self {
        Self { epsilon, ..self }
    }
}

impl Optimizer for RmsProp {
    fn name(&self) -> &'static str {
        "rmsprop"
    }

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn slots(&self) -> &'static [&'static str] {
        &["v"]
    }

    fn check(&self) -> Result<()> {
        check_option("rho", self.rho, 0.0..=1.0, "from 0 to 1")?;
        check_epsilon(self.epsilon)
    }

    fn update(&self, update: &mut Update<'_>) {
        let Update { learning_rate: rate, parameters, gradients, slots, .. } = update;
        let [means] = &mut **slots else { return };
        let (rate, rho, epsilon) = (*rate, self.rho, self.epsilon);
        vectorized(
            #[inline(always)]
            || {
                for ((parameter, &gradient), mean) in parameters.iter_mut().zip(*gradients).zip(means.iter_mut()) {
                    *mean = rho * *mean + (1.0 - rho) * gradient * gradient;
                    *parameter -= rate * gradient / (*mean + epsilon).sqrt();
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
        // v = 0.025, 0.5 / sqrt(0.025) = 3.162278; v = 0.02875, -0.25 / sqrt(0.02875) = -1.474420
        let [first, second] = super::super::two_steps(&RmsProp::new(0.1));
        assert!((first - 0.683_772_8).abs() < 1e-5, "{first}");
        assert!((second - 0.831_214_7).abs() < 1e-5, "{second}");
    }
}
