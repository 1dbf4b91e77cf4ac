//! Parametric ReLU: `y = x` for `x` from 0 on, else `alpha[c] * x`, with one learned alpha per channel of the last axis
//! (He et al. 2015).
//!
//! Inputs `[.., C]`, outputs the same shape. Parameter: `alpha [1, .., 1, C]`, zeros at first: what Keras has with
//! `shared_axes` of all axes but the last.

use serde::{Deserialize, Serialize};

use super::options::trainable_methods;
use super::{Backward, Example, Forward, Layer, LayerBase, ParameterSpec, Requirements, Trainable, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::{LengthRule, Shape};
use crate::initializers::zeros;
use crate::numeric::vectorized;

/// Leaky ReLU whose slopes are learned, one per channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PReLU {
    base: LayerBase,
    alpha: Trainable,
}

impl Default for PReLU {
    fn default() -> Self {
        Self::new()
    }
}

impl PReLU {
    /// The layer, with slopes of 0 at first; the paper has 0.25.
    pub fn new() -> Self {
        Self { base: LayerBase::new(), alpha: Trainable::new(zeros()) }
    }

    trainable_methods!(alpha, "the slopes", alpha_initializer, alpha_regularizer);
}

impl Layer for PReLU {
    identity!("PReLU", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            [shape] if !shape.is_empty() => Ok(shape.clone()),
            _ => Err("one input of shape [.., channels]".to_owned()),
        }
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        Ok(LengthRule::Kept)
    }

    fn parameters(&self, inputs: &[Shape]) -> Vec<ParameterSpec> {
        let mut shape = vec![1; inputs[0].len() - 1];
        shape.push(inputs[0].channels());
        vec![self.alpha.spec("alpha", shape)]
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        // Not in place: a learned slope may be negative or zero, and then the output does not tell the input's sign.
        Requirements { backward_reads_inputs: true, ..Requirements::default() }
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let alpha = pass.parameters.get(0);
        let rows = pass.output.chunks_exact_mut(alpha.len()).zip(pass.inputs.get(0).chunks_exact(alpha.len()));
        vectorized!({
            for (outputs, inputs) in rows {
                for ((output, &input), &alpha) in outputs.iter_mut().zip(inputs).zip(alpha) {
                    *output = if input < 0.0 { alpha * input } else { input };
                }
            }
        });
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let alpha = pass.parameters.get(0);
        let rows = pass.inputs.get(0).chunks_exact(alpha.len()).zip(pass.output_gradient.chunks_exact(alpha.len()));
        if let Some(sums) = pass.parameter_gradients.get_mut(0) {
            vectorized!({
                for (inputs, gradients) in rows {
                    for ((sum, &input), &gradient) in sums.iter_mut().zip(inputs).zip(gradients) {
                        *sum += if input < 0.0 { gradient * input } else { 0.0 };
                    }
                }
            });
        }
        let Some(slot) = pass.input_gradients.get_mut(0) else { return };
        let accumulate = slot.accumulate;
        let rows = pass.inputs.get(0).chunks_exact(alpha.len()).zip(pass.output_gradient.chunks_exact(alpha.len()));
        let rows = slot.values.chunks_exact_mut(alpha.len()).zip(rows);
        vectorized!({
            for (values, (inputs, gradients)) in rows {
                for (((value, &input), &gradient), &alpha) in values.iter_mut().zip(inputs).zip(gradients).zip(alpha) {
                    let part = if input < 0.0 { alpha * gradient } else { gradient };
                    *value = if accumulate { *value + part } else { part };
                }
            }
        });
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let alpha = lowering.parameter("alpha").to_vec();
        Ok(lowering.output(ops::Prelu { alpha }))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(PReLU::new(), &[&[3, 2, 5]]), Example::new(PReLU::new(), &[&[7]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check};
    use super::*;

    #[test]
    fn agrees_with_the_naive_reference() {
        for shape in [Shape::from([3, 4, 5]), Shape::from([17]), Shape::from([6, 1])] {
            check(&PReLU::new(), &[shape], &|inputs, parameters| {
                let slope = |place: usize| parameters[0][place % parameters[0].len()];
                inputs[0].iter().enumerate().map(|(place, &x)| if x < 0.0 { slope(place) * x } else { x }).collect()
            });
        }
    }

    #[test]
    fn slopes_of_two_channels() {
        let layer = PReLU::new();
        let mut harness = Harness::new(&layer, &[Shape::from([2, 2])], 1);
        harness.inputs[0].copy_from_slice(&[-2.0, -2.0, 3.0, -1.0]);
        harness.parameter_mut(0).copy_from_slice(&[0.5, -1.0]);
        assert_eq!(harness.forward(), [-1.0, 2.0, 3.0, 1.0]);
        harness.output_gradient.copy_from_slice(&[1.0, 10.0, 100.0, 1000.0]);
        harness.backward(true, false);
        assert_eq!(harness.input_gradients[0][..], [0.5, -10.0, 100.0, -1000.0]);
        assert_eq!(harness.gradient(0), [-2.0, -1020.0]);
    }

    #[test]
    fn one_slope_per_channel_in_the_shape_of_keras() {
        let specs = PReLU::new().parameters(&[Shape::from([8, 9, 4])]);
        assert_eq!((specs.len(), specs[0].name, &specs[0].shape), (1, "alpha", &Shape::from([1, 1, 4])));
        assert!(PReLU::new().output_shape(&[Shape::from([])]).is_err());
    }
}
