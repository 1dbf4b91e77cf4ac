//! x86-64: AVX2, and the dot products of AVX-512 (VNNI), where the host's processor has them, which is asked when the program runs;
//! otherwise portable code, whose columns these are: bytes as they are.
//!
//! Eight channels, four pairs of rows, are summed at a time. With AVX2, weights and inputs are widened to 16 bits: `VPMADDWD`
//! multiplies sixteen weights with eight inputs, each group of four twice, as the two rows of a pair alternate, and adds neighbours. With
//! VNNI, `VPDPBUSD` multiplies thirty-two weights, which have no sign once 128 is added, with sixteen inputs and adds four each.
//! 128 times the inputs is summed beside them and taken off.

mod depthwise;
#[cfg(test)]
mod tests;

use super::{AddConstants, Requantize, Variant, layout::padded, portable};
use crate::quant::saturate_i16;
use core::arch::x86_64::*;

pub(super) use super::pack_each_row as pack_rows;
pub(super) use depthwise::Kernels;
pub(super) use portable::{PIXELS, copy, pack_columns, wide_group, wide_sums, wide_tap_sums};

pub(super) const VARIANT: Variant = Variant::X86;

pub(super) const PACK_RUN: Option<super::PackRun> = None;

/// Output channels of a tile: four pairs of rows.
const CHANNELS: usize = 8;

/// Whether the processor has AVX2; asked of it once.
#[inline(always)]
fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

/// Whether the processor has AVX-512's dot products of bytes, on vectors of 32 bytes.
#[inline(always)]
fn has_vnni() -> bool {
    std::arch::is_x86_feature_detected!("avx512vnni") && std::arch::is_x86_feature_detected!("avx512vl") && has_avx2()
}

pub(super) fn multiply(
    weights: &[i8],
    k: usize,
    columns: &[u32],
    requantize: &Requantize,
    [first, second]: [&mut [i8]; PIXELS],
) {
    if !has_avx2() {
        return portable::multiply(weights, k, columns, requantize, [first, second]);
    }
    let Some((x1, rest)) = bytemuck::cast_slice(columns).split_at_checked(padded(k)) else { return };
    let x2 = rest.get(..padded(k)).unwrap_or_default();
    // SAFETY: the processor has the instructions that each of the functions is compiled for.
    unsafe {
        match (has_vnni(), second.is_empty()) {
            (true, true) => vnni::multiply(weights, [x1], requantize, [first]),
            (true, false) => vnni::multiply(weights, [x1, x2], requantize, [first, second]),
            (false, true) => avx2::multiply(weights, [x1], requantize, [first]),
            (false, false) => avx2::multiply(weights, [x1, x2], requantize, [first, second]),
        }
    }
}

pub(super) fn add_products(weights: &[i8], k: usize, input: &[i8], channels: &[[i32; 2]], shift: u32, outputs: &mut [i16]) {
    let Some(input) = input.get(..padded(k)) else { return };
    // SAFETY: the processor has the instructions that each of the functions is compiled for.
    match (has_vnni(), has_avx2()) {
        (true, _) => unsafe { vnni::add_products(weights, input, channels, shift, outputs) },
        (_, true) => unsafe { avx2::add_products(weights, input, channels, shift, outputs) },
        _ => portable::add_products(weights, k, input, channels, shift, outputs),
    }
}

