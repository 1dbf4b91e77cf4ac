//! Norms up to a limit: `w *= limit / |w|` where `|w|` is above it (Srivastava et al. 2014).

use serde::{Deserialize, Serialize};

use super::{Constraint, scale_vectors};
use crate::graph::Shape;

/// Keeps the Euclidean norm of what goes into each unit at most this large, as Keras's `MaxNorm` with the axes of a dense or convolutional
/// kernel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MaxNorm {
    limit: f32,
}

impl MaxNorm {
    /// Norms up to this limit; what is not above 0 makes all weights 0.
    pub fn new(limit: f32) -> Self {
        Self { limit }
    }
}

impl Constraint for MaxNorm {
    fn apply(&self, shape: &Shape, values: &mut [f32]) {
        let limit = if self.limit > 0.0 { f64::from(self.limit) } else { 0.0 };
        scale_vectors(shape, values, |norm| if norm > limit { limit / norm } else { 1.0 });
    }
}

#[cfg(test)]
mod tests {
    use super::super::{WEIGHTS, check};
    use super::*;

    /// Keras 3.15's `MaxNorm(1.0, axis=0)`, and `MaxNorm(1.5, axis=[0, 1, 2])`.
    #[test]
    fn as_in_keras() {
        check(&MaxNorm::new(1.0), &[2, 3], &WEIGHTS, &[0.447_213_6, -0.970_142_5, 0.1, 0.894_427_2, 0.242_535_64, -0.2]);
        let kernel: Vec<f32> = (1..17u8).map(|number| f32::from(number) / 8.0).collect();
        let expected = [
            0.057_522_38,
            0.105_021,
            0.172_567_13,
            0.210_042,
            0.287_611_87,
            0.315_063_03,
            0.402_656_6,
            0.420_084_03,
            0.517_701_4,
            0.525_105_06,
            0.632_746_1,
            0.630_126_06,
            0.747_790_9,
            0.735_147_06,
            0.862_835_65,
            0.840_168_06,
        ];
        check(&MaxNorm::new(1.5), &[2, 2, 2, 2], &kernel, &expected);
        // A bias is one vector.
        check(&MaxNorm::new(1.0), &[2], &[3.0, 4.0], &[0.6, 0.8]);
    }
}
