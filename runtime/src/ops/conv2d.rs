//! 2-D convolution: `y[i, j, c] = clamp(bias[c] + sum weight[c][u][v][d] * x[i * stride + u * dilation - padding, ..., d])`.
//! Input `[H, W, C]`, output `[H', W', channels]`, kernel `[channels][kernel height][kernel width][C]`. Padding counts as real zero.
//!
//! int8: some output pixels at a time against weights in paired rows ([`simd`]), or in half the space as int4
//! ([`matrix`](super::matrix)), requantized per channel ([`LinearI8`]). f32: weights in blocks ([`LinearF32`]), summed from the bias up, by rows, columns and channels of the kernel.

use super::{
    add,
    linear::{
        F32_LANES, LinearF32, LinearI8, alias_of_rows, f32_weights, multiply_add, multiply_rows, rows_scratch_bytes,
        split_pixels,
    },
    matrix::{Int4, Int8, Matrix},
    window::Window,
};
use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Alias, Buffers, Lengths, NodeCheck, NodeRun, OpDef, as_f32, as_f32_mut, as_i8_mut, disjoint, ensure, fill},
    simd::{self, PIXELS, PixelRun, at_a_time},
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

/// Scratch bytes of the int8 op: packed columns of the pixels that are done at a time, and behind them their patches, which a pointwise
/// convolution does not need.
pub fn scratch_bytes(window: &Window, depth: usize, pixels: usize) -> usize {
    scratch_bytes_of(window, window.packed_inputs(depth), pixels)
}

fn scratch_bytes_of(window: &Window, packed_inputs: usize, pixels: usize) -> usize {
    let columns = rows_scratch_bytes(pixels, packed_inputs);
    if window.is_pointwise() { columns } else { columns + at_a_time(pixels) * packed_inputs }
}

fn check_i8<M: Matrix>(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let [input] = node.inputs(I8)?;
    let parameters = node.parameters(ParametersI8::decode)?;
    let fan_in = check_window::<M>(node, &parameters, &input)?;
    let unpacked = M::scratch_bytes(node.output.channels(), fan_in);
    node.scratch(unpacked + scratch_bytes_of(&parameters.window, fan_in, node.output.pixels()))
}

