//! A file cut into its sections, and what they say: read where they lie.

use super::{
    ALIGNMENT, LAYOUT_PAIRED,
    crc::crc32,
    cursor::Cursor,
    header::{FORMAT_VERSION, HEADER_BYTES, MAGIC, TENSOR_RECORD_BYTES, array, at, u16_at, u32_at},
    node::Node,
};
use crate::{
    error::LoadError,
    tensor::{ElementType, Tensor},
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
}

impl<'a> View<'a> {
    /// The file at the start of `bytes`, and what follows it.
    pub fn cut(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), LoadError> {
        if bytes.len() < HEADER_BYTES {
            return Err(LoadError::TooShort);
        }
        if !bytes.starts_with(&MAGIC) {
            return Err(LoadError::Magic);
        }
        let version = u16_at(bytes, at::VERSION);
        if version != FORMAT_VERSION || usize::from(u16_at(bytes, at::HEADER_BYTES)) != HEADER_BYTES {
            return Err(LoadError::Version { found: version });
        }
        if !bytes.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return Err(LoadError::Misaligned);
        }
        let total = u32_at(bytes, at::TOTAL_BYTES);
        let (bytes, rest) = match bytes.split_at_checked(total as usize) {
            Some(halves) if total as usize >= HEADER_BYTES => halves,
            _ => return Err(LoadError::Length { expected: total, found: bytes.len() as u32 }),
        };
        if crc32(bytes.get(at::TOTAL_BYTES..).unwrap_or_default()) != u32_at(bytes, at::CRC) {
            return Err(LoadError::Checksum);
        }
        let layout = u16_at(bytes, at::LAYOUT);
        if layout != LAYOUT_PAIRED {
            return Err(LoadError::Layout { found: layout });
        }
        let section = |offset: usize, length: usize| {
            let start = u32_at(bytes, offset) as usize;
            if start < HEADER_BYTES {
                return Err(LoadError::Section);
            }
            bytes.get(start..).and_then(|tail| tail.get(..length)).ok_or(LoadError::Section)
        };
        let stride = usize::from(u16_at(bytes, at::TENSOR_RECORD_BYTES));
        let tensor_count = usize::from(u16_at(bytes, at::TENSOR_COUNT));
        if stride < TENSOR_RECORD_BYTES
            || !(u32_at(bytes, at::CONSTANTS_OFFSET) as usize).is_multiple_of(ALIGNMENT)
            || !bytes.len().is_multiple_of(ALIGNMENT)
        {
            return Err(LoadError::Section);
        }
        let view = Self {
            bytes,
            nodes: section(at::NODES_OFFSET, u32_at(bytes, at::NODES_BYTES) as usize)?,
            ports: section(at::PORTS_OFFSET, u32_at(bytes, at::PORTS_BYTES) as usize)?,
            tensors: section(at::TENSORS_OFFSET, tensor_count * stride)?,
            constants: section(at::CONSTANTS_OFFSET, u32_at(bytes, at::CONSTANTS_BYTES) as usize)?,
        };
        Ok((view, rest))
    }

    pub const fn arena_bytes(&self) -> usize {
        u32_at(self.bytes, at::ARENA_BYTES) as usize
    }

    pub const fn tensor_count(&self) -> usize {
        u16_at(self.bytes, at::TENSOR_COUNT) as usize
    }

    pub const fn node_count(&self) -> u16 {
        u16_at(self.bytes, at::NODE_COUNT)
    }

    /// The nodes, in the order in which they run.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let mut records = Cursor::new(self.nodes);
        (0..self.node_count()).map(move |_| Node::decode(records.bytes()).0)
    }

    /// The record of a tensor, and what follows it.
    pub fn tensor_record(&self, index: u32) -> &'a [u8] {
        let stride = usize::from(u16_at(self.bytes, at::TENSOR_RECORD_BYTES));
        self.tensors.get((index as usize).wrapping_mul(stride)..).unwrap_or_default()
    }

    #[inline(never)] // Called by every check and every op.
    pub fn tensor(&self, index: u32) -> Tensor {
        let record = self.tensor_record(index);
        let [element_type, rank, zero_point, _] = array(record, 0);
        Tensor {
            element_type: if element_type == ElementType::F32 as u8 { ElementType::F32 } else { ElementType::I8 },
            rank,
            zero_point: zero_point as i8,
            dimensions: [u32_at(record, 4), u32_at(record, 8), u32_at(record, 12), u32_at(record, 16)],
            scale: f32::from_bits(u32_at(record, 20)),
            offset: u32_at(record, 24),
        }
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
