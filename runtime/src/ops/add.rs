//! Weighted sum of two tensors of one shape, clamped (a ReLU behind it costs nothing): `clamp(c_1 * x_1 + c_2 * x_2)`. Sums,
//! differences and averages are this op with other coefficients.
//!
//! int8: `q = clamp((offset + factor_1 * x_1 + factor_2 * x_2) >> shift)`, see [`factors`] for how the host finds the
//! numbers. f32: the formula, both products rounded before they are added.

use super::linear::ClampF32;
use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Buffers, Lengths, NodeCheck, NodeRun, OpDef, as_f32_mut, as_i8_mut, ensure, in_place_either},
    simd,
    tensor::ElementType::{self, F32, I8},
};

/// Parameters of the int8 op in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct ParametersI8 {
    /// `(zero_point_out << shift) - factor_1 * zero_point_1 - factor_2 * zero_point_2 + 2^(shift - 1)`, the last for shift > 0.
    pub offset: i32,
    /// Factors of the inputs, -32767 to 32767.
    pub factors: [i32; 2],
    /// 0 to 22.
    pub shift: u8,
    /// Lowest output.
    pub minimum: i8,
    /// Highest output.
    pub maximum: i8,
}

impl ParametersI8 {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self {
            offset: cursor.i32(),
            factors: [cursor.i32(), cursor.i32()],
            shift: cursor.u8(),
            minimum: cursor.i8(),
            maximum: cursor.i8(),
        }
    }

    /// Refuses numbers with which a sum could leave 32 bits.
    pub(super) fn check(&self) -> Result<(), NodeFault> {
        let factors_fit = self.factors.iter().all(|factor| (-32767..=32767).contains(factor));
        let offset_fits = self.offset.unsigned_abs() < 1 << 30;
        ensure(factors_fit && offset_fits && self.shift <= 22 && self.minimum <= self.maximum, NodeFault::Quantization)
    }

    /// The numbers for the kernels.
    pub(super) fn constants(&self) -> simd::AddConstants {
        let ([first, second], shift) = (self.factors, self.shift.into());
        simd::AddConstants {
            offset: self.offset,
            first,
            second,
            shift,
            minimum: self.minimum.into(),
            maximum: self.maximum.into(),
        }
    }
}

/// Parameters of the f32 op in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct ParametersF32 {
    /// Coefficients of the inputs.
    pub coefficients: [f32; 2],
    /// The clamp.
    pub clamp: ClampF32,
}

impl ParametersF32 {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { coefficients: [cursor.f32(), cursor.f32()], clamp: ClampF32::decode(cursor) }
    }
}

/// The numbers of the int8 op for inputs and output of the given scales and zero points.
///
/// `r_i = c_i * scale_i / scale_out`; `shift` is the largest value up to 22 with
/// `floor(max(|r_1|, |r_2|) * 2^shift + 0.5) <= 32767`; `factor_i = floor(r_i * 2^shift + 0.5)`. `None` if a ratio is above 32,
/// where the result would be coarse.
#[cfg(feature = "std")]
pub fn factors(inputs: [(f32, i8); 2], coefficients: [f32; 2], output: (f32, i8), bounds: (i8, i8)) -> Option<ParametersI8> {
    let ([(scale_1, zero_point_1), (scale_2, zero_point_2)], [c_1, c_2]) = (inputs, coefficients);
    let ratio = |coefficient: f32, scale: f32| f64::from(coefficient) * f64::from(scale) / f64::from(output.0);
    let ratios = [ratio(c_1, scale_1), ratio(c_2, scale_2)];
    let largest = if ratios[0].abs() > ratios[1].abs() { ratios[0].abs() } else { ratios[1].abs() };
    if largest > 32.0 {
        return None;
    }
    let scaled = |ratio: f64, shift: u8| (ratio * f64::from(1u32 << shift) + 0.5).floor() as i32;
    let shift = (0..=22).rev().find(|&shift| scaled(largest, shift) <= 32767)?;
    let factors = ratios.map(|ratio| scaled(ratio, shift));
    let [factor_1, factor_2] = factors;
    let rounding = if shift > 0 { 1 << (shift - 1) } else { 0 };
    let zero_points = factor_1 * i32::from(zero_point_1) + factor_2 * i32::from(zero_point_2);
    let offset = (i32::from(output.1) << shift) - zero_points + rounding;
    Some(ParametersI8 { offset, factors, shift, minimum: bounds.0, maximum: bounds.1 })
}

pub(super) fn check_form(node: &NodeCheck<'_>, element_type: ElementType) -> Result<(), NodeFault> {
    let [a, b] = node.inputs(element_type)?;
    ensure(a.same_form(&node.output) && b.same_form(&node.output), NodeFault::Shape)
}

fn check_i8(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    check_form(node, I8)?;
    node.parameters(ParametersI8::decode)?.check()
}

fn run_i8(node: &mut NodeRun<'_>) {
    let mut constants = ParametersI8::decode(&mut node.parameters()).constants();
    let (mut first, mut second, place) = (node.input(0), node.input(1), node.output.offset);
    if second.offset == place {
        (first, second) = (second, first);
        (constants.first, constants.second) = (constants.second, constants.first);
    }
    let Buffers { output, inputs, .. } = node.buffers();
    if first.offset == place {
        simd::add_assign(as_i8_mut(output), inputs.read_i8(&second), &constants);
    } else {
        simd::add(inputs.read_i8(&first), inputs.read_i8(&second), &constants, as_i8_mut(output));
    }
}

fn check_f32(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    check_form(node, F32)?;
    node.parameters(ParametersF32::decode)?.clamp.check()
}

fn run_f32(node: &mut NodeRun<'_>) {
    let ParametersF32 { coefficients: [mut coefficient, mut other_coefficient], clamp } =
        ParametersF32::decode(&mut node.parameters());
    let (first, second) = (node.input(0), node.input(1));
    let (Buffers { output, inputs, .. }, other) = if second.offset == node.output.offset {
        (coefficient, other_coefficient) = (other_coefficient, coefficient);
        (node.buffers(), first)
    } else {
        (node.buffers_in_place(), second)
    };
    let values = as_f32_mut(output).iter_mut().zip(inputs.read_f32(&other));
    values.for_each(|(a, &b)| *a = clamp.apply(coefficient * *a + other_coefficient * b));
}

/// int8.
pub static ADD_I8: OpDef =
    OpDef { code: 15, name: "add_i8", alias: in_place_either, lengths: Lengths::Rows, check: check_i8, run: run_i8 };
/// f32.
pub static ADD_F32: OpDef =
    OpDef { code: 16, name: "add_f32", alias: in_place_either, lengths: Lengths::Rows, check: check_f32, run: run_f32 };

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn the_factors_are_those_of_the_contract() {
        // r = 1/2 and 1/4: shift 15 gives 16384 (16 would give 32768 > 32767).
        let parameters = factors([(0.5, 3), (0.25, -7)], [1.0; 2], (1.0, 10), (-128, 127)).unwrap();
        assert_eq!((parameters.shift, parameters.factors), (15, [16384, 8192]));
        assert_eq!(parameters.offset, (10 << 15) - 16384 * 3 + 8192 * 7 + (1 << 14));
        // x1 = 13 is 5.0, x2 = 1 is 2.0: 7.0 is 17.
        assert_eq!((parameters.offset + 16384 * 13 + 8192) >> 15, 17);
        assert!(factors([(33.0, 0), (1.0, 0)], [1.0; 2], (1.0, 0), (-128, 127)).is_none());
    }
}