/// Products in terms of a function of eight channels' sums, compiled for the instructions that this uses.
macro_rules! products {
    ($module:ident, $sums:ident, $start:ident, $features:literal) => {
        mod $module {
            use super::*;

            /// All channels of some pixels; the slices of inputs have one length, and so have those of outputs.
            #[target_feature(enable = $features)]
            pub fn multiply<const PIXELS: usize>(
                weights: &[i8],
                inputs: [&[i8]; PIXELS],
                requantize: &Requantize,
                mut outputs: [&mut [i8]; PIXELS],
            ) {
                let (scale, start) = (Scale::new(requantize), $start(inputs));
                for tile in tiles(weights, inputs[0].len(), requantize.channels) {
                    // SAFETY: every pair has two weights for each of the inputs, whose number is a multiple of 4.
                    let sums = unsafe { $sums(tile.pairs, inputs, start) };
                    let constants = Constants::of_tile(tile.channels);
                    for (sums, outputs) in sums.into_iter().zip(&mut outputs) {
                        let eight = scale.bytes(sums, &constants);
                        let places = outputs.get_mut(tile.first..).unwrap_or_default();
                        match places.first_chunk_mut() {
                            Some(places) => *places = eight,
                            None => places.iter_mut().zip(eight).for_each(|(place, byte)| *place = byte),
                        }
                    }
                }
            }

            #[target_feature(enable = $features)]
            pub fn add_products(weights: &[i8], input: &[i8], channels: &[[i32; 2]], shift: u32, outputs: &mut [i16]) {
                let start = $start([input]);
                for tile in tiles(weights, input.len(), channels) {
                    // SAFETY: as above.
                    let [sums] = unsafe { $sums(tile.pairs, [input], start) };
                    let products = Constants::of_tile(tile.channels).products(sums, _mm_cvtsi32_si128(shift as i32));
                    let mut eight = [0; CHANNELS];
                    // SAFETY: eight times 32 bits.
                    unsafe { _mm256_storeu_si256(eight.as_mut_ptr().cast(), products) };
                    let outputs = outputs.get_mut(tile.first..).unwrap_or_default();
                    outputs
                        .iter_mut()
                        .zip(eight)
                        .for_each(|(output, product)| *output = output.saturating_add(saturate_i16(product)));
                }
            }
        }
    };
}
products!(avx2, sums_avx2, start_avx2, "avx2");
products!(vnni, sums_vnni, start_vnni, "avx2,avx512vnni,avx512vl");

/// Eight channels of a product.
struct Tile<'a> {
    /// The first of them.
    first: usize,
    /// Their weights.
    pairs: [*const i8; 4],
    /// Their constants, eight or less.
    channels: &'a [[i32; 2]],
}

/// The tiles of a product with weights `[channels, k]` in paired rows, k a multiple of 4. Where the last one ends before its eighth
/// channel, its last pair of rows is taken again, and what comes out is not to be stored.
#[inline(always)]
fn tiles<'a>(weights: &[i8], k: usize, channels: &'a [[i32; 2]]) -> impl Iterator<Item = Tile<'a>> {
    let last = channels.len().div_ceil(2).saturating_sub(1);
    channels.chunks(CHANNELS).enumerate().map(move |(number, channels)| Tile {
        first: number * CHANNELS,
        pairs: [0, 1, 2, 3].map(|pair| weights.as_ptr().wrapping_add(last.min(number * 4 + pair) * 2 * k)),
        channels,
    })
}

