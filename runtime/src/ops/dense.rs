//! Dense layer: `y[c] = clamp(bias[c] + sum_k weight[c][k] * x[k])` over the last axis. Input `[..., fan_in]`, output
//! `[..., channels]`, the dimensions before the last being equal.
//!
//! int8: weights in paired rows ([`simd`](crate::simd)), or in half the space as int4 ([`matrix`](super::matrix)), requantized per
//! channel ([`LinearI8`]); the output may overlap the input. f32: weights in blocks ([`LinearF32`]), summed from the bias up, k
//! ascending.

use super::{
    linear::{LinearF32, LinearI8, alias_of_rows, f32_weights, multiply_add, multiply_rows, rows_scratch_bytes},
    matrix::{Int4, Int8, Matrix},
};
use crate::{
    error::NodeFault,
    op::{Lengths, NodeCheck, NodeRun, OpDef, as_f32, as_f32_mut, disjoint, ensure},
    tensor::{
        ElementType::{F32, I8},
        Tensor,
    },
};

fn check_shapes(input: &Tensor, output: &Tensor) -> Result<(), NodeFault> {
    ensure(input.rank == output.rank && input.pixels() == output.pixels(), NodeFault::Shape)
}

fn check_i8<M: Matrix>(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let [input] = node.inputs(I8)?;
    check_shapes(&input, &node.output)?;
    let (fan_in, channels) = (input.channels(), node.output.channels());
    node.parameters(LinearI8::decode)?.check_matrix::<M>(node, fan_in, channels)?;
    node.scratch(M::scratch_bytes(channels, fan_in) + rows_scratch_bytes(input.pixels(), fan_in))
}

fn run_i8<M: Matrix>(node: &mut NodeRun<'_>) {
    let parameters = LinearI8::decode(&mut node.parameters());
    let (input, output) = (node.input(0), node.output);
    let (fan_in, channels) = (input.channels(), output.channels());
    let weights = node.constants(parameters.weights, M::bytes(channels, fan_in));
    let requantize = parameters.requantize(node.constants(parameters.channels, channels * 8), output.zero_point);
    multiply_rows::<M>(weights, fan_in, &requantize, output.pixels(), node.overlapping());
}

fn check_f32(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let [input] = node.inputs(F32)?;
    check_shapes(&input, &node.output)?;
    let (fan_in, channels) = (input.channels(), node.output.channels());
    node.parameters(LinearF32::decode)?.check(node, f32_weights(fan_in, channels), channels)
}

fn run_f32(node: &mut NodeRun<'_>) {
    let parameters = LinearF32::decode(&mut node.parameters());
    let (input, output) = (node.input(0), node.output);
    let (fan_in, channels) = (input.channels(), output.channels());
    let weights = as_f32(node.constants(parameters.weights, f32_weights(fan_in, channels) * 4));
    let bias = as_f32(node.constants(parameters.bias, channels * 4));
    let buffers = node.buffers();
    let rows = buffers.inputs.read_f32(&input).chunks_exact(fan_in.max(1));
    for (x, out) in rows.zip(as_f32_mut(buffers.output).chunks_exact_mut(channels.max(1))) {
        parameters.blocks(weights, bias, out, |sums, weights| multiply_add(sums, x, weights));
    }
}

/// int8.
pub static DENSE_I8: OpDef = OpDef {
    code: 1,
    name: "dense_i8",
    alias: |input, output, _| alias_of_rows(input, output),
    lengths: Lengths::Rows,
    check: check_i8::<Int8>,
    run: run_i8::<Int8>,
};
/// int8, weights of 4 bits.
pub static DENSE_I4: OpDef = OpDef { code: 50, name: "dense_i4", check: check_i8::<Int4>, run: run_i8::<Int4>, ..DENSE_I8 };
/// f32.
pub static DENSE_F32: OpDef =
    OpDef { code: 2, name: "dense_f32", alias: disjoint, lengths: Lengths::Rows, check: check_f32, run: run_f32 };
