//! What recurrent ops share: how they walk their steps, and the products of inputs and states with kernels.
//!
//! Input `[T, C]`; output `[U]`, the hidden state after the last step, or `[T, U]`, that after each. Further inputs, none or as many as
//! there are states: these before the first step, `[U]` each, the hidden state first; in int8 as the op gives them.

use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{NodeCheck, NodeRun, as_i8, copy, ensure},
    ops::linear::{F32_LANES, MAXIMUM_FAN_IN, multiply_add},
    simd,
    tensor::{ElementType, Tensor},
};

/// From the last step to the first.
pub const BACKWARDS: u8 = 1;
/// The states stay from run to run, in the state region; else they begin as zeros, in scratch memory.
pub const STATEFUL: u8 = 2;
/// An output `[T, U]` has its rows in the order of the input's; else in the order in which they are computed.
pub const IN_ORDER: u8 = 4;
/// The output `[U]` is an LSTM's cell after the last step, not its hidden state.
pub const CELL: u8 = 16;
/// The flags that every recurrent op knows.
pub(crate) const COMMON: u8 = BACKWARDS | STATEFUL | IN_ORDER;

/// A matrix product that gives 16-bit numbers, in the file: `(((bias + sum) << shift) * multiplier + 2^31) >> 32`, saturated, for each
/// row, the input's zero point folded into the bias.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct ProductI8 {
    /// Offset of the weights, in paired rows.
    pub weights: u32,
    /// Offset of `[bias: i32, multiplier: i32]` per row.
    pub channels: u32,
    /// 0 to 7.
    pub shift: u8,
}

impl ProductI8 {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { weights: cursor.u32(), channels: cursor.u32(), shift: cursor.u8() }
    }

    /// Refuses constants outside their section; [`Walk::check`] saw to the number of inputs.
    pub(crate) fn check(&self, node: &NodeCheck<'_>, fan_in: usize, rows: usize) -> Result<(), NodeFault> {
        node.constants(self.weights, simd::paired_bytes(rows, fan_in))?;
        node.constants(self.channels, rows.saturating_mul(8))?;
        ensure(self.shift <= 7, NodeFault::Quantization)
    }
}

impl ProductI8 {
    /// The constants of a node that runs.
    pub(crate) fn read<'a>(&self, node: &NodeRun<'a>, fan_in: usize, rows: usize) -> Matrix<'a> {
        let weights = as_i8(node.constants(self.weights, simd::paired_bytes(rows, fan_in)));
        let channels = bytemuck::try_cast_slice(node.constants(self.channels, rows * 8)).unwrap_or_default();
        Matrix { weights, channels, fan_in, shift: u32::from(self.shift) }
    }
}

/// The constants of a product.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    weights: &'a [i8],
    channels: &'a [[i32; 2]],
    fan_in: usize,
    shift: u32,
}

impl Matrix<'_> {
    /// Adds the product with `x` to the sums, saturating. `x` has as many more values as make whole groups of four.
    pub fn add(&self, x: &[i8], sums: &mut [i16]) {
        simd::add_products(self.weights, self.fan_in, x, self.channels, self.shift, sums);
    }

    /// The first `rows`, an even number, and the others.
    pub fn split(self, rows: usize) -> Option<[Self; 2]> {
        let (first, last) = self.weights.split_at_checked(simd::paired_bytes(rows, self.fan_in))?;
        let (first_channels, last_channels) = self.channels.split_at_checked(rows)?;
        Some([
            Self { weights: first, channels: first_channels, ..self },
            Self { weights: last, channels: last_channels, ..self },
        ])
    }
}

/// `sums = bias + weights * x`, from the bias up, x ascending; weights in blocks. Behind the last bias, sums are of no meaning.
pub(crate) fn products_f32(sums: &mut [f32], bias: &[f32], x: &[f32], weights: &[f32]) {
    sums.iter_mut().zip(bias).for_each(|(sum, &bias)| *sum = bias);
    add_products_f32(sums, x, weights);
}

/// `sums += weights * x`, x ascending.
pub(crate) fn add_products_f32(sums: &mut [f32], x: &[f32], weights: &[f32]) {
    let blocks = weights.chunks_exact((x.len() * F32_LANES).max(1));
    sums.as_chunks_mut().0.iter_mut().zip(blocks).for_each(|(sums, weights)| multiply_add(sums, x, weights));
}

/// Bytes of scratch memory and of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Scratch memory.
    pub scratch: usize,
    /// State.
    pub state: usize,
}

/// Memory of an op's own and of states, which lie where the flags say.
pub(crate) const fn placed(own: usize, states: usize, flags: u8) -> Memory {
    if flags & STATEFUL == 0 { Memory { scratch: own + states, state: 0 } } else { Memory { scratch: own, state: states } }
}