/// Sums of eight channels over each pixel.
///
/// # Safety
/// The slices of inputs have one length, a multiple of 4, and each of `pairs` points to twice as many weights.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn sums_avx2<const PIXELS: usize>(pairs: [*const i8; 4], inputs: [&[i8]; PIXELS], (): ()) -> [__m256i; PIXELS] {
    let k = inputs[0].len();
    let mut rows = [[_mm256_setzero_si256(); PIXELS]; 4];
    let mut at = 0;
    while at + 8 <= k {
        let mut x = [_mm256_setzero_si256(); PIXELS];
        for (x, inputs) in x.iter_mut().zip(inputs) {
            // SAFETY: eight inputs from `at` on.
            let eight = _mm_cvtepi8_epi16(unsafe { _mm_loadl_epi64(inputs.as_ptr().add(at).cast()) });
            *x = _mm256_permute4x64_epi64::<0b01_01_00_00>(_mm256_castsi128_si256(eight));
        }
        for (sums, pair) in rows.iter_mut().zip(pairs) {
            // SAFETY: sixteen weights of eight inputs from `at` on.
            let weights = _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(pair.add(2 * at).cast()) });
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(weights, x));
            }
        }
        at += 8;
    }
    if at < k {
        for (sums, pair) in rows.iter_mut().zip(pairs) {
            // SAFETY: eight weights of four inputs from `at` on.
            let weights = _mm_cvtepi8_epi16(unsafe { _mm_loadl_epi64(pair.add(2 * at).cast()) });
            for (sum, inputs) in sums.iter_mut().zip(inputs) {
                // SAFETY: four inputs from `at` on.
                let four = unsafe { _mm_loadu_si32(inputs.as_ptr().add(at).cast()) };
                let products = _mm_madd_epi16(weights, _mm_cvtepi8_epi16(_mm_unpacklo_epi32(four, four)));
                *sum = _mm256_add_epi32(*sum, _mm256_zextsi128_si256(products));
            }
        }
    }
    let [a, b, c, d] = rows;
    let mut sums = a;
    for ((((sums, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        // Each holds, in either half, two parts of its first channel and two of its second.
        *sums = added_halves(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    }
    sums
}

/// What is to be added to the sums of [`sums_avx2`]: nothing.
fn start_avx2<const PIXELS: usize>(_: [&[i8]; PIXELS]) {}

/// As [`sums_avx2`], where `start` is what is to be added to each.
///
/// # Safety
/// As [`sums_avx2`].
#[target_feature(enable = "avx2,avx512vnni,avx512vl")]
#[inline]
unsafe fn sums_vnni<const PIXELS: usize>(
    pairs: [*const i8; 4],
    inputs: [&[i8]; PIXELS],
    start: [__m256i; PIXELS],
) -> [__m256i; PIXELS] {
    let mut rows = [[_mm256_setzero_si256(); PIXELS]; 4];
    let mut pairs = pairs;
    each_sixteen(
        inputs,
        #[inline(always)]
        |x, groups| {
            for (sums, pair) in rows.iter_mut().zip(&mut pairs) {
                // SAFETY: two groups of weights for each of inputs.
                let weights = unsafe { _mm256_maskz_loadu_epi32(!(!0u32 << (2 * groups)) as u8, pair.cast()) };
                let weights = _mm256_xor_si256(weights, _mm256_set1_epi8(-128));
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum = _mm256_dpbusd_epi32(*sum, weights, x);
                }
                *pair = pair.wrapping_add(32);
            }
        },
    );
    let [a, b, c, d] = rows;
    let mut sums = start;
    for ((((sums, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        // Each holds four parts of its first channel and of its second, in turn: halves are added, and their halves.
        let (first, second) = (added_halves(a, b), added_halves(c, d));
        let parts = _mm256_add_epi32(_mm256_unpacklo_epi64(first, second), _mm256_unpackhi_epi64(first, second));
        *sums = _mm256_add_epi32(_mm256_permute4x64_epi64::<0b11_01_10_00>(parts), *sums);
    }
    sums
}

/// What is to be added to the sums of [`sums_vnni`]: -128 times the sum of each pixel's inputs.
#[target_feature(enable = "avx2,avx512vnni,avx512vl")]
#[inline]
fn start_vnni<const PIXELS: usize>(inputs: [&[i8]; PIXELS]) -> [__m256i; PIXELS] {
    let mut all = [_mm256_setzero_si256(); PIXELS];
    each_sixteen(
        inputs,
        #[inline(always)]
        |x, _| {
            for (sum, x) in all.iter_mut().zip(x) {
                *sum = _mm256_dpbusd_epi32(*sum, _mm256_set1_epi8(-128), x);
            }
        },
    );
    for sum in &mut all {
        // Every group stands there twice, side by side.
        let halves = added_halves(*sum, *sum);
        let sums = _mm256_add_epi32(halves, _mm256_shuffle_epi32::<0b01_00_11_10>(halves));
        *sum = _mm256_sub_epi32(_mm256_setzero_si256(), sums);
    }
    all
}

/// Calls `work` with sixteen inputs of each pixel at a time, each group of four twice, and how many groups there are: four, or what is
/// left. The slices have one length, a multiple of 4.
#[target_feature(enable = "avx2,avx512vnni,avx512vl")]
#[inline]
fn each_sixteen<const PIXELS: usize>(inputs: [&[i8]; PIXELS], mut work: impl FnMut([__m256i; PIXELS], usize)) {
    let twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    let k = inputs[0].len();
    let mut x = [_mm256_setzero_si256(); PIXELS];
    let mut at = 0;
    while at + 16 <= k {
        for (x, inputs) in x.iter_mut().zip(inputs) {
            // SAFETY: sixteen inputs from `at` on.
            let sixteen = unsafe { _mm_loadu_si128(inputs.as_ptr().add(at).cast()) };
            *x = _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(sixteen), twice);
        }
        work(x, 4);
        at += 16;
    }
    let groups = (k - at) / 4;
    if groups > 0 {
        for (x, inputs) in x.iter_mut().zip(inputs) {
            // SAFETY: so many groups from `at` on.
            let left = unsafe { _mm_maskz_loadu_epi32(!(!0 << groups), inputs.as_ptr().add(at).cast()) };
            *x = _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(left), twice);
        }
        work(x, groups);
    }
}

/// The sum of either one's halves: the first's, and the second's.
#[target_feature(enable = "avx2")]
#[inline]
fn added_halves(first: __m256i, second: __m256i) -> __m256i {
    let lower = _mm256_permute2x128_si256::<0x20>(first, second);
    _mm256_add_epi32(lower, _mm256_permute2x128_si256::<0x31>(first, second))
}

/// Biases and multipliers of eight channels.
#[derive(Clone, Copy)]
struct Constants {
    bias: __m256i,
    multiplier: __m256i,
}

impl Constants {
    /// Of eight channels in order.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn new(channels: &[[i32; 2]; CHANNELS]) -> Self {
        let order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
        let channels = channels.as_ptr().cast::<__m256i>();
        // SAFETY: the array has 64 bytes.
        let (lower, upper) = unsafe { (_mm256_loadu_si256(channels), _mm256_loadu_si256(channels.add(1))) };
        // Biases to the lower half, multipliers to the upper one.
        let (lower, upper) = (_mm256_permutevar8x32_epi32(lower, order), _mm256_permutevar8x32_epi32(upper, order));
        Self {
            bias: _mm256_permute2x128_si256::<0x20>(lower, upper),
            multiplier: _mm256_permute2x128_si256::<0x31>(lower, upper),
        }
    }

    /// Of eight channels or less.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn of_tile(channels: &[[i32; 2]]) -> Self {
        if let Some(channels) = channels.first_chunk() {
            return Self::new(channels);
        }
        let mut padded = [[0; 2]; CHANNELS];
        padded.iter_mut().zip(channels).for_each(|(padded, &channel)| *padded = channel);
        Self::new(&padded)
    }

    /// `((bias + sum) << shift) * multiplier + 2^31 >> 32`.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn products(&self, sums: __m256i, shift: __m128i) -> __m256i {
        let half = _mm256_set1_epi64x(1 << 31);
        let sums = _mm256_sll_epi32(_mm256_add_epi32(sums, self.bias), shift);
        let even = _mm256_add_epi64(_mm256_mul_epi32(sums, self.multiplier), half);
        let odd = _mm256_mul_epi32(_mm256_srli_epi64::<32>(sums), _mm256_srli_epi64::<32>(self.multiplier));
        _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(even), _mm256_add_epi64(odd, half))
    }
}

