//! Repetition of steps: `y[t, c] = x[t / factor, c]`, rounded down; upsampling2d.rs.
//!
//! Inputs `[T, C]`, outputs `[T * factor, C]`.

use serde::{Deserialize, Serialize};

use super::steps::layer_on_steps;
use super::{Example, Layer, UpSampling2D};

/// Repeats each step of a sequence.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UpSampling1D {
    layer: UpSampling2D,
}

impl UpSampling1D {
    /// A layer that repeats steps this often.
    pub fn new(factor: usize) -> Self {
        Self { layer: UpSampling2D::along_steps(factor) }
    }

    /// How often each step is repeated.
    pub fn factor(&self) -> usize {
        self.layer.factors()[1]
    }
}

impl Layer for UpSampling1D {
    layer_on_steps!("UpSampling1D");
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(UpSampling1D::new(2), &[&[3, 4]]), Example::new(UpSampling1D::new(3), &[&[4, 5]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::check;
    use super::*;
    use crate::graph::Shape;

    #[test]
    fn agrees_with_the_naive_reference() {
        for factor in [1, 2, 5] {
            let (steps, channels) = (4, 3);
            check(&UpSampling1D::new(factor), &[Shape::from([steps, channels])], &|inputs, _| {
                inputs[0].chunks_exact(channels).flat_map(|step| step.repeat(factor)).collect()
            });
        }
        assert_eq!(UpSampling1D::new(0).output_shape(&[Shape::from([4, 1])]), Err("a factor from 1 to 4096, not 0".to_owned()));
        let error = UpSampling1D::new(2).output_shape(&[Shape::from([4, 4, 1])]).expect_err("no sequence");
        assert_eq!(error, "one input of shape [steps, channels]");
    }
}
