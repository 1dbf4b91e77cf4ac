//! What an op is, and what it sees of its node: when the file is checked, and when it runs. The ops themselves are in
//! [`ops`](crate::ops).

use crate::{
    error::NodeFault,
    format::{ALIGNMENT, cursor::Cursor, node::Node, view::View},
    tensor::{ElementType, Tensor},
};
use core::{mem, ops::Range};

/// Where a node's output may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Alias {
    /// The output shares no byte with an input.
    Disjoint,
    /// The output may also be exactly the bytes of one of the inputs up to this one, from 0 on.
    InPlace(u8),
    /// The output may overlap the first input: the op reads and writes in one direction, and reads what it writes over before.
    Overlap {
        /// The direction.
        order: Order,
        /// In order forward, the output ends at most so many bytes behind the input's first byte. Backward, the input ends
        /// at most so many bytes behind the output's first byte.
        bytes: usize,
    },
}

/// The direction in which an op goes through its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Order {
    /// From the first byte to the last: for outputs that are not larger than the input.
    Forward,
    /// From the last byte to the first.
    Backward,
}

impl Alias {
    /// Whether the output may share bytes with input `number`, lying as they do.
    pub fn allows(self, number: usize, input: &Range<usize>, output: &Range<usize>) -> bool {
        match self {
            Self::Disjoint => false,
            Self::InPlace(last) => number <= usize::from(last) && input == output,
            Self::Overlap { order, bytes } => {
                let (lower, upper) = if order == Order::Forward { (output, input) } else { (input, output) };
                number == 0 && lower.end <= upper.start.saturating_add(bytes)
            }
        }
    }
}

/// The class of a node by its first input, its output and its parameters. The memory plan and the check both ask it; the
/// parameters may be anything.
pub type AliasOf = fn(&Tensor, &Tensor, Cursor<'_>) -> Alias;

/// [`Alias::Disjoint`], always.
pub fn disjoint(_: &Tensor, _: &Tensor, _: Cursor<'_>) -> Alias {
    Alias::Disjoint
}

/// [`Alias::InPlace`] on the first input, always.
pub fn in_place(_: &Tensor, _: &Tensor, _: Cursor<'_>) -> Alias {
    Alias::InPlace(0)
}

/// [`Alias::InPlace`] on the first or the second input, always.
pub fn in_place_either(_: &Tensor, _: &Tensor, _: Cursor<'_>) -> Alias {
    Alias::InPlace(1)
}

/// What an op makes of tensors whose first dimension is a length that may be set from run to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Lengths {
    /// It takes none.
    Refused,
    /// Each row of the first dimension for itself: the output has the length of the inputs; an input without rows, whose
    /// first dimension is 1, serves all of them.
    Rows,
    /// The op's check says, by [`NodeCheck::rows`], [`NodeCheck::steps`] or [`NodeCheck::fixed_length`].
    Checked,
}

/// What the runtime knows of an op with one element type.
#[derive(Debug)]
pub struct OpDef {
    /// Its number in model files, 1 to 127. Never used twice.
    pub code: u8,
    /// Its name, for people.
    pub name: &'static str,
    /// Where its output may lie.
    pub alias: AliasOf,
    /// What it makes of lengths.
    pub lengths: Lengths,
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
    /// Whether no tensor has a length that may be set.
    is_fixed: bool,
    /// Whether each input has the output's length, or one row that serves all.
    has_rows: bool,
}

