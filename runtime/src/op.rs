//! What an op is, and what it sees of its node: when the file is checked, and when it runs. The ops themselves are in
//! [`ops`](crate::ops).

use crate::{
    error::NodeFault,
    format::{ALIGNMENT, cursor::Cursor, node::Node, view::View},
    tensor::{ElementType, Tensor},
};
use core::ops::Range;

/// Where an op's output may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alias {
    /// The output shares no byte with an input.
    Disjoint,
    /// The output may also be exactly the first input's bytes.
    InPlace,
}

/// What the runtime knows of an op with one element type.
#[derive(Debug)]
pub struct OpDef {
    /// Its number in model files, 1 to 127. Never used twice.
    pub code: u8,
    /// Its name, for people.
    pub name: &'static str,
    /// Where its output may lie.
    pub alias: Alias,
    /// Checks a node of a hostile file: types, shapes, parameters, constants, scratch.
    pub check: fn(&NodeCheck<'_>) -> Result<(), NodeFault>,
    /// Runs a node that was checked.
    pub run: fn(&mut NodeRun<'_>),
}

/// A node that is being checked. Tensor indices, the scratch region's place and the aliasing are already known to be right.
#[derive(Debug)]
pub struct NodeCheck<'a> {
    view: &'a View<'a>,
    node: &'a Node<'a>,
    /// The output.
    pub output: Tensor,
}

impl<'a> NodeCheck<'a> {
    pub(crate) fn new(view: &'a View<'a>, node: &'a Node<'a>, op: &OpDef) -> Result<Self, NodeFault> {
        let output = view.tensor(node.output);
        let scratch = node.scratch_offset..node.scratch_offset.wrapping_add(node.scratch_bytes);
        if !scratch.start.is_multiple_of(ALIGNMENT) || scratch.end < scratch.start || scratch.end > view.arena_bytes() {
            return Err(NodeFault::Scratch);
        }
        let in_place = op.alias == Alias::InPlace;
        for (number, input) in node.inputs().enumerate() {
            let input = view.tensor(input).range();
            if overlap(&input, &scratch) {
                return Err(NodeFault::Scratch);
            }
            let same = in_place && number == 0 && input == output.range();
            if !same && overlap(&input, &output.range()) {
                return Err(NodeFault::Alias);
            }
        }
        if overlap(&output.range(), &scratch) {
            return Err(NodeFault::Scratch);
        }
        Ok(Self { view, node, output })
    }

    /// Input `number` of exactly `count`, all inputs and the output being of `element_type`.
    #[inline(never)]
    pub fn inputs<const COUNT: usize>(&self, element_type: ElementType) -> Result<[Tensor; COUNT], NodeFault> {
        if self.node.input_count != COUNT {
            return Err(NodeFault::InputCount);
        }
        let mut inputs = [self.output; COUNT];
        for (place, input) in inputs.iter_mut().zip(self.all_inputs()) {
            *place = input;
        }
        if inputs.iter().chain([&self.output]).any(|tensor| tensor.element_type != element_type) {
            return Err(NodeFault::ElementType);
        }
        Ok(inputs)
    }

    /// All inputs, of any number and type.
    pub fn all_inputs(&self) -> impl Iterator<Item = Tensor> + '_ {
        self.node.inputs().map(|input| self.view.tensor(input))
    }

    /// The only input, of any type.
    pub fn only_input(&self) -> Result<Tensor, NodeFault> {
        match self.node.input_count {
            1 => self.all_inputs().next().ok_or(NodeFault::InputCount),
            _ => Err(NodeFault::InputCount),
        }
    }

    /// Decodes the parameters with `decode` and refuses them if they are too short or too long.
    pub fn parameters<P>(&self, decode: fn(&mut Cursor<'a>) -> P) -> Result<P, NodeFault> {
        let mut cursor = self.node.parameters.clone();
        let parameters = decode(&mut cursor);
        let whole = cursor.is_sound() && cursor.remaining().is_empty();
        whole.then_some(parameters).ok_or(NodeFault::Record)
    }

    /// `bytes` constants at `offset`, a multiple of 4.
    #[inline(never)]
    pub fn constants(&self, offset: u32, bytes: usize) -> Result<&'a [u8], NodeFault> {
        if !offset.is_multiple_of(4) {
            return Err(NodeFault::Constants);
        }
        self.view.constants(offset as usize).get(..bytes).ok_or(NodeFault::Constants)
    }

    /// Refuses a scratch region of less than `bytes`.
    pub fn scratch(&self, bytes: usize) -> Result<(), NodeFault> {
        ensure(self.node.scratch_bytes >= bytes, NodeFault::Scratch)
    }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// `fault` unless `condition` holds.
pub(crate) fn ensure(condition: bool, fault: NodeFault) -> Result<(), NodeFault> {
    if condition { Ok(()) } else { Err(fault) }
}

/// A node that runs. It was checked, so nothing here fails: what could not be is an empty slice.
#[derive(Debug)]
pub struct NodeRun<'a> {
    view: &'a View<'a>,
    node: &'a Node<'a>,
    arena: &'a mut [u8],
    /// The output.
    pub output: Tensor,
}

