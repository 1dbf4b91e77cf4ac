//! RMSprop (Hinton 2012): `v = rho * v + (1 - rho) * g^2`, `p -= rate * g / sqrt(v + epsilon)`; centered, `v - a^2` takes the place of `v`, with
//! `a = rho * a + (1 - rho) * g`; with momentum `b = momentum * b + rate * g / sqrt(...)`, `p -= b`.

use super::{Optimizer, Update, check_epsilon, check_option};
use crate::error::Result;
use crate::numeric::vectorized;

/// Divides each gradient by a running mean of its size. Keras's defaults: rho 0.9, epsilon 1e-7.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsProp {
    learning_rate: f32,
    rho: f32,
    momentum: f32,
    epsilon: f32,
    centered: bool,
}

impl RmsProp {
    /// RMSprop with a learning rate; 0.001 is Keras's default.
    pub fn new(learning_rate: f32) -> Self {
        Self { learning_rate, rho: 0.9, momentum: 0.0, epsilon: 1e-7, centered: false }
    }

    /// Sets how slowly the running mean follows.
    pub fn rho(self, rho: f32) -> Self {
        Self { rho, ..self }
    }

    /// Adds momentum, such as 0.9.
    pub fn momentum(self, momentum: f32) -> Self {
        Self { momentum, ..self }
    }

    /// Divides by the gradients' deviation from their mean instead of their size.
    pub fn centered(self) -> Self {
        Self { centered: true, ..self }
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
        match (self.centered, self.momentum > 0.0) {
            (false, false) => &["v"],
            (true, false) => &["v", "mean"],
            (false, true) => &["v", "velocity"],
            (true, true) => &["v", "mean", "velocity"],
        }
    }

    fn check(&self) -> Result<()> {
        check_option("rho", self.rho, 0.0..=1.0, "from 0 to 1")?;
        check_option("momentum", self.momentum, 0.0..=1.0, "from 0 to 1")?;
        check_epsilon(self.epsilon)
    }

    fn has_momentum(&self) -> bool {
        self.momentum > 0.0
    }

    fn update(&self, update: &mut Update<'_>) {
        let Update { learning_rate: rate, momentum, parameters, gradients, slots, .. } = update;
        let (rate, rho, epsilon, momentum) = (*rate, self.rho, self.epsilon, momentum.unwrap_or(self.momentum));
        type Kept<'s> = (&'s mut [f32], Option<&'s mut [f32]>, Option<&'s mut [f32]>);
        let (squares, means, velocities): Kept<'_> = match (&mut **slots, self.centered) {
            ([squares], _) => (squares, None, None),
            ([squares, means], true) => (squares, Some(&mut **means), None),
            ([squares, velocities], false) => (squares, None, Some(&mut **velocities)),
            ([squares, means, velocities], _) => (squares, Some(&mut **means), Some(&mut **velocities)),
            _ => return,
        };
        if !self.centered && self.momentum == 0.0 {
            return vectorized(
                #[inline(always)]
                || {
                    for ((parameter, &gradient), square) in parameters.iter_mut().zip(*gradients).zip(squares.iter_mut()) {
                        *square = rho * *square + (1.0 - rho) * gradient * gradient;
                        *parameter -= rate * gradient / (*square + epsilon).sqrt();
                    }
                },
            );
        }
        // What is kept of each value, where it is kept.
        let (mut means, mut velocities) = (means.into_iter().flatten(), velocities.into_iter().flatten());
        for ((parameter, &gradient), square) in parameters.iter_mut().zip(*gradients).zip(squares.iter_mut()) {
            *square = rho * *square + (1.0 - rho) * gradient * gradient;
            let mean = means.next().map_or(0.0, |mean| {
                *mean = rho * *mean + (1.0 - rho) * gradient;
                *mean
            });
            let step = rate * gradient / (*square - mean * mean + epsilon).sqrt();
            *parameter -= velocities.next().map_or(step, |velocity| {
                *velocity = momentum * *velocity + step;
                *velocity
            });
        }
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

    #[test]
    fn steps_as_in_keras() {
        let check = super::super::check_steps;
        check(
            &RmsProp::new(0.1).centered(),
            [
                [0.666_667_4, 2.333_333_3, -1.333_330_4, 0.166_666_69],
                [0.411_761_34, 2.103_857_3, -1.184_853, 0.315_145_14],
                [0.676_630_8, 1.989_902_4, -1.502_744_2, 0.238_368_75],
            ],
        );
        check(
            &RmsProp::new(0.1).centered().momentum(0.9),
            [
                [0.666_667_4, 2.333_333_3, -1.333_330_4, 0.166_666_69],
                [0.111_762, 2.403_857, -1.484_850_3, 0.015_145_17],
                [-0.122_783_42, 2.353_373_5, -1.939_109_4, -0.198_000_58],
            ],
        );
        check(
            &RmsProp::new(0.1).momentum(0.9),
            [
                [0.683_772_9, 2.316_227_7, -1.316_225_3, 0.183_772_27],
                [0.169_752_9, 2.371_416_8, -1.453_387, 0.046_609_25],
                [-0.028_190_76, 2.308_148_6, -1.876_308_7, -0.152_301_1],
            ],
        );
    }
}
