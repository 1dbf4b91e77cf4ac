//! `y = scale[c] * x + shift[c]` per channel of the last axis: a batch-norm that could not be folded into a layer.
//!
//! int8: `q = clamp(zero_point + (((bias[c] + weight[c] * x) * multiplier + 2^31) >> 32))`, weights of 20 bits with one scale
//! for the node, the input's zero point folded into the bias. f32: the formula, clamped. Shape: any; the output's is the input's.

use super::linear::LinearF32;
use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Lengths, NodeCheck, NodeRun, OpDef, as_f32, as_f32_mut, as_i8_mut, ensure, in_place},
    quant, simd,
    tensor::{
        ElementType::{self, F32, I8},
        Tensor,
    },
};

/// Parameters of the int8 op in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    /// Offset of `[bias: i32, weight: i32]` per channel in the constants.
    pub channels: u32,
    /// Requantizes the products.
    pub multiplier: i32,
    /// 0 to 16.
    pub shift: u8,
    /// Lowest output.
    pub minimum: i8,
    /// Highest output.
    pub maximum: i8,
}

impl Parameters {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self {
            channels: cursor.u32(),
            multiplier: cursor.i32(),
            shift: cursor.u8(),
            minimum: cursor.i8(),
            maximum: cursor.i8(),
        }
    }
}

fn check_form(node: &NodeCheck<'_>, element_type: ElementType) -> Result<Tensor, NodeFault> {
    let [input] = node.inputs(element_type)?;
    ensure(input.same_form(&node.output), NodeFault::Shape)?;
    Ok(input)
}

fn check_i8(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let input = check_form(node, I8)?;
    let parameters = node.parameters(Parameters::decode)?;
    node.constants(parameters.channels, input.channels() * 8)?;
    ensure(parameters.shift <= 16 && parameters.minimum <= parameters.maximum, NodeFault::Quantization)
}

fn run_i8(node: &mut NodeRun<'_>) {
    let parameters = Parameters::decode(&mut node.parameters());
    let output = node.output;
    let channels: &[[i32; 2]] =
        bytemuck::try_cast_slice(node.constants(parameters.channels, output.channels() * 8)).unwrap_or_default();
    let buffers = node.buffers_in_place();
    let (shift, multiplier) = (u32::from(parameters.shift), parameters.multiplier);
    let (zero_point, minimum, maximum) = (output.zero_point.into(), parameters.minimum.into(), parameters.maximum.into());
    simd::vectorized(
        #[inline(always)]
        || {
            for pixel in as_i8_mut(buffers.output).chunks_exact_mut(output.channels().max(1)) {
                for (value, &[bias, weight]) in pixel.iter_mut().zip(channels) {
                    let accumulator = bias.wrapping_add(weight.wrapping_mul(i32::from(*value)));
                    *value = quant::requantize(accumulator, shift, multiplier, zero_point, minimum, maximum);
                }
            }
        },
    );
}

fn check_f32(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let channels = check_form(node, F32)?.channels();
    node.parameters(LinearF32::decode)?.check(node, channels, channels)
}

fn run_f32(node: &mut NodeRun<'_>) {
    let parameters = LinearF32::decode(&mut node.parameters());
    let channels = node.output.channels();
    let scale = as_f32(node.constants(parameters.weights, channels * 4));
    let shift = as_f32(node.constants(parameters.bias, channels * 4));
    let buffers = node.buffers_in_place();
    for pixel in as_f32_mut(buffers.output).chunks_exact_mut(channels.max(1)) {
        for ((value, scale), shift) in pixel.iter_mut().zip(scale).zip(shift) {
            *value = parameters.clamp.apply(*value * scale + shift);
        }
    }
}

/// int8.
pub static SCALE_SHIFT_I8: OpDef =
    OpDef { code: 20, name: "scale_shift_i8", alias: in_place, lengths: Lengths::Rows, check: check_i8, run: run_i8 };
/// f32.
pub static SCALE_SHIFT_F32: OpDef =
    OpDef { code: 21, name: "scale_shift_f32", alias: in_place, lengths: Lengths::Rows, check: check_f32, run: run_f32 };
