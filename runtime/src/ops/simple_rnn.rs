//! The plain recurrent layer (Elman 1990): `h = tanh(kernel * x + recurrent * h + bias)`.
//!
//! int8: the sum of both products is saturated in Q3.12; tanh by the table in `gates.rs`, in Q0.15; h is int8 with scale 1/128 and zero
//! point 0: `h = clamp((tanh + 128) >> 8)`. f32: sums from the bias up, features, then units, ascending.
//!
//! State `[h]`, in the state region or in scratch memory ([`recurrent`](super::recurrent)).

use super::{
    linear::{F32_LANES, f32_weights},
    recurrent::{
        COMMON, HIDDEN_SCALE, Memory, ProductI8, Walk, add_products_f32, check_inputs, check_memory, check_scale, placed,
        products_f32, vector,
    },
};
use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    gates,
    math::{Functions, OfKernels},
    op::{Lengths, NodeCheck, NodeRun, OpDef, as_f32, as_f32_mut, as_i8_mut, copy, disjoint},
    quant,
    tensor::ElementType::{F32, I8},
};

/// Parameters of the int8 op in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct ParametersI8 {
    /// The inputs' product.
    pub input: ProductI8,
    /// The hidden state's.
    pub recurrent: ProductI8,
    /// Flags of [`recurrent`](super::recurrent).
    pub flags: u8,
}

impl ParametersI8 {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { input: ProductI8::decode(cursor), recurrent: ProductI8::decode(cursor), flags: cursor.u8() }
    }
}

/// Parameters of the f32 op in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct ParametersF32 {
    /// Offset of the kernel, in blocks.
    pub kernel: u32,
    /// Offset of the recurrent kernel, in blocks.
    pub recurrent: u32,
    /// Offset of the biases.
    pub bias: u32,
    /// Flags of [`recurrent`](super::recurrent).
    pub flags: u8,
}

impl ParametersF32 {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { kernel: cursor.u32(), recurrent: cursor.u32(), bias: cursor.u32(), flags: cursor.u8() }
    }
}

/// The int8 op's: the sums, the state, an input.
pub const fn memory_i8(features: usize, units: usize, flags: u8) -> Memory {
    placed(vector(2 * units) + vector(features), vector(units), flags)
}

/// The f32 op's: the sums, the state.
pub const fn memory_f32(units: usize, flags: u8) -> Memory {
    placed(4 * units.next_multiple_of(F32_LANES), 4 * units, flags)
}

fn check_i8(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let (input, states) = check_inputs::<1>(node, I8)?;
    let parameters = node.parameters(ParametersI8::decode)?;
    let walk = Walk::new(&input, &node.output, parameters.flags);
    walk.check(node, &input, states.as_ref().map(<[_; 1]>::as_slice), COMMON)?;
    states.iter().flatten().chain([&node.output]).try_for_each(|tensor| check_scale(tensor, HIDDEN_SCALE))?;
    parameters.input.check(node, walk.features, walk.units)?;
    parameters.recurrent.check(node, walk.units, walk.units)?;
    check_memory(node, memory_i8(walk.features, walk.units, parameters.flags))
}

fn step_i8(sum: i16) -> i8 {
    quant::clamp((i32::from(gates::tanh(sum)) + 128) >> 8, -128, 127)
}