impl<'a> NodeCheck<'a> {
    pub(crate) fn new(view: &'a View<'a>, node: &'a Node<'a>, op: &OpDef) -> Result<Self, NodeFault> {
        let tensors = view.tensor_count() as u32;
        ensure(node.output < tensors, NodeFault::Record)?;
        let output = view.tensor(node.output);
        let scratch = node.scratch_offset..node.scratch_offset.wrapping_add(node.scratch_bytes);
        if !scratch.start.is_multiple_of(ALIGNMENT)
            || scratch.end < scratch.start
            || scratch.end > view.arena_bytes()
            || (!scratch.is_empty() && scratch.start < view.reserved_bytes())
            || overlap(&output.range(), &scratch)
        {
            return Err(NodeFault::Scratch);
        }
        let group = output.length_group;
        let mut check = Self { view, node, output, is_fixed: group == 0, has_rows: true };
        let (mut alias, mut shares) = (Alias::Disjoint, false);
        for (number, input) in node.inputs().enumerate() {
            ensure(input < tensors, NodeFault::Record)?;
            let input = view.tensor(input);
            if number == 0 {
                alias = (op.alias)(&input, &output, node.parameters.clone());
            }
            check.is_fixed &= input.length_group == 0;
            check.has_rows &= input.length_group == group || (input.length_group == 0 && input.dimensions[0] == 1);
            let (input, output) = (input.range(), output.range());
            if overlap(&input, &scratch) {
                return Err(NodeFault::Scratch);
            }
            if overlap(&input, &output) {
                // One input at most: what is read of another one would be overwritten.
                if shares || !alias.allows(number, &input, &output) {
                    return Err(NodeFault::Alias);
                }
                shares = true;
            }
        }
        match op.lengths {
            Lengths::Refused => check.fixed_length()?,
            Lengths::Rows => check.rows()?,
            Lengths::Checked => {}
        }
        Ok(check)
    }

    /// Whether no tensor has a length that may be set.
    pub const fn is_fixed(&self) -> bool {
        self.is_fixed
    }

    /// Refuses tensors whose length may be set.
    pub fn fixed_length(&self) -> Result<(), NodeFault> {
        ensure(self.is_fixed, NodeFault::Length)
    }

    /// Refuses lengths that an op which takes each row for itself cannot follow.
    pub fn rows(&self) -> Result<(), NodeFault> {
        ensure(self.has_rows, NodeFault::Length)
    }

    /// How the output's length follows from the only input's, as `(n + add) / stride`: `(0, 1)` if both are one group. `None` if
    /// the input has no length, or the output another.
    #[inline(never)]
    pub fn steps(&self, input: &Tensor) -> Option<(i32, u16)> {
        let (from, to) = (u16::from(input.length_group), u16::from(self.output.length_group));
        let group = self.view.length_group(to);
        match (from, to) {
            (0, _) | (_, 0) => None,
            (from, to) if from == to => Some((0, 1)),
            (from, _) => (group.source == from).then_some((group.add, group.stride)),
        }
    }

    /// The inputs, exactly `COUNT`, all of them and the output being of `element_type`.
    #[inline]
    pub fn inputs<const COUNT: usize>(&self, element_type: ElementType) -> Result<[Tensor; COUNT], NodeFault> {
        let mut inputs = [self.output; COUNT];
        self.read_inputs(element_type, &mut inputs)?;
        Ok(inputs)
    }

    #[inline(never)] // One for all counts.
    fn read_inputs(&self, element_type: ElementType, inputs: &mut [Tensor]) -> Result<(), NodeFault> {
        if self.node.input_count != inputs.len() {
            return Err(NodeFault::InputCount);
        }
        let mut types_fit = self.output.element_type == element_type;
        for (place, input) in inputs.iter_mut().zip(self.all_inputs()) {
            types_fit &= input.element_type == element_type;
            *place = input;
        }
        ensure(types_fit, NodeFault::ElementType)
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
        self.view.constants(offset, bytes).ok_or(NodeFault::Constants)
    }

    /// Refuses a scratch region of less than `bytes`.
    pub fn scratch(&self, bytes: usize) -> Result<(), NodeFault> {
        ensure(self.node.scratch_bytes >= bytes, NodeFault::Scratch)
    }

    /// Refuses a state region of less than `bytes`.
    pub fn state(&self, bytes: usize) -> Result<(), NodeFault> {
        ensure(self.node.state_bytes >= bytes, NodeFault::State)
    }
}

/// Whether two ranges share an element.
pub(crate) fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
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

