//! Add: the sum of two or more tensors of one shape.

use super::{Backward, Example, Forward, Layer, LayerBase, Requirements};
use crate::export::lower::Lowering;
use crate::export::{Clamp, Value, ops};
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
    fn kind(&self) -> &'static str {
        "Add"
    }

    fn base(&self) -> &LayerBase {
        &self.base
    }

    fn base_mut(&mut self) -> &mut LayerBase {
        &mut self.base
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            [first, rest @ ..] if !rest.is_empty() && rest.iter().all(|shape| shape == first) => Ok(first.clone()),
            _ => Err("two or more inputs of the same shape".to_owned()),
        }
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        Requirements::default()
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
        let sum = ops::Add { coefficients: [1.0; 2], clamp: Clamp::NONE };
        let inputs = lowering.inputs.clone();
        let mut first = inputs[0];
        for (number, &input) in inputs.iter().enumerate().take(inputs.len() - 1).skip(1) {
            let shape = lowering.output_shape.clone();
            first = lowering.part(&format!("sum{number}"), sum, &[first, input], shape);
        }
        lowering.inputs = vec![first, inputs[inputs.len() - 1]];
        Ok(lowering.output(sum))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(Add::new(), &[&[4, 3], &[4, 3]]), Example::new(Add::new(), &[&[7], &[7], &[7]])]
}
