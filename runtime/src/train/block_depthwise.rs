//! The depthwise convolution of a last block, and its gradients: at some places next to each other, a few channels at a time, whose features are
//! turned into numbers once for all taps.

use super::{
    block_kernels::{Parts, PartsMut},
    block_record::{BlockRecord, BlockSizes, STRIP, TILE},
    gradient::row,
    record::Head,
};

/// A sample's features, and what they go through up to the linear layer.
#[derive(Debug)]
pub(super) struct Features<'s> {
    block: &'s BlockRecord,
    sizes: &'s BlockSizes,
    scale: f32,
    zero_point: i8,
    values: &'s [i8],
}

/// The taps of a place that lie within the features.
#[derive(Debug, Clone, Copy, Default)]
struct Taps {
    /// Number of the first.
    first: usize,
    /// Its pixel, from the first one of the strip on.
    pixel: usize,
    rows: usize,
    columns: usize,
}

/// The taps of some places, and the pixels in which all of them lie.
#[derive(Debug)]
struct Strip {
    taps: [Taps; TILE],
    first_pixel: usize,
    pixels: usize,
    /// From a tap to the one below: taps and pixels. To the next one: pixels, at least 1.
    down: [usize; 2],
    along: usize,
}

impl Strip {
    /// Calls `each` with the numbers of the first tap and its pixel of each row of taps of a place, and the number of taps.
    fn rows(&self, place: &Taps, mut each: impl FnMut(usize, usize, usize)) {
        let Taps { mut first, mut pixel, rows, columns } = *place;
        for _ in 0..rows {
            each(first, pixel, columns);
            first += self.down[0];
            pixel += self.down[1];
        }
    }
}

impl<'s> Features<'s> {
    pub fn new(record: &Head<'_>, block: &'s BlockRecord, sizes: &'s BlockSizes, values: &'s [i8]) -> Self {
        Self { block, sizes, scale: record.scale, zero_point: record.zero_point, values }
    }

    /// Writes what the linear layer reads at the places from `first` on to the rows of `tile`. `strip` is room to work in.
    pub fn read(&self, weights: &Parts<'_>, first: usize, tile: &mut [f32], strip: &mut [f32]) {
        let channels = self.sizes.channels;
        if self.sizes.taps > 0 {
            let places = self.strip(first, tile.len() / channels.max(1));
            let whole = channels - channels % STRIP;
            (0..whole).step_by(STRIP).for_each(|channel| self.convolve::<STRIP>(&places, weights, channel, tile, strip));
            (whole..channels).for_each(|channel| self.convolve::<1>(&places, weights, channel, tile, strip));
            return;
        }
        for (place, to) in tile.chunks_exact_mut(channels.max(1)).enumerate() {
            let features = row(self.values, first + place, channels);
            to.iter_mut().zip(features).for_each(|(to, &q)| *to = self.scale * self.real(q));
        }
    }

    /// Adds to the depthwise convolution's gradients those of the places from `first` on, whose derivatives are the rows of `slopes`.
    pub fn add_gradients(&self, to: &mut PartsMut<'_>, first: usize, slopes: &[f32], strip: &mut [f32]) {
        let channels = self.sizes.channels;
        for slopes in slopes.chunks_exact(channels.max(1)) {
            to.depthwise_biases.iter_mut().zip(slopes).for_each(|(to, slope)| *to += slope);
        }
        let places = self.strip(first, slopes.len() / channels.max(1));
        let whole = channels - channels % STRIP;
        (0..whole).step_by(STRIP).for_each(|channel| self.add_products::<STRIP>(&places, channel, to.depthwise, slopes, strip));
        (whole..channels).for_each(|channel| self.add_products::<1>(&places, channel, to.depthwise, slopes, strip));
    }

    /// A feature, but for its scale.
    fn real(&self, q: i8) -> f32 {
        (i32::from(q) - i32::from(self.zero_point)) as f32
    }

