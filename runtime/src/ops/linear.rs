//! What dense, conv2d and depthwise_conv2d share: where weights and biases lie, and the clamp behind them.

use super::matrix::Matrix;
use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Alias, NodeCheck, Order, Overlapping, ensure},
    simd::{self, PIXELS, PixelRun, Requantize},
    tensor::Tensor,
};

/// Constants of an int8 layer, in the file.
///
/// `accumulator[c] = bias[c] + sum(weight * x)` with the input's zero point folded into the bias;
/// `q = clamp(zero_point + (((accumulator << shift) * multiplier[c] + 2^31) >> 32))`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct LinearI8 {
    /// Offset of the weights in the constants.
    pub weights: u32,
    /// Offset of `[bias: i32, multiplier: i32]` per output channel.
    pub channels: u32,
    /// 0 to 7, one for the node.
    pub shift: u8,
    /// Lowest output.
    pub minimum: i8,
    /// Highest output.
    pub maximum: i8,
}

impl LinearI8 {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { weights: cursor.u32(), channels: cursor.u32(), shift: cursor.u8(), minimum: cursor.i8(), maximum: cursor.i8() }
    }

    /// Refuses constants outside their section and bounds out of order.
    pub fn check(&self, node: &NodeCheck<'_>, weight_bytes: usize, channels: usize) -> Result<(), NodeFault> {
        node.constants(self.weights, weight_bytes)?;
        node.constants(self.channels, channels * 8)?;
        ensure(self.shift <= 7 && self.minimum <= self.maximum, NodeFault::Quantization)
    }

    /// As [`check`](Self::check) for a matrix `[channels, fan_in]`. The bound of `fan_in` keeps every sum of
    /// products within 32 bits, even in a file that was made to harm.
    #[inline(never)]
    pub(crate) fn check_matrix<M: Matrix>(
        &self,
        node: &NodeCheck<'_>,
        fan_in: usize,
        channels: usize,
    ) -> Result<(), NodeFault> {
        ensure(fan_in <= MAXIMUM_FAN_IN, NodeFault::Shape)?;
        self.check(node, M::bytes(channels, fan_in), channels)
    }

    /// The numbers for the kernels; `channels` are the bytes of the `[bias, multiplier]` pairs.
    pub(crate) fn requantize<'a>(&self, channels: &'a [u8], zero_point: i8) -> Requantize<'a> {
        Requantize {
            channels: bytemuck::try_cast_slice(channels).unwrap_or_default(),
            shift: u32::from(self.shift),
            zero_point: zero_point.into(),
            minimum: self.minimum.into(),
            maximum: self.maximum.into(),
        }
    }
}

/// Most inputs of an int8 output.
pub const MAXIMUM_FAN_IN: usize = 1 << 16;

/// Scratch bytes of a product of int8 weights with `rows` rows of `fan_in` inputs.
pub const fn rows_scratch_bytes(rows: usize, fan_in: usize) -> usize {
    simd::columns_words(fan_in, rows) * 4
}

/// From the last row back where rows grow longer, so that the output may lie on its input and reach beyond it.
pub(super) fn order_of_rows(fan_in: usize, channels: usize) -> Order {
    if channels > fan_in { Order::Backward } else { Order::Forward }
}

/// The class of a product of the input's rows with a matrix. Two rows are packed before their outputs are written, so that
/// two rows' difference may be overwritten beyond those that are done, and all where there is one pair of rows.
#[inline(never)] // Shared by dense and pointwise convolutions.
pub(crate) fn alias_of_rows(input: &Tensor, output: &Tensor) -> Alias {
    let (fan_in, channels, rows) = (input.channels(), output.channels(), output.pixels());
    let order = order_of_rows(fan_in, channels);
    let (shorter, longer) = if order == Order::Backward { (fan_in, channels) } else { (channels, fan_in) };
    let reach = if rows > 2 { 2 * (longer - shorter) } else { rows.wrapping_mul(longer) };
    Alias::Overlap { order, bytes: rows.wrapping_mul(shorter).saturating_add(reach) }
}

/// Multiplies each of `rows` rows of `fan_in` inputs with the matrix, two rows or more at a time, in the order that [`alias_of_rows`]
/// promises. The scratch region begins with what the matrix wants.
pub(crate) fn multiply_rows<M: Matrix>(
    weights: &[u8],
    fan_in: usize,
    requantize: &Requantize<'_>,
    rows: usize,
    (scratch, mut tensors): (&mut [u8], Overlapping<'_>),
) {
    let channels = requantize.channels.len();
    let Some((unpacked, columns)) = scratch.split_at_mut_checked(M::scratch_bytes(channels, fan_in)) else { return };
    let columns: &mut [u32] = bytemuck::try_cast_slice_mut(columns).unwrap_or_default();
    let backward = order_of_rows(fan_in, channels) == Order::Backward;
    let last = rows.saturating_sub(1) / PIXELS * PIXELS;
    let run = PixelRun::new([fan_in, 0], 1, fan_in);
    for first in (0..rows).step_by(PIXELS) {
        // The last rows may be fewer; they come first on the way back.
        let row = if backward { last - first } else { first };
        let count = PIXELS.min(rows - row);
        let mut inputs = tensors.input_i8(row * fan_in, count * fan_in);
        if !run.is_some_and(|run| count == PIXELS && simd::pack_run(columns, inputs, &run)) {
            simd::pack_columns(columns, fan_in, 0, [(); PIXELS].map(|()| split(&mut inputs, fan_in)));
        }
        let outputs = tensors.output_i8(row * channels, count * channels);
        M::multiply(weights, fan_in, columns, requantize, unpacked, split_pixels(outputs, channels));
    }
}

/// Takes the first `length` elements from `rest`, or what there is.
#[inline(always)]
fn split<'a>(rest: &mut &'a [i8], length: usize) -> &'a [i8] {
    let (first, behind) = rest.split_at(length.min(rest.len()));
    *rest = behind;
    first
}

