//! The inner loops that decide speed, one set per architecture behind one small interface.
//!
//! Ops call the functions of this module and never name an architecture. `portable` runs everywhere; `dsp` is for Armv7E-M
//! and Armv8-M cores with the DSP extension; `mve` is for Helium; `v6m` for Armv6-M; `rv32m` for RISC-V of 32 bits; `x86` for hosts. `build.rs` finds
//! out which the target has. All read the same constants ([`layout`]) and give the same bits: [`self_check`] compares them on the device.
//!
//! Instructions per multiply-accumulate (per element for the sum) of a whole op, everything included: gathering, packing, requantization,
//! borders. Counted in QEMU 7.2 with `-icount shift=0` (SysTick; `minstret` on RISC-V), rustc 1.95, opt-level 3, fat LTO:
//!
//! | | Cortex-M4F `dsp` | Cortex-M55 `mve` | RV32IMAC `rv32m` | Armv6-M `v6m` |
//! |---|---|---|---|---|
//! | pointwise 8x8x64 to 64 | 0.99 | 0.24 | 3.19 | 3.76 |
//! | pointwise 24x24x16 to 16 | 1.74 | 0.86 | 4.71 | 6.43 |
//! | convolution 3x3, 16x16x16 to 16 | 1.11 | 0.36 | 3.27 | 3.81 |
//! | dense 640 to 128 | 1.21 | 0.18 | 3.28 | 3.82 |
//! | depthwise 3x3, 16x16x64 | 2.67 | 1.50 | 7.14 | 13.0 |
//! | depthwise 3x3, 48x48x8 | 2.88 | 2.88 | 7.39 | 13.4 |
//! | depthwise 3x3, 3x3x256 | 4.62 | 2.63 | 7.78 | 14.3 |
//! | sum of 4096 elements | 7.0 | 1.8 | 11.0 | 12.1 |
//!
//! int16 activations (16x8), counted in the same way on layers of the zoo's `fashion-separable`; of Helium, what the compiler makes of
//! portable code:
//!
//! | | int8, Cortex-M4F | Cortex-M4F `dsp` | Cortex-M55 | RV32IMAC `portable` | Armv6-M `portable` |
//! |---|---|---|---|---|---|
//! | pointwise 14x14x16 to 32 | 1.68 | 3.56 | 5.24 | 7.7 | 11.5 |
//! | pointwise 14x14x32 to 64 | 1.23 | 2.17 | 4.09 | 6.4 | 8.9 |
//! | pointwise 7x7x64 to 128 | 1.07 | 1.53 | 3.56 | 5.8 | 7.6 |
//! | depthwise 3x3, 14x14x16 | 3.52 | 7.46 | 7.84 | 8.6 | 19.7 |
//! | depthwise 3x3, 7x7x64 | 3.51 | 6.15 | 6.44 | 7.3 | 17.3 |
//!
//! The products' loops are those of int8; what is more is a call for each tile of two channels by two pixels, and outputs that are
//! requantized outside of assembly. Depthwise weights are widened for each pixel.
//!
//! Tried and dropped: on Armv6-M, requantization in a function of its own, which is called for two or four sums (31 instructions, and as
//! many for the call); on RISC-V, tiles of four channels in plain Rust, where the compiler loads a whole step before the first product,
//! and spills (6.0 instead of 3.2). Widening depthwise weights once per run of pixels instead of once per block took 4 to 18 instructions,
//! since where rows are short the widening is most of the work.
//!
//! Lengths are checked once per call; a call with slices that do not fit together does nothing. Nothing here can panic.
#![allow(unsafe_code)] // Each block says why it is sound.

