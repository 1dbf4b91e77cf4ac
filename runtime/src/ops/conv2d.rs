//! 2-D convolution: `y[i, j, c] = clamp(bias[c] + sum weight[c][u][v][d] * x[i * stride + u * dilation - padding, ..., d])`.
//! Input `[H, W, C]`, output `[H', W', channels]`, kernel `[channels][kernel height][kernel width][C]`. Padding counts as real zero.
//!
//! int8: two output pixels at a time against weights in paired rows ([`simd`]), or in half the space as int4
//! ([`matrix`](super::matrix)), requantized per channel ([`LinearI8`]). f32: weights in blocks ([`LinearF32`]), summed from the bias up, by rows, columns and channels of the kernel.

use super::{
    linear::{F32_LANES, LinearF32, LinearI8, alias_of_rows, f32_weights, multiply_add, multiply_rows, rows_scratch_bytes},
    matrix::{Int4, Int8, Matrix},
    window::{Span, Window},
};
use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Alias, Buffers, Lengths, NodeCheck, NodeRun, OpDef, as_f32, as_f32_mut, as_i8_mut, copy, disjoint, ensure, fill},
    simd,
    tensor::{
        ElementType::{F32, I8},
        Tensor,
    },
};
use bytemuck::Pod;

/// Parameters of the int8 op in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct ParametersI8 {
    /// The window.
    pub window: Window,
    /// Weights, biases and clamp.
    pub linear: LinearI8,
}

impl ParametersI8 {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { window: Window::decode(cursor), linear: LinearI8::decode(cursor) }
    }
}

/// Parameters of the f32 op in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct ParametersF32 {
    /// The window.
    pub window: Window,
    /// Weights, biases and clamp.
    pub linear: LinearF32,
}

impl ParametersF32 {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { window: Window::decode(cursor), linear: LinearF32::decode(cursor) }
    }
}

/// Scratch bytes of the int8 op: packed columns of two pixels, and before them the pixels' patches, which a pointwise
/// convolution does not need.
pub fn scratch_bytes(window: &Window, depth: usize, pixels: usize) -> usize {
    let fan_in = window.taps() * depth;
    let columns = rows_scratch_bytes(pixels, fan_in);
    if window.is_pointwise() { columns } else { columns + 2 * fan_in }
}

fn check_i8<M: Matrix>(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let [input] = node.inputs(I8)?;
    let parameters = node.parameters(ParametersI8::decode)?;
    parameters.window.check(node, &input)?;
    let (fan_in, channels) = (parameters.window.taps().saturating_mul(input.channels()), node.output.channels());
    parameters.linear.check_matrix::<M>(node, fan_in, channels)?;
    if parameters.window.is_pointwise() {
        ensure(input.pixels() == node.output.pixels(), NodeFault::Shape)?;
    }
    let unpacked = M::scratch_bytes(channels, fan_in);
    node.scratch(unpacked + scratch_bytes(&parameters.window, input.channels(), node.output.pixels()))
}

/// A pointwise one goes through the pixels in one direction; another one comes back to each pixel.
fn alias_i8(input: &Tensor, output: &Tensor, mut parameters: Cursor<'_>) -> Alias {
    if ParametersI8::decode(&mut parameters).window.is_pointwise() { alias_of_rows(input, output) } else { Alias::Disjoint }
}

fn run_i8<M: Matrix>(node: &mut NodeRun<'_>) {
    let ParametersI8 { window, linear } = ParametersI8::decode(&mut node.parameters());
    let (input, output) = (node.input(0), node.output);
    let Some((rows, columns, channels)) = output.height_width_channels() else { return };
    let fan_in = window.taps() * input.channels();
    let weights = node.constants(linear.weights, M::bytes(channels, fan_in));
    let requantize = linear.requantize(node.constants(linear.channels, channels * 8), output.zero_point);
    if window.is_pointwise() {
        return multiply_rows::<M>(weights, fan_in, &requantize, rows * columns, node.overlapping());
    }
    let Buffers { output, scratch, inputs, .. } = node.buffers();
    let (image, output) = (inputs.read_i8(&input), as_i8_mut(output));
    let Some((unpacked, scratch)) = scratch.split_at_mut_checked(M::scratch_bytes(channels, fan_in)) else { return };
    let Some((packed, patches)) = scratch.split_at_mut_checked(rows_scratch_bytes(rows * columns, fan_in)) else { return };
    let Some((first, second)) = as_i8_mut(patches).split_at_mut_checked(fan_in) else { return };
    let Some(second) = second.get_mut(..fan_in) else { return };
    let Some(mut image) = Image::new(image, &input, &window) else { return };
    let packed: &mut [u32] = bytemuck::try_cast_slice_mut(packed).unwrap_or_default();
    let mut positions = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    for outputs in output.chunks_mut((2 * channels).max(1)) {
        let Some((y1, y2)) = outputs.split_at_mut_checked(channels) else { return };
        let Some((row, column)) = positions.next() else { return };
        image.gather(&window, row, column, first);
        let second = match positions.next() {
            Some((row, column)) => {
                image.gather(&window, row, column, second);
                &*second
            }
            None => &[],
        };
        simd::pack_columns(packed, fan_in, 0, first, second);
        M::multiply(weights, fan_in, packed, &requantize, unpacked, [y1, y2]);
    }
}

