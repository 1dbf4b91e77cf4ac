//! 2-D convolution: `y[i, j, c] = clamp(bias[c] + sum weight[c][u][v][d] * x[i * stride + u * dilation - padding, ..., d])`.
//! Input `[H, W, C]`, output `[H', W', channels]`, kernel `[channels][kernel height][kernel width][C]`. Padding counts as real zero.
//!
//! int8: two output pixels at a time against weights in paired rows ([`simd`]), or in half the space as int4
//! ([`matrix`](super::matrix)), requantized per channel ([`LinearI8`]). f32: weights in blocks ([`LinearF32`]), summed from the bias up, by rows, columns and channels of the kernel.

use super::{
    add,
    linear::{F32_LANES, LinearF32, LinearI8, alias_of_rows, f32_weights, multiply_add, multiply_rows, rows_scratch_bytes},
    matrix::{Int4, Int8, Matrix},
    window::Window,
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
    check_window::<M>(node, &parameters, &input)?;
    let fan_in = parameters.window.taps().saturating_mul(input.channels());
    let unpacked = M::scratch_bytes(node.output.channels(), fan_in);
    node.scratch(unpacked + scratch_bytes(&parameters.window, input.channels(), node.output.pixels()))
}

/// Refuses a window, weights or shapes that do not fit together.
pub(super) fn check_window<M: Matrix>(
    node: &NodeCheck<'_>,
    parameters: &ParametersI8,
    input: &Tensor,
) -> Result<(), NodeFault> {
    parameters.window.check(node, input)?;
    let fan_in = parameters.window.taps().saturating_mul(input.channels());
    parameters.linear.check_matrix::<M>(node, fan_in, node.output.channels())?;
    let as_many = input.pixels() == node.output.pixels();
    ensure(!parameters.window.is_pointwise() || as_many, NodeFault::Shape)
}

/// A pointwise one goes through the pixels in one direction; another one comes back to each pixel.
fn alias_i8(input: &Tensor, output: &Tensor, mut parameters: Cursor<'_>) -> Alias {
    if ParametersI8::decode(&mut parameters).window.is_pointwise() { alias_of_rows(input, output) } else { Alias::Disjoint }
}

fn run_i8<M: Matrix>(node: &mut NodeRun<'_>) {
    if Window::decode(&mut node.parameters()).is_pointwise() {
        multiply_pixels::<M>(node);
    } else {
        convolve::<M>(node, false);
    }
}

/// A pointwise convolution.
#[inline(never)] // As `convolve`: neither's memory on the stack lies below the other's.
fn multiply_pixels<M: Matrix>(node: &mut NodeRun<'_>) {
    let linear = ParametersI8::decode(&mut node.parameters()).linear;
    let (input, output) = (node.input(0), node.output);
    let (fan_in, channels) = (input.channels(), output.channels());
    let weights = node.constants(linear.weights, M::bytes(channels, fan_in));
    let requantize = linear.requantize(node.constants(linear.channels, channels * 8), output.zero_point);
    multiply_rows::<M>(weights, fan_in, &requantize, output.pixels(), node.overlapping());
}

/// Convolves the last input, which shares no byte with the output, two pixels at a time. With `adds`, the output holds what each pixel
/// is added to, the parameters go on as those of [`conv2d_add`](super::conv2d_add), and the scratch region ends with room for two pixels.
#[inline(never)]
pub(super) fn convolve<M: Matrix>(node: &mut NodeRun<'_>, adds: bool) {
    let mut parameters = node.parameters();
    let ParametersI8 { window, linear } = ParametersI8::decode(&mut parameters);
    let zero_point = if adds { parameters.i8() } else { node.output.zero_point };
    let sum = if adds { Some(add::ParametersI8::decode(&mut parameters).constants()) } else { None };
    let input = node.input(usize::from(adds));
    let Some((rows, columns, channels)) = node.output.height_width_channels() else { return };
    let fan_in = window.taps() * input.channels();
    let weights = node.constants(linear.weights, M::bytes(channels, fan_in));
    let requantize = linear.requantize(node.constants(linear.channels, channels * 8), zero_point);
    let Buffers { output, scratch, inputs, .. } = node.buffers();
    let (image, output) = (inputs.read_i8(&input), as_i8_mut(output));
    let Some((unpacked, scratch)) = scratch.split_at_mut_checked(M::scratch_bytes(channels, fan_in)) else { return };
    let Some((packed, scratch)) = scratch.split_at_mut_checked(rows_scratch_bytes(rows * columns, fan_in)) else { return };
    let Some((patches, pixels)) = as_i8_mut(scratch).split_at_mut_checked(2 * fan_in) else { return };
    let Some(image) = Image::new(image, &input, &window) else { return };
    let packed: &mut [u32] = bytemuck::try_cast_slice_mut(packed).unwrap_or_default();
    let mut positions = (0..rows).flat_map(|row| (0..columns).map(move |column| [row, column]));
    for outputs in output.chunks_mut((2 * channels).max(1)) {
        let Some(position) = positions.next() else { return };
        image.pack(&window, position, positions.next(), patches, packed);
        let made = if sum.is_some() { pixels.get_mut(..outputs.len()).unwrap_or_default() } else { &mut *outputs };
        let Some((y1, y2)) = made.split_at_mut_checked(channels) else { return };
        M::multiply(weights, fan_in, packed, &requantize, unpacked, [y1, y2]);
        if let (Some(sum), Some(made)) = (&sum, pixels.get(..outputs.len())) {
            simd::add_assign(outputs, made, sum);
        }
    }
}