/// First line of every naked function: link-time optimization assembles them for the target triple's oldest core.
#[cfg(simd_mve)]
macro_rules! assembler_core {
    () => {
        ".cpu cortex-m55"
    };
}
#[cfg(all(simd_dsp, simd_v8m))]
macro_rules! assembler_core {
    () => {
        ".cpu cortex-m33"
    };
}
#[cfg(all(simd_dsp, not(simd_v8m)))]
macro_rules! assembler_core {
    () => {
        ""
    };
}
#[cfg(any(simd_dsp, simd_mve))]
use assembler_core;

mod check;
mod depthwise;
#[cfg(simd_dsp)]
mod dsp;
pub mod layout;
#[cfg(simd_mve)]
mod mve;
mod portable;
#[cfg(simd_rv32m)]
mod rv32m;
#[cfg(test)]
mod tests;
#[cfg(simd_v6m)]
mod v6m;
mod wide;
#[cfg(test)]
mod wide_tests;
#[cfg(simd_x86)]
mod x86;

#[cfg(simd_dsp)]
use dsp as active;
#[cfg(simd_mve)]
use mve as active;
#[cfg(not(any(simd_dsp, simd_mve, simd_v6m, simd_rv32m, simd_x86)))]
use portable as active;
#[cfg(simd_rv32m)]
use rv32m as active;
#[cfg(simd_v6m)]
use v6m as active;
#[cfg(simd_x86)]
use x86 as active;

pub use check::self_check;
pub use depthwise::Window;
pub use layout::{at_a_time, columns_words, depthwise_words, pair_rows, paired_bytes, paired_position};
pub use wide::{wide_columns_words, wide_depthwise_words};

/// A set of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Variant {
    /// Plain Rust.
    Portable = 0,
    /// Arm's DSP extension: Cortex-M4, M7, M33.
    Dsp = 1,
    /// Arm's Helium (M-profile vector extension): Cortex-M52, M55, M85.
    Mve = 2,
    /// Armv6-M: Cortex-M0, M0+, M1.
    V6m = 3,
    /// RISC-V of 32 bits with multiplication.
    Rv32m = 4,
    /// x86-64: AVX2 where the processor has it, else plain Rust.
    X86 = 5,
}

impl Variant {
    /// `"portable"`, `"dsp"`, `"mve"`, `"v6m"`, `"rv32m"` or `"x86"`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Dsp => "dsp",
            Self::Mve => "mve",
            Self::V6m => "v6m",
            Self::Rv32m => "rv32m",
            Self::X86 => "x86",
        }
    }
}

/// The kernels that this build uses.
pub const VARIANT: Variant = active::VARIANT;

/// How accumulators become int8: `clamp(zero_point + (((bias + sum) << shift) * multiplier + 2^31 >> 32), minimum, maximum)`.
///
/// `-128 <= minimum <= maximum <= 127`, `shift <= 7`, and `|bias + sum| << shift < 2^31` at every step of the sum are the
/// caller's to keep; otherwise the results are nonsense, safely.
#[derive(Clone, Copy, Debug)]
pub struct Requantize<'a> {
    /// `[bias, multiplier]` of each output channel.
    pub channels: &'a [[i32; 2]],
    /// Left shift of all accumulators, 0 to 7.
    pub shift: u32,
    /// Zero point of the output.
    pub zero_point: i32,
    /// Smallest output.
    pub minimum: i32,
    /// Largest output.
    pub maximum: i32,
}

/// Runs `work` (an `#[inline(always)]` closure), where the host has wider vectors than the compiler may count on, compiled for those.
#[inline(always)]
pub(crate) fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(simd_x86)]
    return x86::vectorized(work);
    #[cfg(not(simd_x86))]
    work()
}

/// Copies bytes, as many as both have: where they are few, faster than a call of a function for any number.
#[inline(always)]
pub fn copy(to: &mut [u8], from: &[u8]) {
    let length = to.len().min(from.len());
    if let (Some(to), Some(from)) = (to.get_mut(..length), from.get(..length)) {
        active::copy(to, from);
    }
}

/// Pixels that are packed and multiplied at a time, at most.
pub const PIXELS: usize = active::PIXELS;

