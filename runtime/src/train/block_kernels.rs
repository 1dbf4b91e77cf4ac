//! The linear layer of a last block, some places at a time. Rows of channels lie side by side; sums ascend from 0.

use super::{block_record::BlockSizes, gradient::row};
use crate::ops::linear::ClampF32;

/// Channels whose gradients are summed side by side.
const GRADIENT_BLOCK: usize = 16;
/// Units, and places, of a product that is computed side by side.
const SQUARE: usize = 4;

/// Weights and biases, or what goes into them.
#[derive(Debug, Default)]
pub(super) struct Parts<'s> {
    /// `[taps][C]`
    pub depthwise: &'s [f32],
    /// `[C]`
    pub depthwise_biases: &'s [f32],
    /// `[M][C]`
    pub linear: &'s [f32],
    /// `[M]`
    pub linear_biases: &'s [f32],
    /// `[K][M]`
    pub head: &'s [f32],
    /// `[K]`
    pub head_biases: &'s [f32],
}

impl<'s> Parts<'s> {
    pub fn of(sizes: &BlockSizes, mut values: &'s [f32]) -> Self {
        let [depthwise, depthwise_biases, linear, linear_biases, head, head_biases] = sizes.parts().map(|count| {
            let (part, rest) = values.split_at_checked(count).unwrap_or_default();
            values = rest;
            part
        });
        Self { depthwise, depthwise_biases, linear, linear_biases, head, head_biases }
    }
}

/// As [`Parts`], to be written.
#[derive(Debug, Default)]
pub(super) struct PartsMut<'s> {
    pub depthwise: &'s mut [f32],
    pub depthwise_biases: &'s mut [f32],
    pub linear: &'s mut [f32],
    pub linear_biases: &'s mut [f32],
    pub head: &'s mut [f32],
    pub head_biases: &'s mut [f32],
}

impl<'s> PartsMut<'s> {
    pub fn of(sizes: &BlockSizes, mut values: &'s mut [f32]) -> Self {
        let [depthwise, depthwise_biases, linear, linear_biases, head, head_biases] = sizes.parts().map(|count| {
            let (part, rest) = core::mem::take(&mut values).split_at_mut_checked(count).unwrap_or_default();
            values = rest;
            part
        });
        Self { depthwise, depthwise_biases, linear, linear_biases, head, head_biases }
    }
}

/// Whether a value is within the bounds, where its derivative passes.
fn passes(clamp: &ClampF32, value: f32) -> bool {
    value > clamp.minimum && value < clamp.maximum
}

/// The linear layer at some places: its outputs are added to `sums`, in the order of places, and `masks` gets for each unit a bit for each
/// place where its derivative passes.
pub(super) fn forward(
    clamp: &ClampF32,
    weights: &Parts<'_>,
    tile: &[f32],
    channels: usize,
    sums: &mut [f32],
    masks: &mut [u8],
) {
    let places = tile.len() / channels.max(1);
    let whole = places - places % SQUARE;
    masks.fill(0);
    let quads = weights.linear.chunks(SQUARE * channels.max(1)).zip(weights.linear_biases.chunks(SQUARE));
    for ((rows, biases), (sums, masks)) in quads.zip(sums.chunks_mut(SQUARE).zip(masks.chunks_mut(SQUARE))) {
        let mut take = |unit: usize, place: usize, product: f32| {
            let (Some(bias), Some(sum), Some(mask)) = (biases.get(unit), sums.get_mut(unit), masks.get_mut(unit)) else {
                return;
            };
            let value = bias + product;
            *sum += clamp.apply(value);
            *mask |= u8::from(passes(clamp, value)) << place;
        };
        for first in (0..whole).step_by(SQUARE) {
            if biases.len() == SQUARE {
                let products = products(
                    &[0, 1, 2, 3].map(|n| row(rows, n, channels)),
                    &[0, 1, 2, 3].map(|n| row(tile, first + n, channels)),
                );
                for (unit, products) in products.into_iter().enumerate() {
                    products.into_iter().enumerate().for_each(|(place, product)| take(unit, first + place, product));
                }
            } else {
                for unit in 0..biases.len() {
                    (first..first + SQUARE)
                        .for_each(|place| take(unit, place, product(row(rows, unit, channels), row(tile, place, channels))));
                }
            }
        }
        for place in whole..places {
            (0..biases.len())
                .for_each(|unit| take(unit, place, product(row(rows, unit, channels), row(tile, place, channels))));
        }
    }
}

