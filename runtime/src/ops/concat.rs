//! Concatenation along one axis. Types and quantization: any, the same everywhere (where scales differ, the host puts a
//! `lut` before). Shapes: equal but along the axis, where the output's size is the inputs' sum; along the outermost it may be less, as the
//! length of a sequence is whose steps were computed one by one: rows behind it are left out.

use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Lengths, NodeCheck, NodeRun, OpDef, copy, disjoint, ensure},
    tensor::Tensor,
};

/// Parameters in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    /// The axis, 0 for the outermost (the batch does not count).
    pub axis: u8,
}

impl Parameters {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { axis: cursor.u8() }
    }
}

fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let axis = node.parameters(Parameters::decode)?.axis;
    ensure(axis < node.output.rank, NodeFault::Parameter)?;
    if axis == 0 {
        ensure(node.all_inputs().all(|input| input.length_group == 0), NodeFault::Length)?;
    } else {
        node.rows()?;
    }
    let mut sum = 0u64;
    for input in node.all_inputs() {
        ensure(input.element_type == node.output.element_type, NodeFault::ElementType)?;
        ensure(input.same_quantization(&node.output), NodeFault::Quantization)?;
        let fits =
            input.shape().iter().zip(node.output.shape()).enumerate().all(|(i, (a, b))| i == usize::from(axis) || a == b);
        ensure(fits && input.rank == node.output.rank, NodeFault::Shape)?;
        sum += u64::from(size(&input, axis));
    }
    let size = u64::from(size(&node.output, axis));
    ensure(sum == size || (axis == 0 && sum > size), NodeFault::Shape)
}

fn size(tensor: &Tensor, axis: u8) -> u32 {
    tensor.shape().get(usize::from(axis)).copied().unwrap_or(0)
}

/// Bytes of one step along the dimension outside `axis`: one run of bytes in memory.
fn run_bytes(tensor: &Tensor, axis: u8) -> usize {
    let inner = tensor.shape().get(usize::from(axis)..).unwrap_or_default();
    inner.iter().fold(tensor.element_type.bytes(), |product, &size| product.wrapping_mul(size as usize))
}

fn run(node: &mut NodeRun<'_>) {
    let axis = Parameters::decode(&mut node.parameters()).axis;
    let stride = run_bytes(&node.output, axis);
    let inputs = node.inputs();
    let buffers = node.buffers();
    let mut start = 0;
    for input in inputs {
        let length = run_bytes(&input, axis);
        let rows = buffers.output.chunks_exact_mut(stride.max(1));
        for (row, part) in rows.zip(buffers.inputs.read(&input).chunks_exact(length.max(1))) {
            let room = row.get_mut(start..).unwrap_or_default();
            let count = if room.len() < length { room.len() } else { length };
            copy(room.get_mut(..count).unwrap_or_default(), part.get(..count).unwrap_or_default());
        }
        start += length;
    }
}

/// The op.
pub static CONCAT: OpDef = OpDef { code: 17, name: "concat", alias: disjoint, lengths: Lengths::Checked, check, run };
