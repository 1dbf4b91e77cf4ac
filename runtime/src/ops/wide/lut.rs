//! Any pointwise function of int16, between the points of a table of the host: with `i = (x + 32768) >> 7` and `f = (x + 32768) & 127`,
//! `y = table[i] + (((table[i + 1] - table[i]) * f + 64) >> 7)`. Shape: any; the output's is the input's.
//!
//! The points are exact, 128 steps of the input apart, one of them at zero, where functions may have a corner. Between them the error
//! is at most `h^2 / 8 * max|f''|`, `h` being 128 steps: for a sigmoid on inputs up to 8, 0.4 units of 2^-15; up to 32, 6 units.

use crate::{
    error::NodeFault,
    op::{Lengths, NodeCheck, NodeRun, OpDef, as_i16, as_i16_mut, ensure, in_place},
    ops::lut::Parameters,
    tensor::ElementType::I16,
};

/// Entries of a table: from -32,768 to 32,768.
pub const ENTRIES: usize = 513;

fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let [input] = node.inputs(I16)?;
    ensure(input.same_form(&node.output), NodeFault::Shape)?;
    node.constants(node.parameters(Parameters::decode)?.table, ENTRIES * 2)?;
    Ok(())
}

fn run(node: &mut NodeRun<'_>) {
    let parameters = Parameters::decode(&mut node.parameters());
    if let Some(table) = as_i16(node.constants(parameters.table, ENTRIES * 2)).first_chunk() {
        as_i16_mut(node.buffers_in_place().output).iter_mut().for_each(|x| *x = look_up(table, *x));
    }
}

fn look_up(table: &[i16; ENTRIES], x: i16) -> i16 {
    let place = x as u16 ^ 0x8000;
    #[expect(clippy::indexing_slicing, reason = "513 entries, an index of 9 bits and the next one")]
    let [from, to] = [table[usize::from(place >> 7)], table[usize::from(place >> 7) + 1]].map(i32::from);
    (from + (((to - from) * i32::from(place & 127) + 64) >> 7)) as i16
}

/// The op.
pub static LUT_I16: OpDef = OpDef { code: 73, name: "lut_i16", alias: in_place, lengths: Lengths::Rows, check, run };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_between_the_points() {
        let mut table = core::array::from_fn(|i| (i as i16 - 256) * 64);
        for x in [i16::MIN, -129, -128, -1, 0, 1, 127, 128, 32_766] {
            assert_eq!(look_up(&table, x), ((i32::from(x) + 1) >> 1) as i16, "a half of {x}");
        }
        (table[511], table[512]) = (i16::MIN, i16::MAX);
        assert_eq!((look_up(&table, 32_640), look_up(&table, 32_704), look_up(&table, i16::MAX)), (i16::MIN, 0, 32_255));
    }
}
