//! What the kinds of Adam have in common: running means of gradients and of their squares.

use super::{Update, check_epsilon, check_option};
use crate::error::Result;
use crate::numeric::vectorized;

/// `m = b1 * m + (1 - b1) * g`, `v = b2 * v + (1 - b2) * g^2`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Moments {
    pub beta_1: f32,
    pub beta_2: f32,
    pub epsilon: f32,
}

impl Moments {
    pub const SLOTS: &'static [&'static str] = &["m", "v"];

    /// Keras's defaults.
    pub const fn new() -> Self {
        Self { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 }
    }

    pub fn check(&self) -> Result<()> {
        check_option("beta_1", self.beta_1, 0.0..1.0, "at least 0 and below 1")?;
        check_option("beta_2", self.beta_2, 0.0..1.0, "at least 0 and below 1")?;
        check_epsilon(self.epsilon)
    }

    /// With the schedule's momentum, if it has one, for beta 1.
    pub fn of(self, update: &Update<'_>) -> Self {
        Self { beta_1: update.momentum.unwrap_or(self.beta_1), ..self }
    }

    /// Lets the moments follow, and takes `change(g, m, v)` from each parameter.
    #[inline(always)]
    pub fn update(&self, update: &mut Update<'_>, change: impl Fn(f32, f32, f32) -> f32) {
        let Self { beta_1, beta_2, .. } = *self;
        let [first, second] = &mut *update.slots else { return };
        let parameters = update.parameters.iter_mut().zip(update.gradients);
        vectorized(
            #[inline(always)]
            || {
                for (((parameter, &gradient), m), v) in parameters.zip(first.iter_mut()).zip(second.iter_mut()) {
                    *m += (gradient - *m) * (1.0 - beta_1);
                    *v += (gradient * gradient - *v) * (1.0 - beta_2);
                    *parameter -= change(gradient, *m, *v);
                }
            },
        );
    }
}

/// The builder's methods for the field `moments`.
macro_rules! moments_methods {
    () => {
        /// Sets how slowly the means of gradients and of their squares follow.
        pub fn betas(mut self, beta_1: f32, beta_2: f32) -> Self {
            (self.moments.beta_1, self.moments.beta_2) = (beta_1, beta_2);
            self
        }

        /// Sets the guard against division by zero.
        pub fn epsilon(mut self, epsilon: f32) -> Self {
            self.moments.epsilon = epsilon;
            self
        }
    };
}

pub(super) use moments_methods;