/// The product of two rows.
fn product(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b)
}

/// The products of each of four rows with each of four others, all of the same length.
fn products(rows: &[&[f32]; SQUARE], others: &[&[f32]; SQUARE]) -> [[f32; SQUARE]; SQUARE] {
    let mut sums = [[0.0; SQUARE]; SQUARE];
    let [a0, a1, a2, a3] = rows.map(|row| row.iter());
    let [b0, b1, b2, b3] = others.map(|row| row.iter());
    let a = a0.zip(a1).zip(a2.zip(a3));
    let b = b0.zip(b1).zip(b2.zip(b3));
    for (((a0, a1), (a2, a3)), ((b0, b1), (b2, b3))) in a.zip(b) {
        for (a, sums) in [a0, a1, a2, a3].into_iter().zip(&mut sums) {
            for (b, sum) in [b0, b1, b2, b3].into_iter().zip(sums) {
                *sum += a * b;
            }
        }
    }
    sums
}

/// Adds to the linear layer's gradients those of the places of a tile: `slopes` are the derivatives of the units wherever they pass. `total` is
/// room for a row: the sum of all places, from which those are taken away where a unit does not pass, if these are fewer.
pub(super) fn add_gradients(
    to: &mut PartsMut<'_>,
    tile: &[f32],
    channels: usize,
    slopes: &[f32],
    masks: &[u8],
    total: &mut [f32],
) {
    let Some(total) = total.get_mut(..channels) else { return };
    total.fill(0.0);
    for row in tile.chunks_exact(channels.max(1)) {
        total.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    let places = tile.len() / channels.max(1);
    let all = ((1u32 << places) - 1) as u8;
    let rows = to.linear.chunks_exact_mut(channels.max(1)).zip(to.linear_biases.iter_mut());
    for ((row, bias), (slope, &mask)) in rows.zip(slopes.iter().zip(masks)) {
        let passing = mask.count_ones();
        if passing == 0 {
            continue;
        }
        *bias += slope * f32::from(passing as u8);
        let is_most = 2 * passing as usize > places;
        let gate = Gate { mask: if is_most { all & !mask } else { mask }, total: is_most.then_some(&*total) };
        let (blocks, rest) = row.as_chunks_mut::<GRADIENT_BLOCK>();
        let after = blocks.len() * GRADIENT_BLOCK;
        for (number, to) in blocks.iter_mut().enumerate() {
            let sums = gate.sums::<GRADIENT_BLOCK>(tile, channels, number * GRADIENT_BLOCK);
            to.iter_mut().zip(sums).for_each(|(to, sum)| *to += slope * sum);
        }
        for (channel, to) in rest.iter_mut().enumerate() {
            let [sum] = gate.sums::<1>(tile, channels, after + channel);
            *to += slope * sum;
        }
    }
}

/// The places of a tile that are added up, or that are taken away from the sum of all.
struct Gate<'t> {
    mask: u8,
    total: Option<&'t [f32]>,
}

impl Gate<'_> {
    /// The sums of N channels.
    fn sums<const N: usize>(&self, tile: &[f32], channels: usize, channel: usize) -> [f32; N] {
        let (mut mask, tile) = (self.mask, tile.get(channel..).unwrap_or_default());
        let mut next = || {
            if mask == 0 {
                return None;
            }
            let place = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            tile.get(place * channels..).and_then(<[f32]>::first_chunk::<N>)
        };
        let mut sums = [0.0; N];
        if let Some(total) = self.total.and_then(|total| total.get(channel..)).and_then(<[f32]>::first_chunk::<N>) {
            sums = *total;
            while let Some(values) = next() {
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum -= value);
            }
        } else if let Some(values) = next() {
            sums = *values;
            while let Some(values) = next() {
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
        }
        sums
    }
}

