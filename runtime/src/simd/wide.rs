//! Kernels for int16 activations with int8 weights (16x8). The weights lie as those of int8 kernels do ([`layout`](super::layout)).
//!
//! Columns: groups of four inputs, the pixels' groups alternating. Sums of up to [`SHORT_SUM`] products fit 32 bits whatever the numbers
//! are; longer ones are taken in such parts and added in 64 bits.
//!
//! Padding is zero, so that taps which lie there are left out.

use super::{
    RequantizeWide, Window, active,
    depthwise::{inner_columns, place_taps},
    layout::padded,
};
use crate::quant::{SHORT_SUM, requantize_i16, requantize_long_i16, requantize_upper_i16};

/// Words of scratch memory for the columns of `pixels` (1 or 2) pixels with `k` inputs each.
pub const fn wide_columns_words(k: usize, pixels: usize) -> usize {
    (padded(k) / 2).saturating_mul(pixels)
}

/// Writes the inputs of all pixels to `columns`, and zeros behind the last.
pub(super) fn pack<const PIXELS: usize>(columns: &mut [u32], inputs: [&[i16]; PIXELS]) {
    let columns: &mut [i16] = bytemuck::cast_slice_mut(columns);
    for (number, input) in inputs.into_iter().enumerate() {
        let mut places = columns.as_chunks_mut::<4>().0.iter_mut().skip(number).step_by(PIXELS);
        let (groups, rest) = input.as_chunks::<4>();
        for (group, place) in groups.iter().zip(&mut places) {
            *place = active::wide_group(*group);
        }
        if let (false, Some(place)) = (rest.is_empty(), places.next()) {
            let mut group = [0; 4];
            group.iter_mut().zip(rest).for_each(|(to, &from)| *to = from);
            *place = active::wide_group(group);
        }
    }
}

/// The product of a matrix with packed pixels, two channels at a time.
pub(super) fn multiply<const PIXELS: usize>(
    weights: &[i8],
    k: usize,
    columns: &[u32],
    requantize: &RequantizeWide<'_>,
    outputs: [&mut [i16]; PIXELS],
) {
    let Some(columns) = columns.get(..wide_columns_words(k, PIXELS)) else { return };
    let RequantizeWide { channels, shift, minimum, maximum } = *requantize;
    let weights = weights.chunks_exact((2 * padded(k)).max(8)); // never 0, which the compiler cannot know
    if padded(k) <= SHORT_SUM && shift > 32 {
        let short = |sum: i32, [bias, multiplier]: [i32; 2]| {
            requantize_upper_i16(bias.wrapping_add(sum), multiplier, shift, minimum, maximum)
        };
        each_pair(weights, channels, outputs, |pair| active::wide_sums::<PIXELS>(pair, columns), short);
    } else {
        let long = |sum: i64, [bias, multiplier]: [i32; 2]| {
            requantize_long_i16(sum + i64::from(bias), multiplier, shift, minimum, maximum)
        };
        each_pair(weights, channels, outputs, |pair| long_sums::<PIXELS>(pair, columns), long);
    }
}

/// Writes what `requantize` makes of the sums of each pair of channels, and of the first of the last pair if their number is odd.
#[inline(always)]
fn each_pair<'a, Sum: Copy, const PIXELS: usize>(
    mut weights: impl Iterator<Item = &'a [i8]>,
    channels: &[[i32; 2]],
    outputs: [&mut [i16]; PIXELS],
    sums: impl Fn(&[i8]) -> [[Sum; 2]; PIXELS],
    requantize: impl Fn(Sum, [i32; 2]) -> i16,
) {
    let (pairs, last) = channels.as_chunks::<2>();
    let mut outputs = outputs.map(|output| output.as_chunks_mut::<2>());
    for (number, (&[first, second], weights)) in pairs.iter().zip(&mut weights).enumerate() {
        for ([sum, other], (outputs, _)) in sums(weights).iter().zip(&mut outputs) {
            if let Some(output) = outputs.get_mut(number) {
                *output = [requantize(*sum, first), requantize(*other, second)];
            }
        }
    }
    if let (&[channel], Some(weights)) = (last, weights.next()) {
        for ([sum, _], (_, output)) in sums(weights).iter().zip(outputs) {
            output.iter_mut().for_each(|output| *output = requantize(*sum, channel));
        }
    }
}

#[inline(never)] // Seldom, and long in itself.
fn long_sums<const PIXELS: usize>(pair: &[i8], columns: &[u32]) -> [[i64; 2]; PIXELS] {
    let mut all = [[0; 2]; PIXELS];
    for (pair, columns) in pair.chunks(2 * SHORT_SUM).zip(columns.chunks(wide_columns_words(SHORT_SUM, PIXELS))) {
        let sums = active::wide_sums::<PIXELS>(pair, columns);
        all.iter_mut().flatten().zip(sums.iter().flatten()).for_each(|(all, &sum)| *all += i64::from(sum));
    }
    all
}

