//! A session: a model, the arena it works in, and how far its run is.

use crate::{
    error::{InputError, LoadError},
    format::{ALIGNMENT, header::u32_at, node::Node, view::View},
    model::Model,
    op::{NodeRun, fill},
    quant,
    tensor::{ElementType, LengthGroup, Tensor},
};

/// Runs a model in an arena.
///
/// # Order of things
/// 1. Write every input: inputs and intermediate tensors share the arena, so a run overwrites the inputs of the last one.
/// 2. Run: [`run`](Self::run) to the end, or in steps by [`run_until`](Self::run_until) and [`run_for`](Self::run_for), which go on
///    where the last one stopped. A run that is at its end begins again.
/// 3. Read the outputs. They are there from the end of a run until an input is written.
///
/// While a run is under way, inputs cannot be written ([`InputError::Running`]) and outputs are `None`;
/// [`tensors`](Self::tensors) shows what has been computed. [`abandon`](Self::abandon) forgets the run.
///
/// # Ownership
/// A model is a handful of slices and is copied in, so a session of a static file and a static arena is `'static` and fits
/// into a static cell, a task, or a struct of its own:
///
/// ```
/// use samara_runtime::{Arena, LoadError, Model, OpDef, Session, arena_bytes, include_model, op_count, select_ops};
///
/// static MODEL: &[u8] = include_model!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/v1.samara"));
/// static OPS: [&OpDef; op_count(MODEL)] = select_ops(MODEL);
///
/// fn start(arena: &'static mut Arena<{ arena_bytes(MODEL) }>) -> Result<Session<'static>, LoadError> {
///     Session::new(Model::parse(MODEL, &OPS)?, arena.as_mut_slice()) // the parsed model needs no cell
/// }
///
/// # let arena = Box::leak(Box::new(Arena::for_model(MODEL))); // in firmware: a `ConstStaticCell`
/// let session: Session<'static> = start(arena)?;
/// # assert_eq!(session.model().bytes(), MODEL);
/// # Ok::<(), LoadError>(())
/// ```
///
/// # State
/// What nodes remember from run to run lies at the arena's start: [`state`](Self::state) saves it, [`set_state`](Self::set_state)
/// restores it, each a copy of [`Model::state_bytes`]. So one session serves many streams.
#[derive(Debug)]
pub struct Session<'a> {
    model: Model<'a>,
    arena: &'a mut [u8],
    /// The node that runs next; their number at the end of a run.
    next: u16,
}

/// The tensors of a session as they lie in the arena now. A tensor is there from the node that writes it to the last one
/// that reads it; before and after, others may lie on its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Tensors<'a> {
    view: &'a View<'a>,
    arena: &'a [u8],
}

impl<'a> Tensors<'a> {
    /// The tensor of that index, as long as it is now, and its bytes. One that the model does not have is empty.
    pub fn get(&self, index: u32) -> (Tensor, &'a [u8]) {
        let tensor = self.view.tensor_now(index, self.arena);
        (tensor, self.arena.get(tensor.range()).unwrap_or_default())
    }

    /// The tensor of that index as real numbers, dequantized if it is int8 or int16.
    pub fn values(&self, index: u32) -> impl Iterator<Item = f32> + use<'a> {
        let (tensor, bytes) = self.get(index);
        bytes.chunks_exact(tensor.element_type.bytes()).map(move |element| match *element {
            [a, b, c, d] if tensor.element_type == ElementType::I32 => i32::from_le_bytes([a, b, c, d]) as f32,
            [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
            [q] => quant::dequantize(q as i8, tensor.scale, tensor.zero_point),
            [a, b] => quant::dequantize_i16(i16::from_le_bytes([a, b]), tensor.scale),
            _ => 0.0,
        })
    }
}