impl Image<'_, i8> {
    /// Packs what lies under the windows of one output pixel or two; `patches` has room for both.
    #[inline(never)] // What it keeps on the stack is gone before the product begins.
    fn pack(&self, window: &Window, position: [usize; 2], other: Option<[usize; 2]>, patches: &mut [i8], packed: &mut [u32]) {
        let fan_in = patches.len() / 2;
        let row_length = usize::from(window.kernel[1]) * self.depth;
        let packs_rows = window.dilation[1] == 1 && row_length.is_multiple_of(4);
        let starts = (self.start(window, position), other.map(|other| self.start(window, other)));
        if let (true, (Some(start), None | Some(Some(_)))) = (packs_rows, starts) {
            // All taps lie in the image, and the kernel's rows are whole groups of four inputs: they are packed from where they lie.
            let other_start = starts.1.flatten();
            for row in 0..usize::from(window.kernel[0]) {
                let [first, second] = [Some(start), other_start].map(|start| self.row(window, start, row, row_length));
                simd::pack_columns(packed, fan_in, row * row_length, first, second);
            }
            return;
        }
        let Some((first, second)) = patches.split_at_mut_checked(fan_in) else { return };
        self.gather(window, position, first);
        let second = match other {
            Some(other) => {
                self.gather(window, other, second);
                &*second
            }
            None => &[],
        };
        simd::pack_columns(packed, fan_in, 0, first, second);
    }
}

/// An image of int8 or int16 elements.
pub(super) struct Image<'a, T> {
    pixels: &'a [T],
    size: [usize; 2],
    depth: usize,
    /// Every byte of an element in the padding.
    padding: u8,
    /// How far below and right of its first tap a window reaches.
    reach: [usize; 2],
}

impl<'a, T: Pod> Image<'a, T> {
    /// `None` if the tensor is no image.
    pub fn new(pixels: &'a [T], tensor: &Tensor, window: &Window) -> Option<Self> {
        let (height, width, depth) = tensor.height_width_channels()?;
        let reach = |axis: usize| {
            let [kernel, dilation] =
                [window.kernel, window.dilation].map(|pair| usize::from(if axis == 0 { pair[0] } else { pair[1] }));
            kernel.saturating_sub(1) * dilation
        };
        Some(Self { pixels, size: [height, width], depth, padding: tensor.zero_point as u8, reach: [reach(0), reach(1)] })
    }

    /// Where the window of an output pixel begins, if all of it lies in the image.
    #[inline(always)]
    pub fn start(&self, window: &Window, [row, column]: [usize; 2]) -> Option<usize> {
        let [height, width] = self.size;
        let top = (row * usize::from(window.stride[0])).wrapping_sub(usize::from(window.padding[0]));
        let left = (column * usize::from(window.stride[1])).wrapping_sub(usize::from(window.padding[1]));
        // What begins before the image is a large number.
        let inside = top < height && left < width && top + self.reach[0] < height && left + self.reach[1] < width;
        inside.then(|| (top * width + left) * self.depth)
    }

    /// Row `row` of the window that begins at `start`, without dilation; none for none.
    #[inline(always)]
    pub fn row(&self, window: &Window, start: Option<usize>, row: usize, length: usize) -> &'a [T] {
        let Some(start) = start else { return &[] };
        let start = start + row * usize::from(window.dilation[0]) * self.size[1] * self.depth;
        self.pixels.get(start..).and_then(|rest| rest.get(..length)).unwrap_or_default()
    }

    /// Copies what lies under the window of an output pixel, `[kernel height][kernel width][depth]`.
    pub fn gather(&self, window: &Window, position: [usize; 2], patch: &mut [T]) {
        let kernel_width = usize::from(window.kernel[1]);
        if let (Some(start), 1) = (self.start(window, position), window.dilation[1]) {
            let length = kernel_width * self.depth;
            for (row, to) in patch.chunks_exact_mut(length.max(1)).enumerate() {
                simd::copy(bytemuck::cast_slice_mut(to), bytemuck::cast_slice(self.row(window, Some(start), row, length)));
            }
            return;
        }
        let [height, width] = self.size;
        let (vertical, horizontal) = (window.rows(position[0], height), window.columns(position[1], width));
        fill(bytemuck::cast_slice_mut(patch), self.padding);
        // Without dilation, the taps of a row are neighbours: one copy. Otherwise each is a copy of its own.
        let dilation = usize::from(window.dilation[1]);
        let (copies, length) = if dilation == 1 { (1, horizontal.taps * self.depth) } else { (horizontal.taps, self.depth) };
        for i in 0..vertical.taps {
            let y = vertical.start + i * usize::from(window.dilation[0]);
            for j in 0..copies {
                let from = (y * width + horizontal.start + j * dilation) * self.depth;
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
