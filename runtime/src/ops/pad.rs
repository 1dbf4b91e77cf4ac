//! Padding of an image `[H, W, C]` with zeros: the zero point in int8. What the output has more than the input and the
//! padding above and to the left goes below and to the right. Quantization: the output's is the input's.

use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Lengths, NodeCheck, NodeRun, OpDef, copy, disjoint, ensure, fill},
    tensor::Tensor,
};

/// Parameters in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    /// Rows above.
    pub top: u32,
    /// Columns to the left.
    pub left: u32,
}

impl Parameters {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { top: cursor.u32(), left: cursor.u32() }
    }
}

fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let input = node.only_input()?;
    let output = node.output;
    ensure(input.element_type == output.element_type, NodeFault::ElementType)?;
    ensure(input.same_quantization(&output), NodeFault::Quantization)?;
    ensure(input.rank == 3 && output.rank == 3 && input.channels() == output.channels(), NodeFault::Shape)?;
    let parameters = node.parameters(Parameters::decode)?;
    let ([height, width, ..], [rows, columns, ..]) = (input.dimensions, output.dimensions);
    // Rows that are added behind a sequence would move with its length.
    if parameters.top == 0 && height == rows {
        node.rows()?;
    } else {
        node.fixed_length()?;
    }
    let fits = |padding: u32, size: u32, total: u32| u64::from(padding) + u64::from(size) <= u64::from(total);
    ensure(fits(parameters.top, height, rows) && fits(parameters.left, width, columns), NodeFault::Shape)
}

fn pixel_bytes(tensor: &Tensor) -> usize {
    tensor.channels() * tensor.element_type.bytes()
}

fn run(node: &mut NodeRun<'_>) {
    let parameters = Parameters::decode(&mut node.parameters());
    let (input, output) = (node.input(0), node.output);
    let buffers = node.buffers();
    // 0.0 is four zero bytes, and the zero point of f32 is 0.
    fill(buffers.output, output.zero_point as u8);
    let row_bytes = |tensor: &Tensor| pixel_bytes(tensor) * tensor.dimensions[1] as usize;
    let (from_row, to_row, left) = (row_bytes(&input), row_bytes(&output), parameters.left as usize * pixel_bytes(&input));
    let rows = buffers.output.chunks_exact_mut(to_row.max(1)).skip(parameters.top as usize);
    for (to, from) in rows.zip(buffers.inputs.read(&input).chunks_exact(from_row.max(1))) {
        copy(to.get_mut(left..left + from.len()).unwrap_or_default(), from);
    }
}

/// The op.
pub static PAD: OpDef = OpDef { code: 19, name: "pad", alias: disjoint, lengths: Lengths::Checked, check, run };
