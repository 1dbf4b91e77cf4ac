//! LSTM (Hochreiter and Schmidhuber 1997; Gers et al. 2000): with `z = kernel * x + recurrent * h + bias`, the rows of the kernels
//! being those of the gates i, f, g, o, U each: `c = sigmoid(z_f) * c + sigmoid(z_i) * tanh(z_g)`, `h = sigmoid(z_o) * tanh(c)`.
//!
//! int8: z is the saturated sum of two products in Q3.12; gates and tanh by the table in `gates.rs`, in Q0.15; c has 16 bits, `n` of
//! them behind the point: `c = sat(((f * c + 2^14) >> 15) + ((i * g + 2^(29 - n)) >> (30 - n)))`; h is int8 with scale 1/128 and
//! zero point 0: `h = clamp((o * tanh(c) + 2^22) >> 23)`, c brought to Q3.12 by a shift, halves up. f32: z from the bias up, features,
//! then units, ascending.
//!
//! With the flag `CELL`, the output is c after the last step: in int8 its upper 8 bits, `clamp((c + 2^7) >> 8)`, of scale `2^(8 - n)` and zero
//! point 0. So are those before the first step, if they are inputs (h, then c); c then begins as `c << 8`.
//!
//! States `[c, h]`, in the state region or in scratch memory ([`recurrent`](super::recurrent)).

use super::{
    activation::sigmoid,
    linear::f32_weights,
    recurrent::{
        CELL, COMMON, HIDDEN_SCALE, Memory, ProductI8, Walk, add_products_f32, check_inputs, check_memory, check_scale, placed,
        products_f32, vector,
    },
};
use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    gates,
    math::{Functions, OfKernels},
    op::{Lengths, NodeCheck, NodeRun, OpDef, as_f32, as_f32_mut, as_i8_mut, copy, disjoint, ensure},
    quant,
    tensor::{
        ElementType::{F32, I8},
        Tensor,
    },
};

/// Parameters of the int8 op in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct ParametersI8 {
    /// The inputs' product.
    pub input: ProductI8,
    /// The hidden state's.
    pub recurrent: ProductI8,
    /// Bits of the cell behind the point, 0 to 15.
    pub cell_bits: u8,
    /// Flags of [`recurrent`](super::recurrent).
    pub flags: u8,
}

