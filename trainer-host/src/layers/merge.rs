//! What layers that merge tensors share: their shape rule, and the chain of device ops with two inputs each.

use crate::device::{DeviceOp, Lowering, Value};
use crate::graph::Shape;

/// The shape that all of two or more inputs have.
pub(super) fn common_shape(inputs: &[Shape]) -> Result<Shape, String> {
    match inputs {
        [first, rest @ ..] if !rest.is_empty() && rest.iter().all(|shape| shape == first) => Ok(first.clone()),
        _ => Err("two or more inputs of the same shape".to_owned()),
    }
}

/// Merges the first input with the second, the result with the third, and so on; `op` gives the op that takes in the
/// input with this number.
pub(super) fn chain<O: DeviceOp + 'static>(lowering: &mut Lowering<'_>, part: &str, op: impl Fn(usize) -> O) -> Value {
    let inputs = lowering.inputs.clone();
    let last = inputs.len() - 1;
    let mut merged = inputs[0];
    for (number, &input) in inputs.iter().enumerate().take(last).skip(1) {
        let shape = lowering.output_shape.clone();
        merged = lowering.part(&format!("{part}{number}"), op(number), &[merged, input], shape);
    }
    lowering.inputs = vec![merged, inputs[last]];
    lowering.output(op(last))
}
