//! The borders between f32 and int8: `q = clamp(round(x / scale) + zero_point)`, halves away from zero, and
//! `x = scale * (q - zero_point)`. Shape: any; the output's is the input's. Scales are the int8 tensor's. No parameters.

use crate::{
    error::NodeFault,
    op::{Lengths, NodeCheck, NodeRun, OpDef, as_f32_mut, as_i8_mut, disjoint, ensure},
    quant,
    tensor::ElementType::{self, F32, I8},
};

pub(super) fn check(node: &NodeCheck<'_>, from: ElementType, to: ElementType) -> Result<(), NodeFault> {
    let input = node.only_input()?;
    ensure(input.element_type == from && node.output.element_type == to, NodeFault::ElementType)?;
    ensure(input.shape() == node.output.shape(), NodeFault::Shape)?;
    node.parameters(|_| ())
}

fn run_quantize(node: &mut NodeRun<'_>) {
    let (input, output) = (node.input(0), node.output);
    let buffers = node.buffers();
    let values = buffers.inputs.read_f32(&input);
    for (q, &x) in as_i8_mut(buffers.output).iter_mut().zip(values) {
        *q = quant::quantize(x, output.scale, output.zero_point);
    }
}

fn run_dequantize(node: &mut NodeRun<'_>) {
    let input = node.input(0);
    let buffers = node.buffers();
    let values = buffers.inputs.read_i8(&input);
    for (x, &q) in as_f32_mut(buffers.output).iter_mut().zip(values) {
        *x = quant::dequantize(q, input.scale, input.zero_point);
    }
}

/// From f32 to int8.
pub static QUANTIZE: OpDef = OpDef {
    code: 22,
    name: "quantize",
    alias: disjoint,
    lengths: Lengths::Rows,
    check: |node| check(node, F32, I8),
    run: run_quantize,
};

/// From int8 to f32.
pub static DEQUANTIZE: OpDef = OpDef {
    code: 23,
    name: "dequantize",
    alias: disjoint,
    lengths: Lengths::Rows,
    check: |node| check(node, I8, F32),
    run: run_dequantize,
};