/// A tap that reads padding.
const PADDING: u32 = u32::MAX;

/// Words of scratch memory for a depthwise convolution with `taps` taps.
pub const fn wide_depthwise_words(taps: usize) -> usize {
    taps.saturating_mul(2)
}

/// Depthwise convolution of one image; lengths and offsets are as `mod.rs` checked them. `scratch` has two words for each tap.
pub(super) fn depthwise(
    input: &[i16],
    window: &Window,
    weights: &[i8],
    requantize: &RequantizeWide<'_>,
    scratch: &mut [u32],
    output: &mut [i16],
) {
    let channels = requantize.channels.len();
    let inner = inner_columns(window);
    let step = window.stride[1] * channels;
    let all = scratch.len() / 2;
    for (y, mut row) in output.chunks_exact_mut((window.output[1] * channels).max(1)).enumerate() {
        let mut x = 0;
        while !row.is_empty() {
            let places = scratch.get_mut(all..).unwrap_or_default();
            let padded = place_taps(places, window, channels, [y, x], PADDING);
            let taps = taps_inside(scratch, channels);
            let pixels = if x == inner.start && !padded { inner.len() } else { 1 };
            let Some((outputs, rest)) = row.split_at_mut_checked(pixels * channels) else { return };
            let mut input = input.as_ptr();
            for output in outputs.chunks_exact_mut(channels.max(1)) {
                // SAFETY: the taps of all pixels of a run lie in the input with all channels: the window and the input's length were
                // checked against each other. Weights are `[taps, channels]`, as the caller checked, and so long is the output.
                unsafe {
                    let mut from = 0;
                    if requantize.shift > 32 {
                        from = channels_of::<LANES>(input, taps, from, weights, requantize, output, requantize_upper_i16);
                        from = channels_of::<4>(input, taps, from, weights, requantize, output, requantize_upper_i16);
                    }
                    channels_of::<1>(input, taps, from, weights, requantize, output, requantize_i16);
                }
                input = input.wrapping_add(step);
            }
            row = rest;
            x += pixels;
        }
    }
}

/// Of the places of taps in the second half of `scratch`, those within the input, each with where its weights are. They take the place
/// of all: the pair `i` ends at word `2 * i + 1`, where no place is that is still to be read.
fn taps_inside(scratch: &mut [u32], channels: usize) -> &[[u32; 2]] {
    let all = scratch.len() / 2;
    let mut inside = 0;
    for tap in 0..all {
        let place = scratch.get(all + tap).copied().unwrap_or(PADDING);
        if let (true, Some(pair)) = (place != PADDING, scratch.as_chunks_mut::<2>().0.get_mut(inside)) {
            *pair = [place, (tap * channels) as u32];
            inside += 1;
        }
    }
    scratch.as_chunks().0.get(..inside).unwrap_or_default()
}

/// Channels that are summed at once: as many as fit registers.
const LANES: usize = if cfg!(target_pointer_width = "64") { 16 } else { 4 };

/// A pixel's channels from number `from` on, `N` at a time, as far as that goes; returns how far that was.
///
/// # Safety
/// For each tap and its weights, `input` and `weights` hold all channels from there on.
#[inline(always)]
unsafe fn channels_of<const N: usize>(
    input: *const i16,
    taps: &[[u32; 2]],
    mut from: usize,
    weights: &[i8],
    requantize: &RequantizeWide<'_>,
    output: &mut [i16],
    requantize_one: impl Fn(i32, i32, u32, i16, i16) -> i16,
) -> usize {
    let RequantizeWide { channels, shift, minimum, maximum } = *requantize;
    let constants = channels.get(from..).unwrap_or_default().as_chunks::<N>().0;
    let outputs = output.get_mut(from..).unwrap_or_default().as_chunks_mut::<N>().0;
    for (constants, outputs) in constants.iter().zip(outputs) {
        // SAFETY: `from + N` is at most the channels, which the caller's promise is about.
        let sums: [i32; N] =
            unsafe { active::wide_tap_sums(input.wrapping_add(from), taps, weights.as_ptr().wrapping_add(from)) };
        for ((sum, [bias, multiplier]), output) in sums.iter().zip(constants).zip(outputs) {
            *output = requantize_one(bias.wrapping_add(*sum), *multiplier, shift, minimum, maximum);
        }
        from += N;
    }
    from
}
