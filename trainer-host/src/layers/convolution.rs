//! Convolution of one image without a matrix of windows, for `Conv2D`: forward, and the gradient of the kernel. Kernels are
//! `[KH, KW, I, O]`.
//!
//! One vector holds some filters of a pixel; vectors of the kernel serve several pixels of a row at once, which take part by
//! single values. A 3x3 convolution of 16 channels runs at twice the speed of a matrix product over gathered windows, since
//! it writes nothing but its output; from 64 filters on, products are as fast.

use pulp::{Simd, WithSimd};

use super::depthwise::{load, row, store};
use super::windows::Geometry;
use crate::numeric::dispatch;

/// Convolves an image: `output = bias + input * kernel`, or `output += input * kernel` with `accumulate` (the bias is
/// left out then). `zeros` are as many zeros as the input has channels.
#[derive(Debug)]
pub(crate) struct Convolve<'a> {
    pub geometry: &'a Geometry,
    pub filters: usize,
    pub input: &'a [f32],
    pub kernel: &'a [f32],
    pub bias: Option<&'a [f32]>,
    pub zeros: &'a [f32],
    pub output: &'a mut [f32],
    pub accumulate: bool,
}

impl Convolve<'_> {
    /// Does it.
    pub fn run(self) {
        dispatch(self);
    }
}

/// Where a tile lies: its row and first pixel in the output, its first filter.
#[derive(Debug, Clone, Copy)]
struct Spot {
    row: usize,
    pixel: usize,
    filter: usize,
    /// Filters, if they do not fill the vectors.
    lanes: usize,
}

impl WithSimd for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let filters = self.filters;
        let full = filters - filters % S::F32_LANES;
        let pairs = full - full % (2 * S::F32_LANES);
        for row in 0..self.geometry.vertical.outputs {
            let spot = |filter| Spot { row, pixel: 0, filter, lanes: filters - filter };
            for filter in (0..pairs).step_by(2 * S::F32_LANES) {
                self.row::<S, true, 2>(simd, spot(filter));
            }
            if pairs < full {
                self.row::<S, true, 1>(simd, spot(pairs));
            }
            if full < filters {
                self.row::<S, false, 1>(simd, spot(full));
            }
        }
    }
}

impl Convolve<'_> {
    /// One row of the output, for the filters of `VECTORS` vectors.
    #[inline(always)]
    fn row<S: Simd, const FULL: bool, const VECTORS: usize>(&mut self, simd: S, mut spot: Spot) {
        let outputs = self.geometry.horizontal.outputs;
        // Sixteen pixels for one vector of filters were slower by a half: their slices no longer fit the registers.
        while S::REGISTER_COUNT >= 32 && spot.pixel + 8 <= outputs {
            self.tile::<S, FULL, VECTORS, 8>(simd, spot);
            spot.pixel += 8;
        }
        while spot.pixel + 4 <= outputs {
            self.tile::<S, FULL, VECTORS, 4>(simd, spot);
            spot.pixel += 4;
        }
        while spot.pixel < outputs {
            self.tile::<S, FULL, VECTORS, 1>(simd, spot);
            spot.pixel += 1;
        }
    }

    /// `TILE` pixels of the output, for the filters of `VECTORS` vectors.
    #[inline(always)]
    fn tile<S: Simd, const FULL: bool, const VECTORS: usize, const TILE: usize>(&mut self, simd: S, spot: Spot) {
        let Geometry { vertical, horizontal, channels, .. } = *self.geometry;
        let filters = self.filters;
        let output_at = (spot.row * horizontal.outputs + spot.pixel) * filters + spot.filter;
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; TILE];
        for (pixel, sums) in sums.iter_mut().enumerate() {
            for (vector, sum) in sums.iter_mut().enumerate() {
                let place = vector * S::F32_LANES;
                if self.accumulate {
                    *sum = load::<S, FULL>(simd, self.output, output_at + pixel * filters + place, spot.lanes);
                } else if let Some(bias) = self.bias {
                    *sum = load::<S, FULL>(simd, bias, spot.filter + place, spot.lanes);
                }
            }
        }
        // Where all windows lie within the width, the taps of one row are one run of values.
        let last = horizontal.input(spot.pixel + TILE - 1, horizontal.kernel - 1);
        let whole = horizontal.dilation == 1 && last.is_some() && horizontal.input(spot.pixel, 0).is_some();
        let (runs, length) = if whole { (1, horizontal.kernel * channels) } else { (horizontal.kernel, channels) };
        for ky in vertical.taps(spot.row) {
            let line = row(self.input, vertical.input(spot.row, ky), horizontal.inputs * channels);
            for kx in 0..runs {
                let taps = &self.kernel[(ky * horizontal.kernel + kx) * channels * filters..][..length * filters];
                let mut values = [self.zeros; TILE];
                for (pixel, values) in values.iter_mut().enumerate() {
                    if let Some(input) = horizontal.input(spot.pixel + pixel, kx) {
                        *values = &line[input * channels..];
                    }
                    *values = &values[..length];
                }
                for (place, taps) in taps.chunks_exact(filters).enumerate().take(length) {
                    let mut tap = [simd.splat_f32s(0.0); VECTORS];
                    for (vector, tap) in tap.iter_mut().enumerate() {
                        *tap = load::<S, FULL>(simd, taps, spot.filter + vector * S::F32_LANES, spot.lanes);
                    }
                    for (sums, values) in sums.iter_mut().zip(&values) {
                        let value = simd.splat_f32s(values[place]);
                        for (sum, &tap) in sums.iter_mut().zip(&tap) {
                            *sum = simd.mul_add_e_f32s(value, tap, *sum);
                        }
                    }
                }
            }
        }
        for (pixel, sums) in sums.iter().enumerate() {
            for (vector, &sum) in sums.iter().enumerate() {
                let at = output_at + pixel * filters + vector * S::F32_LANES;
                store::<S, FULL>(simd, self.output, at, spot.lanes, sum);
            }
        }
    }
}

