//! AdaGrad (Duchi, Hazan and Singer 2011): `a = a + g^2`, `p -= rate * g / sqrt(a + epsilon)`, with `a` from 0.1 on.

use super::{Optimizer, Update, check_epsilon, check_not_negative};
use crate::error::Result;
use crate::numeric::vectorized;

/// Divides each gradient by the size of all before it, so that steps only become smaller. Keras's defaults: accumulator
/// from 0.1 on, epsilon 1e-7.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaGrad {
    learning_rate: f32,
    initial_accumulator: f32,
    epsilon: f32,
}

impl AdaGrad {
    /// AdaGrad with a learning rate; 0.001 is Keras's default.
    pub fn new(learning_rate: f32) -> Self {
        Self { learning_rate, initial_accumulator: 0.1, epsilon: 1e-7 }
    }

    /// Sets the sum of squares that every parameter starts with, 0 or more.
    pub fn initial_accumulator(self, initial_accumulator: f32) -> Self {
        Self { initial_accumulator, ..self }
    }

    /// Sets the guard against division by zero.
    pub fn epsilon(self, epsilon: f32) -> Self {
        Self { epsilon, ..self }
    }
}

impl Optimizer for AdaGrad {
    fn name(&self) -> &'static str {
        "adagrad"
    }

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn slots(&self) -> &'static [&'static str] {
        &["sum"]
    }

    fn check(&self) -> Result<()> {
        check_not_negative("initial_accumulator", self.initial_accumulator)?;
        check_epsilon(self.epsilon)
    }

    fn update(&self, update: &mut Update<'_>) {
        let Update { learning_rate: rate, parameters, gradients, slots, .. } = update;
        let [sums] = &mut **slots else { return };
        // The slot begins with zero, so it holds the sum without what it starts from.
        let (rate, start) = (*rate, self.initial_accumulator + self.epsilon);
        vectorized(
            #[inline(always)]
            || {
                for ((parameter, &gradient), sum) in parameters.iter_mut().zip(*gradients).zip(sums.iter_mut()) {
                    *sum += gradient * gradient;
                    *parameter -= rate * gradient / (*sum + start).sqrt();
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
            &AdaGrad::new(0.1),
            [
                [0.915_484_6, 2.095_346_2, -1.062_017_3, 0.400_311_05],
                [0.850_934_86, 2.026_339_8, -1.032_399_9, 0.444_921_02],
                [0.929_991_8, 1.993_723_4, -1.119_548_8, 0.423_151],
            ],
        );
    }

    #[test]
    fn starts_from_another_sum() {
        // 0.5 / sqrt(0 + 0.25) = 1; -0.25 / sqrt(0.25 + 0.0625) = -0.447214
        let [first, second] = super::super::two_steps(&AdaGrad::new(0.1).initial_accumulator(0.0).epsilon(0.0));
        assert!((first - 0.9).abs() < 1e-6 && (second - 0.944_721_4).abs() < 1e-6, "{first} {second}");
    }
}
