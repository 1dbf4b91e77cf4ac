//! The portable kernels against naive references in 64 bits. The other variants are compared with the portable one on their own
//! cores, by `self_check`.

#![allow(clippy::indexing_slicing)]

extern crate std;

use super::*;
use crate::ops::linear::split_pixels;
use proptest::prelude::*;
use std::{vec, vec::Vec};

/// The contract of numerics, word for word, in 64 bits.
fn requantized(sum: i64, bias: i32, multiplier: i32, requantize: &Requantize) -> i8 {
    let accumulator = (bias as i64 + sum) << requantize.shift;
    assert!(accumulator.abs() < 1 << 31, "the test breaks the exporter's promise");
    let q = requantize.zero_point as i64 + ((accumulator * multiplier as i64 + (1 << 31)) >> 32);
    q.clamp(requantize.minimum as i64, requantize.maximum as i64) as i8
}

/// int8 with many extremes.
fn byte() -> impl Strategy<Value = i8> {
    prop_oneof![Just(-128i8), Just(127), Just(0), any::<i8>()]
}

fn weight() -> impl Strategy<Value = i8> {
    byte().prop_map(|weight| weight.max(-127))
}

/// Owned [`Requantize`]: constants, shift, zero point, bounds. Biases reach as far as `bias << 7` may.
pub(super) type Constants = (Vec<[i32; 2]>, u32, i8, i8, i8);

fn constants(channels: usize) -> impl Strategy<Value = Constants> {
    let one = prop_oneof![Just(-(1 << 22)), Just(1 << 22), -(1 << 22)..1 << 22];
    let multiplier = prop_oneof![Just(i32::MAX), Just(0), 1 << 10..1 << 27];
    let channel = (one, multiplier).prop_map(|(bias, multiplier)| [bias, multiplier]);
    let bounds = prop_oneof![Just((-128, 127)), (byte(), byte())];
    (proptest::collection::vec(channel, channels), prop_oneof![Just(0), 0..8u32], byte(), bounds)
        .prop_map(|(channels, shift, zero_point, (one, other))| (channels, shift, zero_point, one.min(other), one.max(other)))
}

pub(super) fn requantize((channels, shift, zero_point, minimum, maximum): &Constants) -> Requantize<'_> {
    let [zero_point, minimum, maximum] = [*zero_point, *minimum, *maximum].map(i32::from);
    Requantize { channels, shift: *shift, zero_point, minimum, maximum }
}

/// Bytes at a 4-byte aligned address.
fn aligned(length: usize) -> Vec<u32> {
    vec![0; length.div_ceil(4)]
}

/// Depth, rows, [`PIXELS`], constants, and where to cut the pixels for packing in two pieces.
pub(super) fn product() -> impl Strategy<Value = (usize, Vec<i8>, Vec<i8>, Constants, usize)> {
    (1..20usize, 1..150usize).prop_flat_map(|(channels, k)| {
        let rows = proptest::collection::vec(weight(), channels * k);
        let pixels = proptest::collection::vec(byte(), PIXELS * k);
        (Just(k), rows, pixels, constants(channels), (0..=k / 4).prop_map(|cut| cut * 4))
    })
}

proptest! {
    #[test]
    fn products_are_those_of_a_plain_matrix((k, rows, pixels, constants, cut) in product(), count in 1..=PIXELS) {
        let requantize = requantize(&constants);
        let channels = requantize.channels.len();
        let mut words = aligned(paired_bytes(channels, k));
        let paired: &mut [i8] = &mut bytemuck::cast_slice_mut(&mut words)[..paired_bytes(channels, k)];
        pair_rows(&rows, channels, k, paired);
        let pixels = &pixels[..count * k];
        let pieces = |range: core::ops::Range<usize>| {
            let mut pixels = pixels.chunks(k);
            [(); PIXELS].map(|()| pixels.next().map_or(&[][..], |pixel| &pixel[range.clone()]))
        };

        let mut columns = vec![0x5a5a_5a5a; columns_words(k, count)];
        pack_columns(&mut columns, k, cut, pieces(cut..k));
        pack_columns(&mut columns, k, 0, pieces(0..cut));
        let mut outputs = vec![0; count * channels];
        multiply(paired, k, &columns, &requantize, split_pixels(&mut outputs, channels));

        for (inputs, outputs) in pixels.chunks(k).zip(outputs.chunks(channels)) {
            for ((row, &[bias, multiplier]), &output) in rows.chunks(k).zip(requantize.channels).zip(outputs) {
                let sum = row.iter().zip(inputs).map(|(&w, &x)| w as i64 * x as i64).sum();
                prop_assert_eq!(output, requantized(sum, bias, multiplier, &requantize));
            }
        }
    }
}

