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
    /// The negative of the features' zero point.
    offset: i32,
    values: &'s [i8],
}

/// The taps of a place that lie within the features.
#[derive(Debug, Clone, Copy, Default)]
struct Taps {
    /// Row and column of the first in the kernel.
    first: [usize; 2],
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
    /// Pixels from a tap to the one below, and to the next one.
    steps: [usize; 2],
}

/// The taps of a place in a row of the kernel.
#[derive(Debug, Clone, Copy, Default)]
struct RowTaps {
    /// Column of the first in the kernel.
    first: usize,
    count: usize,
    /// The pixel of column 0, be it within the features or not.
    pixel: usize,
}

impl Strip {
    /// The taps of all places in a row of the kernel.
    fn row(&self, row: usize) -> [RowTaps; TILE] {
        self.taps.map(|place| {
            let below = row.wrapping_sub(place.first[0]);
            let pixel = place.pixel.wrapping_add(below.wrapping_mul(self.steps[0]));
            let pixel = pixel.wrapping_sub(place.first[1] * self.steps[1]);
            RowTaps { first: place.first[1], count: if below < place.rows { place.columns } else { 0 }, pixel }
        })
    }
}

impl RowTaps {
    /// The pixel of a column of the kernel, which is so many pixels from column 0, if it is within the features.
    fn pixel<'s, const N: usize>(&self, column: usize, pixels: usize, strip: &'s [[f32; N]]) -> Option<&'s [f32; N]> {
        if column.wrapping_sub(self.first) >= self.count {
            return None;
        }
        strip.get(self.pixel.wrapping_add(pixels))
    }
}

impl<'s> Features<'s> {
    pub fn new(record: &Head<'_>, block: &'s BlockRecord, sizes: &'s BlockSizes, values: &'s [i8]) -> Self {
        Self { block, sizes, scale: record.scale, offset: -i32::from(record.zero_point), values }
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

    /// Adds to the depthwise convolution's gradients those of the places from `first` on, whose derivatives are the rows of `slopes`, which are
    /// then spent.
    pub fn add_gradients(&self, to: &mut PartsMut<'_>, first: usize, slopes: &mut [f32], strip: &mut [f32]) {
        let channels = self.sizes.channels;
        for slopes in slopes.chunks_exact(channels.max(1)) {
            to.depthwise_biases.iter_mut().zip(slopes).for_each(|(to, slope)| *to += slope);
        }
        slopes.iter_mut().for_each(|slope| *slope *= self.scale);
        let places = self.strip(first, slopes.len() / channels.max(1));
        let whole = channels - channels % STRIP;
        (0..whole).step_by(STRIP).for_each(|channel| self.add_products::<STRIP>(&places, channel, to.depthwise, slopes, strip));
        (whole..channels).for_each(|channel| self.add_products::<1>(&places, channel, to.depthwise, slopes, strip));
    }

    /// A feature, but for its scale.
    fn real(&self, q: i8) -> f32 {
        (i32::from(q) + self.offset) as f32
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
                    first: [rows.first, columns.first],
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
            steps: [usize::from(window.dilation[0]) * width, usize::from(window.dilation[1])],
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

    /// N channels of what the convolution gives: tap by tap, so that its weights lie in registers for all places.
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
        tile.chunks_exact_mut(channels).filter_map(|row| chunk_mut(row, channel)).for_each(|sums| *sums = [0.0; N]);
        let kernel_columns = usize::from(self.block.window.kernel[1]).max(1);
        for (row, weights) in weights.depthwise.chunks(channels * kernel_columns).enumerate() {
            let taps = places.row(row);
            for (column, weights) in weights.chunks_exact(channels).enumerate() {
                let Some(&weights) = chunk::<N>(weights, channel) else { return };
                let along = column * places.steps[1];
                for (sums, taps) in tile.chunks_exact_mut(channels).zip(&taps) {
                    let (Some(pixel), Some(sums)) = (taps.pixel(column, along, strip), chunk_mut::<N>(sums, channel)) else {
                        continue;
                    };
                    sums.iter_mut().zip(weights).zip(pixel).for_each(|((sum, weight), x)| *sum += weight * x);
                }
            }
        }
        let Some(biases) = chunk::<N>(weights.depthwise_biases, channel) else { return };
        for sums in tile.chunks_exact_mut(channels).filter_map(|row| chunk_mut::<N>(row, channel)) {
            sums.iter_mut().zip(biases).for_each(|(sum, bias)| *sum = clamp.apply(bias + scale * *sum));
        }
    }

    /// Adds the products of derivatives and features, of N channels, tap by tap.
    fn add_products<const N: usize>(&self, places: &Strip, channel: usize, to: &mut [f32], slopes: &[f32], strip: &mut [f32]) {
        let channels = self.sizes.channels.max(1);
        let strip = self.load::<N>(places, channel, strip);
        let kernel_columns = usize::from(self.block.window.kernel[1]).max(1);
        for (row, to) in to.chunks_mut(channels * kernel_columns).enumerate() {
            let taps = places.row(row);
            for (column, to) in to.chunks_exact_mut(channels).enumerate() {
                let Some(to) = chunk_mut::<N>(to, channel) else { return };
                let (mut sums, along) = (*to, column * places.steps[1]);
                for (slopes, taps) in slopes.chunks_exact(channels).zip(&taps) {
                    let (Some(pixel), Some(slopes)) = (taps.pixel(column, along, strip), chunk::<N>(slopes, channel)) else {
                        continue;
                    };
                    sums.iter_mut().zip(slopes).zip(pixel).for_each(|((sum, slope), x)| *sum += slope * x);
                }
                *to = sums;
            }
        }
    }
}

/// N values from a place on.
fn chunk<const N: usize>(values: &[f32], at: usize) -> Option<&[f32; N]> {
    values.get(at..)?.first_chunk()
}

/// N values from a place on.
fn chunk_mut<const N: usize>(values: &mut [f32], at: usize) -> Option<&mut [f32; N]> {
    values.get_mut(at..)?.first_chunk_mut()
}
