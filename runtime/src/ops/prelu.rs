//! Parametric ReLU: `x` for `x >= 0`, else `alpha[c] * x`, one alpha per channel of the last axis (He et al. 2015).
//!
//! int8, with `d = x - zero_point`: `q = clamp(zero_point_out + (((d << shift) * m + 2^31) >> 32))`, `m` being `positive` for
//! `d >= 0` and `negative[c]` otherwise. Shape: any; the output's is the input's.

use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Lengths, NodeCheck, NodeRun, OpDef, as_f32, as_f32_mut, as_i8_mut, ensure, in_place},
    quant,
    tensor::{
        ElementType::{self, F32, I8},
        Tensor,
    },
};

/// Parameters of the int8 op in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct ParametersI8 {
    /// Multiplier of differences that are not negative.
    pub positive: i32,
    /// Offset of one multiplier (i32) per channel, for negative differences.
    pub negative: u32,
    /// 0 to 22.
    pub shift: u8,
}

/// Largest shift: a difference has 8 bits and a sign.
pub const LARGEST_SHIFT: u32 = 22;

impl ParametersI8 {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { positive: cursor.i32(), negative: cursor.u32(), shift: cursor.u8() }
    }
}

/// Parameters of the f32 op in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct ParametersF32 {
    /// Offset of one alpha (f32) per channel.
    pub alpha: u32,
}

impl ParametersF32 {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { alpha: cursor.u32() }
    }
}

fn check_form(node: &NodeCheck<'_>, element_type: ElementType) -> Result<Tensor, NodeFault> {
    let [input] = node.inputs(element_type)?;
    ensure(input.same_form(&node.output), NodeFault::Shape)?;
    Ok(input)
}

fn check_i8(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let input = check_form(node, I8)?;
    let parameters = node.parameters(ParametersI8::decode)?;
    node.constants(parameters.negative, input.channels() * 4)?;
    ensure(u32::from(parameters.shift) <= LARGEST_SHIFT, NodeFault::Quantization)
}

fn run_i8(node: &mut NodeRun<'_>) {
    let parameters = ParametersI8::decode(&mut node.parameters());
    let (input, output) = (node.input(0), node.output);
    let channels = output.channels();
    let negative: &[i32] = bytemuck::try_cast_slice(node.constants(parameters.negative, channels * 4)).unwrap_or_default();
    let buffers = node.buffers_in_place();
    for pixel in as_i8_mut(buffers.output).chunks_exact_mut(channels.max(1)) {
        for (value, &negative) in pixel.iter_mut().zip(negative) {
            let difference = i32::from(*value) - i32::from(input.zero_point);
            let multiplier = if difference < 0 { negative } else { parameters.positive };
            *value = quant::requantize(difference, parameters.shift.into(), multiplier, output.zero_point.into(), -128, 127);
        }
    }
}

fn check_f32(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let channels = check_form(node, F32)?.channels();
    node.constants(node.parameters(ParametersF32::decode)?.alpha, channels * 4)?;
    Ok(())
}

fn run_f32(node: &mut NodeRun<'_>) {
    let parameters = ParametersF32::decode(&mut node.parameters());
    let channels = node.output.channels();
    let alpha = as_f32(node.constants(parameters.alpha, channels * 4));
    for pixel in as_f32_mut(node.buffers_in_place().output).chunks_exact_mut(channels.max(1)) {
        for (value, alpha) in pixel.iter_mut().zip(alpha) {
            if *value < 0.0 {
                *value *= alpha;
            }
        }
    }
}

/// int8.
pub static PRELU_I8: OpDef =
    OpDef { code: 28, name: "prelu_i8", alias: in_place, lengths: Lengths::Rows, check: check_i8, run: run_i8 };
/// f32.
pub static PRELU_F32: OpDef =
    OpDef { code: 29, name: "prelu_f32", alias: in_place, lengths: Lengths::Rows, check: check_f32, run: run_f32 };
