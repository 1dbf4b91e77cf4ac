//! The same real numbers in another scale, where int8 and int16 meet or two int16 tensors differ:
//! `q = clamp(zero_point_out + (((x - zero_point_in) * multiplier + 2^(shift - 1)) >> shift))`. Shape: any; the output's is the input's.
//! Both tensors are int8 or int16, at least one of them int16: between int8 ones, a [`lut`](crate::ops::lut) does it.

use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Buffers, Lengths, NodeCheck, NodeRun, OpDef, as_i8_mut, as_i16_mut, disjoint, ensure},
    quant,
    tensor::ElementType::{I8, I16},
};

/// Parameters in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    /// `scale_in / scale_out * 2^shift`.
    pub multiplier: i32,
    /// 1 to 46.
    pub shift: u8,
}

/// Largest shift: a difference of inputs has 17 bits.
pub const LARGEST_SHIFT: u32 = 46;

impl Parameters {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { multiplier: cursor.i32(), shift: cursor.u8() }
    }

    fn apply(self, difference: i32) -> i32 {
        quant::saturate_i32(quant::scaled(difference.into(), self.multiplier, self.shift.into()))
    }
}

fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let (input, output) = (node.only_input()?, node.output);
    let types = (input.element_type, output.element_type);
    ensure(matches!(types, (I8 | I16, I16) | (I16, I8)), NodeFault::ElementType)?;
    ensure(input.shape() == output.shape(), NodeFault::Shape)?;
    let shift = node.parameters(Parameters::decode)?.shift;
    ensure((1..=LARGEST_SHIFT).contains(&shift.into()), NodeFault::Quantization)
}

fn run(node: &mut NodeRun<'_>) {
    let parameters = Parameters::decode(&mut node.parameters());
    let (input, output) = (node.input(0), node.output);
    let Buffers { output: bytes, inputs, .. } = node.buffers();
    let zero_points = (i32::from(input.zero_point), i32::from(output.zero_point));
    if output.element_type == I8 {
        for (to, &x) in as_i8_mut(bytes).iter_mut().zip(inputs.read_i16(&input)) {
            *to = quant::clamp(parameters.apply(x.into()).saturating_add(zero_points.1), -128, 127);
        }
    } else if input.element_type == I8 {
        for (to, &x) in as_i16_mut(bytes).iter_mut().zip(inputs.read_i8(&input)) {
            *to = quant::saturate_i16(parameters.apply(i32::from(x) - zero_points.0));
        }
    } else {
        for (to, &x) in as_i16_mut(bytes).iter_mut().zip(inputs.read_i16(&input)) {
            *to = quant::saturate_i16(parameters.apply(x.into()));
        }
    }
}

/// The op.
pub static RESCALE: OpDef = OpDef { code: 67, name: "rescale_i16", alias: disjoint, lengths: Lengths::Rows, check, run };
