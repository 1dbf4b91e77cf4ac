//! What layers that merge tensors share: their shape rule, sums with coefficients, and the chain of device ops with two
//! inputs each.

use super::{Backward, Forward};
use crate::device::{Clamp, DeviceOp, Lowering, Value, ops};
use crate::graph::Shape;
use crate::numeric::vectorized;

/// The shape that all of two or more inputs have.
pub(super) fn common_shape(inputs: &[Shape]) -> Result<Shape, String> {
    match inputs {
        [first, rest @ ..] if !rest.is_empty() && rest.iter().all(|shape| shape == first) => Ok(first.clone()),
        _ => Err("two or more inputs of the same shape: a `Dense`, `Conv2D` or `Reshape` before one makes them so".to_owned()),
    }
}

/// The shape that both of two inputs have.
pub(super) fn two_of_one_shape(inputs: &[Shape]) -> Result<Shape, String> {
    match inputs {
        [_, _] => common_shape(inputs).map_err(|wanted| wanted.replacen("two or more", "two", 1)),
        _ => Err("exactly two inputs".to_owned()),
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

/// Forward of `y = c_1 * x_1 + ... + c_n * x_n`; `coefficient` gives the factor of the input with this number.
#[inline(always)]
pub(super) fn weighted_sum(pass: &mut Forward<'_>, coefficient: impl Fn(usize) -> f32) {
    let (inputs, count) = (pass.inputs, pass.input_shapes.len());
    let (first, second) = (coefficient(0), coefficient(1));
    let output = &mut *pass.output;
    vectorized!({
        for ((output, &a), &b) in output.iter_mut().zip(inputs.get(0)).zip(inputs.get(1)) {
            *output = first * a + second * b;
        }
        for input in 2..count {
            let factor = coefficient(input);
            for (output, &value) in output.iter_mut().zip(inputs.get(input)) {
                *output += factor * value;
            }
        }
    });
}

/// Backward of [`weighted_sum`].
pub(super) fn weighted_sum_backward(pass: &mut Backward<'_>, coefficient: impl Fn(usize) -> f32) {
    for input in 0..pass.input_shapes.len() {
        if let Some(gradient) = pass.input_gradients.get_mut(input) {
            gradient.add_scaled(coefficient(input), pass.output_gradient);
        }
    }
}

/// A chain of [`weighted_sum`]s of two.
pub(super) fn lower_weighted_sum(lowering: &mut Lowering<'_>, coefficient: impl Fn(usize) -> f32) -> Value {
    chain(lowering, "sum", |input| {
        let first = if input == 1 { coefficient(0) } else { 1.0 };
        ops::Add { coefficients: [first, coefficient(input)], clamp: Clamp::NONE }
    })
}