/// An image of int8 or int16 elements, and how far a walk over the output is.
pub(super) struct Image<'a, T> {
    pixels: &'a [T],
    height: usize,
    width: usize,
    depth: usize,
    /// Every byte of an element in the padding.
    padding: u8,
    /// The taps of the output row that was begun last.
    vertical: Span,
}

impl<'a, T: Pod> Image<'a, T> {
    /// At the first row of the output. `None` if the tensor is no image.
    pub fn new(pixels: &'a [T], tensor: &Tensor, window: &Window) -> Option<Self> {
        let (height, width, depth) = tensor.height_width_channels()?;
        Some(Self { pixels, height, width, depth, padding: tensor.zero_point as u8, vertical: window.rows(0, height) })
    }

    /// Copies what lies under the window of an output pixel, from column 0 of a row on, `[kernel height][kernel width][depth]`.
    pub fn gather(&mut self, window: &Window, row: usize, column: usize, patch: &mut [T]) {
        if column == 0 {
            self.vertical = window.rows(row, self.height);
        }
        let (vertical, horizontal) = (self.vertical, window.columns(column, self.width));
        let kernel_width = usize::from(window.kernel[1]);
        if vertical.taps < usize::from(window.kernel[0]) || horizontal.taps < kernel_width {
            fill(bytemuck::cast_slice_mut(patch), self.padding);
        }
        // Without dilation, the taps of a row are neighbours: one copy. Otherwise each is a copy of its own.
        let dilation = usize::from(window.dilation[1]);
        let (copies, length) = if dilation == 1 { (1, horizontal.taps * self.depth) } else { (horizontal.taps, self.depth) };
        for i in 0..vertical.taps {
            let y = vertical.start + i * usize::from(window.dilation[0]);
            for j in 0..copies {
                let from = (y * self.width + horizontal.start + j * dilation) * self.depth;
                let to = ((vertical.first + i) * kernel_width + horizontal.first + j) * self.depth;
                let from = self.pixels.get(from..).and_then(|tail| tail.get(..length)).unwrap_or_default();
                let to = patch.get_mut(to..).and_then(|tail| tail.get_mut(..length)).unwrap_or_default();
                copy(to, from);
            }
        }
    }
}

fn check_f32(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let [input] = node.inputs(F32)?;
    let parameters = node.parameters(ParametersF32::decode)?;
    parameters.window.check(node, &input)?;
    let (fan_in, channels) = (parameters.window.taps().saturating_mul(input.channels()), node.output.channels());
    parameters.linear.check(node, f32_weights(fan_in, channels), channels)
}

fn run_f32(node: &mut NodeRun<'_>) {
    let ParametersF32 { window, linear } = ParametersF32::decode(&mut node.parameters());
    let (input, output) = (node.input(0), node.output);
    let (Some((height, width, depth)), Some((_, columns, channels))) =
        (input.height_width_channels(), output.height_width_channels())
    else {
        return;
    };
    let weights = as_f32(node.constants(linear.weights, f32_weights(window.taps() * depth, channels) * 4));
    let bias = as_f32(node.constants(linear.bias, channels * 4));
    let buffers = node.buffers();
    let image = buffers.inputs.read_f32(&input);
    let row_length = (columns * channels).max(1);
    for (row, row_out) in as_f32_mut(buffers.output).chunks_exact_mut(row_length).enumerate() {
        let vertical = window.rows(row, height);
        for (column, out) in row_out.chunks_exact_mut(channels.max(1)).enumerate() {
            let horizontal = window.columns(column, width);
            linear.blocks(weights, bias, out, |sums, weights| {
                for i in 0..vertical.taps {
                    let tap_row = (vertical.first + i) * usize::from(window.kernel[1]);
                    let y = vertical.start + i * usize::from(window.dilation[0]);
                    for j in 0..horizontal.taps {
                        let x = horizontal.start + j * usize::from(window.dilation[1]);
                        let pixel = image.get((y * width + x) * depth..).and_then(|tail| tail.get(..depth));
                        let tap = weights.get((tap_row + horizontal.first + j) * depth * F32_LANES..);
                        multiply_add(sums, pixel.unwrap_or_default(), tap.unwrap_or_default());
                    }
                }
            });
        }
    }
}

/// int8.
pub static CONV2D_I8: OpDef = OpDef {
    code: 3,
    name: "conv2d_i8",
    alias: alias_i8,
    lengths: Lengths::Checked,
    check: check_i8::<Int8>,
    run: run_i8::<Int8>,
};
/// int8, weights of 4 bits.
pub static CONV2D_I4: OpDef = OpDef { code: 51, name: "conv2d_i4", check: check_i8::<Int4>, run: run_i8::<Int4>, ..CONV2D_I8 };
/// f32.
pub static CONV2D_F32: OpDef =
    OpDef { code: 4, name: "conv2d_f32", alias: disjoint, lengths: Lengths::Checked, check: check_f32, run: run_f32 };