/// Writes inputs of one pixel, or of as many as [`PIXELS`], to `columns` in the order that [`multiply`] reads.
///
/// The slices that are not empty come first, are equally long, and hold inputs `at..at + length` of the pixels' `k`.
/// Pieces may come in any order and need not cover the padding; `at` is a multiple of 4, and so is the length of each piece but
/// the one that ends at `k`. `columns` has at least [`columns_words`]`(k, pixels)` words.
#[inline]
pub fn pack_columns(columns: &mut [u32], k: usize, at: usize, pixels: [&[i8]; PIXELS]) {
    let [first, second, ..] = pixels;
    let fits = at.is_multiple_of(4) && at <= k && first.len() <= k - at;
    let alike = pixels.iter().all(|pixel| pixel.is_empty() || pixel.len() == first.len());
    if fits && alike && columns.len() >= columns_words(k, if second.is_empty() { 1 } else { 2 }) {
        active::pack_columns(columns, k, at, pixels);
    }
}

/// As [`pack_columns`], for `rows` pieces of `length` inputs (a multiple of 4, not 0) in each pixel; with each goes how far apart they begin
/// in its slice. The slices may differ in length, and hold all pieces.
#[inline]
pub fn pack_rows(columns: &mut [u32], pixels: [(&[i8], usize); PIXELS], rows: usize, length: usize) {
    let last = rows.saturating_sub(1);
    let holds = |&(pixel, stride): &(&[i8], usize)| {
        let span = last.checked_mul(stride).and_then(|start| start.checked_add(length));
        span.is_some_and(|span| pixel.len() >= span)
    };
    let [first, second, ..] = &pixels;
    let Some(k) = rows.checked_mul(length) else { return };
    let fits = k > 0 && length.is_multiple_of(4) && holds(first);
    let others_hold = pixels.iter().skip(1).all(|pixel| pixel.0.is_empty() || holds(pixel));
    if fits && others_hold && columns.len() >= columns_words(k, if second.0.is_empty() { 1 } else { 2 }) {
        active::pack_rows(columns, pixels, rows, length);
    }
}

/// How the inputs of [`PIXELS`] pixels lie in one slice: each in some pieces.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(simd_dsp), expect(dead_code, reason = "the kernels in use do not pack pixels like that"))]
pub struct PixelRun {
    step: usize,
    stride: usize,
    rows: usize,
    length: usize,
    /// Inputs from the first to the last of them all.
    span: usize,
    /// Columns that they become.
    words: usize,
}

impl PixelRun {
    /// Pixels that begin `step` apart, of `rows` pieces of `length` inputs that begin `stride` apart. `None` where kernels have no use for it, if
    /// `length` is 0 or no multiple of 4, or if there are more than any slice has.
    #[inline]
    pub fn new([step, stride]: [usize; 2], rows: usize, length: usize) -> Option<Self> {
        active::PACK_RUN?;
        let k = rows.checked_mul(length).filter(|&k| k > 0 && length.is_multiple_of(4))?;
        let [pixels, pieces] = [(PIXELS, step), (rows, stride)].map(|(count, apart)| (count - 1).checked_mul(apart));
        let span = pixels?.checked_add(pieces?)?.checked_add(length)?;
        Some(Self { step, stride, rows, length, span, words: columns_words(k, PIXELS) })
    }
}

/// Packs pixels that lie like that in `inputs`; whether they do, and there are columns enough.
#[inline]
pub fn pack_run(columns: &mut [u32], inputs: &[i8], run: &PixelRun) -> bool {
    let Some(pack) = active::PACK_RUN else { return false };
    let fits = inputs.len() >= run.span && columns.len() >= run.words;
    if fits {
        pack(columns, inputs, run);
    }
    fits
}

/// Packs a [`PixelRun`], whose slices are long enough.
type PackRun = fn(columns: &mut [u32], inputs: &[i8], run: &PixelRun);

