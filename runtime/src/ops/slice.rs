//! Some consecutive elements of a tensor, under the output's shape. Types and quantization: any, the same on both sides.
//!
//! Of a tensor whose length may be set, only what there is at any length: elements of its first row; with `FROM_END`, elements of the last
//! row that there is; or all rows from one on, as many fewer as the output's length group says. With `PADDED`, any elements: zeros (the
//! zero point in int8) stand for those that there are not, so that each step of a sequence can be taken whatever its length.

use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Lengths, NodeCheck, NodeRun, OpDef, copy, disjoint, ensure, fill},
};

/// The bit of `start` that makes it count from the end of what there is.
pub const FROM_END: u32 = 1 << 31;

/// The bit of `start` that lets zeros stand behind the last element.
pub const PADDED: u32 = 1 << 30;

/// Parameters in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    /// Elements before the first, perhaps with `PADDED`; or `FROM_END` and those from the first to the end.
    pub start: u32,
}

impl Parameters {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { start: cursor.u32() }
    }

    /// Elements before the first one, of so many; more than there are if they are too few.
    fn before(self, elements: usize) -> usize {
        let start = (self.start & !(FROM_END | PADDED)) as usize;
        if self.start & FROM_END != 0 { elements.wrapping_sub(start) } else { start }
    }
}

fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let input = node.only_input()?;
    let parameters = node.parameters(Parameters::decode)?;
    ensure(input.element_type == node.output.element_type, NodeFault::ElementType)?;
    ensure(input.same_quantization(&node.output), NodeFault::Quantization)?;
    if parameters.start & (FROM_END | PADDED) == PADDED {
        return ensure(node.output.length_group == 0, NodeFault::Length);
    }
    ensure(parameters.start & PADDED == 0, NodeFault::Parameter)?;
    let (elements, taken) = (input.elements(), node.output.elements());
    let row = elements.checked_div(input.dimensions[0] as usize).unwrap_or(0);
    if node.output.length_group > 0 {
        // The rows from one on, all that there are of them.
        let rows = node.steps(&input).filter(|&(add, stride)| add <= 0 && stride == 1);
        let dropped = rows.map(|(add, _)| add.unsigned_abs() as usize).ok_or(NodeFault::Length)?;
        let start = parameters.start as usize;
        // To the end: the output's rows are the input's less those that are dropped, as the length groups' check says.
        ensure(start == dropped.saturating_mul(row), NodeFault::Shape)?;
        return ensure((node.output.dimensions[0] as usize).saturating_mul(row) == taken, NodeFault::Shape);
    }
    // Rows that there are at any length: one.
    let least = if input.length_group > 0 { row } else { elements };
    let end = parameters.before(least).checked_add(taken);
    ensure(end.is_some_and(|end| end <= least), NodeFault::Shape)
}

fn run(node: &mut NodeRun<'_>) {
    let (input, output) = (node.input(0), node.output);
    let start = Parameters::decode(&mut node.parameters()).before(input.elements());
    let buffers = node.buffers();
    let rest = buffers.inputs.read(&input).get(start.wrapping_mul(output.element_type.bytes())..).unwrap_or_default();
    let taken = rest.get(..output.bytes()).unwrap_or(rest);
    let Some((first, behind)) = buffers.output.split_at_mut_checked(taken.len()) else { return };
    copy(first, taken);
    fill(behind, output.zero_point as u8);
}

/// The op.
pub static SLICE: OpDef = OpDef { code: 49, name: "slice", alias: disjoint, lengths: Lengths::Checked, check, run };
