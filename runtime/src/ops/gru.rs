//! GRU (Cho et al. 2014): with `x_ = kernel * x + bias` and `h_ = recurrent * h + recurrent_bias`, the rows of the kernels being those of
//! the gates z and r and of the candidate n, U each: `z = sigmoid(x_z + h_z)`, `r = sigmoid(x_r + h_r)`, `n = tanh(x_n + r * h_n)`,
//! `h = z * h + (1 - z) * n`. With [`RESET_FIRST`], the candidate's rows see `r * h` instead: `n = tanh(x_n + recurrent_n * (r * h) +
//! recurrent_bias_n)`, the form of the first paper.
//!
//! int8: both products are saturated in Q3.12, and so are their sums; `r * h_n` is `(r * h_n + 2^14) >> 15`; gates and n by the table in
//! `gates.rs`, in Q0.15. The state has 16 bits, Q0.15: `h = sat((z * h + (32768 - z) * n + 2^14) >> 15)`; products and output see it as
//! int8 with scale 1/128 and zero point 0, `clamp((h + 128) >> 8)`; `r * h` as `clamp((r * h + 2^22) >> 23)`. f32: sums from the bias
//! up, ascending.
//!
//! States: int8 `[h, h as int8]`, f32 `[h]`, in the state region or in scratch memory ([`recurrent`](super::recurrent)).

use super::{
    activation::sigmoid,
    linear::{F32_LANES, f32_weights},
    recurrent::{
        COMMON, HIDDEN_SCALE, Memory, ProductI8, Walk, check_inputs, check_memory, check_scale, placed, products_f32, vector,
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

/// The reset gate comes before the candidate's product, not behind it.
pub const RESET_FIRST: u8 = 8;

/// Parameters of the int8 op in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct ParametersI8 {
    /// The inputs' product.
    pub input: ProductI8,
    /// The hidden state's.
    pub recurrent: ProductI8,
    /// Flags of [`recurrent`](super::recurrent), and [`RESET_FIRST`].
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
    /// Offset of the biases of the hidden state's product.
    pub recurrent_bias: u32,
    /// Flags of [`recurrent`](super::recurrent), and [`RESET_FIRST`].
    pub flags: u8,
}

impl ParametersF32 {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self {
            kernel: cursor.u32(),
            recurrent: cursor.u32(),
            bias: cursor.u32(),
            recurrent_bias: cursor.u32(),
            flags: cursor.u8(),
        }
    }
}

/// The int8 op's: both products, the state twice, an input, the state after the reset gate.
pub const fn memory_i8(features: usize, units: usize, flags: u8) -> Memory {
    let reset = if flags & RESET_FIRST == 0 { 0 } else { vector(units) };
    placed(12 * units + vector(features) + reset, states_i8(units), flags)
}

const fn states_i8(units: usize) -> usize {
    vector(2 * units) + vector(units)
}

/// The f32 op's: both products, the state, that after the reset gate.
pub const fn memory_f32(units: usize, flags: u8) -> Memory {
    let reset = if flags & RESET_FIRST == 0 { 0 } else { 4 * units };
    placed(8 * sums_f32(units) + reset, 4 * units, flags)
}

const fn sums_f32(units: usize) -> usize {
    (3 * units).next_multiple_of(F32_LANES)
}

/// 3 U numbers as those of z, of r and of n.
fn parts<T>(values: &mut [T], units: usize) -> Option<[&mut [T]; 3]> {
    let (z, rest) = values.split_at_mut_checked(units)?;
    let (r, rest) = rest.split_at_mut_checked(units)?;
    Some([z, r, rest.get_mut(..units)?])
}

fn check_i8(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let (input, states) = check_inputs::<1>(node, I8)?;
    let parameters = node.parameters(ParametersI8::decode)?;
    let walk = Walk::new(&input, &node.output, parameters.flags);
    walk.check(node, &input, states.as_ref().map(<[_; 1]>::as_slice), COMMON | RESET_FIRST)?;
    states.iter().flatten().chain([&node.output]).try_for_each(|tensor| check_scale(tensor, HIDDEN_SCALE))?;
    parameters.input.check(node, walk.features, 3 * walk.units)?;
    parameters.recurrent.check(node, walk.units, 3 * walk.units)?;
    check_memory(node, memory_i8(walk.features, walk.units, parameters.flags))
}

/// What the reset gate leaves of the candidate's product.
#[inline(always)]
fn reset_product(r: i16, product: i16) -> i16 {
    ((i32::from(r) * i32::from(product) + (1 << 14)) >> 15) as i16
}

