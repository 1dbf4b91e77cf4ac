//! The larger of two tensors of one shape, element by element. int8: one scale and zero point throughout. f32: the first of
//! equal values; NaN in the first stays.

use crate::{
    error::NodeFault,
    op::{Buffers, Lengths, NodeCheck, NodeRun, OpDef, as_f32_mut, as_i8_mut, ensure, in_place, in_place_either},
    tensor::ElementType::{self, F32, I8},
};

fn check(node: &NodeCheck<'_>, element_type: ElementType) -> Result<(), NodeFault> {
    let inputs: [_; 2] = node.inputs(element_type)?;
    ensure(inputs.iter().all(|input| input.same_form(&node.output)), NodeFault::Shape)?;
    ensure(inputs.iter().all(|input| input.same_quantization(&node.output)), NodeFault::Quantization)?;
    node.parameters(|_| ())
}

/// Puts what is larger in `second` into `first`.
#[inline(never)] // A loop that is unrolled, once.
pub(super) fn keep_larger<T: Copy + PartialOrd>(first: &mut [T], second: &[T]) {
    for (x, &y) in first.iter_mut().zip(second) {
        if cfg!(simd_x86) {
            *x = if y > *x { y } else { *x }; // vectors store all
        } else if y > *x {
            *x = y; // what is not stored costs less
        }
    }
}

fn run_i8(node: &mut NodeRun<'_>) {
    let (first, second) = (node.input(0), node.input(1));
    let (Buffers { output, inputs, .. }, other) =
        if second.offset == node.output.offset { (node.buffers(), first) } else { (node.buffers_in_place(), second) };
    keep_larger(as_i8_mut(output), inputs.read_i8(&other));
}

fn run_f32(node: &mut NodeRun<'_>) {
    let second = node.input(1);
    let Buffers { output, inputs, .. } = node.buffers_in_place();
    keep_larger(as_f32_mut(output), inputs.read_f32(&second));
}

/// int8.
pub static MAXIMUM_I8: OpDef = OpDef {
    code: 26,
    name: "maximum_i8",
    alias: in_place_either,
    lengths: Lengths::Rows,
    check: |node| check(node, I8),
    run: run_i8,
};
/// f32.
pub static MAXIMUM_F32: OpDef = OpDef {
    code: 27,
    name: "maximum_f32",
    alias: in_place,
    lengths: Lengths::Rows,
    check: |node| check(node, F32),
    run: run_f32,
};
