//! Ops that remember, which no product op does yet: what the tests of states run.

use crate::single::{Port, tensor};
use samara_runtime::{
    ElementType::I8,
    NodeFault, OpDef,
    format::{
        cursor::Cursor,
        writer::{ModelFile, NodeRecord, encode_parameters},
    },
    op::{Buffers, Lengths, NodeCheck, NodeRun, disjoint, in_place},
};
use samara_trainer::device::{Quantization, plan::arrange};

/// `y = saturate(sum of all x so far)`, each element for itself; the sums are i32.
pub static SUM: OpDef =
    OpDef { code: 126, name: "test_sum", alias: in_place, lengths: Lengths::Rows, check: check_sum, run: run_sum };

/// What came in `delay` runs before, zeros at first: a ring of `delay` rows, and behind it the place of the oldest.
pub static DELAY: OpDef =
    OpDef { code: 127, name: "test_delay", alias: disjoint, lengths: Lengths::Refused, check: check_delay, run: run_delay };

/// Both.
pub static OPS: [&OpDef; 2] = [&SUM, &DELAY];

fn check_sum(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let [input] = node.inputs(I8)?;
    if !input.same_form(&node.output) {
        return Err(NodeFault::Shape);
    }
    node.parameters(|_| ())?;
    node.state(4 * input.elements())
}

fn run_sum(node: &mut NodeRun<'_>) {
    let Buffers { output, state, .. } = node.buffers_in_place();
    for (value, sum) in output.iter_mut().zip(state.as_chunks_mut::<4>().0) {
        let total = i32::from_le_bytes(*sum) + i32::from(*value as i8);
        *sum = total.to_le_bytes();
        *value = total.clamp(-128, 127) as u8;
    }
}

fn delay(cursor: &mut Cursor<'_>) -> usize {
    cursor.usize()
}

fn check_delay(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let [input] = node.inputs(I8)?;
    let rows = node.parameters(delay)?;
    if !input.same_form(&node.output) || !(1..=255).contains(&rows) {
        return Err(NodeFault::Shape);
    }
    node.state(rows * input.elements() + 1)
}

fn run_delay(node: &mut NodeRun<'_>) {
    let (rows, input) = (delay(&mut node.parameters()), node.input(0));
    let Buffers { output, state, inputs, .. } = node.buffers();
    let (ring, place) = state.split_at_mut(rows * output.len());
    let row = &mut ring[usize::from(place[0]) * output.len()..][..output.len()];
    output.copy_from_slice(row);
    row.copy_from_slice(inputs.read(&input));
    place[0] = (place[0] + 1) % rows as u8;
}

/// Quantization of the tensors.
pub const QUANTIZATION: Quantization = Quantization { scale: 0.05, zero_point: -3 };

/// A delay of `rows` runs, then a sum of it, over vectors of `size`: two regions of state.
///
/// # Panics
/// If the planner finds no place.
pub fn delayed_sum(size: usize, rows: u32) -> ModelFile {
    let port: Port = (vec![size], Some(QUANTIZATION));
    let record = |op: &OpDef, input, parameters, state_bytes: usize| NodeRecord {
        code: op.code.into(),
        inputs: vec![input],
        output: input + 1,
        state_bytes: state_bytes as u32,
        parameters,
        ..NodeRecord::default()
    };
    let mut file = ModelFile {
        tensors: vec![tensor(&port, 0); 3],
        nodes: vec![record(&DELAY, 0, encode_parameters(&rows), rows as usize * size + 1), record(&SUM, 1, vec![], 4 * size)],
        inputs: vec![0],
        outputs: vec![2],
        ..ModelFile::default()
    };
    arrange(&mut file, &OPS).expect("a small arena");
    file
}