/// What the reset gate leaves of the state, for the product.
#[inline(always)]
fn reset_state(r: i16, hidden: i16) -> i8 {
    quant::clamp((i32::from(r) * i32::from(hidden) + (1 << 22)) >> 23, -128, 127)
}

/// The state after a step from that before, z, and the candidate's sum.
#[inline(always)]
fn step_i8(hidden: i16, z: i16, sum: i16) -> i16 {
    let (z, n) = (i32::from(z), i32::from(gates::tanh(sum)));
    quant::saturate_i16((z * i32::from(hidden) + (32768 - z) * n + (1 << 14)) >> 15)
}

fn run_i8(node: &mut NodeRun<'_>) {
    let parameters = ParametersI8::decode(&mut node.parameters());
    let input = node.input(0);
    let walk = Walk::new(&input, &node.output, parameters.flags);
    let (features, units, rows) = (walk.features, walk.units, 3 * walk.units);
    let of_input = parameters.input.read(node, features, rows);
    let of_hidden = parameters.recurrent.read(node, units, rows);
    let Some([of_gates, of_candidate]) = of_hidden.split(2 * units) else { return };
    let given = node.inputs().nth(1);
    let buffers = node.buffers();
    let Some([sums, states, rest]) = walk.memory(buffers.scratch, buffers.state, 12 * units, states_i8(units)) else { return };
    let sums: &mut [i16] = bytemuck::try_cast_slice_mut(sums).unwrap_or_default();
    let Some((x_sums, h_sums)) = sums.split_at_mut_checked(rows) else { return };
    let Some((hidden, seen)) = states.split_at_mut_checked(vector(2 * units)) else { return };
    let hidden: &mut [i16] = bytemuck::try_cast_slice_mut(hidden).unwrap_or_default();
    let Some((x, reset)) = rest.split_at_mut_checked(vector(features)) else { return };
    let (seen, x, reset) = (as_i8_mut(seen), as_i8_mut(x), as_i8_mut(reset));
    let (from, output) = (buffers.inputs.read_i8(&input), as_i8_mut(buffers.output));
    if let Some(first) = given {
        let first = buffers.inputs.read_i8(&first);
        copy(seen.get_mut(..units).unwrap_or_default(), first);
        hidden.iter_mut().zip(first).for_each(|(hidden, &first)| *hidden = i16::from(first) << 8);
    }
    for (step, row) in walk.order() {
        copy(x.get_mut(..features).unwrap_or_default(), walk.features_of(step, from));
        x_sums.fill(0);
        of_input.add(x, x_sums);
        h_sums.fill(0);
        let Some((of_z_and_r, h_n)) = h_sums.split_at_mut_checked(2 * units) else { return };
        of_gates.add(seen, of_z_and_r);
        // The gates in the places of their sums.
        x_sums.iter_mut().zip(of_z_and_r).for_each(|(x, h)| *x = gates::sigmoid(x.saturating_add(*h)));
        let Some([z, r, x_n]) = parts(x_sums, units) else { return };
        if parameters.flags & RESET_FIRST != 0 {
            let states = r.iter().zip(&*hidden);
            reset.iter_mut().zip(states).for_each(|(reset, (&r, &hidden))| *reset = reset_state(r, hidden));
            of_candidate.add(reset, h_n);
        } else {
            of_candidate.add(seen, h_n);
            h_n.iter_mut().zip(r).for_each(|(product, r)| *product = reset_product(*r, *product));
        }
        let sums = x_n.iter().zip(h_n).map(|(x, h)| x.saturating_add(*h));
        for ((hidden, seen), (&mut z, sum)) in hidden.iter_mut().zip(seen.iter_mut()).zip(z.iter_mut().zip(sums)) {
            *hidden = step_i8(*hidden, z, sum);
            *seen = quant::clamp((i32::from(*hidden) + 128) >> 8, -128, 127);
        }
        walk.give(seen.get(..units).unwrap_or_default(), row, output);
    }
}

