//! Depthwise 2-D convolution, each channel with a kernel of its own:
//! `y[i, j, c] = clamp(bias[c] + sum weight[u][v][c] * x[i * stride + u * dilation - padding, ..., c])`.
//! Input `[H, W, C]`, output `[H', W', C]`, kernel `[kernel height][kernel width][C]`. Padding counts as real zero.
//!
//! int8: requantized per channel ([`LinearI8`](super::linear::LinearI8)); taps in the padding read a vector of zero points. f32: summed from the bias
//! up, by rows and columns of the kernel.

use super::{
    conv2d::{ParametersF32, ParametersI8},
    linear::MAXIMUM_FAN_IN,
    window::Window,
};
use crate::{
    error::NodeFault,
    op::{Buffers, Lengths, NodeCheck, NodeRun, OpDef, as_f32, as_f32_mut, as_i8, as_i8_mut, disjoint, ensure},
    simd,
    tensor::ElementType::{F32, I8},
};

/// Scratch bytes of the int8 op.
pub fn scratch_bytes(window: &Window, channels: usize) -> usize {
    simd::depthwise_words(window.taps(), channels) * 4
}

fn check_i8(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let [input] = node.inputs(I8)?;
    let parameters = node.parameters(ParametersI8::decode)?;
    parameters.window.check(node, &input)?;
    ensure(input.channels() == node.output.channels(), NodeFault::Shape)?;
    let (taps, channels) = (parameters.window.taps(), input.channels());
    ensure(taps <= MAXIMUM_FAN_IN, NodeFault::Shape)?;
    parameters.linear.check(node, taps.saturating_mul(channels), channels)?;
    node.scratch(scratch_bytes(&parameters.window, channels))
}

fn run_i8(node: &mut NodeRun<'_>) {
    let ParametersI8 { window, linear } = ParametersI8::decode(&mut node.parameters());
    let (input, output) = (node.input(0), node.output);
    let channels = input.channels();
    let weights = as_i8(node.constants(linear.weights, window.taps() * channels));
    let requantize = linear.requantize(node.constants(linear.channels, channels * 8), output.zero_point);
    let Some(window) = window.over(&input, &output) else { return };
    let Buffers { output, scratch, inputs, .. } = node.buffers();
    let scratch: &mut [u32] = bytemuck::try_cast_slice_mut(scratch).unwrap_or_default();
    simd::depthwise(inputs.read_i8(&input), &window, input.zero_point, weights, &requantize, scratch, as_i8_mut(output));
}

fn check_f32(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let [input] = node.inputs(F32)?;
    let parameters = node.parameters(ParametersF32::decode)?;
    parameters.window.check(node, &input)?;
    ensure(input.channels() == node.output.channels(), NodeFault::Shape)?;
    parameters.linear.check(node, parameters.window.taps().saturating_mul(input.channels()), input.channels())
}

fn run_f32(node: &mut NodeRun<'_>) {
    let ParametersF32 { window, linear } = ParametersF32::decode(&mut node.parameters());
    let (input, output) = (node.input(0), node.output);
    let (Some((height, width, channels)), Some((_, columns, _))) =
        (input.height_width_channels(), output.height_width_channels())
    else {
        return;
    };
    let weights = as_f32(node.constants(linear.weights, window.taps() * channels * 4));
    let bias = as_f32(node.constants(linear.bias, channels * 4));
    let buffers = node.buffers();
    let image = buffers.inputs.read_f32(&input);
    let row_length = (columns * channels).max(1);
    for (row, row_out) in as_f32_mut(buffers.output).chunks_exact_mut(row_length).enumerate() {
        let vertical = window.rows(row, height);
        for (column, out) in row_out.chunks_exact_mut(channels.max(1)).enumerate() {
            let horizontal = window.columns(column, width);
            // The output itself holds the sums: taps outermost, so that the channels lie side by side.
            out.iter_mut().zip(bias).for_each(|(sum, &bias)| *sum = bias);
            for i in 0..vertical.taps {
                let tap_row = (vertical.first + i) * usize::from(window.kernel[1]);
                let y = vertical.start + i * usize::from(window.dilation[0]);
                for j in 0..horizontal.taps {
                    let x = horizontal.start + j * usize::from(window.dilation[1]);
                    let pixel = image.get((y * width + x) * channels..).unwrap_or_default();
                    let tap = weights.get((tap_row + horizontal.first + j) * channels..).unwrap_or_default();
                    out.iter_mut().zip(pixel.iter().zip(tap)).for_each(|(sum, (x, weight))| *sum += x * weight);
                }
            }
            out.iter_mut().for_each(|sum| *sum = linear.clamp.apply(*sum));
        }
    }
}

/// int8.
pub static DEPTHWISE_CONV2D_I8: OpDef =
    OpDef { code: 5, name: "depthwise_conv2d_i8", alias: disjoint, lengths: Lengths::Checked, check: check_i8, run: run_i8 };
/// f32.
pub static DEPTHWISE_CONV2D_F32: OpDef =
    OpDef { code: 6, name: "depthwise_conv2d_f32", alias: disjoint, lengths: Lengths::Checked, check: check_f32, run: run_f32 };
