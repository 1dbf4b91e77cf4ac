//! Dropout: in training each value becomes 0 with probability `rate`, and the others are divided by `1 - rate`; nothing
//! happens outside training (Srivastava et al. 2014).
//!
//! Which values drop is a function of seed, step, node, sample and position, so that the backward pass finds it again
//! and it is the same for any number of threads.

use serde::{Deserialize, Serialize};

use super::noise::{check_rate, for_each_sample, noise_methods, threshold};
use super::{Backward, Example, Forward, Layer, LayerBase, RandomKey, Requirements, identity};
use crate::device::Lowering;
use crate::device::Value;
use crate::graph::{LengthRule, Shape};
use crate::numeric::vectorized;

/// Drops values at random in training.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Dropout {
    base: LayerBase,
    rate: f32,
}

impl Dropout {
    /// Drops this share of the values, from 0 to below 1.
    pub fn new(rate: f32) -> Self {
        Self { base: LayerBase::new(), rate }
    }

    fn check(&self, _shape: &Shape) -> Result<(), String> {
        check_rate(self.rate)
    }

    /// Zeroes or scales the values of some samples.
    fn disturb(&self, _shape: &Shape, values: &mut [f32], samples: usize, random: RandomKey) {
        let (threshold, scale) = (threshold(self.rate), 1.0 / (1.0 - self.rate));
        for_each_sample(values, samples, random, |values, key| {
            vectorized!({
                for (position, value) in values.iter_mut().enumerate() {
                    *value *= if random_word(key, position) >= threshold { scale } else { 0.0 };
                }
            });
        });
    }

    fn disturb_gradient(&self, shape: &Shape, gradients: &mut [f32], samples: usize, random: RandomKey) {
        self.disturb(shape, gradients, samples, random);
    }
}

/// 32 random bits for a position of the sample with this key.
#[inline(always)]
pub(super) fn random_word(key: u64, position: usize) -> u32 {
    let (low, high) = (key as u32, (key >> 32) as u32);
    hash(hash(position as u32 ^ low).wrapping_add(high))
}

/// Mixes 32 bits; unlike the 64-bit one of `numeric::random` it fits vector registers.
#[inline(always)]
fn hash(value: u32) -> u32 {
    let value = (value ^ (value >> 16)).wrapping_mul(0x7feb_352d);
    let value = (value ^ (value >> 15)).wrapping_mul(0x846c_a68b);
    value ^ (value >> 16)
}

impl Layer for Dropout {
    identity!("Dropout", options);
    noise_methods!();

    fn describe(&self) -> String {
        format!("rate {}", self.rate)
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(Dropout::new(0.3), &[&[4, 5]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check_batch};
    use super::*;

    /// What the layer multiplies the values of a batch with.
    fn mask(layer: &Dropout, shape: &Shape, samples: usize) -> Vec<f32> {
        let mut harness = Harness::new(layer, std::slice::from_ref(shape), samples);
        harness.inputs[0].fill(1.0);
        harness.forward().to_vec()
    }

    #[test]
    fn agrees_with_the_naive_reference() {
        for rate in [0.0, 0.3, 0.9] {
            let (layer, shape) = (Dropout::new(rate), Shape::from([4, 5]));
            check_batch(&layer, std::slice::from_ref(&shape), &|inputs, _| {
                let mask = mask(&layer, &shape, inputs[0].len() / shape.size());
                inputs[0].iter().zip(mask).map(|(x, kept)| x * f64::from(kept)).collect()
            });
        }
    }

    #[test]
    fn drops_its_share_and_scales_the_others() {
        let (rate, shape) = (0.3, Shape::from([10_000]));
        let mask = mask(&Dropout::new(rate), &shape, 2);
        assert!(mask.iter().all(|&factor| factor == 0.0 || factor == 1.0 / (1.0 - rate)));
        let dropped = mask.iter().filter(|&&factor| factor == 0.0).count();
        // 6000 of 20000; the deviation is 65.
        assert!((5700..6300).contains(&dropped), "{dropped}");
        assert_ne!(mask[..10_000], mask[10_000..], "all samples drop the same values");
    }
}
