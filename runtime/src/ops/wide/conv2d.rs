//! [2-D convolution](crate::ops::conv2d) of int16: two output pixels at a time against int8 weights in paired rows ([`simd`]),
//! requantized per channel ([`LinearI16`]). Padding is zero.

use super::linear::{LinearI16, alias_of_wide_rows, multiply_rows, rows_scratch_bytes};
use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Alias, Buffers, Lengths, NodeCheck, NodeRun, OpDef, as_i8, as_i16_mut, ensure},
    ops::{conv2d::Image, window::Window},
    simd,
    tensor::{ElementType::I16, Tensor},
};

/// Parameters in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    /// The window.
    pub window: Window,
    /// Weights, biases and clamp.
    pub linear: LinearI16,
}

impl Parameters {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { window: Window::decode(cursor), linear: LinearI16::decode(cursor) }
    }
}

/// Scratch bytes: packed columns of two pixels, and behind them the pixels' patches, which a pointwise convolution does not need.
pub fn scratch_bytes(window: &Window, depth: usize, pixels: usize) -> usize {
    let fan_in = window.taps().saturating_mul(depth);
    let columns = rows_scratch_bytes(pixels, fan_in);
    if window.is_pointwise() { columns } else { columns.saturating_add(fan_in.saturating_mul(4)) }
}

fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let [input] = node.inputs(I16)?;
    let Parameters { window, linear } = node.parameters(Parameters::decode)?;
    window.check(node, &input)?;
    linear.check_matrix(node, window.taps().saturating_mul(input.channels()), node.output.channels())?;
    if window.is_pointwise() {
        ensure(input.pixels() == node.output.pixels(), NodeFault::Shape)?;
    }
    node.scratch(scratch_bytes(&window, input.channels(), node.output.pixels()))
}

/// A pointwise one goes through the pixels in one direction; another one comes back to each pixel.
fn alias(input: &Tensor, output: &Tensor, mut parameters: Cursor<'_>) -> Alias {
    if Window::decode(&mut parameters).is_pointwise() { alias_of_wide_rows(input, output) } else { Alias::Disjoint }
}

fn run(node: &mut NodeRun<'_>) {
    let Parameters { window, linear } = Parameters::decode(&mut node.parameters());
    let (input, output) = (node.input(0), node.output);
    let (fan_in, channels) = (window.taps() * input.channels(), output.channels());
    let weights = as_i8(node.constants(linear.weights, simd::paired_bytes(channels, fan_in)));
    let requantize = linear.requantize(node.constants(linear.channels, channels * 8));
    if window.is_pointwise() {
        return multiply_rows(weights, fan_in, &requantize, output.pixels(), node.overlapping());
    }
    let (columns, pixels) = (output.dimensions[1] as usize, output.pixels());
    let Buffers { output, scratch, inputs, .. } = node.buffers();
    let row = usize::from(window.kernel[1]) * input.channels();
    let Some(image) = Image::new(inputs.read_i16(&input), &input, &window, row) else { return };
    let Some((packed, patches)) = scratch.split_at_mut_checked(rows_scratch_bytes(pixels, fan_in)) else { return };
    let Some((first, second)) = as_i16_mut(patches).split_at_mut_checked(fan_in) else { return };
    let Some(second) = second.get_mut(..fan_in) else { return };
    let packed: &mut [u32] = bytemuck::try_cast_slice_mut(packed).unwrap_or_default();
    let mut positions = (0..pixels / columns.max(1)).flat_map(|row| (0..columns).map(move |column| [row, column]));
    for outputs in as_i16_mut(output).chunks_mut((2 * channels).max(1)) {
        let Some((y1, y2)) = outputs.split_at_mut_checked(channels) else { return };
        let Some(position) = positions.next() else { return };
        image.gather(&window, position, first);
        let second = match positions.next() {
            Some(other) => {
                image.gather(&window, other, second);
                &*second
            }
            None => &[],
        };
        simd::pack_wide(packed, first, second);
        simd::multiply_wide(weights, fan_in, packed, &requantize, y1, y2);
    }
}

/// The op.
pub static CONV2D_I16: OpDef = OpDef { code: 65, name: "conv2d_i16", alias, lengths: Lengths::Checked, check, run };
