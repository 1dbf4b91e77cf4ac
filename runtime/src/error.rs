//! Errors: small enums with codes. On the device they carry numbers only; with the feature `std` they print sentences.

/// What is wrong with one node of a model file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)]
pub enum NodeFault {
    /// The node's record is cut short, too long, or names a tensor that the model does not have.
    Record = 1,
    /// The op takes another number of inputs.
    InputCount = 2,
    /// An input or the output has an element type that the op does not take.
    ElementType = 3,
    /// The shapes of inputs, output and parameters do not fit together.
    Shape = 4,
    /// A parameter is outside its range.
    Parameter = 5,
    /// A scale, zero point, multiplier or clamp bound is outside its range.
    Quantization = 6,
    /// The constants lie outside the constants' section, or are not aligned.
    Constants = 7,
    /// The scratch region is too small, misaligned, outside the arena, or shares bytes with a tensor of the node.
    Scratch = 8,
    /// The output shares bytes with an input in a way that the op does not allow.
    Alias = 9,
    /// The state region is too small, misaligned, outside the arena's states, or overlaps another node's.
    State = 10,
    /// The tensors' length groups do not go with the op: it mixes rows of a sequence, or what it computes from a shorter
    /// sequence is not the beginning of what it computes from a longer one.
    Length = 11,
    /// It has more multiply-accumulates than the header says of the largest node.
    Work = 12,
}

/// Why bytes were refused as a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LoadError {
    /// Fewer bytes than a header.
    TooShort,
    /// The first four bytes are not `SMRA`.
    Magic,
    /// A format version that this runtime does not read.
    Version {
        /// The version in the file.
        found: u16,
    },
    /// The bytes do not start at a multiple of 16: embed them with [`include_model!`](crate::include_model).
    Misaligned,
    /// The file is shorter or longer than its header says.
    Length {
        /// Bytes that the header promises.
        expected: u32,
        /// Bytes that are there.
        found: u32,
    },
    /// The checksum is wrong: the file was damaged.
    Checksum,
    /// A layout of the constants that this runtime does not read.
    Layout {
        /// The layout in the file.
        found: u16,
    },
    /// The file needs a later runtime.
    Runtime {
        /// The least level that may run it.
        required: u16,
        /// The level of this runtime.
        found: u16,
    },
    /// A section of the file lies outside it, is misaligned, or is not what its count says; or the states do not fit into
    /// the arena.
    Section,
    /// A length group has an unknown source, a bad stride, or another length than its source and tensors give it.
    LengthGroup {
        /// Its number, from 1 on.
        group: u16,
    },
    /// A tensor record has an unknown type, an empty or too large shape, a bad scale, or lies outside the arena.
    Tensor {
        /// Index of the tensor.
        tensor: u16,
    },
    /// A node was refused.
    Node {
        /// Index of the node.
        node: u16,
        /// What is wrong with it.
        fault: NodeFault,
    },
    /// A node uses an op that is not in the table given to [`Model::parse`](crate::Model::parse).
    UnknownOp {
        /// Index of the node.
        node: u16,
        /// Code of the op.
        code: u16,
    },
    /// The list of the model's inputs or outputs is malformed.
    Ports,
    /// The arena has too few bytes.
    ArenaTooSmall {
        /// Bytes that the model needs.
        required: u32,
        /// Bytes that were given.
        found: u32,
    },
    /// The arena does not start at a multiple of 16: use [`Arena`](crate::Arena).
    ArenaMisaligned,
}

impl LoadError {
    /// A number for logs and error counters, stable between versions.
    pub const fn code(&self) -> u8 {
        match self {
            Self::TooShort => 1,
            Self::Magic => 2,
            Self::Version { .. } => 3,
            Self::Misaligned => 4,
            Self::Length { .. } => 5,
            Self::Checksum => 6,
            Self::Layout { .. } => 7,
            Self::Section => 8,
            Self::Tensor { .. } => 9,
            Self::Node { .. } => 10,
            Self::UnknownOp { .. } => 11,
            Self::Ports => 12,
            Self::ArenaTooSmall { .. } => 13,
            Self::ArenaMisaligned => 14,
            Self::Runtime { .. } => 15,
            Self::LengthGroup { .. } => 16,
        }
    }
}

/// Why an input was refused. The model and the arena are as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "link", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum InputError {
    /// The model has no input of that index.
    NoSuchInput {
        /// The index asked for.
        index: usize,
    },
    /// The input has another element type.
    ElementType,
    /// The input has another number of elements.
    Length {
        /// Elements that the input takes.
        expected: usize,
        /// Elements that were given.
        found: usize,
    },
    /// A value is NaN or infinite.
    NotFinite {
        /// Index of the first such value.
        position: usize,
    },
    /// A value given for an input of integers is no integer, or beyond 32 bits.
    NotInteger {
        /// Index of the first such value.
        position: usize,
    },
    /// A run was begun and is not at its end: the inputs' bytes may hold other tensors.
    /// [`Session::abandon`](crate::Session::abandon) forgets it.
    Running,
    /// The model has no length group of that number whose length is set.
    NoSuchGroup {
        /// The number asked for.
        group: u16,
    },
    /// A length is 0, above the largest, or so short that a window finds no place.
    SequenceLength {
        /// The largest.
        maximum: u32,
        /// The length that was given.
        found: u32,
    },
    /// The saved state is of another length.
    StateLength {
        /// Bytes of the model's state.
        expected: usize,
        /// Bytes that were given.
        found: usize,
    },
}

