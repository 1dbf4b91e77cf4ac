//! Depthwise convolution of one image, for `DepthwiseConv2D` and `SeparableConv2D`: forward, gradient of the input,
//! gradient of the kernel. Kernels are `[KH, KW, C]`.
//!
//! One vector holds some channels of a pixel, and several pixels of a row are computed at once, so that vectors of the
//! kernel and, where the window moves by one pixel, of the image serve several times. A tap in the padding lies outside
//! its row's slice, so the check that Rust makes anyway is what gives it zero: no border needs code of its own.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::windows::{Axis, Geometry};
use crate::numeric::{dispatch, vectorized};

/// Convolves an image: `output = bias + input * kernel`, or `output += input * kernel` with `accumulate` (the bias is
/// left out then).
pub(crate) fn correlate(
    geometry: &Geometry,
    input: &[f32],
    kernel: &[f32],
    bias: Option<&[f32]>,
    output: &mut [f32],
    accumulate: bool,
) {
    if geometry.channels == 1 && geometry.horizontal.stride == 1 {
        correlate_one_channel(geometry, input, kernel, bias, output, accumulate);
    } else {
        dispatch(Correlate { geometry, input, kernel, bias, output, accumulate });
    }
}

/// The gradient of an image: `input_gradient = `, or with `accumulate` `+=`, the gradients of all outputs it took part in.
/// `scratch` takes as many values as the kernel has.
pub(crate) fn input_gradient(
    geometry: &Geometry,
    output_gradient: &[f32],
    kernel: &[f32],
    scratch: &mut [f32],
    input_gradient: &mut [f32],
    accumulate: bool,
) {
    let channels = geometry.channels;
    if geometry.has_strides_of_one() {
        // With strides 1 the gradient is itself a convolution, by the kernel back to front.
        let taps = geometry.taps();
        let flipped = &mut scratch[..taps * channels];
        for (to, from) in flipped.chunks_exact_mut(channels).zip(kernel.chunks_exact(channels).rev()) {
            to.copy_from_slice(from);
        }
        let turned = geometry.turned(channels);
        correlate(&turned, output_gradient, flipped, None, input_gradient, accumulate);
    } else {
        if !accumulate {
            input_gradient.fill(0.0);
        }
        spread(geometry, output_gradient, kernel, input_gradient);
    }
}

/// Adds the gradient of the kernel that one image gives.
pub(crate) fn add_kernel_gradient(geometry: &Geometry, input: &[f32], output_gradient: &[f32], kernel_gradient: &mut [f32]) {
    if geometry.channels == 1 && geometry.horizontal.stride == 1 {
        add_kernel_gradient_one_channel(geometry, input, output_gradient, kernel_gradient);
    } else {
        dispatch(KernelGradient { geometry, input, output_gradient, kernel_gradient });
    }
}

/// The vector at `at`, with `lanes` values if it is not `FULL`; zeros outside of the slice.
#[inline(always)]
pub(super) fn load<S: Simd, const FULL: bool>(simd: S, values: &[f32], at: usize, lanes: usize) -> S::f32s {
    if FULL {
        match values.get(at..at.wrapping_add(S::F32_LANES)).and_then(|run| S::as_simd_f32s(run).0.first()) {
            Some(&vector) => vector,
            None => simd.splat_f32s(0.0),
        }
    } else {
        simd.partial_load_f32s(values.get(at..at.wrapping_add(lanes)).unwrap_or(&[]))
    }
}

/// Stores the vector at `at`, `lanes` values of it if it is not `FULL`.
#[inline(always)]
pub(super) fn store<S: Simd, const FULL: bool>(simd: S, values: &mut [f32], at: usize, lanes: usize, vector: S::f32s) {
    if FULL {
        if let Some(run) = values.get_mut(at..at + S::F32_LANES)
            && let Some(to) = S::as_mut_simd_f32s(run).0.first_mut()
        {
            *to = vector;
        }
    } else if let Some(run) = values.get_mut(at..at + lanes) {
        simd.partial_store_f32s(run, vector);
    }
}

/// One row of an image; nothing for a row in the padding.
#[inline(always)]
pub(super) fn row(values: &[f32], row: Option<usize>, size: usize) -> &[f32] {
    row.and_then(|row| values.get(row * size..(row + 1) * size)).unwrap_or(&[])
}

