//! Any pointwise function of int8, by a table of the host: `y[i] = table[x[i] + 128]`.
//!
//! Serves activations that are not a clamp, and the change from one scale to another. Shape: any; the output's is the input's.

use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Lengths, NodeCheck, NodeRun, OpDef, as_i8_mut, ensure, in_place},
    tensor::ElementType,
};

/// Entries of a table.
pub const TABLE_BYTES: usize = 256;

/// Parameters in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    /// Offset of the table in the constants: 256 int8, the first for -128.
    pub table: u32,
}

impl Parameters {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { table: cursor.u32() }
    }
}

fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let [input] = node.inputs(ElementType::I8)?;
    ensure(input.same_form(&node.output), NodeFault::Shape)?;
    node.constants(node.parameters(Parameters::decode)?.table, TABLE_BYTES)?;
    Ok(())
}

fn run(node: &mut NodeRun<'_>) {
    let parameters = Parameters::decode(&mut node.parameters());
    if let Some(table) = node.constants(parameters.table, TABLE_BYTES).first_chunk::<TABLE_BYTES>() {
        apply(table, as_i8_mut(node.buffers_in_place().output));
    }
}

fn apply(table: &[u8; TABLE_BYTES], values: &mut [i8]) {
    for value in values {
        #[expect(clippy::indexing_slicing, reason = "256 entries, an index of 8 bits")]
        {
            *value = table[(*value as u8 ^ 128) as usize] as i8;
        }
    }
}

/// The op.
pub static LUT_I8: OpDef = OpDef { code: 11, name: "lut_i8", alias: in_place, lengths: Lengths::Rows, check, run };

#[cfg(test)]
mod tests {
    #[test]
    fn looks_up_from_minus_128() {
        let table = core::array::from_fn(|i| (i as u8).wrapping_add(1));
        let mut values = [-128, -1, 0, 127];
        super::apply(&table, &mut values);
        assert_eq!(values, [1, -128, -127, 0]);
    }
}
