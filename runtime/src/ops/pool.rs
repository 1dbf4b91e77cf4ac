//! Max and average over windows of `[H, W, C]`, each channel for itself. Padding does not count.
//!
//! int8: the output's scale and zero point are the input's. The average is `floor((2 * sum + n) / (2 * n))` over the `n` real
//! elements. f32: the average is the sum in row order, divided by `n`; the maximum keeps the first of equal values and
//! ignores NaN unless the window's first element is one. A pool over the whole image is the global one.

use super::{maximum::keep_larger, window::Window};
use crate::{
    error::NodeFault,
    op::{Lengths, NodeCheck, NodeRun, OpDef, disjoint, ensure},
    quant,
    tensor::ElementType::{self, F32, I8},
};
use bytemuck::Pod;
use core::num::NonZeroU32;

pub(super) fn check(node: &NodeCheck<'_>, element_type: ElementType) -> Result<(), NodeFault> {
    let [input] = node.inputs(element_type)?;
    node.parameters(Window::decode)?.check_pool(node, &input)?;
    ensure(input.same_quantization(&node.output), NodeFault::Quantization)
}

/// Calls `pixel(window, output)` for every output pixel; the window gives its rows, each the elements of the pixels in it.
#[inline(never)] // One for both pools of a type.
pub(super) fn slide<T: Pod>(node: &mut NodeRun<'_>, pixel: fn(&Rows<'_, T>, &mut [T])) {
    let (window, input, output) = (Window::decode(&mut node.parameters()), node.input(0), node.output);
    let buffers = node.buffers();
    let from: &[T] = bytemuck::try_cast_slice(buffers.inputs.read(&input)).unwrap_or_default();
    let to: &mut [T] = bytemuck::try_cast_slice_mut(buffers.output).unwrap_or_default();
    let ([height, width, channels, _], [_, columns, ..]) = (input.dimensions, output.dimensions);
    let (height, width, channels) = (height as usize, width as usize, channels as usize);
    let row_length = columns as usize * channels;
    for (row, row_out) in to.chunks_exact_mut(row_length.max(1)).enumerate() {
        let vertical = window.rows(row, height);
        for (column, out) in row_out.chunks_exact_mut(channels.max(1)).enumerate() {
            let horizontal = window.columns(column, width);
            let start = (vertical.start * width + horizontal.start) * channels;
            // Whole rows lie one behind the other, as one.
            let whole = horizontal.taps == width;
            let rows = Rows {
                elements: from.get(start..).unwrap_or_default(),
                rows: if whole { 1 } else { vertical.taps },
                stride: width * channels,
                columns: if whole { vertical.taps * width } else { horizontal.taps },
                channels,
            };
            pixel(&rows, out);
        }
    }
}

/// The part of the image under a window.
pub(super) struct Rows<'a, T> {
    elements: &'a [T],
    rows: usize,
    stride: usize,
    columns: usize,
    channels: usize,
}

impl<'a, T> Rows<'a, T> {
    /// The elements of each row.
    fn each(&self) -> impl Iterator<Item = &'a [T]> {
        let (elements, length, stride) = (self.elements, self.columns * self.channels, self.stride);
        (0..self.rows).map(move |row| elements.get(row * stride..).and_then(|tail| tail.get(..length)).unwrap_or_default())
    }

    /// Calls `each` with the channels of each pixel, in row order.
    fn pixels(&self, mut each: impl FnMut(&'a [T])) {
        self.each().for_each(|row| row.chunks_exact(self.channels.max(1)).for_each(&mut each));
    }

    /// Number of pixels.
    fn count(&self) -> usize {
        self.rows * self.columns
    }
}

pub(super) fn fold_maximum<T: Copy + PartialOrd>(rows: &Rows<'_, T>, out: &mut [T]) {
    out.iter_mut().zip(rows.elements).for_each(|(to, &from)| *to = from);
    rows.pixels(|pixel| keep_larger(out, pixel));
}

fn run_max_i8(node: &mut NodeRun<'_>) {
    slide(node, fold_maximum::<i8>);
}

fn run_max_f32(node: &mut NodeRun<'_>) {
    slide(node, fold_maximum::<f32>);
}

/// Channels whose sums are kept in registers at a time.
const LANES: usize = 8;

/// Adds the first elements of each pixel of a row.
#[inline(never)] // A loop that is unrolled, once.
fn add<T: Copy + Into<i32>>(sums: &mut [i32; LANES], row: &[T], channels: usize) {
    let mut in_registers = *sums;
    for pixel in row.chunks(channels.max(1)) {
        match pixel.first_chunk::<LANES>() {
            Some(eight) => add_some(&mut in_registers, eight),
            None => add_some(&mut in_registers, pixel),
        }
    }
    *sums = in_registers;
}

#[inline(always)]
fn add_some<T: Copy + Into<i32>>(sums: &mut [i32; LANES], values: &[T]) {
    sums.iter_mut().zip(values).for_each(|(sum, &x)| *sum = sum.wrapping_add(x.into()));
}

pub(super) fn average<T: Copy + Into<i32>>(rows: &Rows<'_, T>, out: &mut [T], mean: fn(i32, NonZeroU32) -> T) {
    let Some(count) = NonZeroU32::new(rows.count() as u32) else { return };
    for (block, out) in out.chunks_mut(LANES).enumerate() {
        let mut sums = [0i32; LANES];
        rows.each().for_each(|row| add(&mut sums, row.get(block * LANES..).unwrap_or_default(), rows.channels));
        out.iter_mut().zip(sums).for_each(|(to, sum)| *to = mean(sum, count));
    }
}

fn average_f32(rows: &Rows<'_, f32>, out: &mut [f32]) {
    out.fill(0.0);
    rows.pixels(|pixel| out.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x));
    let count = rows.count() as f32;
    out.iter_mut().for_each(|sum| *sum /= count);
}

fn run_average_i8(node: &mut NodeRun<'_>) {
    slide::<i8>(node, |rows, out| average(rows, out, quant::mean));
}

fn run_average_f32(node: &mut NodeRun<'_>) {
    slide(node, average_f32);
}

/// Maximum, int8.
pub static MAX_POOL_I8: OpDef = OpDef {
    code: 7,
    name: "max_pool_i8",
    alias: disjoint,
    lengths: Lengths::Checked,
    check: |node| check(node, I8),
    run: run_max_i8,
};
/// Maximum, f32.
pub static MAX_POOL_F32: OpDef = OpDef {
    code: 8,
    name: "max_pool_f32",
    alias: disjoint,
    lengths: Lengths::Checked,
    check: |node| check(node, F32),
    run: run_max_f32,
};
/// Average, int8.
pub static AVERAGE_POOL_I8: OpDef = OpDef {
    code: 9,
    name: "average_pool_i8",
    alias: disjoint,
    lengths: Lengths::Checked,
    check: |node| check(node, I8),
    run: run_average_i8,
};
/// Average, f32.
pub static AVERAGE_POOL_F32: OpDef = OpDef {
    code: 10,
    name: "average_pool_f32",
    alias: disjoint,
    lengths: Lengths::Checked,
    check: |node| check(node, F32),
    run: run_average_f32,
};
