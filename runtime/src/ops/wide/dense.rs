//! [Dense](crate::ops::dense) layer of int16: `y[c] = clamp(bias[c] + sum_k weight[c][k] * x[k])` over the last axis. Input
//! `[..., fan_in]`, output `[..., channels]`; weights int8 in paired rows ([`simd`]), requantized per channel ([`LinearI16`]); the
//! output may overlap the input.

use super::linear::{LinearI16, alias_of_wide_rows, multiply_rows, rows_scratch_bytes};
use crate::{
    error::NodeFault,
    op::{Lengths, NodeCheck, NodeRun, OpDef, as_i8, ensure},
    simd,
    tensor::ElementType::I16,
};

fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let [input] = node.inputs(I16)?;
    ensure(input.rank == node.output.rank && input.pixels() == node.output.pixels(), NodeFault::Shape)?;
    let (fan_in, channels) = (input.channels(), node.output.channels());
    node.parameters(LinearI16::decode)?.check_matrix(node, fan_in, channels)?;
    node.scratch(rows_scratch_bytes(input.pixels(), fan_in))
}

fn run(node: &mut NodeRun<'_>) {
    let parameters = LinearI16::decode(&mut node.parameters());
    let (fan_in, channels) = (node.input(0).channels(), node.output.channels());
    let weights = as_i8(node.constants(parameters.weights, simd::paired_bytes(channels, fan_in)));
    let requantize = parameters.requantize(node.constants(parameters.channels, channels * 8));
    multiply_rows(weights, fan_in, &requantize, node.output.pixels(), node.overlapping());
}

/// The op.
pub static DENSE_I16: OpDef = OpDef {
    code: 64,
    name: "dense_i16",
    alias: |input, output, _| alias_of_wide_rows(input, output),
    lengths: Lengths::Rows,
    check,
    run,
};