impl InputError {
    /// A number for logs and error counters, stable between versions.
    pub const fn code(&self) -> u8 {
        match self {
            Self::NoSuchInput { .. } => 1,
            Self::ElementType => 2,
            Self::Length { .. } => 3,
            Self::NotFinite { .. } => 4,
            Self::Running => 5,
            Self::NoSuchGroup { .. } => 6,
            Self::SequenceLength { .. } => 7,
            Self::StateLength { .. } => 8,
            Self::NotInteger { .. } => 9,
        }
    }
}

#[cfg(feature = "std")]
mod sentences {
    use super::{InputError, LoadError, NodeFault};
    use core::fmt::{Display, Formatter, Result};

    impl Display for NodeFault {
        fn fmt(&self, f: &mut Formatter<'_>) -> Result {
            f.write_str(match self {
                Self::Record => "its record is malformed or names a tensor that is not there",
                Self::InputCount => "it has a number of inputs that its op does not take",
                Self::ElementType => "a tensor has an element type that its op does not take",
                Self::Shape => "the shapes of its inputs, output and parameters do not fit together",
                Self::Parameter => "a parameter is outside its range",
                Self::Quantization => "a scale, zero point, multiplier or clamp bound is outside its range",
                Self::Constants => "its constants lie outside the constants' section or are not aligned",
                Self::Scratch => "its scratch region is too small, misaligned, outside the arena, or overlaps a tensor",
                Self::Alias => "its output overlaps an input in a way that its op does not allow",
                Self::State => "its state region is too small, misaligned, outside the arena's states, or another node's",
                Self::Length => {
                    "its op cannot follow the length of a sequence: it mixes the sequence's rows, or its padding depends on the length"
                }
                Self::Work => "it has more multiply-accumulates than the header says of the largest node",
            })
        }
    }

    impl Display for LoadError {
        fn fmt(&self, f: &mut Formatter<'_>) -> Result {
            match self {
                Self::TooShort => {
                    write!(f, "the file is shorter than a header ({} bytes)", crate::format::header::LEAST_HEADER_BYTES)
                }
                Self::Magic => f.write_str("the file does not start with SMRA: it is not a Samara model"),
                Self::Version { found } => write!(
                    f,
                    "the file has format version {found}, this runtime reads version {}",
                    crate::format::FORMAT_VERSION
                ),
                Self::Misaligned => f.write_str("the model's bytes do not start at a multiple of 16"),
                Self::Length { expected, found } => {
                    write!(f, "the header promises {expected} bytes, there are {found}: the file was cut or extended")
                }
                Self::Checksum => f.write_str("the checksum is wrong: the file was damaged"),
                Self::Layout { found } => write!(f, "the constants have layout {found}, which this runtime does not read"),
                Self::Runtime { required, found } => {
                    write!(f, "the file needs a runtime of level {required}, this one has level {found}: update the runtime")
                }
                Self::LengthGroup { group } => {
                    write!(f, "length group {group} has a bad source or stride, or another length than its source or a tensor")
                }
                Self::Section => f.write_str("a section lies outside the file, is misaligned, or does not hold what it should"),
                Self::Tensor { tensor } => write!(f, "tensor {tensor} has a bad type, shape, scale or place in the arena"),
                Self::Node { node, fault } => write!(f, "node {node}: {fault}"),
                Self::UnknownOp { node, code } => write!(f, "node {node} uses op {code}, which is not in the table of ops"),
                Self::Ports => f.write_str("the list of inputs or outputs is malformed"),
                Self::ArenaTooSmall { required, found } => {
                    write!(f, "the model needs an arena of {required} bytes, {found} were given")
                }
                Self::ArenaMisaligned => f.write_str("the arena does not start at a multiple of 16"),
            }
        }
    }

    impl Display for InputError {
        fn fmt(&self, f: &mut Formatter<'_>) -> Result {
            match self {
                Self::NoSuchInput { index } => write!(f, "the model has no input {index}"),
                Self::ElementType => f.write_str("the input has another element type"),
                Self::Length { expected, found } => write!(f, "the input takes {expected} elements, {found} were given"),
                Self::NotFinite { position } => write!(f, "the value at position {position} is NaN or infinite"),
                Self::NotInteger { position } => {
                    write!(f, "the value at position {position} is no 32-bit integer, as the input takes")
                }
                Self::Running => f.write_str("a run is under way: finish or abandon it before the inputs change"),
                Self::NoSuchGroup { group } => write!(f, "the model has no length group {group} whose length is set"),
                Self::SequenceLength { maximum, found } => {
                    write!(f, "a length of {found} does not fit: the largest is {maximum}, and every window must find a place")
                }
                Self::StateLength { expected, found } => {
                    write!(f, "the model's state has {expected} bytes, {found} were given")
                }
            }
        }
    }

    impl core::error::Error for LoadError {}
    impl core::error::Error for InputError {}
}
