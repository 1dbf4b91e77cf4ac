//! Plain Rust, for cores without vector instructions and for the host, where the compiler vectorizes it. What the other
//! variants must equal.
//!
//! Columns: the pixels' inputs as they are, each pixel padded to a multiple of 4 bytes.

use super::{
    AddConstants, Requantize, Variant,
    depthwise::{Depthwise, Run},
    layout::padded,
};
use crate::quant::{clamp, requantize as requantize_one, rounding_high_multiply, saturate_i16};

#[cfg_attr(
    any(simd_dsp, simd_mve, simd_v6m, simd_rv32m, simd_x86),
    expect(dead_code, reason = "the variant in use has its own")
)]
pub(super) const VARIANT: Variant = Variant::Portable;

#[cfg_attr(
    any(simd_dsp, simd_mve, simd_v6m, simd_rv32m, simd_x86),
    expect(dead_code, reason = "the variant in use has its own")
)]
pub(super) const PACK_RUN: Option<super::PackRun> = None;

#[cfg(not(any(simd_dsp, simd_mve, simd_v6m, simd_rv32m, simd_x86)))]
pub(super) use super::pack_each_row as pack_rows;

/// Pixels that are packed and multiplied at a time.
pub(super) const PIXELS: usize = 2;

#[cfg_attr(any(simd_dsp, simd_mve), expect(dead_code, reason = "the variant in use has its own"))]
pub(super) fn copy(to: &mut [u8], from: &[u8]) {
    to.copy_from_slice(from);
}

pub(super) fn pack_columns(columns: &mut [u32], k: usize, at: usize, [first, second]: [&[i8]; PIXELS]) {
    let bytes: &mut [i8] = bytemuck::cast_slice_mut(columns);
    for (start, pixel) in [(at, first), (padded(k) + at, second)] {
        if let Some(place) = bytes.get_mut(start..).and_then(|rest| rest.get_mut(..pixel.len())) {
            super::copy(bytemuck::cast_slice_mut(place), bytemuck::cast_slice(pixel));
        }
    }
}

#[inline(always)]
pub(super) fn multiply(
    weights: &[i8],
    k: usize,
    columns: &[u32],
    requantize: &Requantize,
    [first, second]: [&mut [i8]; PIXELS],
) {
    multiply_two(weights, k, columns, requantize, first, second);
}

/// A function of its own, since the compiler knows of two arguments that they do not overlap, and of two elements of an array not.
#[inline(never)]
fn multiply_two(weights: &[i8], k: usize, columns: &[u32], requantize: &Requantize, first: &mut [i8], second: &mut [i8]) {
    let columns: &[i8] = bytemuck::cast_slice(columns);
    let Some((first_inputs, rest)) = columns.split_at_checked(padded(k)) else { return };
    let (constants, last_constants) = requantize.channels.as_chunks::<2>();
    let (first_outputs, first_last) = first.as_chunks_mut::<2>();
    let (second_outputs, second_last) = second.as_chunks_mut::<2>();
    let mut pairs = weights.chunks_exact((2 * padded(k)).max(8)); // never 0, which the compiler cannot know
    if second_outputs.is_empty() && second_last.is_empty() {
        for ((constants, outputs), pair) in constants.iter().zip(first_outputs).zip(&mut pairs) {
            store(&sum_one(pair, first_inputs), constants, requantize, outputs);
        }
        if let ([constants], [output], Some(pair)) = (last_constants, first_last, pairs.next()) {
            let [sum, _] = sum_one(pair, first_inputs);
            store(&[sum], &[*constants], requantize, core::array::from_mut(output));
        }
    } else {
        let Some(second_inputs) = rest.get(..padded(k)) else { return };
        let outputs = first_outputs.iter_mut().zip(second_outputs);
        for ((constants, (outputs, more_outputs)), pair) in constants.iter().zip(outputs).zip(&mut pairs) {
            let [ones, twos] = sum_two(pair, first_inputs, second_inputs);
            store(&ones, constants, requantize, outputs);
            store(&twos, constants, requantize, more_outputs);
        }
        let last = (last_constants, first_last, second_last, pairs.next());
        if let ([constants], [output], [another_output], Some(pair)) = last {
            let [[one, _], [two, _]] = sum_two(pair, first_inputs, second_inputs);
            store(&[one], &[*constants], requantize, core::array::from_mut(output));
            store(&[two], &[*constants], requantize, core::array::from_mut(another_output));
        }
    }
}

