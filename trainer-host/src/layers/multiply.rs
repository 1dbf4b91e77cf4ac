//! Multiply: the product of two or more tensors: `y = x_1 * ... * x_n`, value by value.
//!
//! All have the first's shape, or are gates, `[C]` or `[1, .., 1, C]`, whose values every pixel of the first is multiplied
//! with, channel by channel (squeeze and excitation, Hu et al. 2018).

use serde::{Deserialize, Serialize};

use super::merge::chain;
use super::{Backward, Example, Forward, Layer, LayerBase, Requirements, identity};
use crate::device::{Clamp, Lowering, Value, ops};
use crate::graph::{LengthRule, Shape};
use crate::numeric::{add_column_sums, vectorized};

/// Multiplies its inputs, value by value or with one factor per channel.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Multiply {
    base: LayerBase,
}

impl Multiply {
    /// The layer.
    pub fn new() -> Self {
        Self::default()
    }
}

/// Multiplies all values by those of an input: one factor each, or the factors of a gate for each pixel.
fn scale(values: &mut [f32], factors: &[f32], samples: usize) {
    let sample_size = values.len() / samples;
    let size = factors.len() / samples;
    vectorized!({
        for (values, factors) in values.chunks_exact_mut(sample_size).zip(factors.chunks_exact(size)) {
            for values in values.chunks_exact_mut(size) {
                for (value, &factor) in values.iter_mut().zip(factors) {
                    *value *= factor;
                }
            }
        }
    });
}

impl Layer for Multiply {
    identity!("Multiply", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let is_gate = |first: &Shape, shape: &Shape| {
            let fits = shape.len() == 1 || shape.len() == first.len();
            fits && shape.size() == shape.channels() && shape.channels() == first.channels()
        };
        match inputs {
            [first, rest @ ..] if !rest.is_empty() && rest.iter().all(|shape| shape == first || is_gate(first, shape)) => {
                Ok(first.clone())
            }
            _ => Err("two or more inputs, all of the first's shape or with one value for each of its channels".to_owned()),
        }
    }

    fn length_rule(&self, inputs: &[Shape]) -> Result<LengthRule, String> {
        match inputs.iter().find(|input| input.len() == 1) {
            None => Ok(LengthRule::Kept),
            Some(vector) => {
                let channels = vector.channels();
                Err(format!("the factors of all steps in one row: a `Reshape` of {vector} to [1, {channels}] before it"))
            }
        }
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        Requirements { backward_reads_inputs: true, ..Requirements::default() }
    }

    fn scratch(&self, inputs: &[Shape], samples: usize) -> usize {
        // The output's gradient times all inputs but one.
        inputs[0].size() * samples
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        pass.output.copy_from_slice(pass.inputs.get(0));
        for input in 1..pass.input_shapes.len() {
            scale(pass.output, pass.inputs.get(input), pass.samples);
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let size = pass.output_shape.size();
        let products = &mut pass.scratch[..size * pass.samples];
        for (input, shape) in pass.input_shapes.iter().enumerate() {
            let Some(slot) = pass.input_gradients.get_mut(input) else { continue };
            products.copy_from_slice(pass.output_gradient);
            for other in (0..pass.input_shapes.len()).filter(|&other| other != input) {
                scale(products, pass.inputs.get(other), pass.samples);
            }
            if shape.size() == size {
                slot.add(products);
            } else {
                let gates = slot.to_add().chunks_exact_mut(shape.size());
                gates.zip(products.chunks_exact(size)).for_each(|(gate, products)| add_column_sums(gate, products));
            }
        }
    }

    /// A chain of products of two.
    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        Ok(chain(lowering, "product", |_| ops::Multiply { clamp: Clamp::NONE }))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(Multiply::new(), &[&[4, 3], &[4, 3]]),
        Example::new(Multiply::new(), &[&[3, 2, 5], &[5]]),
        Example::new(Multiply::new(), &[&[3, 2, 5], &[1, 1, 5], &[3, 2, 5]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check};
    use super::*;

    #[test]
    fn agrees_with_the_naive_reference() {
        let image = || Shape::from([3, 4, 5]);
        for shapes in [
            vec![image(), image()],
            vec![image(), Shape::from([5])],
            vec![image(), Shape::from([1, 1, 5]), image(), Shape::from([5])],
            vec![Shape::from([17]), Shape::from([17]), Shape::from([17])],
        ] {
            check(&Multiply::new(), &shapes, &|inputs, _| {
                let factor = |place: usize| inputs.iter().map(|input| input[place % input.len()]).product();
                (0..inputs[0].len()).map(factor).collect()
            });
        }
    }

    #[test]
    fn a_gate_scales_channels() {
        let layer = Multiply::new();
        let mut harness = Harness::new(&layer, &[Shape::from([2, 1, 2]), Shape::from([2])], 1);
        harness.inputs[0].copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
        harness.inputs[1].copy_from_slice(&[10.0, -1.0]);
        assert_eq!(harness.forward(), [10.0, -2.0, 30.0, -4.0]);
        harness.output_gradient.copy_from_slice(&[1.0, 1.0, 2.0, 3.0]);
        harness.backward(true, false);
        assert_eq!(harness.input_gradients[0][..], [10.0, -1.0, 20.0, -3.0]);
        assert_eq!(harness.input_gradients[1][..], [7.0, 14.0]);
    }

    #[test]
    fn only_gates_of_the_same_channels() {
        let wanted = "two or more inputs, all of the first's shape or with one value for each of its channels";
        for other in [Shape::from([4]), Shape::from([1, 3]), Shape::from([2, 1, 3])] {
            let error = Multiply::new().output_shape(&[Shape::from([2, 2, 3]), other]).expect_err("no gate");
            assert_eq!(error, wanted);
        }
    }
}