impl ParametersI8 {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self {
            input: ProductI8::decode(cursor),
            recurrent: ProductI8::decode(cursor),
            cell_bits: cursor.u8(),
            flags: cursor.u8(),
        }
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

/// The int8 op's: z, the cells, the hidden state, an input.
pub const fn memory_i8(features: usize, units: usize, flags: u8) -> Memory {
    placed(8 * units + vector(features), states_i8(units), flags)
}

const fn states_i8(units: usize) -> usize {
    vector(2 * units) + vector(units)
}

/// The f32 op's: z, the cells, the hidden state.
pub const fn memory_f32(units: usize, flags: u8) -> Memory {
    placed(16 * units, 8 * units, flags)
}

/// The scale of cells in int8, that of their upper 8 bits: `2^(8 - bits)`, for `bits` to 15.
pub const fn cell_scale(bits: u8) -> f32 {
    f32::from_bits((127 + 8 - bits as u32) << 23)
}

/// Refuses flags for a cell where there is no single one.
fn check_walk(
    node: &NodeCheck<'_>,
    walk: &Walk,
    input: &Tensor,
    states: Option<&[Tensor]>,
    flags: u8,
) -> Result<(), NodeFault> {
    walk.check(node, input, states, COMMON | CELL)?;
    ensure(flags & CELL == 0 || !walk.sequences, NodeFault::Parameter)
}

fn check_i8(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let (input, states) = check_inputs::<2>(node, I8)?;
    let parameters = node.parameters(ParametersI8::decode)?;
    let walk = Walk::new(&input, &node.output, parameters.flags);
    check_walk(node, &walk, &input, states.as_ref().map(<[_; 2]>::as_slice), parameters.flags)?;
    ensure(parameters.cell_bits <= 15, NodeFault::Quantization)?;
    let of_cell = cell_scale(parameters.cell_bits).to_bits();
    check_scale(&node.output, if parameters.flags & CELL == 0 { HIDDEN_SCALE } else { of_cell })?;
    if let Some([hidden, cell]) = states {
        check_scale(&hidden, HIDDEN_SCALE)?;
        check_scale(&cell, of_cell)?;
    }
    parameters.input.check(node, walk.features, 4 * walk.units)?;
    parameters.recurrent.check(node, walk.units, 4 * walk.units)?;
    check_memory(node, memory_i8(walk.features, walk.units, parameters.flags))
}

/// The cell and the hidden state after a step, from the cell before and the sums of the gates.
#[inline(always)]
fn step_i8(cell: i16, [i, f, g, o]: [i16; 4], bits: u32) -> (i16, i8) {
    let [i, f, o] = [i, f, o].map(|z| i32::from(gates::sigmoid(z)));
    let g = i32::from(gates::tanh(g));
    let kept = (f * i32::from(cell) + (1 << 14)) >> 15;
    let added = (i * g + (1 << (29 - bits))) >> (30 - bits);
    let cell = quant::saturate_i16(kept + added);
    let wide = i32::from(cell);
    let at_12 = match bits {
        0..=12 => quant::saturate_i16(wide << (12 - bits)),
        _ => quant::saturate_i16((wide + (1 << (bits - 13))) >> (bits - 12)),
    };
    (cell, quant::clamp((o * i32::from(gates::tanh(at_12)) + (1 << 22)) >> 23, -128, 127))
}

fn run_i8(node: &mut NodeRun<'_>) {
    let parameters = ParametersI8::decode(&mut node.parameters());
    let input = node.input(0);
    let walk = Walk::new(&input, &node.output, parameters.flags);
    let (features, units, rows) = (walk.features, walk.units, 4 * walk.units);
    let of_input = parameters.input.read(node, features, rows);
    let of_hidden = parameters.recurrent.read(node, units, rows);
    let bits = u32::from(if parameters.cell_bits < 15 { parameters.cell_bits } else { 15 });
    let given = given_states(node);
    let buffers = node.buffers();
    let memory = walk.memory(buffers.scratch, buffers.state, 8 * units, states_i8(units));
    let Some([sums, states, x]) = memory else { return };
    let sums: &mut [i16] = bytemuck::try_cast_slice_mut(sums).unwrap_or_default();
    let Some((cells, hidden)) = states.split_at_mut_checked(vector(2 * units)) else { return };
    let cells: &mut [i16] = bytemuck::try_cast_slice_mut(cells).unwrap_or_default();
    let (hidden, x) = (as_i8_mut(hidden), as_i8_mut(x));
    let (from, output) = (buffers.inputs.read_i8(&input), as_i8_mut(buffers.output));
    if let Some([first_hidden, first_cells]) = given {
        copy(hidden.get_mut(..units).unwrap_or_default(), buffers.inputs.read_i8(&first_hidden));
        let first_cells = buffers.inputs.read_i8(&first_cells);
        cells.iter_mut().zip(first_cells).for_each(|(cell, &first)| *cell = i16::from(first) << 8);
    }
    for (step, row) in walk.order() {
        copy(x.get_mut(..features).unwrap_or_default(), walk.features_of(step, from));
        sums.fill(0);
        of_input.add(x, sums);
        of_hidden.add(hidden, sums);
        let mut gates = sums.chunks_exact(units.max(1));
        let [Some(i), Some(f), Some(g), Some(o)] = [gates.next(), gates.next(), gates.next(), gates.next()] else { return };
        let sums = i.iter().zip(f).zip(g.iter().zip(o));
        for ((cell, hidden), ((&i, &f), (&g, &o))) in cells.iter_mut().zip(hidden.iter_mut()).zip(sums) {
            (*cell, *hidden) = step_i8(*cell, [i, f, g, o], bits);
        }
        walk.give(hidden.get(..units).unwrap_or_default(), row, output);
    }
    if parameters.flags & CELL != 0 {
        output.iter_mut().zip(&*cells).for_each(|(output, &cell)| *output = upper_i8(cell));
    }
}

/// The upper 8 bits of a cell, halves up.
#[inline(always)]
fn upper_i8(cell: i16) -> i8 {
    quant::clamp((i32::from(cell) + (1 << 7)) >> 8, -128, 127)
}

/// The states before the first step, if they are inputs.
fn given_states(node: &NodeRun<'_>) -> Option<[Tensor; 2]> {
    let mut states = node.inputs().skip(1);
    Some([states.next()?, states.next()?])
}

fn check_f32(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let (input, states) = check_inputs::<2>(node, F32)?;
    let parameters = node.parameters(ParametersF32::decode)?;
    let walk = Walk::new(&input, &node.output, parameters.flags);
    check_walk(node, &walk, &input, states.as_ref().map(<[_; 2]>::as_slice), parameters.flags)?;
    let rows = 4 * walk.units;
    node.constants(parameters.kernel, f32_weights(walk.features, rows).saturating_mul(4))?;
    node.constants(parameters.recurrent, f32_weights(walk.units, rows).saturating_mul(4))?;
    node.constants(parameters.bias, rows * 4)?;
    check_memory(node, memory_f32(walk.units, parameters.flags))
}

fn run_f32(node: &mut NodeRun<'_>) {
    let parameters = ParametersF32::decode(&mut node.parameters());
    let input = node.input(0);
    let walk = Walk::new(&input, &node.output, parameters.flags);
    let (features, units, rows) = (walk.features, walk.units, 4 * walk.units);
    let kernel = as_f32(node.constants(parameters.kernel, f32_weights(features, rows) * 4));
    let recurrent = as_f32(node.constants(parameters.recurrent, f32_weights(units, rows) * 4));
    let bias = as_f32(node.constants(parameters.bias, rows * 4));
    let given = given_states(node);
    let buffers = node.buffers();
    let memory = walk.memory(buffers.scratch, buffers.state, 16 * units, 8 * units);
    let Some([sums, states, _]) = memory else { return };
    let sums = as_f32_mut(sums);
    let Some((cells, hidden)) = as_f32_mut(states).split_at_mut_checked(units) else { return };
    let (from, output) = (buffers.inputs.read_f32(&input), as_f32_mut(buffers.output));
    if let Some([first_hidden, first_cells]) = given {
        copy(hidden, buffers.inputs.read_f32(&first_hidden));
        copy(cells, buffers.inputs.read_f32(&first_cells));
    }
    for (step, row) in walk.order() {
        products_f32(sums, bias, walk.features_of(step, from), kernel);
        add_products_f32(sums, hidden, recurrent);
        let mut gates = sums.chunks_exact(units.max(1));
        let [Some(i), Some(f), Some(g), Some(o)] = [gates.next(), gates.next(), gates.next(), gates.next()] else { return };
        let sums = i.iter().zip(f).zip(g.iter().zip(o));
        for ((cell, hidden), ((&i, &f), (&g, &o))) in cells.iter_mut().zip(hidden.iter_mut()).zip(sums) {
            *cell = sigmoid::<OfKernels>(f) * *cell + sigmoid::<OfKernels>(i) * OfKernels::tanh(g);
            *hidden = sigmoid::<OfKernels>(o) * OfKernels::tanh(*cell);
        }
        walk.give(hidden, row, output);
    }
    if parameters.flags & CELL != 0 {
        copy(output, cells);
    }
}

/// int8.
pub static LSTM_I8: OpDef =
    OpDef { code: 34, name: "lstm_i8", alias: disjoint, lengths: Lengths::Checked, check: check_i8, run: run_i8 };
/// f32.
pub static LSTM_F32: OpDef =
    OpDef { code: 35, name: "lstm_f32", alias: disjoint, lengths: Lengths::Checked, check: check_f32, run: run_f32 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_rounds_as_it_says() {
        // Gates of sigmoid(0) = 16384 and tanh(1) = 24956 in Q0.15: the cell gets half of 24956 * 2^-15 in 12 bits behind the point,
        // 1559.75, rounded to 1560, and half of what it had, 500.5, halves up.
        let (cell, hidden) = step_i8(1001, [0, 0, 4096, 0], 12);
        assert_eq!(cell, 501 + 1560);
        // tanh(2061 / 4096) = 0.4648, half of it in 1/128: 29.7.
        assert_eq!(hidden, 30);
        // A cell with 15 bits behind the point is rounded to 12, one with 10 shifted up, saturating.
        assert_eq!(step_i8(i16::MAX, [i16::MIN, i16::MAX, 0, i16::MAX], 15).1, 97);
        assert_eq!(step_i8(i16::MAX, [i16::MIN, i16::MAX, 0, i16::MAX], 10).1, 127);
        assert_eq!(step_i8(i16::MIN, [i16::MIN, i16::MAX, 0, i16::MAX], 10).1, -128);
    }

    #[test]
    fn a_cell_is_given_by_its_upper_half() {
        // Halves up; the largest stays within int8. A cell of 12 bits behind the point reaches 8: 1/16 each.
        assert_eq!([384, 383, -384, i16::MAX, i16::MIN].map(upper_i8), [2, 1, -1, 127, -128]);
        assert_eq!([8, 12, 15].map(cell_scale), [1.0, 0.0625, 0.0078125]);
    }
}
