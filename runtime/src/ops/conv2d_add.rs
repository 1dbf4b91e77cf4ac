//! A 2-D convolution ([`conv2d`]) whose output is added to another tensor, as residual blocks end:
//! `y = clamp((offset + factor_1 * r + factor_2 * conv2d(x)) >> shift)`, with the convolution's output in int8 by its own scale and
//! zero point, as if it were a tensor: the bits are those of a convolution and a sum ([`add`]) one after the other.
//! Inputs: `r` `[H', W', channels]`, and the image `x` `[H, W, C]`. Output as `r`, in its place if it is not needed any more: the convolution's
//! output, which a sum would have to hold beside both, is never more than the pixels that are done at a time.

use super::{
    add,
    conv2d::{self, check_window, convolve},
    linear::rows_scratch_bytes,
    matrix::Int8,
    window::Window,
};
use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Lengths, NodeCheck, NodeRun, OpDef, ensure, in_place},
    simd::at_a_time,
    tensor::ElementType::I8,
};

/// Parameters in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    /// The convolution.
    pub convolution: conv2d::ParametersI8,
    /// Zero point of what it makes.
    pub zero_point: i8,
    /// The sum: its first factor is that of `r`.
    pub sum: add::ParametersI8,
}

impl Parameters {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self {
            convolution: conv2d::ParametersI8::decode(cursor),
            zero_point: cursor.i8(),
            sum: add::ParametersI8::decode(cursor),
        }
    }
}

/// Scratch bytes: packed columns, patches and outputs of the pixels that are done at a time.
pub fn scratch_bytes(window: &Window, depth: usize, pixels: usize, channels: usize) -> usize {
    let fan_in = window.packed_inputs(depth);
    rows_scratch_bytes(pixels, fan_in) + at_a_time(pixels) * (fan_in + channels)
}

fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let [other, image] = node.inputs(I8)?;
    ensure(other.same_form(&node.output), NodeFault::Shape)?;
    let Parameters { convolution, sum, .. } = node.parameters(Parameters::decode)?;
    check_window::<Int8>(node, &convolution, &image)?;
    sum.check()?;
    node.scratch(scratch_bytes(&convolution.window, image.channels(), node.output.pixels(), node.output.channels()))
}

fn run(node: &mut NodeRun<'_>) {
    move_to_output(node);
    convolve::<Int8>(node, true);
}

/// Copies the first input to the output, if it does not lie there.
#[inline(never)] // What it keeps on the stack is gone before the convolution begins.
fn move_to_output(node: &mut NodeRun<'_>) {
    node.buffers_in_place();
}

/// int8.
pub static CONV2D_ADD_I8: OpDef =
    OpDef { code: 77, name: "conv2d_add_i8", alias: in_place, lengths: Lengths::Refused, check, run };
