//! [`y = scale[c] * x + shift[c]`](crate::ops::scale_shift) per channel of the last axis, of int16:
//! `q = clamp((multiplier[c] * x + bias[c] * 2^15 + 2^(shift - 1)) >> shift)` in 64 bits. Shape: any; the output's is the input's.

use super::linear::LinearI16;
use crate::{
    error::NodeFault,
    op::{Lengths, NodeCheck, NodeRun, OpDef, as_i16_mut, ensure, in_place},
    quant,
    tensor::ElementType::I16,
};

/// The parameters are a layer's without weights: `[bias, multiplier]` per channel, shift (to 46) and bounds.
fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let [input] = node.inputs(I16)?;
    ensure(input.same_form(&node.output), NodeFault::Shape)?;
    let linear = node.parameters(LinearI16::decode)?;
    ensure(u32::from(linear.shift) <= LARGEST_SHIFT, NodeFault::Quantization)?;
    linear.check(node, 0, input.channels())
}

/// Largest shift: the sum of a product and a bias has 47 bits.
pub const LARGEST_SHIFT: u32 = 46;

fn run(node: &mut NodeRun<'_>) {
    let linear = LinearI16::decode(&mut node.parameters());
    let channels = node.output.channels();
    let requantize = linear.requantize(node.constants(linear.channels, channels * 8));
    for pixel in as_i16_mut(node.buffers_in_place().output).chunks_exact_mut(channels.max(1)) {
        for (x, &[bias, multiplier]) in pixel.iter_mut().zip(requantize.channels) {
            let sum = i64::from(multiplier) * i64::from(*x) + (i64::from(bias) << 15);
            let q = quant::saturate_i32(quant::rounding_shift(sum, requantize.shift));
            *x = quant::clamp_i16(q, linear.minimum, linear.maximum);
        }
    }
}

/// The op.
pub static SCALE_SHIFT_I16: OpDef =
    OpDef { code: 76, name: "scale_shift_i16", alias: in_place, lengths: Lengths::Rows, check, run };
