//! Spatial dropout on `[height, width, channels]` (Tompson et al. 2014): in training each channel becomes 0 as a whole with probability `rate`, and the others
//! are divided by `1 - rate`; nothing happens outside training.

use serde::{Deserialize, Serialize};

use super::dropout::random_word;
use super::noise::{check_rate, for_each_sample, noise_methods, threshold};
use super::{Backward, Example, Forward, Layer, LayerBase, RandomKey, Requirements, identity};
use crate::device::{Lowering, Value};
use crate::graph::{LengthRule, Shape};

/// Drops whole channels at random in training: single values would be made up for by their neighbours, which are much alike.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SpatialDropout2D {
    base: LayerBase,
    rate: f32,
}

impl SpatialDropout2D {
    /// Drops this share of the channels, from 0 to below 1.
    pub fn new(rate: f32) -> Self {
        Self { base: LayerBase::new(), rate }
    }

    fn check(&self, shape: &Shape) -> Result<(), String> {
        if shape.len() != 3 {
            return Err("inputs of rank 3, [height, width, channels]".to_owned());
        }
        check_rate(self.rate)
    }

    fn disturb(&self, shape: &Shape, values: &mut [f32], samples: usize, random: RandomKey) {
        let (threshold, scale) = (threshold(self.rate), 1.0 / (1.0 - self.rate));
        for_each_sample(values, samples, random, |values, key| {
            for position in values.chunks_exact_mut(shape.channels()) {
                for (channel, value) in position.iter_mut().enumerate() {
                    *value *= if random_word(key, channel) >= threshold { scale } else { 0.0 };
                }
            }
        });
    }

    fn disturb_gradient(&self, shape: &Shape, gradients: &mut [f32], samples: usize, random: RandomKey) {
        self.disturb(shape, gradients, samples, random);
    }
}

impl Layer for SpatialDropout2D {
    identity!("SpatialDropout2D", options);
    noise_methods!();

    fn describe(&self) -> String {
        format!("rate {}", self.rate)
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(SpatialDropout2D::new(0.3), &[&[2, 3, 4]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::Harness;
    use super::*;

    #[test]
    fn drops_whole_channels() {
        let (layer, shape) = (SpatialDropout2D::new(0.25), Shape::from([5, 10, 400]));
        let mut harness = Harness::new(&layer, std::slice::from_ref(&shape), 2);
        harness.inputs[0].fill(3.0);
        let output = harness.forward().to_vec();
        let mut dropped = 0;
        for sample in output.chunks(20_000) {
            let first = &sample[..400];
            assert!(first.iter().all(|&value| value == 0.0 || value == 4.0));
            assert!(sample.chunks(400).all(|position| position == first), "a channel is dropped in part");
            dropped += first.iter().filter(|&&value| value == 0.0).count();
        }
        // 200 of 800; the deviation is 12.
        assert!((150..250).contains(&dropped), "{dropped}");
        assert_ne!(output[..400], output[20_000..20_400], "all samples drop the same channels");
        assert!(layer.output_shape(&[Shape::from([4])]).unwrap_err().starts_with("inputs of rank 3"));
    }
}