/// [`pack_rows`] in terms of [`pack_columns`].
#[inline(always)]
fn pack_each_row(columns: &mut [u32], pixels: [(&[i8], usize); PIXELS], rows: usize, length: usize) {
    for row in 0..rows {
        let piece = |(pixel, stride): (_, usize)| <[i8]>::get(pixel, row * stride..).and_then(|rest| rest.get(..length));
        active::pack_columns(columns, rows * length, row * length, pixels.map(|pixel| piece(pixel).unwrap_or_default()));
    }
}

/// Matrix product of weights `[channels, k]` (paired layout) with packed pixels, requantized.
///
/// `outputs` are the output pixels, `requantize.channels.len()` long; those behind the last are empty, as they were for
/// [`pack_columns`]. `weights` is [`paired_bytes`]`(channels, k)` long and 4-byte aligned.
#[inline]
pub fn multiply(weights: &[i8], k: usize, columns: &[u32], requantize: &Requantize, outputs: [&mut [i8]; PIXELS]) {
    let channels = requantize.channels.len();
    let [first, second, ..] = &outputs;
    if k > 0
        && channels > 0
        && first.len() == channels
        && outputs.iter().all(|output| output.is_empty() || output.len() == channels)
        && weights.len() == paired_bytes(channels, k)
        && (weights.as_ptr() as usize).is_multiple_of(4)
        && columns.len() >= columns_words(k, if second.is_empty() { 1 } else { 2 })
    {
        active::multiply(weights, k, columns, requantize, outputs);
    }
}

/// Adds to each of `outputs`, saturating, the product of its row of weights `[outputs, k]` (paired layout) with the inputs,
/// requantized to 16 bits: `((bias + sum) << shift) * multiplier + 2^31 >> 32`.
///
/// `channels` are `[bias, multiplier]` of each row; `input` has `k` values and as many more as make whole groups of four, of any
/// value. Portable code on all microcontrollers.
#[inline]
pub fn add_products(weights: &[i8], k: usize, input: &[i8], channels: &[[i32; 2]], shift: u32, outputs: &mut [i16]) {
    if k > 0 && channels.len() == outputs.len() && weights.len() == paired_bytes(outputs.len(), k) {
        active::add_products(weights, k, input, channels, shift, outputs);
    }
}

/// Depthwise convolution of one image `[H, W, C]` with one filter per channel.
///
/// `weights` is `[kernel_height, kernel_width, C]`; pixels outside the input read `padding`, the input's zero point. `scratch` has at
/// least [`depthwise_words`]`(taps, C)` words. Kernel, strides and dilations are at least 1.
#[inline]
pub fn depthwise(
    input: &[i8],
    window: &Window,
    padding: i8,
    weights: &[i8],
    requantize: &Requantize,
    scratch: &mut [u32],
    output: &mut [i8],
) {
    let channels = requantize.channels.len();
    let taps = depthwise_taps(input.len(), window, channels, weights, output.len());
    if taps.is_some_and(|taps| scratch.len() >= depthwise_words(taps, channels)) {
        depthwise::walk::<active::Kernels>(input, window, padding, weights, requantize, scratch, output);
    }
}

/// The window's taps, if all lengths agree and no offset overflows 32 bits.
fn depthwise_taps(input: usize, window: &Window, channels: usize, weights: &[i8], output: usize) -> Option<usize> {
    let area = |[height, width]: [usize; 2], depth| height.checked_mul(width)?.checked_mul(depth);
    let (inputs, outputs) = (area(window.input, channels)?, area(window.output, channels)?);
    let taps = area(window.kernel, 1)?;
    // Positions are at most 2^16, and 2^15 times 2^16 for strides and taps, so that their sums do not overflow 32 bits.
    let within = |pair: &[usize; 2], most: usize| pair.iter().all(|&size| size <= most);
    let some = |pair: &[usize; 2]| pair.iter().all(|&size| size > 0);
    let fits = [window.input, window.output, window.padding].iter().all(|pair| within(pair, 1 << 16))
        && [window.kernel, window.stride, window.dilation].iter().all(|pair| within(pair, (1 << 15) - 1))
        && [window.input, window.output, window.kernel, window.stride, window.dilation].iter().all(some)
        && input == inputs
        && output == outputs
        && outputs > 0
        && inputs < 1 << 31
        && area([window.stride[1], channels], 1)? < 1 << 31
        && weights.len() == area(window.kernel, channels)?;
    fits.then_some(taps)
}

