//! The same elements under another shape. Usually in place, at no cost. Types and quantization: any, the same on both sides.

use crate::{
    error::NodeFault,
    op::{Alias, NodeCheck, NodeRun, OpDef, ensure},
};

fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let input = node.only_input()?;
    ensure(input.element_type == node.output.element_type, NodeFault::ElementType)?;
    ensure(input.elements() == node.output.elements(), NodeFault::Shape)?;
    ensure(input.same_quantization(&node.output), NodeFault::Quantization)?;
    node.parameters(|_| ())
}

fn run(node: &mut NodeRun<'_>) {
    node.buffers_in_place();
}

/// The op. It has no parameters.
pub static RESHAPE: OpDef = OpDef { code: 18, name: "reshape", alias: Alias::InPlace, check, run };