struct Correlate<'a> {
    geometry: &'a Geometry,
    input: &'a [f32],
    kernel: &'a [f32],
    bias: Option<&'a [f32]>,
    output: &'a mut [f32],
    accumulate: bool,
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let channels = self.geometry.channels;
        let three = self.geometry.horizontal.kernel == 3 && self.geometry.horizontal.dilation == 1;
        for output_row in 0..self.geometry.vertical.outputs {
            let full = channels - channels % S::F32_LANES;
            for channel in (0..full).step_by(S::F32_LANES) {
                match (three, self.geometry.horizontal.stride) {
                    (true, 1) => self.row::<S, true, 1>(simd, output_row, channel, 0),
                    (true, 2) => self.row::<S, true, 2>(simd, output_row, channel, 0),
                    _ => self.row::<S, true, 0>(simd, output_row, channel, 0),
                }
            }
            if full < channels {
                self.row::<S, false, 0>(simd, output_row, full, channels - full);
            }
        }
    }
}

impl Correlate<'_> {
    /// One row of the output, for the channels of one vector. `STRIDE` is not 0 for windows three pixels wide without
    /// dilation.
    #[inline(always)]
    fn row<S: Simd, const FULL: bool, const STRIDE: usize>(
        &mut self,
        simd: S,
        output_row: usize,
        channel: usize,
        lanes: usize,
    ) {
        let outputs = self.geometry.horizontal.outputs;
        let mut output = 0;
        while output + 7 <= outputs {
            self.tile::<S, FULL, STRIDE, 7>(simd, output_row, output, channel, lanes);
            output += 7;
        }
        while output + 4 <= outputs {
            self.tile::<S, FULL, STRIDE, 4>(simd, output_row, output, channel, lanes);
            output += 4;
        }
        while output < outputs {
            self.tile::<S, FULL, STRIDE, 1>(simd, output_row, output, channel, lanes);
            output += 1;
        }
    }

    /// `TILE` pixels of the output.
    #[inline(always)]
    fn tile<S: Simd, const FULL: bool, const STRIDE: usize, const TILE: usize>(
        &mut self,
        simd: S,
        output_row: usize,
        output: usize,
        channel: usize,
        lanes: usize,
    ) {
        let Geometry { vertical, horizontal, channels, .. } = *self.geometry;
        let output_at = (output_row * horizontal.outputs + output) * channels + channel;
        let mut sums = [simd.splat_f32s(0.0); TILE];
        if self.accumulate {
            for (tile, sum) in sums.iter_mut().enumerate() {
                *sum = load::<S, FULL>(simd, self.output, output_at + tile * channels, lanes);
            }
        } else if let Some(bias) = self.bias {
            sums = [load::<S, FULL>(simd, bias, channel, lanes); TILE];
        }
        // The first tap's place within its row; wraps far beyond the row's end if it lies in the padding.
        let first = (output * horizontal.stride).wrapping_sub(horizontal.before).wrapping_mul(channels);
        let first = first.wrapping_add(channel);
        for ky in 0..vertical.kernel {
            let line = row(self.input, vertical.input(output_row, ky), horizontal.inputs * channels);
            let kernel_at = ky * horizontal.kernel * channels + channel;
            if line.is_empty() {
                continue;
            }
            if STRIDE > 0 {
                // A loop, since `map` may be a call, which hands vectors over in memory.
                let mut taps = [simd.splat_f32s(0.0); 3];
                for (kx, tap) in taps.iter_mut().enumerate() {
                    *tap = load::<S, FULL>(simd, self.kernel, kernel_at + kx * channels, lanes);
                }
                for pixel in 0..(TILE - 1) * STRIDE + 3 {
                    let value = load::<S, FULL>(simd, line, first.wrapping_add(pixel * channels), lanes);
                    for (tile, sum) in sums.iter_mut().enumerate() {
                        if tile * STRIDE <= pixel && pixel < tile * STRIDE + 3 {
                            *sum = simd.mul_add_e_f32s(value, taps[pixel - tile * STRIDE], *sum);
                        }
                    }
                }
            } else {
                for kx in 0..horizontal.kernel {
                    let tap = load::<S, FULL>(simd, self.kernel, kernel_at + kx * channels, lanes);
                    let at = first.wrapping_add(kx * horizontal.dilation * channels);
                    for (tile, sum) in sums.iter_mut().enumerate() {
                        let at = at.wrapping_add(tile * horizontal.stride * channels);
                        *sum = simd.mul_add_e_f32s(load::<S, FULL>(simd, line, at, lanes), tap, *sum);
                    }
                }
            }
        }
        for (tile, &sum) in sums.iter().enumerate() {
            store::<S, FULL>(simd, self.output, output_at + tile * channels, lanes, sum);
        }
    }
}

struct KernelGradient<'a> {
    geometry: &'a Geometry,
    input: &'a [f32],
    output_gradient: &'a [f32],
    kernel_gradient: &'a mut [f32],
}

