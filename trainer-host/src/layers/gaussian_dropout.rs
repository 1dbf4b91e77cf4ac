//! Gaussian dropout (Srivastava et al. 2014): in training each value is multiplied with a normal number of mean 1 and variance
//! `rate / (1 - rate)`; nothing happens outside training.

use serde::{Deserialize, Serialize};

use super::noise::{check_rate, for_each_sample, noise_methods};
use super::{Backward, Example, Forward, Layer, LayerBase, RandomKey, Requirements, identity};
use crate::device::{Lowering, Value};
use crate::graph::{LengthRule, Shape};
use crate::numeric::random::normal_at;

/// Multiplies values with normal numbers in training, whose variance is that of dropout.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GaussianDropout {
    base: LayerBase,
    rate: f32,
}

impl GaussianDropout {
    /// As much noise as dropout makes with this rate, from 0 to below 1.
    pub fn new(rate: f32) -> Self {
        Self { base: LayerBase::new(), rate }
    }

    fn check(&self, _shape: &Shape) -> Result<(), String> {
        check_rate(self.rate)
    }

    fn disturb(&self, _shape: &Shape, values: &mut [f32], samples: usize, random: RandomKey) {
        let deviation = (self.rate / (1.0 - self.rate)).sqrt();
        for_each_sample(values, samples, random, |values, key| {
            for (position, value) in values.iter_mut().enumerate() {
                *value *= 1.0 + deviation * normal_at(key, position);
            }
        });
    }

    fn disturb_gradient(&self, shape: &Shape, gradients: &mut [f32], samples: usize, random: RandomKey) {
        self.disturb(shape, gradients, samples, random);
    }
}

impl Layer for GaussianDropout {
    identity!("GaussianDropout", options);
    noise_methods!();

    fn describe(&self) -> String {
        format!("rate {}", self.rate)
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(GaussianDropout::new(0.3), &[&[4, 5]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::Harness;
    use super::*;

    #[test]
    fn factors_have_the_variance_of_dropout() {
        let (layer, shape) = (GaussianDropout::new(0.2), Shape::from([20_000]));
        let mut harness = Harness::new(&layer, std::slice::from_ref(&shape), 2);
        harness.inputs[0].fill(1.0);
        let factors: Vec<f64> = harness.forward().iter().map(|&value| f64::from(value)).collect();
        let mean = factors.iter().sum::<f64>() / 40_000.0;
        let variance = factors.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 40_000.0;
        // 0.2 / 0.8
        assert!((mean - 1.0).abs() < 0.01 && (variance - 0.25).abs() < 0.01, "{mean} {variance}");
    }
}
