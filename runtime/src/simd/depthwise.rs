//! What depthwise convolution shares between architectures: the walk over the output and its borders.
//!
//! Channels are done in blocks of [`BLOCK`]. Per block each variant first prepares what all pixels share (on DSP cores the
//! widened weights), and then does runs of neighbouring pixels whose taps lie alike: the inner pixels of a row are one run, pixels at
//! the borders one each, but above and below one run, too, where the variant can. Taps in the padding read a vector of zero points, so
//! that borders need no second kernel.

use super::Requantize;

/// Channels per block: enough to hide the walk's cost, few enough to keep scratch memory small.
pub(super) const BLOCK: usize = 32;

/// Geometry of a sliding window over one image: `[vertical, horizontal]` each, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Size of the input.
    pub input: [usize; 2],
    /// Size of the output. Windows may begin anywhere; what lies outside the input is padding.
    pub output: [usize; 2],
    /// Size of the kernel.
    pub kernel: [usize; 2],
    /// Step from output to output.
    pub stride: [usize; 2],
    /// Step from tap to tap.
    pub dilation: [usize; 2],
    /// Padding above and to the left.
    pub padding: [usize; 2],
}

/// A run of output pixels: pixel `i` reads tap `t` at `input[taps[t] + i * step..][..channels]`, or what padding reads.
pub(super) struct Run<'a> {
    /// The whole input.
    pub input: &'a [i8],
    /// Per tap, where the first pixel finds its channels in `input`, or [`Depthwise::padding_tap`]; then the run is one pixel, or whole
    /// rows of the kernel lie in the padding ([`Depthwise::pads_rows`]).
    pub taps: &'a [u32],
    /// Distance between the inputs of two neighbouring output pixels.
    pub step: usize,
    /// [`Depthwise::padding_tap`].
    #[cfg_attr(not(simd_dsp), expect(dead_code, reason = "only DSP cores have runs with padding"))]
    pub padding_tap: u32,
    /// What padding reads.
    pub padding: i8,
    /// Output pixels of the run.
    pub pixels: usize,
    /// The block's first channel.
    pub from: usize,
    /// All channels of the layer.
    pub channels: usize,
}

/// Does all output pixels of one image; lengths and offsets are as `mod.rs` checked them.
pub(super) fn walk<Kernels: Depthwise>(
    input: &[i8],
    window: &Window,
    padding: i8,
    weights: &[i8],
    requantize: &Requantize,
    scratch: &mut [u32],
    output: &mut [i8],
) {
    let channels = requantize.channels.len();
    let Some((taps, scratch)) = scratch.split_at_mut_checked(window.kernel[0] * window.kernel[1]) else { return };
    let inner = inner_columns(window);
    let step = window.stride[1] * channels;
    let mut from = 0;
    for constants in requantize.channels.chunks(BLOCK) {
        let block = Requantize { channels: constants, ..*requantize };
        Kernels::prepare(weights, channels, from, &block, padding, scratch);
        let padding_tap = Kernels::padding_tap(&block, input.as_ptr().wrapping_add(from), scratch);
        for (y, row) in output.chunks_exact_mut((window.output[1] * channels).max(1)).enumerate() {
            let mut x = 0;
            let mut rest = row;
            while !rest.is_empty() {
                let padded = place_taps(taps, window, channels, [y, x], padding_tap);
                let runs = x == inner.start && (!padded || Kernels::pads_rows(window, &block));
                let pixels = if runs { inner.len() } else { 1 };
                let Some((outputs, after)) = rest.split_at_mut_checked(pixels * channels) else { return };
                let run = Run { input, taps, step, padding_tap, padding, pixels, from, channels };
                Kernels::run(&run, weights, &block, scratch, outputs);
                rest = after;
                x += pixels;
            }
        }
        from += BLOCK;
    }
    Kernels::finish(requantize, output);
}

/// The output columns that need no padding to the left or right.
#[inline(never)]
pub(super) fn inner_columns(window: &Window) -> core::ops::Range<usize> {
    let last_tap = (window.kernel[1] - 1) * window.dilation[1];
    let fits = |x: &usize| {
        let left = x * window.stride[1];
        left >= window.padding[1] && left + last_tap < window.input[1] + window.padding[1]
    };
    let start = (0..window.output[1]).find(fits).unwrap_or(window.output[1]);
    start..(start..window.output[1]).take_while(fits).last().map_or(start, |last| last + 1)
}

/// Writes where the taps of the output pixel at `[y, x]` lie; says whether any lies in the padding.
#[inline(never)]
pub(super) fn place_taps(taps: &mut [u32], window: &Window, channels: usize, [y, x]: [usize; 2], padding_tap: u32) -> bool {
    let mut padded = false;
    let mut y = (y * window.stride[0]).wrapping_sub(window.padding[0]);
    let left = (x * window.stride[1]).wrapping_sub(window.padding[1]);
    let next = window.dilation[1].wrapping_mul(channels);
    for row in taps.chunks_exact_mut(window.kernel[1].max(1)) {
        // A row outside has no columns inside.
        let width = if y < window.input[0] { window.input[1] } else { 0 };
        let mut x = left;
        let mut position = y.wrapping_mul(window.input[1]).wrapping_add(x).wrapping_mul(channels);
        for tap in row {
            let inside = x < width;
            *tap = if inside { position as u32 } else { padding_tap };
            padded |= !inside;
            x = x.wrapping_add(window.dilation[1]);
            position = position.wrapping_add(next);
        }
        y = y.wrapping_add(window.dilation[0]);
    }
    padded
}

/// Zero points for the padding, at the start of `scratch`: a [`Depthwise::prepare`].
#[cfg(any(simd_dsp, simd_v6m, simd_rv32m))]
pub(super) fn fill_zero_points(padding: i8, scratch: &mut [u32]) {
    if let Some(zero_points) = scratch.first_chunk_mut::<{ BLOCK / 4 }>() {
        zero_points.fill(padding as u8 as u32 * 0x0101_0101);
    }
}

/// Those zero points, as if they were in the input: kernels add offsets with wrap-around. A [`Depthwise::padding_tap`] of variants that
/// leave blocks of fewer than four channels to portable code.
#[cfg(any(simd_dsp, simd_v6m, simd_rv32m))]
pub(super) fn zero_points_tap(requantize: &Requantize, input: *const i8, scratch: &[u32]) -> u32 {
    if requantize.channels.len() < 4 {
        return super::portable::PADDING;
    }
    (scratch.as_ptr() as usize).wrapping_sub(input as usize) as u32
}

/// What a variant does for depthwise convolution.
pub(super) trait Depthwise {
    /// Lays out in `scratch` what all pixels of a block share; `requantize` has the block's channels only, at most [`BLOCK`].
    fn prepare(weights: &[i8], channels: usize, from: usize, requantize: &Requantize, padding: i8, scratch: &mut [u32]);
    /// What stands in the taps for padding, where `input` points to the block's first channel and `scratch` is prepared.
    fn padding_tap(requantize: &Requantize, input: *const i8, scratch: &[u32]) -> u32;
    /// Whether runs of more than one pixel may have rows of their kernels in the padding.
    fn pads_rows(_window: &Window, _requantize: &Requantize) -> bool {
        false
    }
    /// The block's channels of a run of pixels; `output` has all channels of each.
    fn run(run: &Run, weights: &[i8], requantize: &Requantize, scratch: &mut [u32], output: &mut [i8]);
    /// What is left to do on all outputs.
    fn finish(requantize: &Requantize, output: &mut [i8]);
}