/// What all channels share.
struct Scale {
    shift: __m128i,
    zero_point: __m256i,
    minimum: __m256i,
    maximum: __m256i,
}

impl Scale {
    #[target_feature(enable = "avx2")]
    #[inline]
    fn new(requantize: &Requantize) -> Self {
        Self {
            shift: _mm_cvtsi32_si128(requantize.shift as i32),
            zero_point: _mm256_set1_epi32(requantize.zero_point),
            minimum: _mm256_set1_epi32(requantize.minimum),
            maximum: _mm256_set1_epi32(requantize.maximum),
        }
    }

    /// Eight outputs, as 32 bits each.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn outputs(&self, sums: __m256i, constants: &Constants) -> __m256i {
        let products = constants.products(sums, self.shift);
        let outputs = _mm256_max_epi32(_mm256_add_epi32(products, self.zero_point), self.minimum);
        _mm256_min_epi32(outputs, self.maximum)
    }

    /// Eight outputs.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn bytes(&self, sums: __m256i, constants: &Constants) -> [i8; CHANNELS] {
        let outputs = self.outputs(sums, constants);
        let halves = _mm_packs_epi32(_mm256_castsi256_si128(outputs), _mm256_extracti128_si256::<1>(outputs));
        bytemuck::cast(_mm_cvtsi128_si64(_mm_packs_epi16(halves, halves)))
    }
}

/// Runs `work`, inlined here and so compiled for AVX2.
#[inline(always)]
pub(super) fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    #[target_feature(enable = "avx2")]
    fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
        work()
    }
    if has_avx2() {
        // SAFETY: the processor has AVX2.
        unsafe { with_avx2(work) }
    } else {
        work()
    }
}

pub(super) fn add(first: &[i8], second: &[i8], constants: &AddConstants, output: &mut [i8]) {
    vectorized(
        #[inline(always)]
        || portable::add(first, second, constants, output),
    );
}

pub(super) fn add_assign(first: &mut [i8], second: &[i8], constants: &AddConstants) {
    vectorized(
        #[inline(always)]
        || portable::add_assign(first, second, constants),
    );
}