/// The arena, cut at a node's output, scratch and state region: these can be written, the rest can be read.
#[derive(Debug)]
pub struct Buffers<'a> {
    /// The output's bytes.
    pub output: &'a mut [u8],
    /// The scratch region, at a multiple of 16. What is in it before is of no meaning.
    pub scratch: &'a mut [u8],
    /// The state region, at a multiple of 16: what the node left there in the run before; zeros in the first.
    pub state: &'a mut [u8],
    /// Everything else.
    pub inputs: Inputs<'a>,
}

/// A first input and an output that may overlap: bytes are read before what is written reaches them.
#[derive(Debug)]
pub struct Overlapping<'a> {
    before: &'a mut [u8],
    behind: &'a mut [u8],
    /// Whether it lies behind the scratch region, and where there.
    input: (bool, usize),
    output: (bool, usize),
}

impl Overlapping<'_> {
    /// `bytes` of the input from byte `at` on.
    #[inline]
    pub fn input_i8(&self, at: usize, bytes: usize) -> &[i8] {
        let (behind, start) = self.input;
        let part = if behind { &*self.behind } else { &*self.before };
        as_i8(part.get(start + at..start + at + bytes).unwrap_or_default())
    }

    /// `bytes` of the output from byte `at` on.
    #[inline]
    pub fn output_i8(&mut self, at: usize, bytes: usize) -> &mut [i8] {
        let (behind, start) = self.output;
        let part = if behind { &mut *self.behind } else { &mut *self.before };
        as_i8_mut(part.get_mut(start + at..start + at + bytes).unwrap_or_default())
    }

    /// `count` int16 elements of the input from element `at` on.
    pub fn input_i16(&self, at: usize, count: usize) -> &[i16] {
        bytemuck::try_cast_slice(self.input_i8(2 * at, 2 * count)).unwrap_or_default()
    }

    /// `count` int16 elements of the output from element `at` on.
    pub fn output_i16(&mut self, at: usize, count: usize) -> &mut [i16] {
        bytemuck::try_cast_slice_mut(self.output_i8(2 * at, 2 * count)).unwrap_or_default()
    }
}

/// What a running node can read: the arena but for its output and scratch region.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    parts: [(usize, &'a [u8]); 3],
}

impl<'a> NodeRun<'a> {
    pub(crate) fn new(view: &'a View<'a>, node: &'a Node<'a>, arena: &'a mut [u8]) -> Self {
        let output = view.tensor_now(node.output, arena);
        Self { view, node, arena, output }
    }

    /// The node's parameters.
    pub fn parameters(&self) -> Cursor<'a> {
        self.node.parameters.clone()
    }

    /// Input `number`.
    #[inline(never)]
    pub fn input(&self, number: usize) -> Tensor {
        self.node.inputs().nth(number).map_or(self.output, |input| self.view.tensor_now(input, &*self.arena))
    }

    /// All inputs, in their largest length.
    pub fn inputs(&self) -> impl Iterator<Item = Tensor> + use<'a> {
        let view = self.view;
        self.node.inputs().map(move |input| view.tensor(input))
    }

    /// `bytes` constants at `offset`.
    pub fn constants(&self, offset: u32, bytes: usize) -> &'a [u8] {
        self.view.constants(offset, bytes).unwrap_or_default()
    }

    /// Cuts the arena at the output, the scratch region and the state region.
    #[inline(never)] // Called by every op: a copy in each would double the code.
    pub fn buffers(&mut self) -> Buffers<'_> {
        let mut arena = Cut { rest: &mut *self.arena, at: 0 };
        // States come first, before all tensors.
        let (_, state) = arena.part(self.node.state_offset, self.node.state_bytes);
        let output = (self.output.offset as usize, self.output.bytes());
        let scratch = (self.node.scratch_offset, self.node.scratch_bytes);
        // An empty scratch region may start where the output does: it comes first, so that the gaps behind it are right.
        let output_first = output.0 < scratch.0;
        let (first, second) = if output_first { (output, scratch) } else { (scratch, output) };
        let (before, first) = arena.part(first.0, first.1);
        let (between, second) = arena.part(second.0, second.1);
        let (output, scratch) = if output_first { (first, second) } else { (second, first) };
        Buffers { output, scratch, state, inputs: Inputs { parts: [before, between, (arena.at, arena.rest)] } }
    }

    /// For ops of the class [`Alias::Overlap`]: the scratch region, and the tensors that may overlap.
    #[inline(never)]
    pub fn overlapping(&mut self) -> (&mut [u8], Overlapping<'_>) {
        let (input, output) = (self.input(0).offset as usize, self.output.offset as usize);
        let (start, bytes) = (self.node.scratch_offset, self.node.scratch_bytes);
        let (before, tail) = self.arena.split_at_mut_checked(start).unwrap_or_default();
        let (scratch, behind) = tail.split_at_mut_checked(bytes).unwrap_or_default();
        // No tensor lies on both sides of the scratch region.
        let place =
            |offset: usize| (offset >= start, if offset < start { offset } else { offset.saturating_sub(start + bytes) });
        (scratch, Overlapping { before, behind, input: place(input), output: place(output) })
    }

    /// For ops that work in place on the first input: the buffers, with its bytes already in the output.
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