fn run_i8(node: &mut NodeRun<'_>) {
    let parameters = ParametersI8::decode(&mut node.parameters());
    let input = node.input(0);
    let walk = Walk::new(&input, &node.output, parameters.flags);
    let (features, units) = (walk.features, walk.units);
    let of_input = parameters.input.read(node, features, units);
    let of_hidden = parameters.recurrent.read(node, units, units);
    let given = node.inputs().nth(1);
    let buffers = node.buffers();
    let memory = walk.memory(buffers.scratch, buffers.state, vector(2 * units), vector(units));
    let Some([sums, hidden, x]) = memory else { return };
    let sums: &mut [i16] = bytemuck::try_cast_slice_mut(sums).unwrap_or_default();
    let Some(sums) = sums.get_mut(..units) else { return };
    let (hidden, x) = (as_i8_mut(hidden), as_i8_mut(x));
    let (from, output) = (buffers.inputs.read_i8(&input), as_i8_mut(buffers.output));
    if let Some(first) = given {
        copy(hidden.get_mut(..units).unwrap_or_default(), buffers.inputs.read_i8(&first));
    }
    for (step, row) in walk.order() {
        copy(x.get_mut(..features).unwrap_or_default(), walk.features_of(step, from));
        sums.fill(0);
        of_input.add(x, sums);
        of_hidden.add(hidden, sums);
        hidden.iter_mut().zip(&*sums).for_each(|(hidden, &sum)| *hidden = step_i8(sum));
        walk.give(hidden.get(..units).unwrap_or_default(), row, output);
    }
}

fn check_f32(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let (input, states) = check_inputs::<1>(node, F32)?;
    let parameters = node.parameters(ParametersF32::decode)?;
    let walk = Walk::new(&input, &node.output, parameters.flags);
    walk.check(node, &input, states.as_ref().map(<[_; 1]>::as_slice), COMMON)?;
    node.constants(parameters.kernel, f32_weights(walk.features, walk.units).saturating_mul(4))?;
    node.constants(parameters.recurrent, f32_weights(walk.units, walk.units).saturating_mul(4))?;
    node.constants(parameters.bias, walk.units * 4)?;
    check_memory(node, memory_f32(walk.units, parameters.flags))
}

fn run_f32(node: &mut NodeRun<'_>) {
    let parameters = ParametersF32::decode(&mut node.parameters());
    let input = node.input(0);
    let walk = Walk::new(&input, &node.output, parameters.flags);
    let (features, units) = (walk.features, walk.units);
    let kernel = as_f32(node.constants(parameters.kernel, f32_weights(features, units) * 4));
    let recurrent = as_f32(node.constants(parameters.recurrent, f32_weights(units, units) * 4));
    let bias = as_f32(node.constants(parameters.bias, units * 4));
    let given = node.inputs().nth(1);
    let buffers = node.buffers();
    let memory = walk.memory(buffers.scratch, buffers.state, 4 * units.next_multiple_of(F32_LANES), 4 * units);
    let Some([sums, hidden, _]) = memory else { return };
    let (sums, hidden) = (as_f32_mut(sums), as_f32_mut(hidden));
    let (from, output) = (buffers.inputs.read_f32(&input), as_f32_mut(buffers.output));
    if let Some(first) = given {
        copy(hidden, buffers.inputs.read_f32(&first));
    }
    for (step, row) in walk.order() {
        products_f32(sums, bias, walk.features_of(step, from), kernel);
        add_products_f32(sums, hidden, recurrent);
        hidden.iter_mut().zip(&*sums).for_each(|(hidden, &sum)| *hidden = OfKernels::tanh(sum));
        walk.give(hidden, row, output);
    }
}

/// int8.
pub static SIMPLE_RNN_I8: OpDef =
    OpDef { code: 38, name: "simple_rnn_i8", alias: disjoint, lengths: Lengths::Checked, check: check_i8, run: run_i8 };
/// f32.
pub static SIMPLE_RNN_F32: OpDef =
    OpDef { code: 39, name: "simple_rnn_f32", alias: disjoint, lengths: Lengths::Checked, check: check_f32, run: run_f32 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_rounds_as_it_says() {
        // tanh(1) = 24956 in Q0.15, 97.48 in 1/128; tanh(1/64) is 2.0 of these; the ends do not reach 1, and -1 is there.
        assert_eq!([4096, 64, 0, i16::MAX, i16::MIN].map(step_i8), [97, 2, 0, 127, -128]);
    }
}
