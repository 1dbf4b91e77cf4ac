//! The linear layer of a last block, some places at a time. Rows of channels lie side by side; sums ascend from 0.

use super::{
    block_record::{BlockSizes, TILE},
    gradient::row,
};
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
        let mut chosen = Chosen::default();
        chosen.choose(if is_most { all & !mask } else { mask }, tile, channels);
        let first = if is_most { Some(&*total) } else { chosen.rows.first().copied() };
        let (Some(first), Some(others)) = (first, chosen.rows.get(usize::from(!is_most)..chosen.count)) else { continue };
        let (blocks, rest) = row.as_chunks_mut::<GRADIENT_BLOCK>();
        let after = blocks.len() * GRADIENT_BLOCK;
        for (number, to) in blocks.iter_mut().enumerate() {
            add_sums(to, *slope, (first, others, is_most), number * GRADIENT_BLOCK);
        }
        for (channel, to) in rest.iter_mut().enumerate() {
            add_sums(core::array::from_mut(to), *slope, (first, others, is_most), after + channel);
        }
    }
}

/// Rows of a tile that are added up, or taken away from the sum of all: at most half of them.
#[derive(Default)]
struct Chosen<'t> {
    rows: [&'t [f32]; TILE / 2],
    count: usize,
}

impl<'t> Chosen<'t> {
    fn choose(&mut self, mut mask: u8, tile: &'t [f32], channels: usize) {
        for slot in &mut self.rows {
            if mask == 0 {
                return;
            }
            *slot = row(tile, mask.trailing_zeros() as usize, channels);
            mask &= mask - 1;
            self.count += 1;
        }
    }
}

/// Adds slope times a sum to N channels: of a first row and others, or of the first without the others.
fn add_sums<const N: usize>(
    to: &mut [f32; N],
    slope: f32,
    (first, others, is_less): (&[f32], &[&[f32]], bool),
    channel: usize,
) {
    let part = |row: &'_ [f32]| -> Option<[f32; N]> { row.get(channel..)?.first_chunk().copied() };
    let Some(mut sums) = part(first) else { return };
    let others = others.iter().filter_map(|row| part(row));
    if is_less {
        others.for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, value)| *sum -= value));
    } else {
        others.for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value));
    }
    to.iter_mut().zip(sums).for_each(|(to, sum)| *to += slope * sum);
}

/// The sum over units of slope times weight: what leads down to a place where all units pass.
pub(super) fn descend_open(weights: &Parts<'_>, slopes: &[f32], to: &mut [f32]) {
    to.fill(0.0);
    for (row, slope) in weights.linear.chunks_exact(to.len().max(1)).zip(slopes) {
        to.iter_mut().zip(row).for_each(|(to, weight)| *to += slope * weight);
    }
}

/// Puts the derivatives with respect to what the depthwise convolution gives in place of what it gave, in a tile. `open` are those of a place
/// where all units pass, from which what does not is taken away, if it is less than half. `list` is room for half of the units.
pub(super) fn descend(
    clamp: &ClampF32,
    weights: &Parts<'_>,
    tile: &mut [f32],
    (open, list): (&[f32], &mut [Unit]),
    slopes: &[f32],
    masks: &[u8],
) {
    let channels = open.len().max(1);
    for (place, row) in tile.chunks_exact_mut(channels).enumerate() {
        let passing: u32 = masks.chunks(32).map(|masks| bits_of(masks, place).count_ones()).sum();
        let is_turned = 2 * passing as usize > masks.len();
        let (mut slots, mut count) = (list.iter_mut(), 0);
        for (masks, first) in masks.chunks(32).zip((0..).step_by(32)) {
            let all = u32::MAX >> (32 - masks.len());
            let mut bits = if is_turned { all & !bits_of(masks, place) } else { bits_of(masks, place) };
            while bits != 0 {
                let unit = first + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let (Some(slot), Some(slope)) = (slots.next(), slopes.get(unit)) else { break };
                *slot = [(unit * channels) as u32, slope.to_bits()];
                count += 1;
            }
        }
        let units = list.get(..count).unwrap_or_default();
        let open = is_turned.then_some(open);
        let (blocks, rest) = row.as_chunks_mut::<GRADIENT_BLOCK>();
        let after = blocks.len() * GRADIENT_BLOCK;
        for (number, values) in blocks.iter_mut().enumerate() {
            replace(clamp, values, (units, weights.linear, open), number * GRADIENT_BLOCK);
        }
        for (channel, value) in rest.iter_mut().enumerate() {
            replace(clamp, core::array::from_mut(value), (units, weights.linear, open), after + channel);
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

/// A unit that leads down to a place, or the only ones that do not: where its weights begin, and the bits of its derivative.
pub(super) type Unit = [u32; 2];

/// Puts the sums of slope times weight over these units in place of N channels, where these pass; of the units that are left, if `open` has the
/// sums of all.
fn replace<const N: usize>(
    clamp: &ClampF32,
    values: &mut [f32; N],
    (units, weights, open): (&[Unit], &[f32], Option<&[f32]>),
    channel: usize,
) {
    let (mut sums, weights) = ([0.0; N], weights.get(channel..).unwrap_or_default());
    for &[first, slope] in units {
        let Some(weights) = weights.get(first as usize..).and_then(<[f32]>::first_chunk::<N>) else { return };
        let slope = f32::from_bits(slope);
        sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += slope * weight);
    }
    if let Some(open) = open {
        sums.iter_mut().zip(open.iter().skip(channel)).for_each(|(sum, open)| *sum = open - *sum);
    }
    values.iter_mut().zip(sums).for_each(|(value, sum)| *value = if passes(clamp, *value) { sum } else { 0.0 });
}
