//! Clipping of gradients before an optimizer's step: by value `g = max(-limit, min(limit, g))`, by norm
//! `g *= limit / |g|` where the norm `|g|` of one parameter's gradient, or of all together, is above the limit.

use super::{GradientNoise, Optimizer, Update};
use crate::error::Result;
use crate::numeric::{sum_of, vectorized};

/// How gradients are kept from becoming large.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Clipping {
    /// Each value to at most this size: Keras's `clipvalue`.
    Value(f32),
    /// Each parameter's gradient to at most this Euclidean norm: Keras's `clipnorm`.
    Norm(f32),
    /// The gradient of all parameters together to at most this Euclidean norm: Keras's `global_clipnorm`.
    GlobalNorm(f32),
}

impl Clipping {
    /// The limit.
    pub fn limit(&self) -> f32 {
        let (Self::Value(limit) | Self::Norm(limit) | Self::GlobalNorm(limit)) = *self;
        limit
    }

    /// Clips the gradients of all weights (zeros where they are frozen), of which the first has `sizes[0]` values, and so on.
    pub(crate) fn apply(&self, gradients: &mut [f32], sizes: &[usize]) {
        match *self {
            Self::Value(limit) => vectorized(
                #[inline(always)]
                || {
                    for gradient in gradients.iter_mut() {
                        *gradient = gradient.clamp(-limit, limit);
                    }
                },
            ),
            Self::GlobalNorm(limit) => limit_norm(gradients, limit),
            Self::Norm(limit) => {
                let mut rest = gradients;
                for &size in sizes {
                    let (parameter, others) = rest.split_at_mut(size);
                    limit_norm(parameter, limit);
                    rest = others;
                }
            }
        }
    }
}

/// Scales the values down if their norm is above the limit. What is not a number stays, so that the loss shows it.
fn limit_norm(values: &mut [f32], limit: f32) {
    let squares = sum_of(
        values,
        #[inline(always)]
        |value| value * value,
    );
    let norm = squares.sqrt();
    if norm > f64::from(limit) && norm.is_finite() {
        let factor = (f64::from(limit) / norm) as f32;
        vectorized(
            #[inline(always)]
            || values.iter_mut().for_each(|value| *value *= factor),
        );
    }
}

/// An optimizer whose gradients are clipped: see [`Optimizer::clip_value`], [`Optimizer::clip_norm`] and
/// [`Optimizer::clip_global_norm`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clipped<O> {
    pub(super) optimizer: O,
    pub(super) clipping: Clipping,
}

impl<O: Optimizer> Optimizer for Clipped<O> {
    fn name(&self) -> &'static str {
        self.optimizer.name()
    }

    fn learning_rate(&self) -> f32 {
        self.optimizer.learning_rate()
    }

    fn slots(&self) -> &'static [&'static str] {
        self.optimizer.slots()
    }

    fn check(&self) -> Result<()> {
        self.optimizer.check()
    }

    fn clipping(&self) -> Option<Clipping> {
        Some(self.clipping)
    }

    fn has_momentum(&self) -> bool {
        self.optimizer.has_momentum()
    }

    fn gradient_noise(&self) -> Option<GradientNoise> {
        self.optimizer.gradient_noise()
    }

    fn update(&self, update: &mut Update<'_>) {
        self.optimizer.update(update);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizers::Sgd;

    /// Two parameters with the gradients `[3, -4]` and `[0.5, 0.25]`.
    fn clipped(clipping: Clipping) -> [f32; 4] {
        let mut gradients = [3.0, -4.0, 0.5, 0.25];
        clipping.apply(&mut gradients, &[2, 2]);
        gradients
    }

    fn assert_near(found: [f32; 4], expected: [f32; 4]) {
        for (a, b) in found.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-6, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn as_in_keras() {
        assert_eq!(clipped(Clipping::Value(0.75)), [0.75, -0.75, 0.5, 0.25]);
        assert_near(clipped(Clipping::Norm(1.0)), [0.6, -0.8, 0.5, 0.25]);
        // sqrt(25.3125) = 5.031153; Keras moves [1, 2, 3, 4] by these times 0.1 to 0.9403715, 2.0795047, 2.9900620, 3.9950309.
        assert_near(clipped(Clipping::GlobalNorm(1.0)), [0.596_284_8, -0.795_046_4, 0.099_380_8, 0.049_690_4]);
        assert_eq!(clipped(Clipping::GlobalNorm(6.0)), [3.0, -4.0, 0.5, 0.25]);
    }

    #[test]
    fn the_wrapper_changes_nothing_else() {
        let (plain, clipped) = (Sgd::new(0.1).momentum(0.9), Sgd::new(0.1).momentum(0.9).clip_norm(2.0));
        assert_eq!(clipped.clipping(), Some(Clipping::Norm(2.0)));
        assert_eq!(super::super::two_steps(&clipped), super::super::two_steps(&plain));
        assert_eq!((clipped.name(), clipped.learning_rate(), clipped.slots()), ("sgd", 0.1, plain.slots()));
    }
}
