//! The same elements under another shape. Usually in place, at no cost. Types and quantization: any, the same on both sides.

use crate::{
    error::NodeFault,
    op::{Lengths, NodeCheck, NodeRun, OpDef, ensure, in_place},
};

fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let input = node.only_input()?;
    ensure(input.element_type == node.output.element_type, NodeFault::ElementType)?;
    ensure(input.elements() == node.output.elements(), NodeFault::Shape)?;
    if input.dimensions[0] == node.output.dimensions[0] {
        node.rows()?;
    } else {
        node.fixed_length()?;
    }
    ensure(input.same_quantization(&node.output), NodeFault::Quantization)?;
    node.parameters(|_| ())
}

fn run(node: &mut NodeRun<'_>) {
    node.buffers_in_place();
}

/// The op. It has no parameters.
pub static RESHAPE: OpDef = OpDef { code: 18, name: "reshape", alias: in_place, lengths: Lengths::Checked, check, run };