    /// The taps of some places.
    fn strip(&self, first: usize, places: usize) -> Strip {
        let BlockRecord { input: [height, width, _], window, places: [_, columns], .. } = *self.block;
        let (columns, height, width) = (usize::from(columns).max(1), height as usize, width as usize);
        let first_row = window.rows(first / columns, height).start;
        let (mut taps, mut end) = ([Taps::default(); TILE], first_row);
        for (place, taps) in taps.iter_mut().take(places).enumerate() {
            let (row, column) = ((first + place) / columns, (first + place) % columns);
            let (rows, columns) = (window.rows(row, height), window.columns(column, width));
            if rows.taps > 0 && columns.taps > 0 {
                *taps = Taps {
                    first: rows.first * usize::from(window.kernel[1]) + columns.first,
                    pixel: rows.start.saturating_sub(first_row) * width + columns.start,
                    rows: rows.taps,
                    columns: columns.taps,
                };
                end = rows.start + (rows.taps - 1) * usize::from(window.dilation[0]) + 1;
            }
        }
        Strip {
            taps,
            first_pixel: first_row * width,
            pixels: end.saturating_sub(first_row) * width,
            down: [usize::from(window.kernel[1]), usize::from(window.dilation[0]) * width],
            along: usize::from(window.dilation[1]).max(1),
        }
    }

    /// N channels of all pixels of a strip, but for their scale.
    fn load<'t, const N: usize>(&self, places: &Strip, channel: usize, strip: &'t mut [f32]) -> &'t [[f32; N]] {
        let strip = strip.as_chunks_mut::<N>().0;
        let pixels = self.values.chunks_exact(self.sizes.channels.max(1)).skip(places.first_pixel).take(places.pixels);
        for (to, pixel) in strip.iter_mut().zip(pixels) {
            if let Some(features) = pixel.get(channel..).and_then(<[i8]>::first_chunk::<N>) {
                *to = features.map(|q| self.real(q));
            }
        }
        strip
    }

    /// N channels of what the convolution gives.
    fn convolve<const N: usize>(
        &self,
        places: &Strip,
        weights: &Parts<'_>,
        channel: usize,
        tile: &mut [f32],
        strip: &mut [f32],
    ) {
        let (channels, clamp, scale) = (self.sizes.channels.max(1), self.block.depthwise, self.scale);
        let strip = self.load::<N>(places, channel, strip);
        let weights_of = weights.depthwise.get(channel..).unwrap_or_default();
        let biases = weights.depthwise_biases.get(channel..).and_then(<[f32]>::first_chunk::<N>).unwrap_or(&[0.0; N]);
        for (to, taps) in tile.chunks_exact_mut(channels.max(1)).zip(&places.taps) {
            let mut sums = [0.0; N];
            places.rows(taps, |tap, pixel, count| {
                let mut weights_from = weights_of.get(tap * channels..).unwrap_or_default();
                let mut pixels = strip.get(pixel..).unwrap_or_default();
                for _ in 0..count {
                    let (Some(weights), Some(pixel)) = (weights_from.first_chunk::<N>(), pixels.first()) else { break };
                    sums.iter_mut().zip(weights).zip(pixel).for_each(|((sum, weight), x)| *sum += weight * x);
                    weights_from = weights_from.get(channels..).unwrap_or_default();
                    pixels = pixels.get(places.along..).unwrap_or_default();
                }
            });
            let Some(to) = to.get_mut(channel..).and_then(<[f32]>::first_chunk_mut::<N>) else { return };
            for ((to, sum), bias) in to.iter_mut().zip(sums).zip(biases) {
                *to = clamp.apply(bias + scale * sum);
            }
        }
    }

    /// Adds the products of derivatives and features, of N channels.
    fn add_products<const N: usize>(&self, places: &Strip, channel: usize, to: &mut [f32], slopes: &[f32], strip: &mut [f32]) {
        let channels = self.sizes.channels.max(1);
        let strip = self.load::<N>(places, channel, strip);
        let to = to.get_mut(channel..).unwrap_or_default();
        for (slopes, taps) in slopes.chunks_exact(channels.max(1)).zip(&places.taps) {
            let Some(slopes) = slopes.get(channel..).and_then(<[f32]>::first_chunk::<N>) else { return };
            let slopes = slopes.map(|slope| self.scale * slope);
            places.rows(taps, |tap, pixel, count| {
                let to = to.get_mut(tap * channels..).unwrap_or_default().chunks_mut(channels);
                let pixels = strip.get(pixel..).unwrap_or_default().iter().step_by(places.along);
                for (to, pixel) in to.zip(pixels).take(count) {
                    let Some(to) = to.first_chunk_mut::<N>() else { break };
                    to.iter_mut().zip(slopes).zip(pixel).for_each(|((to, slope), x)| *to += slope * x);
                }
            });
        }
    }
}
