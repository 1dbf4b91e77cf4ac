//! [Depthwise 2-D convolution](crate::ops::depthwise_conv2d) of int16 with int8 weights `[kernel height][kernel width][C]`,
//! requantized per channel ([`LinearI16`](super::linear::LinearI16)). Padding is zero. At most [`SHORT_SUM`] taps.

use super::conv2d::Parameters;
use crate::{
    error::NodeFault,
    op::{Buffers, Lengths, NodeCheck, NodeRun, OpDef, as_i8, as_i16_mut, disjoint, ensure},
    ops::window::Window,
    quant::SHORT_SUM,
    simd,
    tensor::ElementType::I16,
};

/// Scratch bytes.
pub fn scratch_bytes(window: &Window) -> usize {
    simd::wide_depthwise_words(window.taps()).saturating_mul(4)
}

fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let [input] = node.inputs(I16)?;
    let Parameters { window, linear } = node.parameters(Parameters::decode)?;
    window.check(node, &input)?;
    let (taps, channels) = (window.taps(), input.channels());
    ensure(channels == node.output.channels() && taps <= SHORT_SUM, NodeFault::Shape)?;
    linear.check(node, taps.saturating_mul(channels), channels)?;
    node.scratch(scratch_bytes(&window))
}

fn run(node: &mut NodeRun<'_>) {
    let Parameters { window, linear } = Parameters::decode(&mut node.parameters());
    let (input, output) = (node.input(0), node.output);
    let channels = input.channels();
    let weights = as_i8(node.constants(linear.weights, window.taps() * channels));
    let requantize = linear.requantize(node.constants(linear.channels, channels * 8));
    let Some(window) = window.over(&input, &output) else { return };
    let Buffers { output, scratch, inputs, .. } = node.buffers();
    let scratch: &mut [u32] = bytemuck::try_cast_slice_mut(scratch).unwrap_or_default();
    simd::depthwise_wide(inputs.read_i16(&input), &window, weights, &requantize, scratch, as_i16_mut(output));
}

/// The op.
pub static DEPTHWISE_CONV2D_I16: OpDef =
    OpDef { code: 66, name: "depthwise_conv2d_i16", alias: disjoint, lengths: Lengths::Checked, check, run };