impl WithSimd for KernelGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let channels = self.geometry.channels;
        let three = self.geometry.horizontal.kernel == 3 && self.geometry.horizontal.dilation == 1;
        let full = channels - channels % S::F32_LANES;
        for channel in (0..full).step_by(S::F32_LANES) {
            for output_row in 0..self.geometry.vertical.outputs {
                match (three, self.geometry.horizontal.stride) {
                    (true, 1) => self.row_of_three::<S, 1>(simd, output_row, channel),
                    (true, 2) => self.row_of_three::<S, 2>(simd, output_row, channel),
                    _ => self.row::<S, true>(simd, output_row, channel, 0),
                }
            }
        }
        if full < channels {
            for output_row in 0..self.geometry.vertical.outputs {
                self.row::<S, false>(simd, output_row, full, channels - full);
            }
        }
    }
}

impl KernelGradient<'_> {
    /// What one row of the output gives, for the channels of one full vector and windows three pixels wide.
    #[inline(always)]
    fn row_of_three<S: Simd, const STRIDE: usize>(&mut self, simd: S, output_row: usize, channel: usize) {
        match self.geometry.vertical.taps(output_row) {
            // Nine sums at a time hide the latency of adding to one.
            Range { start: 0, end: 3 } => self.rows_of_three::<S, STRIDE, 3>(simd, output_row, channel, 0),
            taps => taps.for_each(
                #[inline(always)]
                |ky| self.rows_of_three::<S, STRIDE, 1>(simd, output_row, channel, ky),
            ),
        }
    }

    /// The same for `ROWS` rows of the kernel from `ky` on, which lie within the image.
    #[inline(always)]
    fn rows_of_three<S: Simd, const STRIDE: usize, const ROWS: usize>(
        &mut self,
        simd: S,
        output_row: usize,
        channel: usize,
        ky: usize,
    ) {
        const TILE: usize = 4;
        let Geometry { vertical, horizontal, channels, .. } = *self.geometry;
        let gradients = row(self.output_gradient, Some(output_row), horizontal.outputs * channels);
        let before = horizontal.before.wrapping_mul(channels);
        let kernel_at = |row: usize, kx: usize| ((ky + row) * 3 + kx) * channels + channel;
        let mut lines = [&[][..]; ROWS];
        let mut sums = [[simd.splat_f32s(0.0); 3]; ROWS];
        for (number, (line, sums)) in lines.iter_mut().zip(&mut sums).enumerate() {
            *line = row(self.input, vertical.input(output_row, ky + number), horizontal.inputs * channels);
            for (kx, sum) in sums.iter_mut().enumerate() {
                *sum = load::<S, true>(simd, self.kernel_gradient, kernel_at(number, kx), 0);
            }
        }
        for output in (0..horizontal.outputs).step_by(TILE) {
            // Beyond the row's end there are zeros.
            let mut gradient = [simd.splat_f32s(0.0); TILE];
            for (tile, gradient) in gradient.iter_mut().enumerate() {
                *gradient = load::<S, true>(simd, gradients, (output + tile) * channels + channel, 0);
            }
            let first = (output * STRIDE * channels + channel).wrapping_sub(before);
            for pixel in 0..(TILE - 1) * STRIDE + 3 {
                let at = first.wrapping_add(pixel * channels);
                for (line, sums) in lines.iter().zip(&mut sums) {
                    let value = load::<S, true>(simd, line, at, 0);
                    for (tile, &gradient) in gradient.iter().enumerate() {
                        if tile * STRIDE <= pixel && pixel < tile * STRIDE + 3 {
                            let sum = &mut sums[pixel - tile * STRIDE];
                            *sum = simd.mul_add_e_f32s(value, gradient, *sum);
                        }
                    }
                }
            }
        }
        for (number, sums) in sums.iter().enumerate() {
            for (kx, &sum) in sums.iter().enumerate() {
                store::<S, true>(simd, self.kernel_gradient, kernel_at(number, kx), 0, sum);
            }
        }
    }

    /// What one row of the output gives, for the channels of one vector and any window.
    #[inline(always)]
    fn row<S: Simd, const FULL: bool>(&mut self, simd: S, output_row: usize, channel: usize, lanes: usize) {
        let Geometry { vertical, horizontal, channels, .. } = *self.geometry;
        let gradients = row(self.output_gradient, Some(output_row), horizontal.outputs * channels);
        for ky in vertical.taps(output_row) {
            let line = row(self.input, vertical.input(output_row, ky), horizontal.inputs * channels);
            for kx in 0..horizontal.kernel {
                let kernel_at = (ky * horizontal.kernel + kx) * channels + channel;
                let mut sum = load::<S, FULL>(simd, self.kernel_gradient, kernel_at, lanes);
                let shift = (kx * horizontal.dilation).wrapping_sub(horizontal.before);
                for output in horizontal.outputs_of_tap(kx) {
                    let pixel = (output * horizontal.stride).wrapping_add(shift);
                    let value = load::<S, FULL>(simd, line, pixel * channels + channel, lanes);
                    let gradient = load::<S, FULL>(simd, gradients, output * channels + channel, lanes);
                    sum = simd.mul_add_e_f32s(value, gradient, sum);
                }
                store::<S, FULL>(simd, self.kernel_gradient, kernel_at, lanes, sum);
            }
        }
    }
}