/// Refuses a window, weights or shapes that do not fit together; returns how many inputs of an output are packed.
pub(super) fn check_window<M: Matrix>(
    node: &NodeCheck<'_>,
    parameters: &ParametersI8,
    input: &Tensor,
) -> Result<usize, NodeFault> {
    parameters.window.check(node, input)?;
    let fan_in = parameters.window.packed_inputs(input.channels());
    parameters.linear.check_matrix::<M>(node, fan_in, node.output.channels())?;
    let as_many = input.pixels() == node.output.pixels();
    ensure(!parameters.window.is_pointwise() || as_many, NodeFault::Shape)?;
    Ok(fan_in)
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

/// Convolves the last input, which shares no byte with the output, some pixels at a time. With `adds`, the output holds what each pixel
/// is added to, the parameters go on as those of [`conv2d_add`](super::conv2d_add), and the scratch region ends with room for these pixels.
#[inline(never)]
pub(super) fn convolve<M: Matrix>(node: &mut NodeRun<'_>, adds: bool) {
    let mut parameters = node.parameters();
    let ParametersI8 { window, linear } = ParametersI8::decode(&mut parameters);
    let zero_point = if adds { parameters.i8() } else { node.output.zero_point };
    let sum = if adds { Some(add::ParametersI8::decode(&mut parameters)) } else { None };
    let input = node.input(usize::from(adds));
    let Some((rows, columns, channels)) = node.output.height_width_channels() else { return };
    let fan_in = window.packed_inputs(input.channels());
    let weights = node.constants(linear.weights, M::bytes(channels, fan_in));
    let requantize = linear.requantize(node.constants(linear.channels, channels * 8), zero_point);
    let Buffers { output, scratch, inputs, .. } = node.buffers();
    let (image, output) = (inputs.read_i8(&input), as_i8_mut(output));
    let Some((unpacked, scratch)) = scratch.split_at_mut_checked(M::scratch_bytes(channels, fan_in)) else { return };
    let Some((packed, scratch)) = scratch.split_at_mut_checked(rows_scratch_bytes(rows * columns, fan_in)) else { return };
    let Some((patches, pixels)) = as_i8_mut(scratch).split_at_mut_checked(at_a_time(rows * columns) * fan_in) else { return };
    let Some(image) = Image::new(image, &input, &window, window.packed_row(input.channels())) else { return };
    let run = image.run(&window);
    let packed: &mut [u32] = bytemuck::try_cast_slice_mut(packed).unwrap_or_default();
    let mut position = [0, 0];
    let pack = if window.dilation[1] == 1 { Image::pack } else { Image::pack_apart };
    for outputs in output.chunks_mut((PIXELS * channels).max(1)) {
        position = match &run {
            Some(run) if position[1] + PIXELS <= columns && image.pack_run(&window, position, run, packed) => {
                next([position[0], position[1] + PIXELS - 1], [rows, columns])
            }
            _ => pack(&image, &window, position, [rows, columns], patches, packed),
        };
        let made = if sum.is_some() { pixels.get_mut(..outputs.len()).unwrap_or_default() } else { &mut *outputs };
        M::multiply(weights, fan_in, packed, &requantize, unpacked, split_pixels(made, channels));
        if let (Some(sum), Some(made)) = (&sum, pixels.get(..outputs.len())) {
            simd::add_assign(outputs, made, &sum.constants());
        }
    }
}

impl Image<'_, i8> {
    /// How as many pixels as [`PIXELS`] lie whose windows begin in one row of the image, and lie within it.
    fn run(&self, window: &Window) -> Option<PixelRun> {
        let [stride, step] = [(window.dilation[0], self.size[1]), (window.stride[1], 1)]
            .map(|(apart, pixels)| usize::from(apart).checked_mul(pixels)?.checked_mul(self.depth));
        PixelRun::new([step?, stride?], usize::from(window.kernel[0]), self.row).filter(|_| window.dilation[1] == 1)
    }

    /// Packs the windows of so many pixels from the one at `first` on, all in a row of the output, if they lie within the image.
    fn pack_run(&self, window: &Window, first: [usize; 2], run: &PixelRun, packed: &mut [u32]) -> bool {
        let beyond = (PIXELS - 1) * usize::from(window.stride[1]);
        let Some(inputs) = self.start(window, first, beyond).and_then(|start| self.pixels.get(start..)) else { return false };
        simd::pack_run(packed, inputs, run)
    }

    /// Packs what lies under the windows of some output pixels, from the one at `first` on, of an output of `size`; returns which is next.
    /// `patches` has room for all.
    #[inline(never)] // What it keeps on the stack is gone before the product begins.
    fn pack(&self, window: &Window, first: [usize; 2], size: [usize; 2], patches: &mut [i8], packed: &mut [u32]) -> [usize; 2] {
        let left = (size[0] - first[0]) * size[1] - first[1];
        // The next numbers may wrap where no window lies in the image, and are not used then.
        let (rows, stride) =
            (usize::from(window.kernel[0]), usize::from(window.dilation[0]).wrapping_mul(self.size[1] * self.depth));
        // The kernel's rows are packed from where they lie. A packed row may reach behind the window's, but not behind the image.
        let span = rows.saturating_sub(1).wrapping_mul(stride).wrapping_add(self.row);
        let fan_in = rows * self.row;
        let (mut position, mut rest, mut pixels) = (first, patches, [(&[][..], 0); PIXELS]);
        for pixel in pixels.iter_mut().take(left) {
            let lies = self.start(window, position, 0).and_then(|start| self.pixels.get(start..)?.get(..span));
            if let Some(lies) = lies {
                *pixel = (lies, stride);
            } else {
                let Some((patch, behind)) = core::mem::take(&mut rest).split_at_mut_checked(fan_in) else { break };
                self.gather(window, position, patch);
                (*pixel, rest) = ((&*patch, self.row), behind);
            }
            position = next(position, size);
        }
        simd::pack_rows(packed, pixels, rows, self.row);
        position
    }

    /// As [`pack`](Self::pack), for kernels whose taps lie apart in a row.
    #[inline(never)]
    fn pack_apart(
        &self,
        window: &Window,
        first: [usize; 2],
        size: [usize; 2],
        patches: &mut [i8],
        packed: &mut [u32],
    ) -> [usize; 2] {
        let left = (size[0] - first[0]) * size[1] - first[1];
        let fan_in = usize::from(window.kernel[0]) * self.row;
        let (mut position, mut rest, mut pixels) = (first, patches, [&[][..]; PIXELS]);
        for pixel in pixels.iter_mut().take(left) {
            let Some((patch, behind)) = core::mem::take(&mut rest).split_at_mut_checked(fan_in) else { break };
            self.gather(window, position, patch);
            (*pixel, rest, position) = (patch, behind, next(position, size));
        }
        simd::pack_columns(packed, fan_in, 0, pixels);
        position
    }
}

