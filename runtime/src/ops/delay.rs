//! Delay: what came in the runs before, then what comes now. It gives windows of a stream the rows that they reach back to.
//!
//! With `s` elements of state and an input of `n`, the output is the first `m <= s + n` elements of the state and the input, one
//! after the other; then the last `s` of them become the state, which is zeros at first. Types, shapes and quantization: any, the
//! last the same on both sides; zero is the zero point in int8.

use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Lengths, NodeCheck, NodeRun, OpDef, copy, disjoint, ensure},
};

/// Parameters in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    /// Elements of the state.
    pub elements: u32,
}

impl Parameters {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { elements: cursor.u32() }
    }
}

/// Most elements of a state: their bytes stay far below 2^32.
const MAXIMUM_ELEMENTS: u32 = 1 << 28;

fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let (input, output) = (node.only_input()?, node.output);
    ensure(input.element_type == output.element_type, NodeFault::ElementType)?;
    ensure(input.same_quantization(&output), NodeFault::Quantization)?;
    let Parameters { elements } = node.parameters(Parameters::decode)?;
    ensure(elements <= MAXIMUM_ELEMENTS, NodeFault::Parameter)?;
    let elements = elements as usize;
    ensure(output.elements() <= elements + input.elements(), NodeFault::Shape)?;
    node.state(elements * output.element_type.bytes())
}

fn run(node: &mut NodeRun<'_>) {
    let Parameters { elements } = Parameters::decode(&mut node.parameters());
    let (input, zero) = (node.input(0), node.output.zero_point as u8);
    let bytes = elements as usize * node.output.element_type.bytes();
    let buffers = node.buffers();
    let input = buffers.inputs.read(&input);
    let state = buffers.state.get_mut(..bytes).unwrap_or_default();
    copy_xor(buffers.output, state, zero);
    let new = buffers.output.get_mut(bytes..).unwrap_or_default();
    copy(new, input.get(..new.len()).unwrap_or_default());
    let fresh = input.len().min(bytes);
    if fresh <= state.len() {
        state.copy_within(fresh.., 0);
    }
    let newest = input.get(input.len() - fresh..).unwrap_or_default();
    copy_xor(state.get_mut(bytes - fresh..).unwrap_or_default(), newest, zero);
}

/// Copies as many bytes as both have, each exclusive-or the zero point: so a state that is reset is real zeros in the output. The zero
/// point of f32 and of tokens is 0.
fn copy_xor(to: &mut [u8], from: &[u8], zero_point: u8) {
    let length = to.len().min(from.len());
    let (to, to_rest) = to.get_mut(..length).unwrap_or_default().as_chunks_mut::<4>();
    let (from, from_rest) = from.get(..length).unwrap_or_default().as_chunks::<4>();
    let zeros = u32::from_ne_bytes([zero_point; 4]);
    to.iter_mut().zip(from).for_each(|(to, from)| *to = (u32::from_ne_bytes(*from) ^ zeros).to_ne_bytes());
    to_rest.iter_mut().zip(from_rest).for_each(|(to, from)| *to = from ^ zero_point);
}

/// The op.
pub static DELAY: OpDef = OpDef { code: 48, name: "delay", alias: disjoint, lengths: Lengths::Refused, check, run };
