//! Plain Rust, for cores without vector instructions and for the host, where the compiler vectorizes it. What the other
//! variants must equal.
//!
//! Columns: the pixels' inputs as they are, each pixel padded to a multiple of 4 bytes.

use super::{
    AddConstants, Requantize, Variant,
    depthwise::{Depthwise, PADDING, Run},
    layout::padded,
};
use crate::quant::{clamp, requantize as requantize_one};

pub(super) const VARIANT: Variant = Variant::Portable;

pub(super) fn pack_columns(columns: &mut [u32], k: usize, at: usize, first: &[i8], second: &[i8]) {
    let bytes: &mut [i8] = bytemuck::cast_slice_mut(columns);
    for (start, pixel) in [(at, first), (padded(k) + at, second)] {
        if let Some(place) = bytes.get_mut(start..).and_then(|rest| rest.get_mut(..pixel.len())) {
            place.copy_from_slice(pixel);
        }
    }
}

pub(super) fn multiply(
    weights: &[i8],
    k: usize,
    columns: &[u32],
    requantize: &Requantize,
    first: &mut [i8],
    second: &mut [i8],
) {
    let columns: &[i8] = bytemuck::cast_slice(columns);
    let Some((first_inputs, rest)) = columns.split_at_checked(padded(k)) else { return };
    let pairs = weights.chunks_exact(2 * padded(k)).zip(requantize.channels.chunks(2));
    if second.is_empty() {
        for ((pair, constants), outputs) in pairs.zip(first.chunks_mut(2)) {
            store(&sum_one(pair, first_inputs), constants, requantize, outputs);
        }
    } else {
        let Some(second_inputs) = rest.get(..padded(k)) else { return };
        for (((pair, constants), outputs), more_outputs) in pairs.zip(first.chunks_mut(2)).zip(second.chunks_mut(2)) {
            let [ones, twos] = sum_two(pair, first_inputs, second_inputs);
            store(&ones, constants, requantize, outputs);
            store(&twos, constants, requantize, more_outputs);
        }
    }
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
fn store(sums: &[i32], constants: &[[i32; 2]], requantize: &Requantize, outputs: &mut [i8]) {
    for ((&sum, &[bias, multiplier]), output) in sums.iter().zip(constants).zip(outputs) {
        let Requantize { shift, zero_point, minimum, maximum, .. } = *requantize;
        *output = requantize_one(bias.wrapping_add(sum), shift, multiplier, zero_point, minimum, maximum);
    }
}

/// Channels that are summed at once.
const LANES: usize = 16;

pub(super) struct Kernels;

impl Depthwise for Kernels {
    fn prepare(_: &[i8], _: usize, _: usize, _: &Requantize, _: i8, _: &mut [u32]) {}

    fn run(run: &mut Run, weights: &[i8], requantize: &Requantize, _: &mut [u32], output: &mut [i8]) {
        for (pixel, outputs) in output.chunks_exact_mut(run.channels).enumerate() {
            let mut start = run.from;
            let Some(outputs) = outputs.get_mut(start..) else { return };
            for (constants, outputs) in requantize.channels.chunks(LANES).zip(outputs.chunks_mut(LANES)) {
                let mut sums = [0; LANES];
                for (&tap, weights) in run.taps.iter().zip(weights.chunks_exact(run.channels)) {
                    let Some(weights) = weights.get(start..).and_then(|rest| rest.get(..constants.len())) else { return };
                    if tap == PADDING {
                        for (sum, &weight) in sums.iter_mut().zip(weights) {
                            *sum += weight as i32 * run.padding as i32;
                        }
                    } else {
                        let from = tap as usize + pixel * run.step + start;
                        let Some(inputs) = run.input.get(from..).and_then(|rest| rest.get(..constants.len())) else { return };
                        for ((sum, &weight), &input) in sums.iter_mut().zip(weights).zip(inputs) {
                            *sum += weight as i32 * input as i32;
                        }
                    }
                }
                store(&sums, constants, requantize, outputs);
                start += LANES;
            }
        }
    }

    fn finish(_: &Requantize, _: &mut [i8]) {}
}

pub(super) fn add(first: &[i8], second: &[i8], constants: &AddConstants, output: &mut [i8]) {
    for ((&x, &y), output) in first.iter().zip(second).zip(output) {
        *output = add_one(x, y, constants);
    }
}

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