/// As many elements as both have.
#[inline(never)] // One for all rows of patches of a type.
fn copy_row<T: Pod>(to: &mut [T], from: &[T]) {
    simd::copy(bytemuck::cast_slice_mut(to), bytemuck::cast_slice(from));
}

/// The position behind one in rows of `size[1]`.
fn next([row, column]: [usize; 2], size: [usize; 2]) -> [usize; 2] {
    if column + 1 < size[1] { [row, column + 1] } else { [row + 1, 0] }
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
    /// Elements from a row of the kernel to the next in a patch.
    row: usize,
}

impl<'a, T: Pod> Image<'a, T> {
    /// `None` if the tensor is no image. In patches, a row of the kernel has `row` elements, its own or more.
    pub fn new(pixels: &'a [T], tensor: &Tensor, window: &Window, row: usize) -> Option<Self> {
        let (height, width, depth) = tensor.height_width_channels()?;
        let reach = |axis: usize| {
            let [kernel, dilation] =
                [window.kernel, window.dilation].map(|pair| usize::from(if axis == 0 { pair[0] } else { pair[1] }));
            kernel.saturating_sub(1) * dilation
        };
        let reach = [reach(0), reach(1)];
        Some(Self { pixels, size: [height, width], depth, padding: tensor.zero_point as u8, reach, row })
    }

    /// Where the window of an output pixel begins, if all of it lies in the image, and so many pixels to its right, too.
    #[inline(always)]
    pub fn start(&self, window: &Window, [row, column]: [usize; 2], beyond: usize) -> Option<usize> {
        let [height, width] = self.size;
        let top = (row * usize::from(window.stride[0])).wrapping_sub(usize::from(window.padding[0]));
        let left = (column * usize::from(window.stride[1])).wrapping_sub(usize::from(window.padding[1]));
        // What begins before the image is a large number.
        let inside = top < height && left < width && top + self.reach[0] < height && left + self.reach[1] + beyond < width;
        inside.then(|| (top * width + left) * self.depth)
    }

    /// Row `row` of the window that begins at `start`, without dilation.
    #[inline(always)]
    fn row(&self, window: &Window, start: usize, row: usize, length: usize) -> &'a [T] {
        let start = start + row * usize::from(window.dilation[0]) * self.size[1] * self.depth;
        self.pixels.get(start..).and_then(|rest| rest.get(..length)).unwrap_or_default()
    }

    /// Copies what lies under the window of an output pixel, `[kernel height][kernel width][depth]`, to a patch.
    #[inline(never)] // Its memory on the stack is not that of what is packed without it.
    pub fn gather(&self, window: &Window, position: [usize; 2], patch: &mut [T]) {
        if let (Some(start), 1) = (self.start(window, position, 0), window.dilation[1]) {
            let length = usize::from(window.kernel[1]) * self.depth;
            for (row, to) in patch.chunks_exact_mut(self.row.max(1)).enumerate() {
                copy_row(to, self.row(window, start, row, length));
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
                let to = (vertical.first + i) * self.row + (horizontal.first + j) * self.depth;
                let from = self.pixels.get(from..).and_then(|tail| tail.get(..length)).unwrap_or_default();
                let to = patch.get_mut(to..).and_then(|tail| tail.get_mut(..length)).unwrap_or_default();
                copy_row(to, from);
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

/// Weights `[channels][kernel height][kernel width][depth]` as int8 kernels take them: each row of the kernel as long as
/// [`Window::packed_row`], zeros at its end.
#[cfg(feature = "std")]
pub fn pad_kernel_rows(weights: &[i8], window: &Window, depth: usize) -> std::vec::Vec<i8> {
    let (row, packed) = (usize::from(window.kernel[1]) * depth, window.packed_row(depth));
    let zeros = std::iter::repeat_n(0, packed - row);
    weights.chunks_exact(row.max(1)).flat_map(|row| row.iter().copied().chain(zeros.clone())).collect()
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