impl<'a> Session<'a> {
    /// Takes a checked model and an arena of at least [`Model::arena_bytes`] at a multiple of 16. The state is reset, lengths
    /// are the largest.
    ///
    /// # Errors
    /// [`LoadError::ArenaTooSmall`] and [`LoadError::ArenaMisaligned`].
    pub fn new(model: Model<'a>, arena: &'a mut [u8]) -> Result<Self, LoadError> {
        if !arena.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return Err(LoadError::ArenaMisaligned);
        }
        let found = arena.len() as u32;
        let Some(arena) = arena.get_mut(..model.arena_bytes()) else {
            return Err(LoadError::ArenaTooSmall { required: model.arena_bytes() as u32, found });
        };
        let mut session = Self { model, arena, next: 0 };
        session.reset();
        Ok(session)
    }

    /// Makes the session as new: resets the state, sets all lengths to the largest, and forgets a run that is under way.
    pub fn reset(&mut self) {
        self.forget(self.model.view.reserved_bytes());
    }

    /// The model.
    pub const fn model(&self) -> &Model<'a> {
        &self.model
    }

    /// The tensors as they lie in the arena now.
    pub fn tensors(&self) -> Tensors<'_> {
        Tensors { view: &self.model.view, arena: self.arena }
    }

    fn is_under_way(&self) -> bool {
        self.next > 0 && self.next < self.model.view.node_count()
    }

    /// Refuses what may not happen while a run is under way.
    fn begin_inputs(&mut self) -> Result<(), InputError> {
        if self.is_under_way() {
            return Err(InputError::Running);
        }
        self.next = 0;
        Ok(())
    }

    fn input(&mut self, index: usize) -> Result<(Tensor, &mut [u8]), InputError> {
        let tensor = self.model.input(index).ok_or(InputError::NoSuchInput { index })?;
        self.begin_inputs()?;
        let tensor = self.model.view.tensor_now(tensor, self.arena);
        Ok((tensor, self.arena.get_mut(tensor.range()).unwrap_or_default()))
    }

    /// The bytes of an input, to be filled in place.
    ///
    /// # Errors
    /// [`InputError::NoSuchInput`] and [`InputError::Running`].
    pub fn input_bytes_mut(&mut self, index: usize) -> Result<&mut [u8], InputError> {
        self.input(index).map(|(_, bytes)| bytes)
    }

    /// Writes a quantized input.
    ///
    /// # Errors
    /// If the model has no such input, or it is not int8, or has another number of elements, or a run is under way.
    pub fn write_i8(&mut self, index: usize, values: &[i8]) -> Result<(), InputError> {
        let (tensor, bytes) = self.input(index)?;
        if tensor.element_type != ElementType::I8 {
            return Err(InputError::ElementType);
        }
        if values.len() != bytes.len() {
            return Err(InputError::Length { expected: bytes.len(), found: values.len() });
        }
        bytes.iter_mut().zip(values).for_each(|(byte, &value)| *byte = value as u8);
        Ok(())
    }

    /// Writes an input of integers: tokens.
    ///
    /// # Errors
    /// If the model has no such input, or it is not i32, or has another number of elements, or a run is under way.
    pub fn write_i32(&mut self, index: usize, values: &[i32]) -> Result<(), InputError> {
        let (tensor, bytes) = self.input(index)?;
        if tensor.element_type != ElementType::I32 {
            return Err(InputError::ElementType);
        }
        if values.len() != tensor.elements() {
            return Err(InputError::Length { expected: tensor.elements(), found: values.len() });
        }
        bytes.chunks_exact_mut(4).zip(values).for_each(|(four, value)| four.copy_from_slice(&value.to_le_bytes()));
        Ok(())
    }

    /// Writes real values to an input, quantizing them if it is int8 or int16. One of integers takes integers.
    ///
    /// # Errors
    /// If the model has no such input, or it has another number of elements, or a value is NaN or infinite, or no integer where
    /// one is wanted, or a run is under way.
    pub fn write_f32(&mut self, index: usize, values: &[f32]) -> Result<(), InputError> {
        let (tensor, bytes) = self.input(index)?;
        if values.len() != tensor.elements() {
            return Err(InputError::Length { expected: tensor.elements(), found: values.len() });
        }
        if let Some(position) = values.iter().position(|value| !value.is_finite()) {
            return Err(InputError::NotFinite { position });
        }
        match tensor.element_type {
            ElementType::F32 => {
                bytes.chunks_exact_mut(4).zip(values).for_each(|(four, value)| four.copy_from_slice(&value.to_le_bytes()));
            }
            ElementType::I8 => {
                bytes
                    .iter_mut()
                    .zip(values)
                    .for_each(|(byte, &value)| *byte = quant::quantize(value, tensor.scale, tensor.zero_point) as u8);
            }
            ElementType::I16 => {
                bytes
                    .chunks_exact_mut(2)
                    .zip(values)
                    .for_each(|(two, &value)| two.copy_from_slice(&quant::quantize_i16(value, tensor.scale).to_le_bytes()));
            }
            ElementType::I32 => {
                if let Some(position) = values.iter().position(|&value| value as i32 as f32 != value) {
                    return Err(InputError::NotInteger { position });
                }
                bytes
                    .chunks_exact_mut(4)
                    .zip(values)
                    .for_each(|(four, &value)| four.copy_from_slice(&(value as i32).to_le_bytes()));
            }
        }
        Ok(())
    }

    /// Runs the nodes from the next one on, while `go_on` says so of the node that comes; after each, `observe` sees the
    /// tensors. Returns whether the run is at its end.
    #[inline]
    fn advance(&mut self, mut go_on: impl FnMut(u16, &Node<'a>) -> bool, mut observe: impl FnMut(usize, &Tensors<'_>)) -> bool {
        if self.next >= self.model.view.node_count() {
            self.next = 0;
        }
        for node in self.model.view.nodes_from(self.next) {
            if !go_on(self.next, &node) {
                return false;
            }
            if let Some(op) = self.model.op(node.code) {
                (op.run)(&mut NodeRun::new(&self.model.view, &node, self.arena));
            }
            observe(usize::from(self.next), &self.tensors());
            self.next += 1;
        }
        true
    }

    /// Runs the model to its end. Nothing can go wrong: everything was checked when the model was parsed.
    pub fn run(&mut self) {
        self.run_observed(|_, _| ());
    }

    /// As [`run`](Self::run), and calls `observe` after each node, with its index and the tensors: to measure, to feed a
    /// watchdog, to look at what a node computed before a later one overwrites it.
    pub fn run_observed(&mut self, observe: impl FnMut(usize, &Tensors<'_>)) {
        self.advance(|_, _| true, observe);
    }

    /// Runs up to the node of that index, which does not run: its inputs are there. `false` if there is no such node in what is
    /// left of the run, which is then at its end.
    pub fn run_until(&mut self, node: u16) -> bool {
        !self.advance(|next, _| next != node, |_, _| ())
    }

    /// Does a bounded amount of work: nodes run as long as their multiply-accumulates, at least one for each element of the
    /// output, add up to at most `macs`; one node in any case. Returns whether the run is at its end, so that
    /// `while !session.run_for(100_000) { yield }` runs the model once.
    ///
    /// Less than [`Model::largest_node_macs`] does not make the steps shorter.
    pub fn run_for(&mut self, macs: u32) -> bool {
        let mut left = Some(macs);
        let model = self.model;
        let spend = |_: u16, node: &Node<'a>| {
            let outputs = model.tensor(node.output).elements() as u32;
            let cost = if node.macs > outputs { node.macs } else { outputs };
            let first = left == Some(macs);
            let rest = left.and_then(|left| left.checked_sub(cost));
            left = rest;
            rest.is_some() || first
        };
        self.advance(spend, |_, _| ())
    }

    /// Forgets a run that is under way: inputs can be written again.
    pub fn abandon(&mut self) {
        self.next = 0;
    }

    /// What the nodes remember from run to run, to be restored by [`set_state`](Self::set_state) into a session of a model with the
    /// same [hash](Model::hash). Save it between runs: while one is under way, some of its nodes have passed on and some have not.
    pub fn state(&self) -> &[u8] {
        self.arena.get(..self.model.state_bytes()).unwrap_or_default()
    }

    /// Restores a saved state. A run that is under way is forgotten.
    ///
    /// # Errors
    /// [`InputError::StateLength`]: it is that of another model.
    pub fn set_state(&mut self, state: &[u8]) -> Result<(), InputError> {
        let (expected, found) = (self.model.state_bytes(), state.len());
        match self.arena.get_mut(..expected) {
            Some(place) if expected == found => place.copy_from_slice(state),
            _ => return Err(InputError::StateLength { expected, found }),
        }
        self.abandon();
        Ok(())
    }

    /// Makes the nodes forget: the state is zeros, as at the start. A run that is under way is forgotten.
    pub fn reset_state(&mut self) {
        self.forget(self.model.state_bytes());
    }

    fn forget(&mut self, bytes: usize) {
        fill(self.arena.get_mut(..bytes).unwrap_or_default(), 0);
        self.abandon();
    }

    /// Sets the length of group `group` (a tensor's [`length_group`](Tensor::length_group)): from the next run on, inputs, outputs
    /// and all between have as many rows as follow from it. It stays until it is set again.
    ///
    /// # Errors
    /// [`InputError::NoSuchGroup`]; [`InputError::SequenceLength`] if it is 0, above the largest, or leaves a window no place;
    /// [`InputError::Running`]. The lengths are then as before.
    pub fn set_length(&mut self, group: u8, length: u32) -> Result<(), InputError> {
        let (view, number) = (self.model.view, u16::from(group));
        let own = view.length_group(number);
        if number == 0 || own.maximum == 0 || own.source != 0 {
            return Err(InputError::NoSuchGroup { group: number });
        }
        self.begin_inputs()?;
        if !(1..=own.maximum).contains(&length) {
            return Err(InputError::SequenceLength { maximum: own.maximum, found: length });
        }
        let before = self.length_now(number, &own);
        self.store_length(number, &own, length);
        if self.derive_lengths().is_none() {
            self.store_length(number, &own, before);
            self.derive_lengths();
            return Err(InputError::SequenceLength { maximum: own.maximum, found: length });
        }
        Ok(())
    }

    /// The arena behind states and lengths. A run that is under way is forgotten.
    #[cfg(feature = "train")]
    pub(crate) fn forget_tensors(&mut self) -> &mut [u8] {
        self.abandon();
        self.arena.get_mut(self.model.view.reserved_bytes()..).unwrap_or_default()
    }

    /// The present length of a group.
    pub fn length(&self, group: u8) -> Option<u32> {
        let number = group.into();
        self.model.length_group(number).map(|group| self.length_now(number, &group))
    }

    /// Computes the lengths that follow from others. `None` if one were less than 1.
    fn derive_lengths(&mut self) -> Option<()> {
        let view = self.model.view;
        for number in 1..=view.length_group_count() {
            let group = view.length_group(number);
            if group.source != 0 {
                let length = group.derived(self.length_now(group.source, &view.length_group(group.source)))?;
                self.store_length(number, &group, length);
            }
        }
        Some(())
    }

    fn length_now(&self, number: u16, group: &LengthGroup) -> u32 {
        group.maximum.saturating_sub(u32_at(self.arena, self.model.view.shorter_at(number)))
    }

    fn store_length(&mut self, number: u16, group: &LengthGroup, length: u32) {
        let place = self.arena.get_mut(self.model.view.shorter_at(number)..).and_then(<[u8]>::first_chunk_mut);
        if let Some(place) = place {
            *place = group.maximum.saturating_sub(length).to_le_bytes();
        }
    }

    /// Tensor and bytes of an output of the run that is at its end; `None` while a run is under way, or before one.
    pub fn output(&self, index: usize) -> Option<(Tensor, &[u8])> {
        self.output_index(index).map(|tensor| self.tensors().get(tensor))
    }

    fn output_index(&self, index: usize) -> Option<u32> {
        if self.next < self.model.view.node_count() { None } else { self.model.output(index) }
    }

    /// The bytes of an output, as [`output`](Self::output).
    pub fn output_bytes(&self, index: usize) -> Option<&[u8]> {
        self.output(index).map(|(_, bytes)| bytes)
    }

    /// An int8 output, as [`output`](Self::output).
    pub fn output_i8(&self, index: usize) -> Option<&[i8]> {
        let (tensor, bytes) = self.output(index)?;
        (tensor.element_type == ElementType::I8).then_some(bytemuck::cast_slice(bytes))
    }

    /// An output as real numbers, dequantized if it is int8 or int16, as [`output`](Self::output).
    pub fn output_f32(&self, index: usize) -> Option<impl Iterator<Item = f32> + '_> {
        self.output_index(index).map(|tensor| self.tensors().values(tensor))
    }
}