/// How accumulators become int16: [`requantize_i16`](crate::quant::requantize_i16), or its long form for more than
/// [`SHORT_SUM`](crate::quant::SHORT_SUM) inputs.
#[derive(Clone, Copy, Debug)]
pub struct RequantizeWide<'a> {
    /// `[bias, multiplier]` of each output channel.
    pub channels: &'a [[i32; 2]],
    /// Right shift of all products, 1 to 62.
    pub shift: u32,
    /// Smallest output.
    pub minimum: i16,
    /// Largest output.
    pub maximum: i16,
}

/// As [`pack_columns`] for int16, all inputs of the pixels at once. `columns` has at least [`wide_columns_words`]`(k, pixels)` words.
pub fn pack_wide(columns: &mut [u32], first: &[i16], second: &[i16]) {
    if second.is_empty() {
        wide::pack(columns, [first]);
    } else {
        wide::pack(columns, [first, second]);
    }
}

/// As [`multiply`] for int16.
pub fn multiply_wide(
    weights: &[i8],
    k: usize,
    columns: &[u32],
    requantize: &RequantizeWide,
    first: &mut [i16],
    second: &mut [i16],
) {
    let channels = requantize.channels.len();
    if k == 0 || weights.len() != paired_bytes(channels, k) || !(weights.as_ptr() as usize).is_multiple_of(4) {
        return;
    }
    if second.is_empty() {
        wide::multiply(weights, k, columns, requantize, [first]);
    } else {
        wide::multiply(weights, k, columns, requantize, [first, second]);
    }
}

/// As [`depthwise`] for int16. `scratch` has at least [`wide_depthwise_words`] for its taps, of which there are at most
/// [`SHORT_SUM`](crate::quant::SHORT_SUM).
pub fn depthwise_wide(
    input: &[i16],
    window: &Window,
    weights: &[i8],
    requantize: &RequantizeWide,
    scratch: &mut [u32],
    output: &mut [i16],
) {
    let taps = depthwise_taps(input.len(), window, requantize.channels.len(), weights, output.len());
    if let Some(scratch) = taps.and_then(|taps| scratch.get_mut(..wide_depthwise_words(taps))) {
        wide::depthwise(input, window, weights, requantize, scratch, output);
    }
}

/// Constants of the sum of two tensors: `clamp((offset + first * x1 + second * x2) >> shift, minimum, maximum)`.
#[derive(Clone, Copy, Debug)]
pub struct AddConstants {
    /// Zero points and rounding, folded.
    pub offset: i32,
    /// Factor of the first input, -32767 to 32767.
    pub first: i32,
    /// Factor of the second input, -32767 to 32767.
    pub second: i32,
    /// Right shift, 0 to 22.
    pub shift: u32,
    /// Smallest output.
    pub minimum: i32,
    /// Largest output.
    pub maximum: i32,
}

/// Adds two equally long tensors of different scales into a third.
#[inline]
pub fn add(first: &[i8], second: &[i8], constants: &AddConstants, output: &mut [i8]) {
    if first.len() == second.len() && first.len() == output.len() {
        active::add(first, second, constants, output);
    }
}

/// [`add`] in place: `first` becomes the sum.
#[inline]
pub fn add_assign(first: &mut [i8], second: &[i8], constants: &AddConstants) {
    if first.len() == second.len() {
        active::add_assign(first, second, constants);
    }
}