pub(super) fn add_products(weights: &[i8], k: usize, input: &[i8], channels: &[[i32; 2]], shift: u32, outputs: &mut [i16]) {
    let Some(input) = input.get(..padded(k)) else { return };
    let pairs = weights.chunks_exact((2 * padded(k)).max(8)); // never 0, which the compiler cannot know
    for ((pair, outputs), channels) in pairs.zip(outputs.chunks_mut(2)).zip(channels.chunks(2)) {
        for ((sum, output), &[bias, multiplier]) in sum_one(pair, input).into_iter().zip(outputs).zip(channels) {
            let product = rounding_high_multiply(bias.wrapping_add(sum).wrapping_shl(shift), multiplier);
            *output = output.saturating_add(saturate_i16(product));
        }
    }
}

/// Four inputs in the order of [`wide_sums`]: as they are.
#[inline(always)]
pub(super) fn wide_group(inputs: [i16; 4]) -> [i16; 4] {
    inputs
}

/// Sums of int16 inputs times int8 weights, of two channels over each pixel; at most
/// [`SHORT_SUM`](crate::quant::SHORT_SUM) products each.
#[inline(always)]
pub(super) fn wide_sums<const PIXELS: usize>(pair: &[i8], columns: &[u32]) -> [[i32; 2]; PIXELS] {
    let inputs: &[i16] = bytemuck::cast_slice(columns);
    let mut all = [[0i32; 2]; PIXELS];
    for (weights, inputs) in pair.as_chunks::<8>().0.iter().zip(inputs.chunks_exact(4 * PIXELS)) {
        let [a, b, c, d, e, f, g, h] = weights.map(i32::from);
        for (sums, inputs) in all.iter_mut().zip(inputs.as_chunks::<4>().0) {
            let [w, x, y, z] = inputs.map(i32::from);
            sums[0] = sums[0].wrapping_add(a * w + b * x + c * y + d * z);
            sums[1] = sums[1].wrapping_add(e * w + f * x + g * y + h * z);
        }
    }
    all
}

/// Sums of int16 inputs times int8 weights, of `N` channels of one pixel.
///
/// # Safety
/// For each tap and its weights, `input` and `weights` point to `N` numbers there.
#[inline(always)]
pub(super) unsafe fn wide_tap_sums<const N: usize>(input: *const i16, taps: &[[u32; 2]], weights: *const i8) -> [i32; N] {
    let mut sums = [0i32; N];
    for &[tap, weight] in taps {
        // SAFETY: as the caller promises. Inputs are as aligned as the tensor is; int8 needs no alignment.
        let (inputs, weights) = unsafe {
            (&*input.wrapping_add(tap as usize).cast::<[i16; N]>(), &*weights.wrapping_add(weight as usize).cast::<[i8; N]>())
        };
        for ((sum, &weight), &input) in sums.iter_mut().zip(weights).zip(inputs) {
            *sum = sum.wrapping_add(i32::from(weight) * i32::from(input));
        }
    }
    sums
}

/// Sums of two channels over one pixel.
#[inline(always)]
fn sum_one(pair: &[i8], inputs: &[i8]) -> [i32; 2] {
    let mut sums = [0; 2];
    for (&[a, b, c, d, e, f, g, h], &[w, x, y, z]) in pair.as_chunks::<8>().0.iter().zip(inputs.as_chunks::<4>().0) {
        let [w, x, y, z] = [w as i32, x as i32, y as i32, z as i32];
        sums[0] += a as i32 * w + b as i32 * x + c as i32 * y + d as i32 * z;
        sums[1] += e as i32 * w + f as i32 * x + g as i32 * y + h as i32 * z;
    }
    sums
}

/// Sums of two channels over two pixels: each weight and input loaded serves twice.
#[inline(always)]
fn sum_two(pair: &[i8], first: &[i8], second: &[i8]) -> [[i32; 2]; 2] {
    let mut sums = [[0; 2]; 2];
    let inputs = first.as_chunks::<4>().0.iter().zip(second.as_chunks::<4>().0);
    for (&[a, b, c, d, e, f, g, h], (&[w, x, y, z], &[q, r, s, t])) in pair.as_chunks::<8>().0.iter().zip(inputs) {
        let [w, x, y, z] = [w as i32, x as i32, y as i32, z as i32];
        let [q, r, s, t] = [q as i32, r as i32, s as i32, t as i32];
        let [a, b, c, d] = [a as i32, b as i32, c as i32, d as i32];
        let [e, f, g, h] = [e as i32, f as i32, g as i32, h as i32];
        sums[0][0] += a * w + b * x + c * y + d * z;
        sums[0][1] += e * w + f * x + g * y + h * z;
        sums[1][0] += a * q + b * r + c * s + d * t;
        sums[1][1] += e * q + f * r + g * s + h * t;
    }
    sums
}

