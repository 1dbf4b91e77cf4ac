//! The int16 kernels against naive references in 64 bits.

#![allow(clippy::indexing_slicing)]

extern crate std;

use super::*;
use crate::quant::SHORT_SUM;
use proptest::{array::uniform2, collection::vec as some, prelude::*};
use std::{vec, vec::Vec};

/// The contract of `quant.rs`, word for word, in 128 bits.
fn requantized(sum: i64, [bias, multiplier]: [i32; 2], requantize: &RequantizeWide<'_>, is_short: bool) -> i16 {
    let accumulator = i64::from(bias) + sum;
    assert!(!is_short || accumulator.abs() < 1 << 31, "the test breaks the exporter's promise");
    let product = i128::from(accumulator) * i128::from(multiplier) + (1 << (requantize.shift - 1));
    (product >> requantize.shift).clamp(requantize.minimum.into(), requantize.maximum.into()) as i16
}

/// int16 with many extremes.
fn value() -> impl Strategy<Value = i16> {
    prop_oneof![Just(i16::MIN), Just(i16::MAX), Just(0), any::<i16>()]
}

fn weight() -> impl Strategy<Value = i8> {
    prop_oneof![Just(-127i8), Just(127), -127..=127i8]
}

/// `[bias, multiplier]` of channels, a shift and bounds. Biases reach as far as the longest short sum lets them.
type Constants = (Vec<[i32; 2]>, u32, i16, i16);

fn constants(channels: usize) -> impl Strategy<Value = Constants> {
    let bias = prop_oneof![Just(-(1 << 24)), Just(1 << 24), -(1 << 20)..1 << 20];
    let multiplier = prop_oneof![Just(1 << 22), Just(0), 1 << 10..1 << 22];
    let channel = (bias, multiplier).prop_map(|(bias, multiplier)| [bias, multiplier]);
    let bounds = prop_oneof![Just((i16::MIN, i16::MAX)), (value(), value())];
    (some(channel, channels), 20..48u32, bounds)
        .prop_map(|(channels, shift, (one, other))| (channels, shift, one.min(other), one.max(other)))
}

fn requantize((channels, shift, minimum, maximum): &Constants) -> RequantizeWide<'_> {
    RequantizeWide { channels, shift: *shift, minimum: *minimum, maximum: *maximum }
}

/// The product of rows with one pixel or two, by the kernels.
fn products(rows: &[i8], k: usize, first: &[i16], second: &[i16], requantize: &RequantizeWide<'_>) -> [Vec<i16>; 2] {
    let channels = requantize.channels.len();
    let mut words = vec![0u32; paired_bytes(channels, k).div_ceil(4)];
    let paired: &mut [i8] = &mut bytemuck::cast_slice_mut(&mut words)[..paired_bytes(channels, k)];
    pair_rows(rows, channels, k, paired);
    let mut columns = vec![0x5a5a_5a5a; wide_columns_words(k, 2)];
    pack_wide(&mut columns, first, second);
    let mut outputs = [vec![0; channels], vec![0; if second.is_empty() { 0 } else { channels }]];
    let [ones, twos] = &mut outputs;
    multiply_wide(paired, k, &columns, requantize, ones, twos);
    outputs
}

/// Depth, rows, two pixels and constants: short sums and long ones.
fn product() -> impl Strategy<Value = (usize, Vec<i8>, Vec<i16>, Constants)> {
    let sizes = prop_oneof![(1..12usize, 1..150usize), (1..4usize, 500..1600usize)];
    sizes.prop_flat_map(|(channels, k)| (Just(k), some(weight(), channels * k), some(value(), 2 * k), constants(channels)))
}

