//! [Product](crate::ops::multiply) of two int16 tensors, clamped: `q = clamp((x_1 * x_2 * multiplier + 2^(shift - 1)) >> shift)` in 64
//! bits. The second has the first's shape, or is a vector `[1, .., 1, C]` that every pixel is multiplied with.

use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Buffers, Lengths, NodeCheck, NodeRun, OpDef, as_i16_mut, ensure, in_place},
    ops::multiply::check_form,
    quant,
    tensor::ElementType::I16,
};

/// Parameters in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    /// `scale_1 * scale_2 / scale_out * 2^shift`.
    pub multiplier: i32,
    /// 1 to 62.
    pub shift: u8,
    /// Lowest output.
    pub minimum: i16,
    /// Highest output.
    pub maximum: i16,
}

/// Largest shift.
pub const LARGEST_SHIFT: u32 = 62;

impl Parameters {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { multiplier: cursor.i32(), shift: cursor.u8(), minimum: cursor.i16(), maximum: cursor.i16() }
    }
}

fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    check_form(node, I16)?;
    let Parameters { shift, minimum, maximum, .. } = node.parameters(Parameters::decode)?;
    ensure((1..=LARGEST_SHIFT).contains(&shift.into()) && minimum <= maximum, NodeFault::Quantization)
}

fn run(node: &mut NodeRun<'_>) {
    let Parameters { multiplier, shift, minimum, maximum } = Parameters::decode(&mut node.parameters());
    let second = node.input(1);
    let Buffers { output, inputs, .. } = node.buffers_in_place();
    let second = inputs.read_i16(&second);
    for values in as_i16_mut(output).chunks_exact_mut(second.len().max(1)) {
        for (x, &y) in values.iter_mut().zip(second) {
            let product = i32::from(*x) * i32::from(y);
            *x = quant::requantize_i16(product, multiplier, shift.into(), minimum, maximum);
        }
    }
}

/// The op.
pub static MULTIPLY_I16: OpDef = OpDef { code: 75, name: "multiply_i16", alias: in_place, lengths: Lengths::Rows, check, run };
