//! Random values whose variance is scaled to a layer's number of inputs and outputs: `variance = scale / fan`.

use serde::{Deserialize, Serialize};

use super::Initializer;
use crate::numeric::random::Random;

/// Which connections count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FanMode {
    /// Inputs of one output.
    In,
    /// Outputs of one input.
    Out,
    /// The mean of both.
    Average,
}

/// How the values are distributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Distribution {
    /// Uniform within `sqrt(3 * variance)` of zero.
    Uniform,
    /// Normal, redrawn beyond two deviations, and widened so that the variance is met all the same.
    TruncatedNormal,
    /// Normal.
    Normal,
}

/// The deviation of a standard normal distribution truncated at two deviations.
const TRUNCATED_DEVIATION: f64 = 0.879_625_661_034_239_8;

/// The general initializer of kernels; see `glorot_uniform` and its kin for the usual cases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct VarianceScaling {
    scale: f64,
    mode: FanMode,
    distribution: Distribution,
}

impl VarianceScaling {
    /// `variance = scale / fan`.
    pub fn new(scale: f64, mode: FanMode, distribution: Distribution) -> Self {
        Self { scale, mode, distribution }
    }
}

/// Inputs per output and outputs per input of a kernel: its last two dimensions, each times the size of the window
/// before them.
fn fans(shape: &[usize]) -> (usize, usize) {
    match shape {
        [] => (1, 1),
        [one] => (*one, *one),
        [window @ .., input, output] => {
            let window: usize = window.iter().product();
            (input * window, output * window)
        }
    }
}

impl Initializer for VarianceScaling {
    fn fill(&self, shape: &[usize], random: &mut Random, values: &mut [f32]) {
        let (fan_in, fan_out) = fans(shape);
        let fan = match self.mode {
            FanMode::In => fan_in as f64,
            FanMode::Out => fan_out as f64,
            FanMode::Average => (fan_in + fan_out) as f64 / 2.0,
        };
        let variance = self.scale / if fan > 1.0 { fan } else { 1.0 };
        for value in values {
            *value = match self.distribution {
                Distribution::Uniform => (random.uniform() * 2.0 - 1.0) * (3.0 * variance).sqrt(),
                Distribution::Normal => random.normal() * variance.sqrt(),
                Distribution::TruncatedNormal => loop {
                    let drawn = random.normal();
                    if drawn.abs() <= 2.0 {
                        break drawn * variance.sqrt() / TRUNCATED_DEVIATION;
                    }
                },
            } as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{glorot_uniform, he_normal, lecun_normal};
    use super::*;

    fn drawn(initializer: VarianceScaling, shape: &[usize]) -> (f64, f64) {
        let mut values = vec![0.0; shape.iter().product()];
        initializer.fill(shape, &mut Random::new(5, 0), &mut values);
        let variance = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / values.len() as f64;
        let largest = values.iter().fold(0.0, |a, &v| if v.abs() > a { v.abs() } else { a });
        (variance, f64::from(largest))
    }

    #[test]
    fn variances_and_limits_are_those_of_the_papers() {
        // Dense 300 -> 100: glorot limit sqrt(6 / 400) = 0.122474
        let (variance, largest) = drawn(glorot_uniform(), &[300, 100]);
        assert!((variance * 200.0 - 1.0).abs() < 0.03, "{variance}");
        assert!(largest <= 0.122_475 && largest > 0.1222, "{largest}");
        // 3x3 convolution 16 -> 64: fan in 144, so variance 2 / 144
        let (variance, largest) = drawn(he_normal(), &[3, 3, 16, 64]);
        assert!((variance * 72.0 - 1.0).abs() < 0.05, "{variance}");
        assert!(largest <= 2.0 * (1.0f64 / 72.0).sqrt() / TRUNCATED_DEVIATION + 1e-6);
        let (variance, _) = drawn(lecun_normal(), &[200, 100]);
        assert!((variance * 200.0 - 1.0).abs() < 0.05, "{variance}");
        // A depthwise kernel [3, 3, 8, 1]: fan in 72, fan out 9, as in Keras.
        assert_eq!(fans(&[3, 3, 8, 1]), (72, 9));
    }
}