/// What is left of an arena that is cut from its start on, and where that lies.
struct Cut<'a> {
    rest: &'a mut [u8],
    at: usize,
}

impl<'a> Cut<'a> {
    /// What lies before `start`, and `length` bytes from there on. Regions are asked for in their order; an empty one may lie anywhere.
    #[inline(never)]
    fn part(&mut self, start: usize, length: usize) -> ((usize, &'a [u8]), &'a mut [u8]) {
        let (begin, gap) = (self.at, start.saturating_sub(self.at));
        let (before, tail) = mem::take(&mut self.rest).split_at_mut_checked(gap).unwrap_or_default();
        let (part, rest) = tail.split_at_mut_checked(length).unwrap_or_default();
        (self.rest, self.at) = (rest, begin + gap + length);
        ((begin, before), part)
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

    /// As [`read`](Self::read), as int16.
    pub fn read_i16(&self, tensor: &Tensor) -> &'a [i16] {
        as_i16(self.read(tensor))
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

/// Makes every byte `value`.
#[inline(never)] // One for ops and sessions: zeros of their own would link one more function.
pub(crate) fn fill(to: &mut [u8], value: u8) {
    to.fill(value);
}

/// Bytes as int8.
pub(crate) fn as_i8(bytes: &[u8]) -> &[i8] {
    bytemuck::try_cast_slice(bytes).unwrap_or_default()
}

/// Bytes as int8.
pub(crate) fn as_i8_mut(bytes: &mut [u8]) -> &mut [i8] {
    bytemuck::try_cast_slice_mut(bytes).unwrap_or_default()
}

/// Bytes as int16; they lie at a multiple of 2, by the check of tensors and constants.
pub(crate) fn as_i16(bytes: &[u8]) -> &[i16] {
    bytemuck::try_cast_slice(bytes).unwrap_or_default()
}

/// Bytes as int16; they lie at a multiple of 2, by the check of tensors.
pub(crate) fn as_i16_mut(bytes: &mut [u8]) -> &mut [i16] {
    bytemuck::try_cast_slice_mut(bytes).unwrap_or_default()
}

/// Bytes as f32; they lie at a multiple of 4, by the check of tensors and constants.
pub(crate) fn as_f32(bytes: &[u8]) -> &[f32] {
    bytemuck::try_cast_slice(bytes).unwrap_or_default()
}

/// Bytes as i32; they lie at a multiple of 4, by the check of tensors and constants.
pub(crate) fn as_i32(bytes: &[u8]) -> &[i32] {
    bytemuck::try_cast_slice(bytes).unwrap_or_default()
}

/// Bytes as f32; they lie at a multiple of 4, by the check of tensors.
pub(crate) fn as_f32_mut(bytes: &mut [u8]) -> &mut [f32] {
    bytemuck::try_cast_slice_mut(bytes).unwrap_or_default()
}
