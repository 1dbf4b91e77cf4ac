//! Embedding: a row of a table for each token. Input: i32 tokens of any shape of rank 1 to 3, output `[..., D]`.
//!
//! The table is `[rows, D]` in the output's type and quantization. A token below 0 reads the first row, one beyond the vocabulary the
//! last: a run cannot fail, so whoever makes the tokens checks them.

use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Lengths, NodeCheck, NodeRun, OpDef, as_i32, copy, disjoint, ensure},
    tensor::ElementType::I32,
};

/// Parameters in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    /// Offset of the table in the constants.
    pub table: u32,
    /// Rows of the table: the vocabulary.
    pub rows: u32,
}

impl Parameters {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { table: cursor.u32(), rows: cursor.u32() }
    }
}

fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let (input, output) = (node.only_input()?, node.output);
    ensure(input.element_type == I32 && output.element_type != I32, NodeFault::ElementType)?;
    let is_deeper = output.rank == input.rank + 1;
    ensure(is_deeper && output.shape().starts_with(input.shape()), NodeFault::Shape)?;
    let Parameters { table, rows } = node.parameters(Parameters::decode)?;
    ensure(rows > 0, NodeFault::Parameter)?;
    let row = output.channels() * output.element_type.bytes();
    node.constants(table, (rows as usize).checked_mul(row).ok_or(NodeFault::Constants)?).map(|_| ())
}

fn run(node: &mut NodeRun<'_>) {
    let Parameters { table, rows } = Parameters::decode(&mut node.parameters());
    let (input, last) = (node.input(0), rows.saturating_sub(1) as usize);
    let row = (node.output.channels() * node.output.element_type.bytes()).max(1);
    let table = node.constants(table, row.wrapping_mul(rows as usize));
    let buffers = node.buffers();
    for (&token, to) in as_i32(buffers.inputs.read(&input)).iter().zip(buffers.output.chunks_exact_mut(row)) {
        let token = if token < 0 { 0 } else { token as usize };
        let start = if token < last { token } else { last } * row;
        copy(to, table.get(start..).and_then(|rest| rest.get(..row)).unwrap_or_default());
    }
}

/// The op.
pub static EMBEDDING: OpDef = OpDef { code: 33, name: "embedding", alias: disjoint, lengths: Lengths::Rows, check, run };