/// Window, input, weights, constants.
fn image() -> impl Strategy<Value = (Window, Vec<i8>, Vec<i8>, Constants)> {
    let pair = |least: usize, most: usize| [least..most + 1, least..most + 1];
    let sizes = (pair(1, 6), pair(1, 6), pair(1, 4), pair(1, 2), pair(1, 2), pair(0, 4), 1..40usize);
    sizes.prop_flat_map(|(input, output, kernel, stride, dilation, padding, channels)| {
        let pixels = proptest::collection::vec(byte(), channels * input[0] * input[1]);
        let weights = proptest::collection::vec(weight(), channels * kernel[0] * kernel[1]);
        (Just(Window { input, output, kernel, stride, dilation, padding }), pixels, weights, constants(channels))
    })
}

proptest! {
    #[test]
    fn depthwise_is_the_sum_over_the_window((window, input, weights, constants) in image(), zero_point in byte()) {
        let requantize = requantize(&constants);
        let channels = requantize.channels.len();
        let Window { input: [height, width], output: [rows, columns], kernel, .. } = window;
        let mut scratch = vec![0x5a5a_5a5a; depthwise_words(kernel[0] * kernel[1], channels)];
        let mut output = vec![0; rows * columns * channels];
        depthwise(&input, &window, zero_point, &weights, &requantize, &mut scratch, &mut output);

        for (index, &found) in output.iter().enumerate() {
            let (i, j, c) = (index / channels / columns, index / channels % columns, index % channels);
            let mut sum = 0;
            for u in 0..kernel[0] {
                for v in 0..kernel[1] {
                    let y = (i * window.stride[0] + u * window.dilation[0]) as isize - window.padding[0] as isize;
                    let x = (j * window.stride[1] + v * window.dilation[1]) as isize - window.padding[1] as isize;
                    let inside = (0..height as isize).contains(&y) && (0..width as isize).contains(&x);
                    let value = if inside { input[(y as usize * width + x as usize) * channels + c] } else { zero_point };
                    sum += value as i64 * weights[(u * kernel[1] + v) * channels + c] as i64;
                }
            }
            let [bias, multiplier] = requantize.channels[c];
            prop_assert_eq!(found, requantized(sum, bias, multiplier, &requantize), "pixel {}, {}, channel {}", i, j, c);
        }
    }

    #[test]
    fn sums_round_as_agreed(
        pairs in proptest::collection::vec((byte(), byte()), 0..70),
        factors in [0..=32767i32, 0..=32767], offset in -(1 << 30)..1 << 30, shift in 0..=22u32, bounds in (byte(), byte()),
    ) {
        let (first, second): (Vec<i8>, Vec<i8>) = pairs.into_iter().unzip();
        let (minimum, maximum) = (bounds.0.min(bounds.1) as i32, bounds.0.max(bounds.1) as i32);
        let constants = AddConstants { offset, first: factors[0], second: factors[1], shift, minimum, maximum };
        let mut output = vec![0; first.len()];
        add(&first, &second, &constants, &mut output);
        for ((&x, &y), &found) in first.iter().zip(&second).zip(&output) {
            let sum = offset as i64 + factors[0] as i64 * x as i64 + factors[1] as i64 * y as i64;
            prop_assert_eq!(found as i64, (sum >> shift).clamp(minimum as i64, maximum as i64));
        }
        let mut in_place = first.clone();
        add_assign(&mut in_place, &second, &constants);
        prop_assert_eq!(in_place, output);
    }
}

/// The layout is written to files: it may not change.
#[test]
fn rows_lie_in_pairs() {
    let rows = [1, 2, 3, 4, 5, 11, 12, 13, 14, 15, 21, 22, 23, 24, 25];
    let mut paired = [99; paired_bytes(3, 5)];
    pair_rows(&rows, 3, 5, &mut paired);
    let expected =
        [[1, 2, 3, 4, 11, 12, 13, 14, 5, 0, 0, 0, 15, 0, 0, 0], [21, 22, 23, 24, 0, 0, 0, 0, 25, 0, 0, 0, 0, 0, 0, 0]];
    assert_eq!(paired, *expected.as_flattened());
}

/// Scratch sizes go into the memory plan, which is made before the device is known.
#[test]
fn scratch_is_enough_for_the_hungriest() {
    assert_eq!(columns_words(64, 2), 96); // 3 pixels of 64 inputs, 16 bits each, on DSP cores
    assert_eq!(columns_words(3, 1), 4); // one vector on Helium
    assert_eq!(columns_words(640, 1), 320);
    assert_eq!(depthwise_words(9, 64), 9 + 8 + 8 * (4 + 16 + 2 + 5));
    assert_eq!(depthwise_words(1, 1), 1 + 8 + 32);
}