/// The sum over units of slope times weight: what leads down to a place where all units pass.
pub(super) fn descend_open(weights: &Parts<'_>, slopes: &[f32], to: &mut [f32]) {
    to.fill(0.0);
    for (row, slope) in weights.linear.chunks_exact(to.len().max(1)).zip(slopes) {
        to.iter_mut().zip(row).for_each(|(to, weight)| *to += slope * weight);
    }
}

/// Puts the derivatives with respect to what the depthwise convolution gives in place of what it gave, in a tile. `open` are those of a place
/// where all units pass, from which what does not is taken away, if it is less than half. `bits` is room for a bit for each unit.
pub(super) fn descend(
    clamp: &ClampF32,
    weights: &Parts<'_>,
    tile: &mut [f32],
    (open, bits): (&[f32], &mut [u32]),
    slopes: &[f32],
    masks: &[u8],
) {
    let Some(bits) = bits.get_mut(..masks.len().div_ceil(32)) else { return };
    for (place, row) in tile.chunks_exact_mut(open.len().max(1)).enumerate() {
        let mut passing = 0;
        for (word, masks) in bits.iter_mut().zip(masks.chunks(32)) {
            *word = bits_of(masks, place);
            passing += word.count_ones() as usize;
        }
        let is_turned = 2 * passing > masks.len();
        if is_turned {
            let all = masks.chunks(32).map(|masks| u32::MAX >> (32 - masks.len()));
            bits.iter_mut().zip(all).for_each(|(word, all)| *word ^= all);
        }
        let units = Units { bits, weights: weights.linear, slopes, open, is_turned };
        let (blocks, rest) = row.as_chunks_mut::<GRADIENT_BLOCK>();
        let after = blocks.len() * GRADIENT_BLOCK;
        for (number, values) in blocks.iter_mut().enumerate() {
            units.replace(clamp, values, number * GRADIENT_BLOCK);
        }
        for (channel, value) in rest.iter_mut().enumerate() {
            units.replace(clamp, core::array::from_mut(value), after + channel);
        }
    }
}

/// A bit for each of up to 32 masks: that of a place.
fn bits_of(masks: &[u8], place: usize) -> u32 {
    let (fours, rest) = masks.as_chunks::<4>();
    // The lowest bits of four bytes, side by side from bit 24 on.
    let gather = |four: &[u8; 4]| (u32::from_le_bytes(*four) >> place & 0x0101_0101).wrapping_mul(0x0102_0408) >> 24 & 15;
    let last = rest.iter().rev().fold(0, |bits, mask| bits << 1 | u32::from(mask >> place & 1));
    fours.iter().rev().fold(last, |bits, four| bits << 4 | gather(four))
}

/// The units that lead down to a place, or all but these.
struct Units<'t> {
    /// A bit for each that is added up.
    bits: &'t [u32],
    weights: &'t [f32],
    slopes: &'t [f32],
    /// The sum of all, from which those that are added up are taken away, if turned.
    open: &'t [f32],
    is_turned: bool,
}

impl Units<'_> {
    /// Puts the sums of slope times weight in place of N channels, where these pass.
    fn replace<const N: usize>(&self, clamp: &ClampF32, values: &mut [f32; N], channel: usize) {
        let (mut sums, channels) = ([0.0; N], self.open.len());
        let weights = self.weights.get(channel..).unwrap_or_default();
        for (&word, first) in self.bits.iter().zip((0..).step_by(32)) {
            let mut word = word;
            while word != 0 {
                let unit = first + word.trailing_zeros() as usize;
                word &= word - 1;
                let weights = weights.get(unit * channels..).and_then(<[f32]>::first_chunk::<N>);
                let (Some(weights), Some(slope)) = (weights, self.slopes.get(unit)) else { return };
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += slope * weight);
            }
        }
        if self.is_turned {
            sums.iter_mut().zip(self.open.iter().skip(channel)).for_each(|(sum, open)| *sum = open - *sum);
        }
        values.iter_mut().zip(sums).for_each(|(value, sum)| *value = if passes(clamp, *value) { sum } else { 0.0 });
    }
}
