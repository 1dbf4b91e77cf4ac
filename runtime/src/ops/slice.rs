//! Some consecutive elements of a tensor, under the output's shape. Types and quantization: any, the same on both sides.

use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Lengths, NodeCheck, NodeRun, OpDef, copy, disjoint, ensure},
};

/// Parameters in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    /// Elements before the first.
    pub start: u32,
}

impl Parameters {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { start: cursor.u32() }
    }
}

fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let input = node.only_input()?;
    let start = node.parameters(Parameters::decode)?.start;
    ensure(input.element_type == node.output.element_type, NodeFault::ElementType)?;
    ensure(input.same_quantization(&node.output), NodeFault::Quantization)?;
    let end = (start as usize).checked_add(node.output.elements());
    ensure(end.is_some_and(|end| end <= input.elements()), NodeFault::Shape)
}

fn run(node: &mut NodeRun<'_>) {
    let start = Parameters::decode(&mut node.parameters()).start as usize;
    let (input, output) = (node.input(0), node.output);
    let buffers = node.buffers();
    let rest = buffers.inputs.read(&input).get(start * output.element_type.bytes()..).unwrap_or_default();
    copy(buffers.output, rest.get(..output.bytes()).unwrap_or_default());
}

/// The op.
pub static SLICE: OpDef = OpDef { code: 49, name: "slice", alias: disjoint, lengths: Lengths::Refused, check, run };
