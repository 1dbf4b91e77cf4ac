//! What int16 dense, conv2d and depthwise_conv2d share.

use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Alias, NodeCheck, Order, Overlapping, ensure},
    ops::linear::{MAXIMUM_FAN_IN, alias_of_rows, order_of_rows},
    simd::{self, RequantizeWide},
    tensor::Tensor,
};

/// Constants of an int16 layer, in the file.
///
/// `accumulator[c] = bias[c] + sum(weight * x)`; `q = clamp((accumulator * multiplier[c] + 2^(shift - 1)) >> shift)`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct LinearI16 {
    /// Offset of the weights in the constants: int8, laid out as those of int8 layers.
    pub weights: u32,
    /// Offset of `[bias: i32, multiplier: i32]` per output channel.
    pub channels: u32,
    /// 1 to 62, one for the node.
    pub shift: u8,
    /// Lowest output.
    pub minimum: i16,
    /// Highest output.
    pub maximum: i16,
}

/// Largest shift.
pub const LARGEST_SHIFT: u32 = 62;

impl LinearI16 {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { weights: cursor.u32(), channels: cursor.u32(), shift: cursor.u8(), minimum: cursor.i16(), maximum: cursor.i16() }
    }

    /// Refuses constants outside their section, shifts that are none and bounds out of order.
    pub fn check(&self, node: &NodeCheck<'_>, weight_bytes: usize, channels: usize) -> Result<(), NodeFault> {
        node.constants(self.weights, weight_bytes)?;
        node.constants(self.channels, channels * 8)?;
        let shift_fits = (1..=LARGEST_SHIFT).contains(&self.shift.into());
        ensure(shift_fits && self.minimum <= self.maximum, NodeFault::Quantization)
    }

    /// As [`check`](Self::check) for a matrix `[channels, fan_in]` in paired rows.
    #[inline(never)]
    pub fn check_matrix(&self, node: &NodeCheck<'_>, fan_in: usize, channels: usize) -> Result<(), NodeFault> {
        ensure(fan_in <= MAXIMUM_FAN_IN, NodeFault::Shape)?;
        self.check(node, simd::paired_bytes(channels, fan_in), channels)
    }

    /// The numbers for the kernels; `channels` are the bytes of the `[bias, multiplier]` pairs.
    pub(super) fn requantize<'a>(&self, channels: &'a [u8]) -> RequantizeWide<'a> {
        RequantizeWide {
            channels: bytemuck::try_cast_slice(channels).unwrap_or_default(),
            shift: self.shift.into(),
            minimum: self.minimum,
            maximum: self.maximum,
        }
    }
}

/// Scratch bytes of a matrix product with `rows` rows of `fan_in` inputs.
pub const fn rows_scratch_bytes(rows: usize, fan_in: usize) -> usize {
    simd::wide_columns_words(fan_in, if rows > 1 { 2 } else { 1 }).saturating_mul(4)
}

/// The class of a product of the input's rows with a matrix: that of int8, whose elements are half as long.
pub(super) fn alias_of_wide_rows(input: &Tensor, output: &Tensor) -> Alias {
    match alias_of_rows(input, output) {
        Alias::Overlap { order, bytes } => Alias::Overlap { order, bytes: bytes.saturating_mul(2) },
        other => other,
    }
}

/// Multiplies each of `rows` rows of `fan_in` inputs with the matrix, two rows at a time, in the order that
/// [`alias_of_wide_rows`] promises.
pub(super) fn multiply_rows(
    weights: &[i8],
    fan_in: usize,
    requantize: &RequantizeWide<'_>,
    rows: usize,
    (scratch, mut tensors): (&mut [u8], Overlapping<'_>),
) {
    let columns: &mut [u32] = bytemuck::try_cast_slice_mut(scratch).unwrap_or_default();
    let channels = requantize.channels.len();
    let backward = order_of_rows(fan_in, channels) == Order::Backward;
    for first in (0..rows).step_by(2) {
        // An odd number of rows ends in a pair of one row, which comes first on the way back.
        let row = if backward { (rows - 1 - first) & !1 } else { first };
        let count = if row + 1 < rows { 2 } else { 1 };
        let Some((x1, x2)) = tensors.input_i16(row * fan_in, count * fan_in).split_at_checked(fan_in) else { return };
        simd::pack_wide(columns, x1, x2);
        let outputs = tensors.output_i16(row * channels, count * channels);
        let Some((y1, y2)) = outputs.split_at_mut_checked(channels) else { return };
        simd::multiply_wide(weights, fan_in, columns, requantize, y1, y2);
    }
}
