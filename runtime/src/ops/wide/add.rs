//! [Weighted sum](crate::ops::add) of two int16 tensors of one shape, clamped:
//! `q = clamp((factor_1 * x_1 + factor_2 * x_2 + 2^(shift - 1)) >> shift)` in 64 bits.

use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Buffers, Lengths, NodeCheck, NodeRun, OpDef, as_i16_mut, ensure, in_place_either},
    ops::add::check_form,
    quant,
    tensor::ElementType::I16,
};

/// Parameters in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    /// Factors of the inputs: `coefficient_i * scale_i / scale_out * 2^shift`.
    pub factors: [i32; 2],
    /// 1 to 46.
    pub shift: u8,
    /// Lowest output.
    pub minimum: i16,
    /// Highest output.
    pub maximum: i16,
}

/// Largest shift: the sum of two products has 47 bits.
pub const LARGEST_SHIFT: u32 = 46;

impl Parameters {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { factors: [cursor.i32(), cursor.i32()], shift: cursor.u8(), minimum: cursor.i16(), maximum: cursor.i16() }
    }

    #[inline(always)]
    fn apply(&self, x: i16, y: i16) -> i16 {
        let [first, second] = self.factors.map(i64::from);
        let sum = first * i64::from(x) + second * i64::from(y);
        let q = quant::saturate_i32(quant::rounding_shift(sum, self.shift.into()));
        quant::clamp_i16(q, self.minimum, self.maximum)
    }
}

fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    check_form(node, I16)?;
    let Parameters { shift, minimum, maximum, .. } = node.parameters(Parameters::decode)?;
    ensure((1..=LARGEST_SHIFT).contains(&shift.into()) && minimum <= maximum, NodeFault::Quantization)
}

fn run(node: &mut NodeRun<'_>) {
    let mut parameters = Parameters::decode(&mut node.parameters());
    let (mut first, mut second, place) = (node.input(0), node.input(1), node.output.offset);
    if second.offset == place {
        (first, second) = (second, first);
        parameters.factors.reverse();
    }
    let Buffers { output, inputs, .. } = node.buffers();
    let (output, second) = (as_i16_mut(output), inputs.read_i16(&second));
    if first.offset == place {
        output.iter_mut().zip(second).for_each(|(x, &y)| *x = parameters.apply(*x, y));
    } else {
        let inputs = inputs.read_i16(&first).iter().zip(second);
        output.iter_mut().zip(inputs).for_each(|(to, (&x, &y))| *to = parameters.apply(x, y));
    }
}

/// The op.
pub static ADD_I16: OpDef = OpDef { code: 70, name: "add_i16", alias: in_place_either, lengths: Lengths::Rows, check, run };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_rounded_once_and_clamped() {
        // A half and a quarter: 3 / 2 + 1 / 4 = 1.75, -3 / 2 + 2 / 4 = -1, 1 / 2 = 0.5 up.
        let parameters = Parameters { factors: [1 << 30, 1 << 29], shift: 31, minimum: -5, maximum: 100 };
        let of = |x, y| parameters.apply(x, y);
        assert_eq!((of(3, 1), of(-3, 2), of(1, 0), of(-1, 0)), (2, -1, 1, 0));
        assert_eq!((of(i16::MAX, i16::MAX), of(i16::MIN, i16::MIN)), (100, -5));
        let largest = Parameters { factors: [i32::MAX, i32::MAX], shift: 1, minimum: i16::MIN, maximum: i16::MAX };
        assert_eq!((largest.apply(i16::MAX, i16::MAX), largest.apply(i16::MIN, i16::MIN)), (i16::MAX, i16::MIN));
    }
}
