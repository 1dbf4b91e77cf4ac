//! A session: a model and the arena it works in.

use crate::{
    error::{InputError, LoadError},
    format::ALIGNMENT,
    model::Model,
    op::NodeRun,
    quant,
    tensor::{ElementType, Tensor},
};

/// Runs a model in an arena.
///
/// Inputs and intermediate tensors share the arena, so a run may overwrite the inputs: write them before every run.
#[derive(Debug)]
pub struct Session<'a> {
    model: &'a Model<'a>,
    arena: &'a mut [u8],
}

impl<'a> Session<'a> {
    /// Borrows a checked model and an arena of at least [`Model::arena_bytes`] at a multiple of 16.
    ///
    /// # Errors
    /// [`LoadError::ArenaTooSmall`] and [`LoadError::ArenaMisaligned`].
    pub fn new(model: &'a Model<'a>, arena: &'a mut [u8]) -> Result<Self, LoadError> {
        if !arena.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return Err(LoadError::ArenaMisaligned);
        }
        let found = arena.len() as u32;
        match arena.get_mut(..model.arena_bytes()) {
            Some(arena) => Ok(Self { model, arena }),
            None => Err(LoadError::ArenaTooSmall { required: model.arena_bytes() as u32, found }),
        }
    }

    /// The model.
    pub const fn model(&self) -> &'a Model<'a> {
        self.model
    }

    fn input(&mut self, index: usize) -> Result<(Tensor, &mut [u8]), InputError> {
        let tensor = self.model.input(index).ok_or(InputError::NoSuchInput { index })?;
        let tensor = self.model.tensor(tensor);
        Ok((tensor, self.arena.get_mut(tensor.range()).unwrap_or_default()))
    }

    /// The bytes of an input, to be filled in place.
    ///
    /// # Errors
    /// [`InputError::NoSuchInput`].
    pub fn input_bytes_mut(&mut self, index: usize) -> Result<&mut [u8], InputError> {
        self.input(index).map(|(_, bytes)| bytes)
    }

    /// Writes a quantized input.
    ///
    /// # Errors
    /// If the model has no such input, or it is not int8, or has another number of elements.
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

    /// Writes real values to an input, quantizing them if it is int8.
    ///
    /// # Errors
    /// If the model has no such input, or it has another number of elements, or a value is NaN or infinite.
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
        }
        Ok(())
    }

    /// Runs the model once. Nothing can go wrong: everything was checked when the model was parsed.
    pub fn run(&mut self) {
        self.run_observed(|_| ());
    }

    /// As [`run`](Self::run), and calls `observe` with its index after each node: to measure, to feed a watchdog.
    pub fn run_observed(&mut self, mut observe: impl FnMut(usize)) {
        for (index, node) in self.model.nodes().enumerate() {
            if let Some(op) = self.model.op(node.code) {
                (op.run)(&mut NodeRun::new(&self.model.view, &node, self.arena));
            }
            observe(index);
        }
    }

    /// Tensor and bytes of an output of the last run.
    pub fn output(&self, index: usize) -> Option<(Tensor, &[u8])> {
        self.tensor_bytes(self.model.output(index)?)
    }

    /// The bytes of an output of the last run.
    pub fn output_bytes(&self, index: usize) -> Option<&[u8]> {
        self.output(index).map(|(_, bytes)| bytes)
    }

    /// An int8 output of the last run.
    pub fn output_i8(&self, index: usize) -> Option<&[i8]> {
        let (tensor, bytes) = self.output(index)?;
        (tensor.element_type == ElementType::I8).then_some(bytemuck::cast_slice(bytes))
    }

    /// An output of the last run as real numbers, dequantized if it is int8.
    pub fn output_f32(&self, index: usize) -> Option<impl Iterator<Item = f32> + '_> {
        let (tensor, bytes) = self.output(index)?;
        let size = tensor.element_type.bytes();
        Some(bytes.chunks_exact(size).map(move |element| match *element {
            [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
            [q] => quant::dequantize(q as i8, tensor.scale, tensor.zero_point),
            _ => 0.0,
        }))
    }

    /// Any tensor's bytes as they lie in the arena now. Between nodes, [`run_observed`](Self::run_observed) style, the
    /// output of the node that just ran; later nodes may have overwritten it.
    pub fn tensor_bytes(&self, tensor: u32) -> Option<(Tensor, &[u8])> {
        let tensor = self.model.tensor(tensor);
        Some((tensor, self.arena.get(tensor.range())?))
    }
}
