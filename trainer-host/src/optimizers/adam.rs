//! Adam (Kingma and Ba 2014): `m = b1 * m + (1 - b1) * g`, `v = b2 * v + (1 - b2) * g^2`,
//! `p -= rate * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + epsilon)`: Keras's form, whose epsilon is the paper's
//! "epsilon hat".

use super::{Optimizer, Update, check_betas};
use crate::error::Result;
use crate::numeric::vectorized;

/// Adam with Keras's defaults: beta 1 0.9, beta 2 0.999, epsilon 1e-7.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    learning_rate: f32,
    beta_1: f32,
    beta_2: f32,
    epsilon: f32,
}

impl Adam {
    /// Adam with a learning rate; 0.001 is Keras's default.
    pub fn new(learning_rate: f32) -> Self {
        Self { learning_rate, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 }
    }

    /// Sets how slowly the means of gradients and of their squares follow.
    pub fn betas(self, beta_1: f32, beta_2: f32) -> Self {
        Self { beta_1, beta_2, ..self }
    }

    /// Sets the guard against division by zero.
    pub fn epsilon(self, epsilon: f32) -> Self {
        Self { epsilon, ..self }
    }
}

impl Optimizer for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn state_per_parameter(&self) -> usize {
        2
    }

    fn check(&self) -> Result<()> {
        check_betas(self.beta_1, self.beta_2, self.epsilon)
    }

    fn update(&self, update: &mut Update<'_>) {
        let Update { step, learning_rate, parameters, gradients, state } = update;
        let Self { beta_1, beta_2, epsilon, .. } = *self;
        let power = |base: f32| f64::from(base).powf(*step as f64);
        let rate = (f64::from(*learning_rate) * (1.0 - power(beta_2)).sqrt() / (1.0 - power(beta_1))) as f32;
        let (first, second) = state.split_at_mut(parameters.len());
        vectorized(
            #[inline(always)]
            || {
                for (((parameter, &gradient), m), v) in
                    parameters.iter_mut().zip(*gradients).zip(first.iter_mut()).zip(second.iter_mut())
                {
                    *m += (gradient - *m) * (1.0 - beta_1);
                    *v += (gradient * gradient - *v) * (1.0 - beta_2);
                    *parameter -= rate * *m / (v.sqrt() + epsilon);
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
        // First step: the gradient's sign times the rate. Second: m = 0.02, v = 0.00031225,
        // rate * sqrt(0.001999) / 0.19 * 0.02 / sqrt(0.00031225) = 0.026633
        let [first, second] = super::super::two_steps(&Adam::new(0.1));
        assert!((first - 0.9).abs() < 1e-5, "{first}");
        assert!((second - 0.873_367).abs() < 1e-5, "{second}");
    }
}
