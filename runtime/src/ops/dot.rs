//! Products of the rows of two tensors over the last axis: `y[i, j] = sum_k a[i, k] * b[j, k]`, or with `normalized` their cosine:
//! divided by the lengths of both rows. Two vectors give one value. A row of zeros has the cosine 0 with any other.
//!
//! int8, with `a` and `b` less their zero points: `P = sum_k a * b` in 32 bits (at most 16,384 products);
//! `q = clamp(zero_point + ((P << shift) * multiplier + 2^31 >> 32))`. Normalized: `A = sum a^2`, `B = sum b^2`; `z` = half of the
//! leading zeros of `A * B` in 64 bits, rounded down; `r = floor(sqrt(A * B << 2 z))`; `q = clamp(floor((2 * (P << z) * 128 + r) / (2 * r)))`,
//! 0 for `r = 0`. The output's scale is 1/128 there, its zero point 0: the input's scales cancel.
//! f32: sums in order; normalized: `P / sqrt(max(A, 1e-12)) / sqrt(max(B, 1e-12))`.

use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Lengths, NodeCheck, NodeRun, OpDef, as_f32_mut, as_i8_mut, disjoint, ensure},
    quant,
    tensor::ElementType::{self, F32, I8},
};

/// Parameters of the int8 op in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct ParametersI8 {
    /// 1 for cosines, else 0.
    pub normalized: u8,
    /// `scale_a * scale_b / scale_out * 2^(32 - shift)`; of no meaning for cosines.
    pub multiplier: i32,
    /// 0 or 1.
    pub shift: u8,
}

impl ParametersI8 {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { normalized: cursor.u8(), multiplier: cursor.i32(), shift: cursor.u8() }
    }
}

/// Parameters of the f32 op in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct ParametersF32 {
    /// 1 for cosines, else 0.
    pub normalized: u8,
}

impl ParametersF32 {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { normalized: cursor.u8() }
    }
}

/// Most products of one sum: the sum, doubled, stays within 32 bits.
pub const MAXIMUM_FAN_IN: usize = 1 << 14;

/// What squares are at least where f32 divides by a length.
const LEAST_SQUARES: f32 = 1e-12;

fn check_form(node: &NodeCheck<'_>, element_type: ElementType, normalized: u8) -> Result<(), NodeFault> {
    let [a, b] = node.inputs(element_type)?;
    let fan_in = a.channels();
    ensure(fan_in == b.channels(), NodeFault::Shape)?;
    ensure(element_type == F32 || fan_in <= MAXIMUM_FAN_IN, NodeFault::Shape)?;
    let (rows, columns) = (a.elements() / fan_in.max(1), b.elements() / fan_in.max(1));
    ensure(rows.checked_mul(columns) == Some(node.output.elements()), NodeFault::Shape)?;
    ensure(normalized <= 1, NodeFault::Parameter)
}

fn check_i8(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let parameters = node.parameters(ParametersI8::decode)?;
    check_form(node, I8, parameters.normalized)?;
    ensure(parameters.shift <= 1, NodeFault::Quantization)
}

/// The cosine in units of 1/128.
fn cosine(product: i32, squares: [u32; 2]) -> i32 {
    let [a, b] = squares.map(u64::from);
    let zeros = (a * b).leading_zeros() / 2;
    if a * b == 0 {
        return 0;
    }
    let root = quant::square_root((a * b) << (2 * zeros));
    // No longer than the product of the lengths, but for the root's last bit: below 2^41.
    let doubled = ((i64::from(product) << zeros) * 256).unsigned_abs();
    let half_up = |numerator: u64| quant::divide(numerator, root * 2) as i32;
    if product >= 0 { half_up(doubled + root) } else { -half_up(doubled + root - 1) }
}

fn run_i8(node: &mut NodeRun<'_>) {
    let ParametersI8 { normalized, multiplier, shift } = ParametersI8::decode(&mut node.parameters());
    let (first, second, zero_point) = (node.input(0), node.input(1), node.output.zero_point);
    let fan_in = first.channels().max(1);
    let buffers = node.buffers();
    let (from, to) = (buffers.inputs.read_i8(&first), buffers.inputs.read_i8(&second));
    let mut outputs = as_i8_mut(buffers.output).iter_mut();
    let zero_points = [first.zero_point, second.zero_point].map(i32::from);
    let real = move |x: i8, which: usize| i32::from(x) - if which == 0 { zero_points[0] } else { zero_points[1] };
    let squares =
        |row: &[i8], which| row.iter().fold(0u32, |sum, &x| sum.wrapping_add((real(x, which) * real(x, which)) as u32));
    for a in from.chunks_exact(fan_in) {
        for (b, output) in to.chunks_exact(fan_in).zip(&mut outputs) {
            let product = a.iter().zip(b).fold(0i32, |sum, (&a, &b)| sum.wrapping_add(real(a, 0) * real(b, 1)));
            *output = if normalized == 1 {
                quant::clamp(cosine(product, [squares(a, 0), squares(b, 1)]), -128, 127)
            } else {
                quant::requantize(product, shift.into(), multiplier, zero_point.into(), -128, 127)
            };
        }
    }
}

fn check_f32(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let parameters = node.parameters(ParametersF32::decode)?;
    check_form(node, F32, parameters.normalized)
}

fn run_f32(node: &mut NodeRun<'_>) {
    let ParametersF32 { normalized } = ParametersF32::decode(&mut node.parameters());
    let (first, second) = (node.input(0), node.input(1));
    let fan_in = first.channels().max(1);
    let buffers = node.buffers();
    let (from, to) = (buffers.inputs.read_f32(&first), buffers.inputs.read_f32(&second));
    let mut outputs = as_f32_mut(buffers.output).iter_mut();
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b);
    let length = |row: &[f32]| {
        let squares = product(row, row);
        libm::sqrtf(if squares > LEAST_SQUARES { squares } else { LEAST_SQUARES })
    };
    for a in from.chunks_exact(fan_in) {
        for (b, output) in to.chunks_exact(fan_in).zip(&mut outputs) {
            let product = product(a, b);
            *output = if normalized == 1 { product / length(a) / length(b) } else { product };
        }
    }
}

/// int8.
pub static DOT_I8: OpDef =
    OpDef { code: 46, name: "dot_i8", alias: disjoint, lengths: Lengths::Refused, check: check_i8, run: run_i8 };
/// f32.
pub static DOT_F32: OpDef =
    OpDef { code: 47, name: "dot_f32", alias: disjoint, lengths: Lengths::Refused, check: check_f32, run: run_f32 };

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn cosines_are_rounded_once_half_up() {
        // [3, 4] and [4, 3]: 24 / 25 of 128 is 122.88; [1] and [1]: all of 128, before the clamp.
        assert_eq!((cosine(24, [25, 25]), cosine(-24, [25, 25]), cosine(1, [1, 1])), (123, -123, 128));
        // 1 / 256 of the lengths: a half, up on both sides of zero.
        assert_eq!((cosine(1, [256, 256]), cosine(-1, [256, 256])), (1, 0));
        assert_eq!((cosine(0, [0, 9]), cosine(0, [0, 0])), (0, 0));
        // The largest: 16,384 products of 255.
        let squares = 255 * 255 * (MAXIMUM_FAN_IN as u32);
        assert_eq!((cosine(squares as i32, [squares; 2]), cosine(-(squares as i32), [squares; 2])), (128, -128));
        // sqrt(2): a root of integers without fraction would be 1.
        assert_eq!(cosine(1, [2, 1]), 91);
    }
}
