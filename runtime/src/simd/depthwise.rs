//! What depthwise convolution shares between architectures: the walk over the output and its borders.
//!
//! Channels are done in blocks of [`BLOCK`]. Per block each variant first prepares what all pixels share (on DSP cores the
//! widened weights), and then does runs of neighbouring pixels whose taps lie alike: the inner pixels of a row are one run, pixels at
//! the borders one each. Taps in the padding read a vector of zero points, so that borders need no second kernel.

use super::Requantize;

/// Channels per block: enough to hide the walk's cost, few enough to keep scratch memory small.
pub(super) const BLOCK: usize = 32;

/// A tap that reads padding.
pub(super) const PADDING: u32 = u32::MAX;

/// Geometry of a sliding window over one image, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Input rows.
    pub input_height: usize,
    /// Input columns.
    pub input_width: usize,
    /// Output rows.
    pub output_height: usize,
    /// Output columns.
    pub output_width: usize,
    /// Rows of the kernel.
    pub kernel_height: usize,
    /// Columns of the kernel.
    pub kernel_width: usize,
    /// Input rows from one output row to the next.
    pub stride_height: usize,
    /// Input columns from one output column to the next.
    pub stride_width: usize,
    /// Input rows from one kernel row to the next.
    pub dilation_height: usize,
    /// Input columns from one kernel column to the next.
    pub dilation_width: usize,
    /// Rows of padding above the input.
    pub padding_top: usize,
    /// Columns of padding left of the input.
    pub padding_left: usize,
}

/// A run of output pixels: pixel `i` reads tap `t` at `input[taps[t] + i * step..][..channels]`.
pub(super) struct Run<'a> {
    /// The whole input.
    pub input: &'a [i8],
    /// Per tap, where the first pixel finds its channels in `input`, or [`PADDING`]. The variants may overwrite it.
    pub taps: &'a mut [u32],
    /// Whether a tap is padding; then the run is one pixel.
    pub padded: bool,
    /// Distance between the inputs of two neighbouring output pixels.
    pub step: usize,
    /// What padding reads.
    pub padding: i8,
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
    let Some((taps, scratch)) = scratch.split_at_mut_checked(window.kernel_height * window.kernel_width) else { return };
    let inner = inner_columns(window);
    let step = window.stride_width * channels;
    let mut from = 0;
    for constants in requantize.channels.chunks(BLOCK) {
        let block = Requantize { channels: constants, ..*requantize };
        Kernels::prepare(weights, channels, from, &block, padding, scratch);
        for (y, row) in output.chunks_exact_mut(window.output_width * channels).enumerate() {
            let mut x = 0;
            let mut rest = row;
            while !rest.is_empty() {
                let padded = place_taps(taps, window, channels, y * window.stride_height, x * window.stride_width);
                let pixels = if x == inner.start && !padded { inner.len() } else { 1 };
                let Some((outputs, after)) = rest.split_at_mut_checked(pixels * channels) else { return };
                let mut run = Run { input, taps, padded, step, padding, from, channels };
                Kernels::run(&mut run, weights, &block, scratch, outputs);
                rest = after;
                x += pixels;
            }
        }
        from += BLOCK;
    }
    Kernels::finish(requantize, output);
}

/// The output columns that need no padding to the left or right.
fn inner_columns(window: &Window) -> core::ops::Range<usize> {
    let last_tap = (window.kernel_width - 1) * window.dilation_width;
    let fits = |x: &usize| {
        let left = x * window.stride_width;
        left >= window.padding_left && left + last_tap < window.input_width + window.padding_left
    };
    let start = (0..window.output_width).find(fits).unwrap_or(window.output_width);
    start..(start..window.output_width).take_while(fits).last().map_or(start, |last| last + 1)
}

/// Writes where the taps of the output pixel lie whose window begins at (`top`, `left`) of the padded input; says whether any
/// lies in the padding.
fn place_taps(taps: &mut [u32], window: &Window, channels: usize, top: usize, left: usize) -> bool {
    let mut padded = false;
    let mut y = top.wrapping_sub(window.padding_top);
    for row in taps.chunks_exact_mut(window.kernel_width) {
        let mut x = left.wrapping_sub(window.padding_left);
        let row_inside = y < window.input_height;
        let mut position = y.wrapping_mul(window.input_width).wrapping_add(x).wrapping_mul(channels);
        for tap in row {
            let inside = row_inside && x < window.input_width;
            *tap = if inside { position as u32 } else { PADDING };
            padded |= !inside;
            x = x.wrapping_add(window.dilation_width);
            position = position.wrapping_add(window.dilation_width.wrapping_mul(channels));
        }
        y = y.wrapping_add(window.dilation_height);
    }
    padded
}

/// What a variant does for depthwise convolution.
pub(super) trait Depthwise {
    /// Lays out in `scratch` what all pixels of a block share; `requantize` has the block's channels only, at most [`BLOCK`].
    fn prepare(weights: &[i8], channels: usize, from: usize, requantize: &Requantize, padding: i8, scratch: &mut [u32]);
    /// The block's channels of a run of pixels; `output` has all channels of each.
    fn run(run: &mut Run, weights: &[i8], requantize: &Requantize, scratch: &mut [u32], output: &mut [i8]);
    /// What is left to do on all outputs.
    fn finish(requantize: &Requantize, output: &mut [i8]);
}