#[test]
fn slices_that_do_not_fit_together_are_left_alone() {
    let channels = [[0, i32::MAX]; 4];
    let good = Requantize { channels: &channels, shift: 0, zero_point: 0, minimum: -128, maximum: 127 };
    let (weights, mut columns) = ([0x0101_0101u32; 8], [0x0101_0101u32; 16]);
    let weights: &[i8] = bytemuck::cast_slice(&weights);
    let product = |weights: &[i8], k, columns: &[u32], length| {
        let mut output = vec![77; length];
        multiply(weights, k, columns, &good, split_pixels(&mut output, length.max(1)));
        output
    };
    assert_eq!(product(weights, 8, &columns, 4), [4; 4]);
    assert_eq!(product(&weights[4..], 8, &columns, 4), [77; 4], "too few weights");
    assert_eq!(product(weights, 8, &columns[..3], 4), [77; 4], "too few columns");
    assert_eq!(product(weights, 8, &columns, 5), [77; 5], "an output too many");
    assert_eq!(product(&weights[..0], 0, &columns, 4), [77; 4], "no depth");

    let before = columns;
    let pack = |columns: &mut [u32], at, first: &'static [i8], second| {
        let mut pixels = [&[][..]; PIXELS];
        pixels[..2].copy_from_slice(&[first, second]);
        pack_columns(columns, 8, at, pixels);
    };
    pack(&mut columns, 2, &[9; 4], &[]);
    pack(&mut columns, 8, &[9; 4], &[]);
    pack(&mut columns, 0, &[9; 4], &[9; 3]);
    pack(&mut columns, 0, &[], &[9; 4]);
    pack(&mut columns[..3], 0, &[9; 4], &[]);
    let pack_two = |columns: &mut [u32], rows, row, [first, second]: [(usize, usize); 2]| {
        let bytes = [first, second].map(|(length, _)| vec![9; length]);
        let mut pixels = [(&[][..], 0); PIXELS];
        pixels[..2].copy_from_slice(&[(&bytes[0], first.1), (&bytes[1], second.1)]);
        pack_rows(columns, pixels, rows, row);
    };
    pack_two(&mut columns, 2, 4, [(8, 4), (7, 4)]);
    pack_two(&mut columns, 2, 4, [(8, 4), (8, 5)]);
    let pack_rows = |columns: &mut [u32], length: usize, rows, row, stride| {
        pack_two(columns, rows, row, [(length, stride); 2]);
    };
    pack_rows(&mut columns, 11, 2, 4, 8);
    pack_rows(&mut columns, 8, 2, 3, 4);
    pack_rows(&mut columns, 8, 0, 4, 4);
    pack_rows(&mut columns, 4, usize::MAX / 4 + 2, 4, 0); // 4 columns, but for the overflow
    pack_rows(&mut columns, 8, 2, 4, usize::MAX);
    pack_rows(&mut columns[..3], 8, 2, 4, 4);
    assert_eq!(columns, before);

    let window = Window { input: [2, 2], output: [1, 1], kernel: [2, 2], stride: [1, 1], dilation: [1, 1], padding: [0, 0] };
    let run = |window: Window, length: usize, words: usize| {
        let mut output = [77; 4];
        depthwise(&vec![1; length], &window, 0, &[1; 16], &good, &mut vec![0; words], &mut output);
        output
    };
    let words = depthwise_words(4, 4);
    assert_eq!(run(window, 16, words), [2; 4]);
    let long = Window { input: [1, 1 << 16], output: [1, 1 << 16], kernel: [1, 1], ..window };
    let mut output = vec![77; 1 << 16];
    let one = Requantize { channels: &[[0, i32::MAX]], ..good };
    depthwise(&vec![2; 1 << 16], &long, 0, &[3], &one, &mut vec![0; depthwise_words(1, 1)], &mut output);
    assert!(output.iter().all(|&y| y == 3), "the longest sequence a model may have");
    assert_eq!(run(window, 15, words), [77; 4], "an input too few");
    assert_eq!(run(window, 16, words - 1), [77; 4], "scratch too small");
    assert_eq!(run(Window { stride: [0, 1], ..window }, 16, words), [77; 4], "no stride");
    assert_eq!(run(Window { kernel: [usize::MAX, 2], ..window }, 16, words), [77; 4], "overflow");
    assert_eq!(run(Window { input: [1 << 14, 1 << 14], ..window }, 16, words), [77; 4], "an image larger than its bytes");
}

/// The variant in use agrees with the portable one; where that is the one in use, this proves that the generator keeps to shapes that
/// the kernels accept.
#[test]
fn self_check_passes() {
    assert_eq!(self_check(1, 2000), 0);
    assert_eq!(VARIANT.name(), if cfg!(simd_x86) { "x86" } else { "portable" });
}