/// The pixels of `channels` that are in `outputs`, and behind them empty ones.
#[inline(always)]
pub(crate) fn split_pixels(outputs: &mut [i8], channels: usize) -> [&mut [i8]; PIXELS] {
    let mut rest = outputs;
    [(); PIXELS].map(|()| {
        let outputs = core::mem::take(&mut rest);
        let (first, behind) = outputs.split_at_mut(channels.min(outputs.len()));
        rest = behind;
        first
    })
}

/// Constants of an f32 layer, in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct LinearF32 {
    /// Offset of the weights in the constants.
    pub weights: u32,
    /// Offset of the biases, one f32 per output channel.
    pub bias: u32,
    /// The clamp behind the layer.
    pub clamp: ClampF32,
}

impl LinearF32 {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { weights: cursor.u32(), bias: cursor.u32(), clamp: ClampF32::decode(cursor) }
    }

    /// Refuses constants outside their section and bounds out of order.
    pub fn check(&self, node: &NodeCheck<'_>, weights: usize, channels: usize) -> Result<(), NodeFault> {
        node.constants(self.weights, weights.saturating_mul(4))?;
        node.constants(self.bias, channels * 4)?;
        self.clamp.check()
    }
}

/// Bounds of an f32 output: infinite for none, 0 and infinity for ReLU.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct ClampF32 {
    /// Lowest output.
    pub minimum: f32,
    /// Highest output.
    pub maximum: f32,
}

impl ClampF32 {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { minimum: cursor.f32(), maximum: cursor.f32() }
    }

    /// Refuses bounds out of order, and NaN.
    pub fn check(&self) -> Result<(), NodeFault> {
        ensure(self.minimum <= self.maximum, NodeFault::Quantization)
    }

    /// `value` within the bounds; NaN stays NaN.
    #[inline(always)]
    pub fn apply(&self, value: f32) -> f32 {
        if value < self.minimum {
            self.minimum
        } else if value > self.maximum {
            self.maximum
        } else {
            value
        }
    }
}

/// Output channels that an f32 kernel sums side by side. Weights lie as `[ceil(channels / 4)][fan_in][4]`, zeros behind the
/// last channel.
pub const F32_LANES: usize = 4;

/// f32 weights of a layer; `usize::MAX` stands for too many.
pub const fn f32_weights(fan_in: usize, channels: usize) -> usize {
    fan_in.saturating_mul(channels.next_multiple_of(F32_LANES))
}

/// `sums[j] += x[k] * weights[k][j]`, k ascending: the one order of summation, on every core.
#[inline(always)]
pub(crate) fn multiply_add(sums: &mut [f32; F32_LANES], x: &[f32], weights: &[f32]) {
    for (&x, weights) in x.iter().zip(weights.chunks_exact(F32_LANES)) {
        for (sum, &weight) in sums.iter_mut().zip(weights) {
            *sum += x * weight;
        }
    }
}

impl LinearF32 {
    /// Calls `sum(sums, weights)` for every block of channels, `sums` starting as the biases, and writes the clamped sums.
    #[inline(always)]
    pub(crate) fn blocks(&self, weights: &[f32], bias: &[f32], out: &mut [f32], sum: impl Fn(&mut [f32; F32_LANES], &[f32])) {
        let fan_in = weights.len() / out.len().next_multiple_of(F32_LANES).max(1);
        let blocks = out.chunks_mut(F32_LANES).zip(bias.chunks(F32_LANES));
        for ((out, bias), weights) in blocks.zip(weights.chunks_exact((fan_in * F32_LANES).max(1))) {
            let mut sums = [0.0; F32_LANES];
            sums.iter_mut().zip(bias).for_each(|(sum, &bias)| *sum = bias);
            sum(&mut sums, weights);
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = self.clamp.apply(sum));
        }
    }
}

/// Weights of an f32 layer in the layout that its kernel reads, from `[channels][fan_in]`.
#[cfg(feature = "std")]
pub fn pack_f32(rows: &[f32], fan_in: usize) -> std::vec::Vec<f32> {
    let mut packed = std::vec::Vec::new();
    let rows: std::vec::Vec<&[f32]> = rows.chunks_exact(fan_in.max(1)).collect();
    for block in rows.chunks(F32_LANES) {
        for k in 0..fan_in {
            packed.extend((0..F32_LANES).map(|j| block.get(j).and_then(|row| row.get(k)).copied().unwrap_or(0.0)));
        }
    }
    packed
}
