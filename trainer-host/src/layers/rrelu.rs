//! Randomized leaky ReLU: `y = x` for `x` above 0, else `slope * x`; in training the slope is drawn for each value,
//! uniformly between two bounds, outside training it is their mean (Xu et al. 2015).
//!
//! Shapes: any, the output's is the input's; in place. As for dropout, the slopes are a function of seed, step, node,
//! sample and position, so that the backward pass finds them again and they are the same for any number of threads.

use serde::{Deserialize, Serialize};

use super::dropout::random_word;
use super::{Backward, Example, Forward, Layer, LayerBase, Requirements, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::{LengthRule, Shape};
use crate::numeric::vectorized;
use samara_runtime::ops::activation::{Function, Parameters};

/// Leaky ReLU with random slopes in training.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RReLU {
    base: LayerBase,
    lower: f32,
    upper: f32,
}

impl Default for RReLU {
    fn default() -> Self {
        Self::new()
    }
}

impl RReLU {
    /// Slopes between 1/8 and 1/3, as in the paper.
    pub fn new() -> Self {
        Self::with_slopes(1.0 / 8.0, 1.0 / 3.0)
    }

    /// Slopes between these bounds, which lie above 0.
    pub fn with_slopes(lower: f32, upper: f32) -> Self {
        Self { base: LayerBase::new(), lower, upper }
    }

    /// The slope outside training.
    pub fn mean_slope(&self) -> f32 {
        (self.lower + self.upper) / 2.0
    }

    /// The slope of a value in training.
    #[inline(always)]
    fn slope(&self, key: u64, position: usize) -> f32 {
        self.lower + (self.upper - self.lower) * (random_word(key, position) as f32 / 4_294_967_296.0)
    }
}

impl Layer for RReLU {
    identity!("RReLU", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        if !(self.lower > 0.0 && self.lower <= self.upper && self.upper.is_finite()) {
            return Err(format!("slopes above 0, the lower first, not {} and {}", self.lower, self.upper));
        }
        match inputs {
            [shape] => Ok(shape.clone()),
            _ => Err("exactly one input".to_owned()),
        }
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        Ok(LengthRule::Kept)
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        Requirements { in_place: true, backward_reads_output: true, ..Requirements::default() }
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let (training, mean) = (pass.training, self.mean_slope());
        for (sample, values) in pass.output.chunks_exact_mut(pass.output_shape.size()).enumerate() {
            let key = pass.random.of_sample(sample);
            vectorized!({
                for (position, value) in values.iter_mut().enumerate() {
                    let slope = if training { self.slope(key, position) } else { mean };
                    *value *= if *value > 0.0 { 1.0 } else { slope };
                }
            });
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let size = pass.output_shape.size();
        let samples = pass.output_gradient.chunks_exact_mut(size).zip(pass.output.chunks_exact(size));
        for (sample, (gradients, outputs)) in samples.enumerate() {
            let key = pass.random.of_sample(sample);
            vectorized!({
                for (position, (gradient, &output)) in gradients.iter_mut().zip(outputs).enumerate() {
                    *gradient *= if output > 0.0 { 1.0 } else { self.slope(key, position) };
                }
            });
        }
    }

    fn describe(&self) -> String {
        format!("slopes {} to {}", self.lower, self.upper)
    }

    /// A leaky ReLU with the mean slope: the device only infers.
    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        Ok(lowering.output(ops::Activation(Parameters { function: Function::LeakyRelu, alpha: self.mean_slope() })))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(RReLU::new(), &[&[4, 5]]), Example::new(RReLU::with_slopes(0.5, 0.5), &[&[3]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check};
    use super::*;

    #[test]
    fn with_equal_bounds_it_is_a_leaky_relu() {
        check(&RReLU::with_slopes(0.3, 0.3), &[Shape::from([3, 7])], &|inputs, _| {
            inputs[0].iter().map(|&x| if x > 0.0 { x } else { f64::from(0.3f32) * x }).collect()
        });
    }

    #[test]
    fn slopes_are_uniform_between_the_bounds_and_the_gradient_has_the_same() {
        let layer = RReLU::new();
        let mut harness = Harness::new(&layer, &[Shape::from([20_000])], 2);
        harness.inputs[0].fill(-1.0);
        let slopes: Vec<f32> = harness.forward().iter().map(|y| -y).collect();
        assert!(slopes.iter().all(|slope| (0.125..=1.0 / 3.0).contains(slope)));
        let moment = |power: i32| slopes.iter().map(|&slope| f64::from(slope).powi(power)).sum::<f64>() / 40_000.0;
        // Uniform: mean 11/48, variance (5/24)^2 / 12.
        let variance = moment(2) - moment(1).powi(2);
        assert!((moment(1) - 11.0 / 48.0).abs() < 2e-3, "mean {}", moment(1));
        assert!((variance / ((5.0f64 / 24.0).powi(2) / 12.0) - 1.0).abs() < 0.03, "variance {variance}");
        assert_ne!(slopes[..20_000], slopes[20_000..], "all samples have the same slopes");
        harness.output_gradient.fill(1.0);
        harness.backward(true, false);
        assert_eq!(harness.input_gradients[0][..], slopes[..]);
    }

    #[test]
    fn bounds_are_checked() {
        for (lower, upper) in [(0.0, 0.5), (0.5, 0.25), (0.1, f32::INFINITY), (f32::NAN, 1.0)] {
            let error = RReLU::with_slopes(lower, upper).output_shape(&[Shape::from([3])]).expect_err("bad bounds");
            assert_eq!(error, format!("slopes above 0, the lower first, not {lower} and {upper}"));
        }
    }
}
