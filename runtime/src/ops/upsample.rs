//! Nearest-neighbour enlargement of an image `[H, W, C]` to `[H * vertical, W * horizontal, C]`. Types and quantization: any,
//! the same on both sides.

use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Buffers, Lengths, NodeCheck, NodeRun, OpDef, copy, disjoint, ensure},
};

/// Parameters in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    /// How often each row stands in the output, at least once.
    pub vertical: u32,
    /// How often each column stands in the output, at least once.
    pub horizontal: u32,
}

impl Parameters {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { vertical: cursor.u32(), horizontal: cursor.u32() }
    }
}

fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let (input, output) = (node.only_input()?, node.output);
    ensure(input.element_type == output.element_type, NodeFault::ElementType)?;
    ensure(input.same_quantization(&output), NodeFault::Quantization)?;
    let Parameters { vertical, horizontal } = node.parameters(Parameters::decode)?;
    if vertical == 1 {
        node.rows()?;
    } else {
        node.fixed_length()?;
    }
    let ([height, width, ..], [rows, columns, ..]) = (input.dimensions, output.dimensions);
    ensure(input.rank == 3 && output.rank == 3 && input.channels() == output.channels(), NodeFault::Shape)?;
    ensure(height.checked_mul(vertical) == Some(rows) && width.checked_mul(horizontal) == Some(columns), NodeFault::Shape)
}

fn run(node: &mut NodeRun<'_>) {
    let Parameters { vertical, horizontal } = Parameters::decode(&mut node.parameters());
    let (input, output) = (node.input(0), node.output);
    let pixel = input.channels() * input.element_type.bytes();
    let (from_row, to_row) = (pixel * input.dimensions[1] as usize, pixel * output.dimensions[1] as usize);
    let (band, run) = (to_row * vertical as usize, pixel * horizontal as usize);
    let Buffers { output, inputs, .. } = node.buffers();
    for (from, band) in inputs.read(&input).chunks_exact(from_row.max(1)).zip(output.chunks_exact_mut(band.max(1))) {
        for to in band.chunks_exact_mut(to_row.max(1)) {
            for (from, to) in from.chunks_exact(pixel.max(1)).zip(to.chunks_exact_mut(run.max(1))) {
                to.chunks_exact_mut(pixel.max(1)).for_each(|to| copy(to, from));
            }
        }
    }
}

/// The op.
pub static UPSAMPLE: OpDef = OpDef { code: 30, name: "upsample", alias: disjoint, lengths: Lengths::Checked, check, run };