fn check_f32(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let (input, states) = check_inputs::<1>(node, F32)?;
    let parameters = node.parameters(ParametersF32::decode)?;
    let walk = Walk::new(&input, &node.output, parameters.flags);
    walk.check(node, &input, states.as_ref().map(<[_; 1]>::as_slice), COMMON | RESET_FIRST)?;
    let rows = 3 * walk.units;
    node.constants(parameters.kernel, f32_weights(walk.features, rows).saturating_mul(4))?;
    node.constants(parameters.recurrent, f32_weights(walk.units, rows).saturating_mul(4))?;
    node.constants(parameters.bias, rows * 4)?;
    node.constants(parameters.recurrent_bias, rows * 4)?;
    check_memory(node, memory_f32(walk.units, parameters.flags))
}

fn run_f32(node: &mut NodeRun<'_>) {
    let parameters = ParametersF32::decode(&mut node.parameters());
    let input = node.input(0);
    let walk = Walk::new(&input, &node.output, parameters.flags);
    let (features, units, rows) = (walk.features, walk.units, 3 * walk.units);
    let kernel = as_f32(node.constants(parameters.kernel, f32_weights(features, rows) * 4));
    let recurrent = as_f32(node.constants(parameters.recurrent, f32_weights(units, rows) * 4));
    let bias = as_f32(node.constants(parameters.bias, rows * 4));
    let recurrent_bias = as_f32(node.constants(parameters.recurrent_bias, rows * 4));
    let given = node.inputs().nth(1);
    let buffers = node.buffers();
    let memory = walk.memory(buffers.scratch, buffers.state, 8 * sums_f32(units), 4 * units);
    let Some([sums, hidden, reset]) = memory else { return };
    let (sums, hidden, reset) = (as_f32_mut(sums), as_f32_mut(hidden), as_f32_mut(reset));
    let Some((x_sums, h_sums)) = sums.split_at_mut_checked(sums_f32(units)) else { return };
    let (from, output) = (buffers.inputs.read_f32(&input), as_f32_mut(buffers.output));
    if let Some(first) = given {
        copy(hidden, buffers.inputs.read_f32(&first));
    }
    for (step, row) in walk.order() {
        products_f32(x_sums, bias, walk.features_of(step, from), kernel);
        products_f32(h_sums, recurrent_bias, hidden, recurrent);
        // The gates in the places of their sums.
        let of_z_and_r = x_sums.iter_mut().zip(&*h_sums).take(2 * units);
        of_z_and_r.for_each(|(x, h)| *x = sigmoid::<OfKernels>(*x + *h));
        let Some([z, r, x_n]) = parts(x_sums, units) else { return };
        if parameters.flags & RESET_FIRST != 0 {
            let states = r.iter().zip(&*hidden);
            reset.iter_mut().zip(states).for_each(|(reset, (r, hidden))| *reset = r * hidden);
            products_f32(h_sums, recurrent_bias, reset, recurrent);
        }
        let Some([_, _, h_n]) = parts(h_sums, units) else { return };
        if parameters.flags & RESET_FIRST == 0 {
            h_n.iter_mut().zip(r).for_each(|(product, r)| *product *= *r);
        }
        for (hidden, (z, (x, h))) in hidden.iter_mut().zip(z.iter().zip(x_n.iter().zip(h_n))) {
            *hidden = z * *hidden + (1.0 - z) * OfKernels::tanh(*x + *h);
        }
        walk.give(hidden, row, output);
    }
}

/// int8.
pub static GRU_I8: OpDef =
    OpDef { code: 36, name: "gru_i8", alias: disjoint, lengths: Lengths::Checked, check: check_i8, run: run_i8 };
/// f32.
pub static GRU_F32: OpDef =
    OpDef { code: 37, name: "gru_f32", alias: disjoint, lengths: Lengths::Checked, check: check_f32, run: run_f32 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_rounds_as_it_says() {
        // z of 16384 is a half, tanh(1) = 24956: half of 1001 and half of that, 12978.5, halves up.
        assert_eq!(step_i8(1001, 16384, 4096), 12979);
        // A state that is kept is kept but for the one unit that z lacks to 1, and it cannot leave 16 bits.
        assert_eq!(step_i8(20000, 32767, 0), 19999);
        assert_eq!(step_i8(i16::MAX, 32767, i16::MAX), i16::MAX);
        assert_eq!(step_i8(i16::MIN, 32767, i16::MIN), i16::MIN);
        // Half of 101 and of -101 are 50.5 and -50.5, halves up.
        assert_eq!([101, -101].map(|product| reset_product(16384, product)), [51, -50]);
        // Half of 257 in 1/128, 0.502, and of its largest: 64.
        assert_eq!([257, i16::MAX, i16::MIN].map(|hidden| reset_state(16384, hidden)), [1, 64, -64]);
    }
}
