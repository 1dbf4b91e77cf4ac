//! Absolute difference of two tensors of one shape: `y = |x_1 - x_2|` (siamese nets compare with it).
//!
//! On the device it is a difference and a leaky ReLU of slope -1, which is the magnitude: in int8 the difference is rounded once and
//! the magnitude looked up.

use serde::{Deserialize, Serialize};

use super::merge::{two_of_one_shape, weighted_sum};
use super::{Backward, Example, Forward, Layer, LayerBase, Requirements, identity};
use crate::device::{Clamp, Lowering, Value, ops};
use crate::graph::{LengthRule, Shape};
use samara_runtime::ops::activation::{Function, Parameters};

/// How far apart its two inputs are, value by value.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AbsoluteDifference {
    base: LayerBase,
}

impl AbsoluteDifference {
    /// The layer.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Layer for AbsoluteDifference {
    identity!("AbsoluteDifference", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        two_of_one_shape(inputs)
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        Ok(LengthRule::Kept)
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        Requirements { backward_reads_inputs: true, ..Requirements::default() }
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        weighted_sum(pass, |input| if input == 0 { 1.0 } else { -1.0 });
        pass.output.iter_mut().for_each(|value| *value = value.abs());
    }

    /// The slope where both are equal is 0.
    fn backward(&self, pass: &mut Backward<'_>) {
        let (first, second) = (pass.inputs.get(0), pass.inputs.get(1));
        for input in 0..2 {
            let Some(slot) = pass.input_gradients.get_mut(input) else { continue };
            let sign = if input == 0 { 1.0 } else { -1.0 };
            let values = first.iter().zip(second).zip(&*pass.output_gradient);
            for (gradient, ((a, b), part)) in slot.to_add().iter_mut().zip(values) {
                *gradient += if a > b {
                    sign * part
                } else if a < b {
                    -sign * part
                } else {
                    0.0
                };
            }
        }
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let (inputs, shape) = (lowering.inputs.clone(), lowering.output_shape.clone());
        let difference = ops::Add { coefficients: [1.0, -1.0], clamp: Clamp::NONE };
        lowering.inputs = vec![lowering.part("difference", difference, &inputs, shape)];
        Ok(lowering.output(ops::Activation(Parameters { function: Function::LeakyRelu, alpha: -1.0 })))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(AbsoluteDifference::new(), &[&[4, 3], &[4, 3]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check};
    use super::*;

    #[test]
    fn agrees_with_the_naive_reference() {
        for shape in [vec![1], vec![17], vec![3, 4, 5]] {
            let shapes = [Shape::new(shape.clone()), Shape::new(shape)];
            let layer = AbsoluteDifference::new();
            check(&layer, &shapes, &|inputs, _| inputs[0].iter().zip(&inputs[1]).map(|(a, b)| (a - b).abs()).collect());
        }
    }

    #[test]
    fn slopes_by_hand() {
        let layer = AbsoluteDifference::new();
        let mut harness = Harness::new(&layer, &[Shape::from([3]), Shape::from([3])], 1);
        harness.inputs[0].copy_from_slice(&[1.0, -2.0, 3.0]);
        harness.inputs[1].copy_from_slice(&[4.0, -2.5, 3.0]);
        assert_eq!(harness.forward(), [3.0, 0.5, 0.0]);
        harness.output_gradient.copy_from_slice(&[10.0, 20.0, 30.0]);
        harness.backward(true, false);
        assert_eq!(harness.input_gradients[0][..], [-10.0, 20.0, 0.0]);
        assert_eq!(harness.input_gradients[1][..], [10.0, -20.0, 0.0]);
        let error = layer.output_shape(&[Shape::from([3]), Shape::from([4])]).expect_err("two shapes");
        assert!(error.starts_with("two inputs of the same shape: "), "{error}");
    }
}
