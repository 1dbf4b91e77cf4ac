//! Alpha dropout (Klambauer et al. 2017): in training each value becomes `-1.7581`, where SELU ends, with probability `rate`, and all are then
//! scaled and moved so that mean 0 and variance 1 stay; nothing happens outside training.

use serde::{Deserialize, Serialize};

use super::dropout::random_word;
use super::noise::{check_rate, for_each_sample, noise_methods, threshold};
use super::{Backward, Example, Forward, Layer, LayerBase, RandomKey, Requirements, identity};
use crate::device::{Lowering, Value};
use crate::graph::{LengthRule, Shape};
use crate::numeric::vectorized;

/// Dropout behind SELU, which keeps mean and variance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AlphaDropout {
    base: LayerBase,
    rate: f32,
}

/// SELU's value far below zero, `-scale * alpha`.
const LOWEST: f64 = -1.758_099_340_847_376_6;

impl AlphaDropout {
    /// Drops this share of the values, from 0 to below 1.
    pub fn new(rate: f32) -> Self {
        Self { base: LayerBase::new(), rate }
    }

    fn check(&self, _shape: &Shape) -> Result<(), String> {
        check_rate(self.rate)
    }

    /// What all values are multiplied with, and what is then added.
    fn scale_and_shift(&self) -> (f32, f32) {
        let rate = f64::from(self.rate);
        let scale = ((1.0 - rate) * (1.0 + rate * LOWEST * LOWEST)).sqrt().recip();
        (scale as f32, (-scale * LOWEST * rate) as f32)
    }

    fn disturb(&self, _shape: &Shape, values: &mut [f32], samples: usize, random: RandomKey) {
        let (threshold, (scale, shift)) = (threshold(self.rate), self.scale_and_shift());
        let dropped = scale * LOWEST as f32 + shift;
        for_each_sample(values, samples, random, |values, key| {
            vectorized!({
                for (position, value) in values.iter_mut().enumerate() {
                    *value = if random_word(key, position) >= threshold { scale * *value + shift } else { dropped };
                }
            });
        });
    }

    fn disturb_gradient(&self, _shape: &Shape, gradients: &mut [f32], samples: usize, random: RandomKey) {
        let (threshold, (scale, _)) = (threshold(self.rate), self.scale_and_shift());
        for_each_sample(gradients, samples, random, |gradients, key| {
            vectorized!({
                for (position, gradient) in gradients.iter_mut().enumerate() {
                    *gradient *= if random_word(key, position) >= threshold { scale } else { 0.0 };
                }
            });
        });
    }
}

impl Layer for AlphaDropout {
    identity!("AlphaDropout", options);
    noise_methods!();

    fn describe(&self) -> String {
        format!("rate {}", self.rate)
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(AlphaDropout::new(0.3), &[&[4, 5]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::Harness;
    use super::*;
    use crate::numeric::random::Random;

    #[test]
    fn keeps_mean_and_variance() {
        let (layer, shape) = (AlphaDropout::new(0.25), Shape::from([20_000]));
        let mut harness = Harness::new(&layer, std::slice::from_ref(&shape), 2);
        let mut random = Random::new(3, 0);
        harness.inputs[0].iter_mut().for_each(|value| *value = random.normal() as f32);
        let output: Vec<f64> = harness.forward().iter().map(|&value| f64::from(value)).collect();
        let mean = output.iter().sum::<f64>() / 40_000.0;
        let variance = output.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 40_000.0;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        // Keras's a and b for a rate of 0.25, a = 1 / sqrt(0.75 * (1 + 0.25 * 3.0909)) = 0.867258, b = 0.439525 * a.
        let (scale, shift) = layer.scale_and_shift();
        assert!((scale - 0.867_258).abs() < 1e-5 && (shift - 0.381_181).abs() < 1e-5, "{scale} {shift}");
        let dropped = output.iter().filter(|&&value| value == f64::from(scale * LOWEST as f32 + shift)).count();
        // 10,000 of 40,000; the deviation is 87.
        assert!((9_600..10_400).contains(&dropped), "{dropped}");
    }
}
