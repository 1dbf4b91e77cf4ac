//! Maximum: the largest of two or more tensors of one shape, value by value: `y = max(x_1, ..., x_n)`.
//!
//! The gradient goes to the first of the largest values, in the order of the inputs.

use serde::{Deserialize, Serialize};

use super::merge::{chain, common_shape};
use super::{Backward, Example, Forward, Layer, LayerBase, Requirements, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::{LengthRule, Shape};
use crate::numeric::vectorized;

/// Keeps the largest of its inputs, value by value.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Maximum {
    base: LayerBase,
}

impl Maximum {
    /// The layer.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Layer for Maximum {
    identity!("Maximum", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        common_shape(inputs)
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        Ok(LengthRule::Kept)
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        Requirements { backward_reads_inputs: true, backward_reads_output: true, ..Requirements::default() }
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let inputs = pass.inputs;
        let output = &mut *pass.output;
        output.copy_from_slice(inputs.get(0));
        for input in 1..pass.input_shapes.len() {
            vectorized!({
                for (largest, &value) in output.iter_mut().zip(inputs.get(input)) {
                    *largest = if value > *largest { value } else { *largest };
                }
            });
        }
    }

    /// What an input took is gone from the output's gradient before the next one looks.
    fn backward(&self, pass: &mut Backward<'_>) {
        for input in 0..pass.input_shapes.len() {
            let values = pass.inputs.get(input);
            match pass.input_gradients.get_mut(input) {
                Some(slot) => give(slot.accumulate, values, pass.output, pass.output_gradient, slot.values),
                None => {
                    for ((left, value), largest) in pass.output_gradient.iter_mut().zip(values).zip(pass.output) {
                        *left = if value == largest { 0.0 } else { *left };
                    }
                }
            }
        }
    }

    /// A chain of maxima of two.
    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        Ok(chain(lowering, "maximum", |_| ops::Maximum))
    }
}

/// Gives what is left of the output's gradient to the places that hold the largest value.
fn give(accumulate: bool, values: &[f32], largest: &[f32], left: &mut [f32], gradient: &mut [f32]) {
    vectorized!({
        for (((gradient, &value), &largest), left) in gradient.iter_mut().zip(values).zip(largest).zip(left) {
            let part = if value == largest { *left } else { 0.0 };
            *left = if value == largest { 0.0 } else { *left };
            *gradient = if accumulate { *gradient + part } else { part };
        }
    });
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(Maximum::new(), &[&[4, 3], &[4, 3]]), Example::new(Maximum::new(), &[&[2, 3, 5], &[2, 3, 5], &[2, 3, 5]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check};
    use super::*;

    #[test]
    fn agrees_with_the_naive_reference() {
        for count in [2, 3, 5] {
            let shapes = vec![Shape::from([3, 4, 5]); count];
            check(&Maximum::new(), &shapes, &|inputs, _| {
                let largest = |place: usize| inputs.iter().fold(f64::NEG_INFINITY, |a, input| a.max(input[place]));
                (0..60).map(largest).collect()
            });
        }
    }

    #[test]
    fn the_first_of_equal_values_gets_the_gradient() {
        let layer = Maximum::new();
        let mut harness = Harness::new(&layer, &vec![Shape::from([3]); 3], 1);
        for (input, values) in [[1.0, 5.0, -1.0], [1.0, 5.0, -2.0], [0.0, 6.0, -1.0]].iter().enumerate() {
            harness.inputs[input].copy_from_slice(values);
        }
        assert_eq!(harness.forward(), [1.0, 6.0, -1.0]);
        harness.output_gradient.copy_from_slice(&[10.0, 20.0, 30.0]);
        harness.backward(true, false);
        assert_eq!(harness.input_gradients[0][..], [10.0, 0.0, 30.0]);
        assert_eq!(harness.input_gradients[1][..], [0.0, 0.0, 0.0]);
        assert_eq!(harness.input_gradients[2][..], [0.0, 20.0, 0.0]);
    }
}
