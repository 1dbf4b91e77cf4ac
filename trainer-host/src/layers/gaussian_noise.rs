//! Gaussian noise: in training `y = x + n`, with a normal number `n` for each value; nothing happens outside training.

use serde::{Deserialize, Serialize};

use super::noise::{for_each_sample, noise_methods};
use super::{Backward, Example, Forward, Layer, LayerBase, RandomKey, Requirements, identity};
use crate::device::{Lowering, Value};
use crate::graph::{LengthRule, Shape};
use crate::numeric::random::normal_at;

/// Adds normal numbers with mean 0 in training.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GaussianNoise {
    base: LayerBase,
    deviation: f32,
}

impl GaussianNoise {
    /// Noise with this standard deviation.
    pub fn new(deviation: f32) -> Self {
        Self { base: LayerBase::new(), deviation }
    }

    fn check(&self, _shape: &Shape) -> Result<(), String> {
        if self.deviation >= 0.0 && self.deviation.is_finite() {
            return Ok(());
        }
        Err(format!("a deviation of 0 or more, not {}", self.deviation))
    }

    fn disturb(&self, _shape: &Shape, values: &mut [f32], samples: usize, random: RandomKey) {
        for_each_sample(values, samples, random, |values, key| {
            for (position, value) in values.iter_mut().enumerate() {
                *value += self.deviation * normal_at(key, position);
            }
        });
    }

    /// The gradient passes as it is.
    fn disturb_gradient(&self, _shape: &Shape, _gradients: &mut [f32], _samples: usize, _random: RandomKey) {}
}

impl Layer for GaussianNoise {
    identity!("GaussianNoise", options);
    noise_methods!();

    fn describe(&self) -> String {
        format!("deviation {}", self.deviation)
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(GaussianNoise::new(0.1), &[&[4, 5]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::Harness;
    use super::*;

    #[test]
    fn adds_noise_of_its_deviation() {
        let (layer, shape) = (GaussianNoise::new(0.5), Shape::from([20_000]));
        let mut harness = Harness::new(&layer, std::slice::from_ref(&shape), 2);
        harness.inputs[0].fill(3.0);
        let noise: Vec<f64> = harness.forward().iter().map(|&value| f64::from(value) - 3.0).collect();
        let mean = noise.iter().sum::<f64>() / 40_000.0;
        let variance = noise.iter().map(|value| value * value).sum::<f64>() / 40_000.0;
        assert!(mean.abs() < 0.01 && (variance - 0.25).abs() < 0.01, "{mean} {variance}");
        assert_ne!(noise[..20_000], noise[20_000..], "all samples have the same noise");
        let reason = GaussianNoise::new(-1.0).output_shape(&[shape]).unwrap_err();
        assert_eq!(reason, "a deviation of 0 or more, not -1");
    }
}