/// Adds to each pixel of the image the gradients of the outputs it took part in: for any strides.
fn spread(geometry: &Geometry, output_gradient: &[f32], kernel: &[f32], input_gradient: &mut [f32]) {
    let Geometry { vertical, horizontal, channels, .. } = *geometry;
    vectorized!({
        for (output, gradient) in output_gradient.chunks_exact(channels).enumerate() {
            let (output_row, output_column) = (output / horizontal.outputs, output % horizontal.outputs);
            for ky in 0..vertical.kernel {
                let Some(input_row) = vertical.input(output_row, ky) else { continue };
                for kx in 0..horizontal.kernel {
                    let Some(input_column) = horizontal.input(output_column, kx) else { continue };
                    let tap = &kernel[(ky * horizontal.kernel + kx) * channels..][..channels];
                    let pixel = input_row * horizontal.inputs + input_column;
                    let values = &mut input_gradient[pixel * channels..][..channels];
                    for ((value, &gradient), &tap) in values.iter_mut().zip(gradient).zip(tap) {
                        *value += gradient * tap;
                    }
                }
            }
        }
    });
}

/// With one channel, the row is the vector: each tap adds a multiple of a shifted row.
fn correlate_one_channel(
    geometry: &Geometry,
    input: &[f32],
    kernel: &[f32],
    bias: Option<&[f32]>,
    output: &mut [f32],
    accumulate: bool,
) {
    let Geometry { vertical, horizontal, .. } = *geometry;
    let bias = bias.and_then(|bias| bias.first().copied()).unwrap_or(0.0);
    vectorized!({
        for (output_row, sums) in output.chunks_exact_mut(horizontal.outputs).enumerate() {
            if !accumulate {
                sums.fill(bias);
            }
            for (tap, values, range) in shifted_rows(&vertical, &horizontal, input, output_row) {
                let factor = kernel[tap];
                for (sum, &value) in sums[range].iter_mut().zip(values) {
                    *sum += factor * value;
                }
            }
        }
    });
}

/// With one channel, each tap's gradient is the sum of products of the outputs' gradient with a shifted image.
fn add_kernel_gradient_one_channel(geometry: &Geometry, input: &[f32], output_gradient: &[f32], kernel_gradient: &mut [f32]) {
    const LANES: usize = 8;
    let Geometry { vertical, horizontal, .. } = *geometry;
    vectorized!({
        for (output_row, gradients) in output_gradient.chunks_exact(horizontal.outputs).enumerate() {
            for (tap, values, range) in shifted_rows(&vertical, &horizontal, input, output_row) {
                // Several sums side by side, since the order of additions into one may not be changed.
                let mut sums = [0.0; LANES];
                let (gradients, rest) = gradients[range].as_chunks::<LANES>();
                let (values, rest_of_values) = values.as_chunks::<LANES>();
                for (gradients, values) in gradients.iter().zip(values) {
                    for lane in 0..LANES {
                        sums[lane] += gradients[lane] * values[lane];
                    }
                }
                let mut sum: f32 = sums.iter().sum();
                for (gradient, value) in rest.iter().zip(rest_of_values) {
                    sum += gradient * value;
                }
                kernel_gradient[tap] += sum;
            }
        }
    });
}

/// For one row of a one-channel output with horizontal stride 1: each tap within the image, the input values under it
/// and the outputs they belong to.
#[inline(always)]
fn shifted_rows<'a>(
    vertical: &'a Axis,
    horizontal: &'a Axis,
    input: &'a [f32],
    output_row: usize,
) -> impl Iterator<Item = (usize, &'a [f32], Range<usize>)> {
    vertical.taps(output_row).flat_map(move |ky| {
        let line = row(input, vertical.input(output_row, ky), horizontal.inputs);
        (0..horizontal.kernel).map(move |kx| {
            let range = horizontal.outputs_of_tap(kx);
            let first = horizontal.input(range.start, kx).unwrap_or(0);
            (ky * horizontal.kernel + kx, &line[first..first + range.len()], range)
        })
    })
}
