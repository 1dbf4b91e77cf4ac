//! Files that are sound but for one rule of one op.

use crate::examples;
use samara_runtime::{
    ALL_OPS, LengthGroup, LoadError, Model, NodeFault, Tensor,
    arena::AlignedBuffer,
    format::writer::{ModelFile, decode_parameters, encode_parameters},
};
use serde::{Serialize, de::DeserializeOwned};

/// A file whose tensors and scratch regions have room for any size, so that no other check comes before an op's.
pub fn roomy(mut file: ModelFile) -> ModelFile {
    let place = |number: usize| (number as u32 + 1) << 28;
    file.tensors.iter_mut().enumerate().for_each(|(number, tensor)| tensor.offset = place(number));
    for node in file.nodes.iter_mut().filter(|node| node.scratch_bytes > 0) {
        node.scratch_offset = place(file.tensors.len());
    }
    file.arena_bytes = u32::MAX;
    file
}

/// What the runtime says of a file.
///
/// # Errors
/// What it refuses the file for.
pub fn parse(file: &ModelFile) -> Result<(), LoadError> {
    Model::parse(AlignedBuffer::copy_of(&file.to_bytes()).as_slice(), ALL_OPS).map(drop)
}

/// The words of a list.
pub fn words(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.split(' ')
}

/// The example of that name, with room.
///
/// # Panics
/// If there is none.
pub fn example(name: &str) -> ModelFile {
    let all = examples::all().into_iter().find(|example| example.name == name);
    roomy(all.unwrap_or_else(|| panic!("no op has an example {name}")).file)
}

/// A sound file, to see what its node 0 is refused for after a change.
#[derive(Debug, Clone)]
pub struct Base {
    /// The example's name.
    pub name: &'static str,
    /// The file.
    pub file: ModelFile,
}

impl Base {
    /// The example of that name, with room.
    ///
    /// # Panics
    /// If there is none, or the runtime refuses it.
    pub fn new(name: &'static str) -> Self {
        Self::of(name, example(name))
    }

    /// This file.
    ///
    /// # Panics
    /// If the runtime refuses it.
    pub fn of(name: &'static str, file: ModelFile) -> Self {
        assert_eq!(parse(&file), Ok(()), "{name} as it is");
        Self { name, file }
    }

    /// After the change, it is refused for this.
    ///
    /// # Panics
    /// If it is not, or for something else.
    pub fn refused(&self, fault: NodeFault, what: &str, change: impl FnOnce(&mut ModelFile)) -> &Self {
        let mut file = self.file.clone();
        change(&mut file);
        assert_eq!(parse(&file), Err(LoadError::Node { node: 0, fault }), "{}: {what}", self.name);
        self
    }

    /// As [`refused`](Self::refused), its parameters changed.
    ///
    /// # Panics
    /// As [`refused`](Self::refused), or if it has others.
    pub fn with<P: Serialize + DeserializeOwned>(&self, fault: NodeFault, what: &str, change: impl FnOnce(&mut P)) -> &Self {
        self.refused(fault, what, |file| {
            let (mut parameters, _) = decode_parameters::<P>(&file.nodes[0].parameters).expect("the op's parameters");
            change(&mut parameters);
            file.nodes[0].parameters = encode_parameters(&parameters);
        })
    }

    /// As [`refused`](Self::refused), a tensor having another shape.
    ///
    /// # Panics
    /// As [`refused`](Self::refused).
    pub fn shaped(&self, fault: NodeFault, what: &str, tensor: Port, shape: &[u32]) -> &Self {
        self.refused(fault, what, |file| reshape(file, tensor, shape))
    }
}

/// A tensor of node 0: one of its inputs, or the output.
#[derive(Debug, Clone, Copy)]
pub enum Port {
    /// The input of that number.
    In(usize),
    /// The output.
    Out,
}

/// The tensor's record.
pub fn tensor(file: &mut ModelFile, port: Port) -> &mut Tensor {
    let node = &file.nodes[0];
    let index = match port {
        Port::In(number) => node.inputs[number],
        Port::Out => node.output,
    };
    &mut file.tensors[index as usize]
}

/// Gives a tensor another shape.
pub fn reshape(file: &mut ModelFile, port: Port, shape: &[u32]) {
    let tensor = tensor(file, port);
    tensor.dimensions = [1; 4];
    tensor.dimensions[..shape.len()].copy_from_slice(shape);
    tensor.rank = shape.len() as u8;
}

/// Makes a tensor's first dimension a length that may be set.
pub fn of_a_length(file: &mut ModelFile, port: Port) {
    let own = LengthGroup::own(tensor(file, port).dimensions[0]);
    file.length_groups.push(own);
    tensor(file, port).length_group = file.length_groups.len() as u8;
}
