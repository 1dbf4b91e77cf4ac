//! A file cut into its sections, and what they say: read where they lie.

use super::{
    ALIGNMENT, LAYOUT_PAIRED, crc,
    cursor::Cursor,
    header::{
        FORMAT_VERSION, LEAST_HEADER_BYTES, LENGTH_GROUP_BYTES, MAGIC, RUNTIME_LEVEL, TENSOR_RECORD_BYTES, array, at, late_u32,
        minimum_runtime_and_length_groups, u16_at, u32_at,
    },
    node::Node,
};
use crate::{
    error::LoadError,
    tensor::{ElementType, LengthGroup, Tensor},
};

/// The sections of a file whose header, length and checksum are right. [`Model::parse`](crate::Model::parse) checks what is
/// in them; for indices that the file does not have, the accessors give zeros and empty slices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub bytes: &'a [u8],
    pub nodes: &'a [u8],
    pub ports: &'a [u8],
    tensors: &'a [u8],
    constants: &'a [u8],
    length_groups: &'a [u8],
}

impl<'a> View<'a> {
    /// The file at the start of `bytes`, and what follows it.
    pub fn cut(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), LoadError> {
        if bytes.len() < LEAST_HEADER_BYTES {
            return Err(LoadError::TooShort);
        }
        if !bytes.starts_with(&MAGIC) {
            return Err(LoadError::Magic);
        }
        let version = u16_at(bytes, at::VERSION);
        if version != FORMAT_VERSION {
            return Err(LoadError::Version { found: version });
        }
        if !bytes.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return Err(LoadError::Misaligned);
        }
        let total = u32_at(bytes, at::TOTAL_BYTES);
        let (bytes, rest) = match bytes.split_at_checked(total as usize) {
            Some(halves) if total as usize >= LEAST_HEADER_BYTES => halves,
            _ => return Err(LoadError::Length { expected: total, found: bytes.len() as u32 }),
        };
        if crc::of_file(bytes) != u32_at(bytes, at::CRC) {
            return Err(LoadError::Checksum);
        }
        let (required, group_count) = minimum_runtime_and_length_groups(bytes);
        if required > RUNTIME_LEVEL {
            return Err(LoadError::Runtime { required, found: RUNTIME_LEVEL });
        }
        let layout = u16_at(bytes, at::LAYOUT);
        if layout != LAYOUT_PAIRED {
            return Err(LoadError::Layout { found: layout });
        }
        let header_bytes = usize::from(u16_at(bytes, at::HEADER_BYTES));
        let section = |start: u32, length: usize| {
            if (start as usize) < header_bytes {
                return Err(LoadError::Section);
            }
            bytes.get(start as usize..).and_then(|tail| tail.get(..length)).ok_or(LoadError::Section)
        };
        // What a file need not have: its place does not matter then.
        let optional = |start: usize, length: usize| match length {
            0 => Ok(&[][..]),
            length => section(late_u32(bytes, start), length),
        };
        let stride = usize::from(u16_at(bytes, at::TENSOR_RECORD_BYTES));
        let tensor_count = usize::from(u16_at(bytes, at::TENSOR_COUNT));
        let (constants, group_count) = (u32_at(bytes, at::CONSTANTS_OFFSET), usize::from(group_count));
        if header_bytes < LEAST_HEADER_BYTES
            || stride < TENSOR_RECORD_BYTES
            || !(constants as usize).is_multiple_of(ALIGNMENT)
            || !bytes.len().is_multiple_of(ALIGNMENT)
            || group_count > usize::from(u8::MAX)
        {
            return Err(LoadError::Section);
        }
        let view = Self {
            bytes,
            nodes: section(u32_at(bytes, at::NODES_OFFSET), u32_at(bytes, at::NODES_BYTES) as usize)?,
            ports: section(u32_at(bytes, at::PORTS_OFFSET), u32_at(bytes, at::PORTS_BYTES) as usize)?,
            tensors: section(u32_at(bytes, at::TENSORS_OFFSET), tensor_count * stride)?,
            constants: section(constants, u32_at(bytes, at::CONSTANTS_BYTES) as usize)?,
            length_groups: optional(at::LENGTH_GROUPS_OFFSET, group_count * LENGTH_GROUP_BYTES)?,
        };
        for (offset, length) in [(at::GOLDEN_OFFSET, at::GOLDEN_BYTES), (at::HEADS_OFFSET, at::HEADS_BYTES)] {
            optional(offset, late_u32(bytes, length) as usize)?;
        }
        if !view.state_bytes().is_multiple_of(ALIGNMENT) || view.reserved_bytes() > view.arena_bytes() {
            return Err(LoadError::Section);
        }
        Ok((view, rest))
    }

    pub const fn arena_bytes(&self) -> usize {
        u32_at(self.bytes, at::ARENA_BYTES) as usize
    }

    /// Bytes of state, at the arena's start.
    pub const fn state_bytes(&self) -> usize {
        late_u32(self.bytes, at::STATE_BYTES) as usize
    }

    /// Bytes at the arena's start that hold no tensor: the state, then the present length of each group as u32.
    pub const fn reserved_bytes(&self) -> usize {
        self.state_bytes().saturating_add(4 * self.length_group_count() as usize)
    }

    pub const fn length_group_count(&self) -> u16 {
        minimum_runtime_and_length_groups(self.bytes).1
    }

    pub const fn tensor_count(&self) -> usize {
        u16_at(self.bytes, at::TENSOR_COUNT) as usize
    }

    pub const fn node_count(&self) -> u16 {
        u16_at(self.bytes, at::NODE_COUNT)
    }

    /// The nodes from number `first` on, in the order in which they run.
    pub fn nodes_from(&self, first: u16) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let mut records = Cursor::new(self.nodes);
        for _ in 0..first {
            records.bytes();
        }
        (first..self.node_count()).map(move |_| Node::decode(records.bytes()).0)
    }

    /// The record of a tensor, and what follows it.
    pub fn tensor_record(&self, index: u32) -> &'a [u8] {
        let stride = usize::from(u16_at(self.bytes, at::TENSOR_RECORD_BYTES));
        self.tensors.get((index as usize).wrapping_mul(stride)..).unwrap_or_default()
    }

    #[inline(never)] // Called by every check and every op.
    pub fn tensor(&self, index: u32) -> Tensor {
        let record = self.tensor_record(index);
        let [element_type, rank, zero_point, length_group] = array(record, 0);
        Tensor {
            element_type: ElementType::of_code(element_type),
            rank,
            zero_point: zero_point as i8,
            dimensions: [u32_at(record, 4), u32_at(record, 8), u32_at(record, 12), u32_at(record, 16)],
            scale: f32::from_bits(u32_at(record, 20)),
            offset: u32_at(record, 24),
            length_group,
        }
    }

    /// The tensor as long as its group is now.
    #[inline(never)]
    pub fn tensor_now(&self, index: u32, arena: &[u8]) -> Tensor {
        let mut tensor = self.tensor(index);
        if tensor.length_group > 0 {
            tensor.dimensions[0] = u32_at(arena, self.length_at(tensor.length_group.into()));
        }
        tensor
    }

    /// Where in the arena the present length of group `number`, from 1 on, lies.
    pub const fn length_at(&self, number: u16) -> usize {
        self.state_bytes() + 4 * (number as usize).saturating_sub(1)
    }

    /// Length group `number`, from 1 on; one of length 0 if there is no such group.
    #[inline(never)]
    pub fn length_group(&self, number: u16) -> LengthGroup {
        let record = self.length_groups.get(usize::from(number.wrapping_sub(1)) * LENGTH_GROUP_BYTES..).unwrap_or_default();
        length_group(record)
    }

    /// The section of golden samples.
    pub fn golden(&self) -> &'a [u8] {
        let (start, length) = (late_u32(self.bytes, at::GOLDEN_OFFSET), late_u32(self.bytes, at::GOLDEN_BYTES));
        self.bytes.get(start as usize..).and_then(|tail| tail.get(..length as usize)).unwrap_or_default()
    }

    /// Tensor index of port `number` of the inputs (`list` 0) or the outputs (`list` 1).
    pub fn port(&self, list: usize, number: usize) -> Option<u32> {
        let mut cursor = Cursor::new(self.ports);
        let mut count = cursor.usize();
        for _ in 0..list {
            for _ in 0..count {
                cursor.u32();
            }
            count = cursor.usize();
        }
        (0..count).map(|_| cursor.u32()).nth(number)
    }

    /// Bytes `offset..` of the constants; none past the end.
    #[inline]
    pub fn constants(&self, offset: usize) -> &'a [u8] {
        self.constants.get(offset..).unwrap_or_default()
    }
}

/// The group that a record of [`LENGTH_GROUP_BYTES`] describes.
pub(crate) fn length_group(record: &[u8]) -> LengthGroup {
    LengthGroup {
        source: u16_at(record, 0),
        stride: u16_at(record, 2),
        add: u32_at(record, 4) as i32,
        maximum: u32_at(record, 8),
    }
}
