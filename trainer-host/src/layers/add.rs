//! Add: the sum of two or more tensors of one shape.

use super::merge::{chain, common_shape};
use super::{Backward, Example, Forward, Layer, LayerBase, identity};
use crate::device::{Clamp, Lowering, Value, ops};
use crate::graph::Shape;
use crate::numeric::vectorized;

/// Adds its inputs, value by value.
#[derive(Debug, Clone, Default)]
pub struct Add {
    base: LayerBase,
}

impl Add {
    /// The layer.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Layer for Add {
    identity!("Add");

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        common_shape(inputs)
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let (first, second) = (pass.inputs.get(0), pass.inputs.get(1));
        let output = &mut *pass.output;
        vectorized(
            #[inline(always)]
            || {
                for ((output, &first), &second) in output.iter_mut().zip(first).zip(second) {
                    *output = first + second;
                }
            },
        );
        for input in 2..pass.input_shapes.len() {
            for (output, &value) in pass.output.iter_mut().zip(pass.inputs.get(input)) {
                *output += value;
            }
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        for input in 0..pass.input_shapes.len() {
            if let Some(gradient) = pass.input_gradients.get_mut(input) {
                gradient.add(pass.output_gradient);
            }
        }
    }

    /// A chain of sums of two.
    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        Ok(chain(lowering, "sum", |_| ops::Add { coefficients: [1.0; 2], clamp: Clamp::NONE }))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(Add::new(), &[&[4, 3], &[4, 3]]), Example::new(Add::new(), &[&[7], &[7], &[7]])]
}