/// A vector's bytes, with room for whole groups of four.
pub(crate) const fn vector(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// Refuses regions that are too small.
pub(crate) fn check_memory(node: &NodeCheck<'_>, memory: Memory) -> Result<(), NodeFault> {
    node.scratch(memory.scratch)?;
    node.state(memory.state)
}

/// The bits of the scale of hidden states in int8, 1/128.
pub(crate) const HIDDEN_SCALE: u32 = 0x3c00_0000;

/// Refuses an int8 tensor of another scale, or with a zero point.
pub(crate) fn check_scale(tensor: &Tensor, bits: u32) -> Result<(), NodeFault> {
    ensure(tensor.scale.to_bits() == bits && tensor.zero_point == 0, NodeFault::Quantization)
}

/// The sequence and, if they are inputs, the states before the first step. All tensors are of `element_type`.
pub(crate) fn check_inputs<const STATES: usize>(
    node: &NodeCheck<'_>,
    element_type: ElementType,
) -> Result<(Tensor, Option<[Tensor; STATES]>), NodeFault> {
    let mut inputs = node.all_inputs();
    let sequence = inputs.next().ok_or(NodeFault::InputCount)?;
    let mut fits = node.output.element_type == element_type && sequence.element_type == element_type;
    let (mut states, mut count) = ([sequence; STATES], 0);
    for state in inputs {
        *states.get_mut(count).ok_or(NodeFault::InputCount)? = state;
        fits &= state.element_type == element_type;
        count += 1;
    }
    ensure(fits, NodeFault::ElementType)?;
    ensure(count == 0 || count == STATES, NodeFault::InputCount)?;
    Ok((sequence, (count > 0).then_some(states)))
}

/// Steps, features and units of a node, by its input and output; also whether it gives all steps.
pub(crate) struct Walk {
    pub steps: usize,
    pub features: usize,
    pub units: usize,
    pub sequences: bool,
    flags: u8,
}

impl Walk {
    pub fn new(input: &Tensor, output: &Tensor, flags: u8) -> Self {
        let [steps, features, ..] = input.dimensions.map(|size| size as usize);
        Self { steps, features, units: output.channels(), sequences: output.rank == 2, flags }
    }

    /// Refuses shapes and lengths that do not fit together, flags that are not `known`, and states that come and stay.
    pub fn check(&self, node: &NodeCheck<'_>, input: &Tensor, states: Option<&[Tensor]>, known: u8) -> Result<(), NodeFault> {
        let output = &node.output;
        ensure(self.flags & !known == 0, NodeFault::Parameter)?;
        for state in states.unwrap_or_default() {
            ensure(!self.is_stateful(), NodeFault::Parameter)?;
            // Of rank 1, it has no length: the check of tensors sees to that.
            ensure(state.rank == 1 && state.channels() == self.units, NodeFault::Shape)?;
        }
        if self.sequences {
            ensure(output.length_group == input.length_group, NodeFault::Length)?;
            ensure(output.dimensions[0] == input.dimensions[0], NodeFault::Shape)?;
        } else {
            ensure(output.rank == 1, NodeFault::Shape)?;
        }
        // The sizes of memory stay far below 2^32.
        ensure(input.rank == 2 && self.units <= MAXIMUM_FAN_IN && self.features <= MAXIMUM_FAN_IN, NodeFault::Shape)
    }

    /// The features of a step.
    pub fn features_of<'a, T>(&self, step: usize, input: &'a [T]) -> &'a [T] {
        input.get(step * self.features..).and_then(|rest| rest.get(..self.features)).unwrap_or_default()
    }

    /// Writes the hidden state after a step: to its row, or to the only one.
    pub fn give<T: Copy>(&self, hidden: &[T], row: usize, output: &mut [T]) {
        let start = if self.sequences { row * self.units } else { 0 };
        copy(output.get_mut(start..).and_then(|rest| rest.get_mut(..self.units)).unwrap_or_default(), hidden);
    }

    pub fn is_stateful(&self) -> bool {
        self.flags & STATEFUL != 0
    }

    /// The numbers of the steps in the order in which they come, each with the row of its output.
    pub fn order(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (steps, flags) = (self.steps, self.flags);
        (0..steps).map(move |number| {
            let step = if flags & BACKWARDS != 0 { steps - 1 - number } else { number };
            (step, if flags & IN_ORDER != 0 { step } else { number })
        })
    }

    /// Cuts scratch memory: `first` bytes, the states, the rest. States that do not stay begin as zeros.
    pub fn memory<'a>(
        &self,
        scratch: &'a mut [u8],
        state: &'a mut [u8],
        first: usize,
        states: usize,
    ) -> Option<[&'a mut [u8]; 3]> {
        let (first, rest) = scratch.split_at_mut_checked(first)?;
        let (own, rest) = rest.split_at_mut_checked(if self.is_stateful() { 0 } else { states })?;
        let states = if self.is_stateful() { state.get_mut(..states)? } else { own };
        if !self.is_stateful() {
            states.fill(0);
        }
        Some([first, states, rest])
    }
}