/// Adds the gradient of the kernel that one image gives.
#[derive(Debug)]
pub(crate) struct AddKernelGradient<'a> {
    pub geometry: &'a Geometry,
    pub filters: usize,
    pub input: &'a [f32],
    pub output_gradient: &'a [f32],
    pub kernel_gradient: &'a mut [f32],
}

impl AddKernelGradient<'_> {
    /// Does it.
    pub fn run(self) {
        dispatch(self);
    }
}

impl WithSimd for AddKernelGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let filters = self.filters;
        let full = filters - filters % S::F32_LANES;
        let pairs = full - full % (2 * S::F32_LANES);
        for row in 0..self.geometry.vertical.outputs {
            let spot = |filter| Spot { row, pixel: 0, filter, lanes: filters - filter };
            for filter in (0..pairs).step_by(2 * S::F32_LANES) {
                self.row::<S, true, 2>(simd, spot(filter));
            }
            if pairs < full {
                self.row::<S, true, 1>(simd, spot(pairs));
            }
            if full < filters {
                self.row::<S, false, 1>(simd, spot(full));
            }
        }
    }
}

impl AddKernelGradient<'_> {
    /// What one row of the output gives for the filters of `VECTORS` vectors.
    #[inline(always)]
    fn row<S: Simd, const FULL: bool, const VECTORS: usize>(&mut self, simd: S, spot: Spot) {
        let channels = self.geometry.channels;
        for ky in self.geometry.vertical.taps(spot.row) {
            for kx in 0..self.geometry.horizontal.kernel {
                let mut channel = 0;
                // Sixteen sums hide the latency of adding to one; with fewer registers, those that there are.
                while S::REGISTER_COUNT >= 32 && VECTORS == 1 && channel + 16 <= channels {
                    self.tile::<S, FULL, VECTORS, 16>(simd, spot, [ky, kx, channel]);
                    channel += 16;
                }
                while (S::REGISTER_COUNT >= 32 || VECTORS == 1) && channel + 8 <= channels {
                    self.tile::<S, FULL, VECTORS, 8>(simd, spot, [ky, kx, channel]);
                    channel += 8;
                }
                while S::REGISTER_COUNT < 32 && channel + 6 <= channels {
                    self.tile::<S, FULL, VECTORS, 6>(simd, spot, [ky, kx, channel]);
                    channel += 6;
                }
                while S::REGISTER_COUNT < 32 && channel + 4 <= channels {
                    self.tile::<S, FULL, VECTORS, 4>(simd, spot, [ky, kx, channel]);
                    channel += 4;
                }
                while channel + 3 <= channels {
                    self.tile::<S, FULL, VECTORS, 3>(simd, spot, [ky, kx, channel]);
                    channel += 3;
                }
                while channel < channels {
                    self.tile::<S, FULL, VECTORS, 1>(simd, spot, [ky, kx, channel]);
                    channel += 1;
                }
            }
        }
    }

    /// What one row of the output gives for `TILE` channels of one tap.
    #[inline(always)]
    fn tile<S: Simd, const FULL: bool, const VECTORS: usize, const TILE: usize>(
        &mut self,
        simd: S,
        spot: Spot,
        [ky, kx, channel]: [usize; 3],
    ) {
        let Geometry { vertical, horizontal, channels, .. } = *self.geometry;
        let filters = self.filters;
        let at = ((ky * horizontal.kernel + kx) * channels + channel) * filters + spot.filter;
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; TILE];
        for (channel, sums) in sums.iter_mut().enumerate() {
            for (vector, sum) in sums.iter_mut().enumerate() {
                let at = at + channel * filters + vector * S::F32_LANES;
                *sum = load::<S, FULL>(simd, self.kernel_gradient, at, spot.lanes);
            }
        }
        let line = row(self.input, vertical.input(spot.row, ky), horizontal.inputs * channels);
        let outputs = horizontal.outputs_of_tap(kx);
        let first = horizontal.input(outputs.start, kx).unwrap_or(0);
        let gradients = row(self.output_gradient, Some(spot.row), horizontal.outputs * filters);
        let gradients = gradients[outputs.start * filters..outputs.end * filters].chunks_exact(filters);
        let pixels = line[first * channels..].chunks(channels * horizontal.stride);
        for (gradient, pixel) in gradients.zip(pixels) {
            let mut parts = [simd.splat_f32s(0.0); VECTORS];
            for (vector, part) in parts.iter_mut().enumerate() {
                *part = load::<S, FULL>(simd, gradient, spot.filter + vector * S::F32_LANES, spot.lanes);
            }
            let Some(values) = pixel.get(channel..).and_then(|values| values.first_chunk::<TILE>()) else { continue };
            for (sums, &value) in sums.iter_mut().zip(values) {
                let value = simd.splat_f32s(value);
                for (sum, &part) in sums.iter_mut().zip(&parts) {
                    *sum = simd.mul_add_e_f32s(value, part, *sum);
                }
            }
        }
        for (channel, sums) in sums.iter().enumerate() {
            for (vector, &sum) in sums.iter().enumerate() {
                let at = at + channel * filters + vector * S::F32_LANES;
                store::<S, FULL>(simd, self.kernel_gradient, at, spot.lanes, sum);
            }
        }
    }
}
