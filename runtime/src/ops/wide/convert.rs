//! The borders between f32 and int16: `q = clamp(round(x / scale))`, halves away from zero, and `x = scale * q`. Shape: any; the
//! output's is the input's. Scales are the int16 tensor's. No parameters.

use crate::{
    op::{Buffers, Lengths, NodeRun, OpDef, as_f32_mut, as_i16_mut, disjoint},
    ops::quantize::check,
    quant,
    tensor::ElementType::{F32, I16},
};

fn run_quantize(node: &mut NodeRun<'_>) {
    let (input, scale) = (node.input(0), node.output.scale);
    let Buffers { output, inputs, .. } = node.buffers();
    for (q, &x) in as_i16_mut(output).iter_mut().zip(inputs.read_f32(&input)) {
        *q = quant::quantize_i16(x, scale);
    }
}

fn run_dequantize(node: &mut NodeRun<'_>) {
    let input = node.input(0);
    let Buffers { output, inputs, .. } = node.buffers();
    for (x, &q) in as_f32_mut(output).iter_mut().zip(inputs.read_i16(&input)) {
        *x = quant::dequantize_i16(q, input.scale);
    }
}

/// From f32 to int16.
pub static QUANTIZE_I16: OpDef = OpDef {
    code: 68,
    name: "quantize_i16",
    alias: disjoint,
    lengths: Lengths::Rows,
    check: |node| check(node, F32, I16),
    run: run_quantize,
};

/// From int16 to f32.
pub static DEQUANTIZE_I16: OpDef = OpDef {
    code: 69,
    name: "dequantize_i16",
    alias: disjoint,
    lengths: Lengths::Rows,
    check: |node| check(node, I16, F32),
    run: run_dequantize,
};