/// The arena, cut at a node's output and scratch region: these two can be written, the rest can be read.
#[derive(Debug)]
pub struct Buffers<'a> {
    /// The output's bytes.
    pub output: &'a mut [u8],
    /// The scratch region, at a multiple of 16.
    pub scratch: &'a mut [u8],
    /// Everything else.
    pub inputs: Inputs<'a>,
}

/// What a running node can read: the arena but for its output and scratch region.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    parts: [(usize, &'a [u8]); 3],
}

impl<'a> NodeRun<'a> {
    pub(crate) fn new(view: &'a View<'a>, node: &'a Node<'a>, arena: &'a mut [u8]) -> Self {
        Self { view, node, arena, output: view.tensor(node.output) }
    }

    /// The node's parameters.
    pub fn parameters(&self) -> Cursor<'a> {
        self.node.parameters.clone()
    }

    /// Input `number`.
    #[inline(never)]
    pub fn input(&self, number: usize) -> Tensor {
        self.node.inputs().nth(number).map_or(self.output, |input| self.view.tensor(input))
    }

    /// All inputs.
    pub fn inputs(&self) -> impl Iterator<Item = Tensor> + use<'a> {
        let view = self.view;
        self.node.inputs().map(move |input| view.tensor(input))
    }

    /// `bytes` constants at `offset`.
    pub fn constants(&self, offset: u32, bytes: usize) -> &'a [u8] {
        self.view.constants(offset as usize).get(..bytes).unwrap_or_default()
    }

    /// Cuts the arena at the output and the scratch region.
    #[inline(never)] // Called by every op: a copy in each would double the code.
    pub fn buffers(&mut self) -> Buffers<'_> {
        let output = self.output.range();
        let scratch = self.node.scratch_offset..self.node.scratch_offset + self.node.scratch_bytes;
        // An empty scratch region may start where the output does: it comes first, so that the gaps behind it are right.
        let output_first = output.start < scratch.start;
        let (first, second) = if output_first { (output, scratch) } else { (scratch, output) };
        let (before, tail) = self.arena.split_at_mut_checked(first.start).unwrap_or_default();
        let (first_bytes, tail) = tail.split_at_mut_checked(first.len()).unwrap_or_default();
        let gap = second.start.saturating_sub(first.end);
        let (between, tail) = tail.split_at_mut_checked(gap).unwrap_or_default();
        let (second_bytes, after) = tail.split_at_mut_checked(second.len()).unwrap_or_default();
        let (output, scratch) = if output_first { (first_bytes, second_bytes) } else { (second_bytes, first_bytes) };
        Buffers { output, scratch, inputs: Inputs { parts: [(0, before), (first.end, between), (second.end, after)] } }
    }

    /// For ops that work in place: the buffers, with the first input's bytes already in the output.
    #[inline(never)]
    pub fn buffers_in_place(&mut self) -> Buffers<'_> {
        let input = self.input(0);
        let in_place = input.offset == self.output.offset;
        let buffers = self.buffers();
        if !in_place {
            copy(buffers.output, buffers.inputs.read(&input));
        }
        buffers
    }
}

impl<'a> Inputs<'a> {
    /// The bytes of a tensor that is neither in the output nor in the scratch region.
    #[inline(never)]
    pub fn read(&self, tensor: &Tensor) -> &'a [u8] {
        let range = tensor.range();
        let part = |&(start, bytes): &(usize, &'a [u8])| bytes.get(range.start.checked_sub(start)?..)?.get(..range.len());
        self.parts.iter().find_map(part).unwrap_or_default()
    }

    /// As [`read`](Self::read), as int8.
    pub fn read_i8(&self, tensor: &Tensor) -> &'a [i8] {
        as_i8(self.read(tensor))
    }

    /// As [`read`](Self::read), as f32.
    pub fn read_f32(&self, tensor: &Tensor) -> &'a [f32] {
        as_f32(self.read(tensor))
    }
}

/// Copies one slice to another of the same length; slices of other lengths stay as they are.
#[inline(never)] // Inlined, each copy would bring a loop of its own.
pub(crate) fn copy<T: Copy>(to: &mut [T], from: &[T]) {
    if to.len() == from.len() {
        to.copy_from_slice(from);
    }
}

/// Bytes as int8.
pub(crate) fn as_i8(bytes: &[u8]) -> &[i8] {
    bytemuck::try_cast_slice(bytes).unwrap_or_default()
}

/// Bytes as int8.
pub(crate) fn as_i8_mut(bytes: &mut [u8]) -> &mut [i8] {
    bytemuck::try_cast_slice_mut(bytes).unwrap_or_default()
}

/// Bytes as f32; they lie at a multiple of 4, by the check of tensors and constants.
pub(crate) fn as_f32(bytes: &[u8]) -> &[f32] {
    bytemuck::try_cast_slice(bytes).unwrap_or_default()
}

/// Bytes as f32; they lie at a multiple of 4, by the check of tensors.
pub(crate) fn as_f32_mut(bytes: &mut [u8]) -> &mut [f32] {
    bytemuck::try_cast_slice_mut(bytes).unwrap_or_default()
}