proptest! {
    #[test]
    fn wide_products_are_those_of_a_plain_matrix((k, rows, pixels, constants) in product(), two in any::<bool>()) {
        let requantize = requantize(&constants);
        let (first, second) = pixels.split_at(k);
        let second = if two { second } else { &[] };
        let outputs = products(&rows, k, first, second, &requantize);
        for (inputs, outputs) in [first, second].into_iter().zip(&outputs) {
            for ((row, &channel), &output) in rows.chunks(k).zip(requantize.channels).zip(outputs) {
                let sum = row.iter().zip(inputs).map(|(&w, &x)| i64::from(w) * i64::from(x)).sum();
                prop_assert_eq!(output, requantized(sum, channel, &requantize, k <= SHORT_SUM));
            }
        }
    }

    #[test]
    fn wide_depthwise_is_a_plain_loop(
        (input, kernel, stride, dilation, padding) in (uniform2(1..7usize), uniform2(1..4usize), uniform2(1..3usize), uniform2(1..3usize), uniform2(0..4usize)),
        output in uniform2(1..7usize),
        (channels, seed) in (1..23usize, any::<u64>()),
    ) {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as i32
        };
        let window = Window { input, output, kernel, stride, dilation, padding };
        let image: Vec<i16> = (0..input[0] * input[1] * channels).map(|_| next() as i16).collect();
        let weights: Vec<i8> = (0..kernel[0] * kernel[1] * channels).map(|_| (next() as i8).max(-127)).collect();
        let constants: Vec<[i32; 2]> = (0..channels).map(|_| [next() << 4, next() << 5]).collect();
        let requantize = RequantizeWide { channels: &constants, shift: 43, minimum: -30_000, maximum: 31_000 };
        let mut found = vec![0; output[0] * output[1] * channels];
        let mut scratch = vec![0x5a5a_5a5a; wide_depthwise_words(kernel[0] * kernel[1])];
        depthwise_wide(&image, &window, &weights, &requantize, &mut scratch, &mut found);
        for (place, &found) in found.iter().enumerate() {
            let (channel, pixel) = (place % channels, place / channels);
            let at = [pixel / output[1], pixel % output[1]];
            let mut sum = 0;
            for (tap, weights) in weights.chunks(channels).enumerate() {
                let tap = [tap / kernel[1], tap % kernel[1]];
                let position = |axis: usize| (at[axis] * stride[axis] + tap[axis] * dilation[axis]).checked_sub(padding[axis]);
                if let (Some(y), Some(x)) = (position(0).filter(|&y| y < input[0]), position(1).filter(|&x| x < input[1])) {
                    sum += i64::from(weights[channel]) * i64::from(image[(y * input[1] + x) * channels + channel]);
                }
            }
            prop_assert_eq!(found, requantized(sum, constants[channel], &requantize, true));
        }
    }
}

#[test]
fn the_largest_sums_are_exact() {
    for (k, weight, x) in
        [(512, 127, i16::MIN), (512, -127, i16::MIN), (512, 127, i16::MAX), (4096, -127, i16::MIN), (4096, 127, i16::MIN)]
    {
        let channels = [[-(1 << 24) * i32::from(weight).signum() * i32::from(x).signum(), 1 << 20]; 3];
        let requantize = RequantizeWide { channels: &channels, shift: 40, minimum: i16::MIN, maximum: i16::MAX };
        let (rows, pixel) = (vec![weight; 3 * k], vec![x; k]);
        let sum = k as i64 * i64::from(weight) * i64::from(x);
        let expected = requantized(sum, channels[0], &requantize, k <= SHORT_SUM);
        assert_eq!(products(&rows, k, &pixel, &pixel, &requantize), [[expected; 3]; 2], "{k} times {weight} * {x}");
    }
}

/// 3 * 100 - 2 * 1000 + 50 = -1650, a sixteenth of which is -103.1; 127 * 1000 - 7 = 126,993, a sixteenth of which is 7937.06.
#[test]
fn literal_products() {
    let channels = [[50, 1 << 29], [-7, 1 << 29]];
    let requantize = RequantizeWide { channels: &channels, shift: 33, minimum: -200, maximum: 8000 };
    assert_eq!(products(&[3, -2, 0, 127], 2, &[100, 1000], &[], &requantize), [vec![-103, 7937], vec![]]);
    let clamped = RequantizeWide { minimum: -100, maximum: 7000, ..requantize };
    assert_eq!(products(&[3, -2, 0, 127], 2, &[100, 1000], &[0, 0], &clamped), [vec![-100, 7000], vec![3, 0]]);
}
