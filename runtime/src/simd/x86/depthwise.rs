//! Depthwise convolution, sixteen channels at a time: two taps' weights and inputs alternate, so that `VPMADDWD` multiplies and adds
//! both. Channels that are left are portable code.
//!
//! Scratch memory holds the weights of each sixteen channels, widened to 16 bits: for each pair of taps channels 0 to 3 and 8 to 11,
//! then the others, the two taps in turn. An odd tap has a neighbour of zeros.

use super::{Constants, Requantize, Scale, has_avx2};
use crate::simd::{
    depthwise::{Depthwise, Run},
    portable::{self, PADDING},
};
use core::arch::x86_64::*;

/// Channels of a tile.
const LANES: usize = 16;

/// Words of a tile's weights for a pair of taps.
const PAIR_WORDS: usize = LANES;

pub(in crate::simd) struct Kernels;

impl Depthwise for Kernels {
    fn prepare(weights: &[i8], channels: usize, from: usize, requantize: &Requantize, _: i8, scratch: &mut [u32]) {
        if has_avx2() {
            // SAFETY: the processor has AVX2.
            unsafe { interleave(weights, channels, from, requantize.channels.len() / LANES, scratch) };
        }
    }

    fn padding_tap(_: &Requantize, _: *const i8, _: &[u32]) -> u32 {
        PADDING
    }

    fn run(run: &Run, weights: &[i8], requantize: &Requantize, scratch: &mut [u32], output: &mut [i8]) {
        if !has_avx2() {
            return portable::Kernels::run(run, weights, requantize, scratch, output);
        }
        // SAFETY: the processor has AVX2.
        unsafe {
            tiles(run, requantize, scratch, output);
            rest(run, weights, requantize, output);
        }
    }

    fn finish(_: &Requantize, _: &mut [i8]) {}
}

/// Lays out the weights of `tiles` times sixteen channels from number `from` on.
#[target_feature(enable = "avx2")]
fn interleave(weights: &[i8], channels: usize, from: usize, tiles: usize, scratch: &mut [u32]) {
    let taps = weights.len() / channels.max(1);
    let tap = |tap: usize, channel: usize| {
        let sixteen = weights.get(tap * channels + channel..).and_then(|rest| rest.first_chunk::<LANES>());
        // SAFETY: sixteen weights.
        sixteen.map_or(_mm256_setzero_si256(), |sixteen| unsafe { widened(sixteen.as_ptr()) })
    };
    for (tile, places) in scratch.chunks_exact_mut((taps.div_ceil(2) * PAIR_WORDS).max(1)).take(tiles).enumerate() {
        let channel = from + tile * LANES;
        for (pair, place) in places.as_chunks_mut::<PAIR_WORDS>().0.iter_mut().enumerate() {
            let first = tap(2 * pair, channel);
            let second = if 2 * pair + 1 < taps { tap(2 * pair + 1, channel) } else { _mm256_setzero_si256() };
            let [lower, upper] = [_mm256_unpacklo_epi16(first, second), _mm256_unpackhi_epi16(first, second)];
            let place = place.as_mut_ptr().cast::<__m256i>();
            // SAFETY: sixteen words, twice eight.
            unsafe {
                _mm256_storeu_si256(place, lower);
                _mm256_storeu_si256(place.add(1), upper);
            }
        }
    }
}

/// The channels behind the last whole tile, in the processor's vectors.
#[target_feature(enable = "avx2")]
fn rest(run: &Run, weights: &[i8], requantize: &Requantize, output: &mut [i8]) {
    let rest = requantize.channels.len() / LANES * LANES;
    let rest = portable::depthwise_chunks::<8>(run, rest, weights, requantize, output);
    let rest = portable::depthwise_chunks::<4>(run, rest, weights, requantize, output);
    portable::depthwise_chunks::<1>(run, rest, weights, requantize, output);
}

/// All whole tiles.
#[target_feature(enable = "avx2")]
fn tiles(run: &Run, requantize: &Requantize, scratch: &[u32], output: &mut [i8]) {
    let scale = Scale::new(requantize);
    let words = run.taps.len().div_ceil(2) * PAIR_WORDS;
    let tiles = requantize.channels.as_chunks::<LANES>().0.iter().zip(scratch.chunks_exact(words.max(1)));
    for (tile, (constants, weights)) in tiles.enumerate() {
        // SAFETY: there are sixteen channels from that one on; the taps of all pixels lie in the input with all channels
        // (`depthwise.rs`), and the output has all channels of each pixel.
        unsafe { one_tile(run, run.from + tile * LANES, weights.as_chunks().0, constants, &scale, output) };
    }
}

/// Sixteen channels of all pixels of a run.
///
/// # Safety
/// The layer has sixteen channels from `channel` on; taps and outputs have all channels.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn one_tile(
    run: &Run,
    channel: usize,
    weights: &[[u32; PAIR_WORDS]],
    constants: &[[i32; 2]; LANES],
    scale: &Scale,
    output: &mut [i8],
) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *constants;
    let constants = [Constants::new(&[a, b, c, d, i, j, k, l]), Constants::new(&[e, f, g, h, m, n, o, p])];
    let padding = [run.padding; LANES];
    let (mut input, mut to) = (run.input.as_ptr().wrapping_add(channel), output.as_mut_ptr().wrapping_add(channel));
    for _ in 0..run.pixels {
        let at = |tap: u32| if tap == PADDING { padding.as_ptr() } else { input.wrapping_add(tap as usize) };
        let mut sums = [_mm256_setzero_si256(); 2];
        for (weights, taps) in weights.iter().zip(run.taps.chunks(2)) {
            let [first, second] = match *taps {
                [first, second] => [first, second],
                [first] => [first, first], // whose weights are zero
                _ => return,
            };
            let weights = weights.as_ptr().cast::<__m256i>();
            // SAFETY: sixteen inputs at each tap, and twice eight words of weights.
            let (first, second, weights) = unsafe {
                (widened(at(first)), widened(at(second)), [_mm256_loadu_si256(weights), _mm256_loadu_si256(weights.add(1))])
            };
            let lower = _mm256_madd_epi16(weights[0], _mm256_unpacklo_epi16(first, second));
            let upper = _mm256_madd_epi16(weights[1], _mm256_unpackhi_epi16(first, second));
            sums = [_mm256_add_epi32(sums[0], lower), _mm256_add_epi32(sums[1], upper)];
        }
        let halves = _mm256_packs_epi32(scale.outputs(sums[0], &constants[0]), scale.outputs(sums[1], &constants[1]));
        let bytes = _mm256_permute4x64_epi64::<0b00_00_10_00>(_mm256_packs_epi16(halves, halves));
        // SAFETY: sixteen channels of the output pixel.
        unsafe { _mm_storeu_si128(to.cast(), _mm256_castsi256_si128(bytes)) };
        (input, to) = (input.wrapping_add(run.step), to.wrapping_add(run.channels));
    }
}

/// Sixteen numbers in 16 bits each.
///
/// # Safety
/// There are sixteen.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn widened(from: *const i8) -> __m256i {
    // SAFETY: as the caller promises.
    _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(from.cast()) })
}