/// Requantizes the sums of neighbouring channels.
#[inline(always)]
pub(super) fn store<const N: usize>(
    sums: &[i32; N],
    constants: &[[i32; 2]; N],
    requantize: &Requantize,
    outputs: &mut [i8; N],
) {
    for ((&sum, &[bias, multiplier]), output) in sums.iter().zip(constants).zip(outputs) {
        let Requantize { shift, zero_point, minimum, maximum, .. } = *requantize;
        *output = requantize_one(bias.wrapping_add(sum), shift, multiplier, zero_point, minimum, maximum);
    }
}

pub(super) struct Kernels;

/// A tap that reads padding.
pub(super) const PADDING: u32 = u32::MAX;

/// Depthwise channels that are summed at once: as many as fit registers.
const LANES: usize = if cfg!(target_pointer_width = "64") {
    16
} else if cfg!(target_arch = "arm") {
    4
} else {
    8
};

impl Depthwise for Kernels {
    fn prepare(_: &[i8], _: usize, _: usize, _: &Requantize, _: i8, _: &mut [u32]) {}

    fn padding_tap(_: &Requantize, _: *const i8, _: &[u32]) -> u32 {
        PADDING
    }

    fn run(run: &Run, weights: &[i8], requantize: &Requantize, _: &mut [u32], output: &mut [i8]) {
        let rest = depthwise_chunks::<LANES>(run, 0, weights, requantize, output);
        let rest = depthwise_chunks::<4>(run, rest, weights, requantize, output);
        depthwise_chunks::<1>(run, rest, weights, requantize, output);
    }

    fn finish(_: &Requantize, _: &mut [i8]) {}
}

/// A run's channels from number `first` of the block on, `N` at a time, as far as that goes; returns how far that was.
#[inline(always)]
pub(super) fn depthwise_chunks<const N: usize>(
    run: &Run,
    first: usize,
    weights: &[i8],
    requantize: &Requantize,
    output: &mut [i8],
) -> usize {
    let chunks = requantize.channels.get(first..).unwrap_or_default().as_chunks::<N>().0;
    let first_channel = run.from + first;
    let (mut input, mut output) = (run.input.as_ptr(), output.as_mut_ptr());
    for _ in 0..run.pixels {
        let mut channel = first_channel;
        for constants in chunks {
            // SAFETY: the taps of all pixels lie in the input with all channels (`depthwise.rs`; the window and the input's
            // length were checked against each other), weights are `[taps, channels]`, the output has all channels
            // of each pixel, and `channel + N` is at most the channels of the layer.
            unsafe {
                let sums = depthwise_sums(run, input.wrapping_add(channel), weights.as_ptr().wrapping_add(channel));
                store(&sums, constants, requantize, &mut *output.wrapping_add(channel).cast::<[i8; N]>());
            }
            channel += N;
        }
        (input, output) = (input.wrapping_add(run.step), output.wrapping_add(run.channels));
    }
    first + chunks.len() * N
}

/// Sums of `N` channels of one pixel. Raw pointers, since checking each tap's position again costs more than its products.
///
/// # Safety
/// For each tap that is not padding `input + tap` points to `N` inputs, and `weights + tap number * channels` to `N` weights.
#[inline(always)]
unsafe fn depthwise_sums<const N: usize>(run: &Run, input: *const i8, mut weights: *const i8) -> [i32; N] {
    let padding = [run.padding; N];
    let mut sums = [0; N];
    for &tap in run.taps {
        let inputs = if tap == PADDING { &raw const padding } else { input.wrapping_add(tap as usize).cast() };
        // SAFETY: as the caller promises; an array of int8 needs no alignment.
        let (row, inputs) = unsafe { (&*weights.cast::<[i8; N]>(), &*inputs) };
        for ((sum, &weight), &input) in sums.iter_mut().zip(row).zip(inputs) {
            *sum += weight as i32 * input as i32;
        }
        weights = weights.wrapping_add(run.channels);
    }
    sums
}

#[inline(always)]
pub(super) fn add(first: &[i8], second: &[i8], constants: &AddConstants, output: &mut [i8]) {
    for ((&x, &y), output) in first.iter().zip(second).zip(output) {
        *output = add_one(x, y, constants);
    }
}

#[inline(always)]
pub(super) fn add_assign(first: &mut [i8], second: &[i8], constants: &AddConstants) {
    for (x, &y) in first.iter_mut().zip(second) {
        *x = add_one(*x, y, constants);
    }
}

#[inline(always)]
fn add_one(x: i8, y: i8, constants: &AddConstants) -> i8 {
    let sum = constants
        .offset
        .wrapping_add(constants.first.wrapping_mul(x as i32))
        .wrapping_add(constants.second.wrapping_mul(y as i32));
    clamp(sum.wrapping_shr(constants.shift), constants.minimum, constants.maximum)
}
