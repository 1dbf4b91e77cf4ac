//! A file cut into its sections, and what they say: read where they lie.

use super::{
    ALIGNMENT, LAYOUT_PAIRED, crc,
    cursor::Cursor,
    header::{FORMAT_VERSION, LEAST_HEADER_BYTES, LENGTH_GROUP_BYTES, MAGIC, RUNTIME_LEVEL, TENSOR_RECORD_BYTES, at, u32_at},
    node::Node,
};
use crate::{
    error::LoadError,
    tensor::{ElementType, LengthGroup, Tensor},
};

/// A file whose header, length and checksum are right, as words: one load a field of the header, on cores that cannot load from
/// any address, too. [`Model::parse`](crate::Model::parse) checks what is in the sections; for indices that the file does not
/// have, the accessors give zeros and empty slices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    words: &'a [u32],
    /// The fields that every header has.
    header: &'a [u32; LEAST_HEADER_BYTES / 4],
}

impl<'a> View<'a> {
    /// The file at the start of `bytes`, and what follows it.
    pub fn cut(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), LoadError> {
        if !bytes.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return Err(LoadError::Misaligned);
        }
        let view = Self::new(bytes).ok_or(LoadError::TooShort)?;
        if view.u32(0) != u32::from_le_bytes(MAGIC) {
            return Err(LoadError::Magic);
        }
        let version = view.u16(at::VERSION);
        if version != FORMAT_VERSION {
            return Err(LoadError::Version { found: version });
        }
        let total = view.u32(at::TOTAL_BYTES);
        let wrong_length = LoadError::Length { expected: total, found: bytes.len() as u32 };
        let (bytes, rest) = bytes.split_at_checked(total as usize).ok_or(wrong_length)?;
        let view = Self::new(bytes).ok_or(wrong_length)?;
        if crc::of_file(bytes) != view.u32(at::CRC) {
            return Err(LoadError::Checksum);
        }
        let required = view.late_u16(at::MINIMUM_RUNTIME);
        if required > RUNTIME_LEVEL {
            return Err(LoadError::Runtime { required, found: RUNTIME_LEVEL });
        }
        let layout = view.u16(at::LAYOUT);
        if layout != LAYOUT_PAIRED {
            return Err(LoadError::Layout { found: layout });
        }
        if view.has_sections() { Ok((view, rest)) } else { Err(LoadError::Section) }
    }

    /// The whole words of `bytes`, if they are at least the shortest header.
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let words: &[u32] = bytemuck::try_cast_slice(bytes.get(..bytes.len() & !3)?).ok()?;
        Some(Self { words, header: words.first_chunk()? })
    }

    /// The header's field at byte `offset`, which every header has.
    #[inline]
    fn u32(&self, offset: usize) -> u32 {
        self.header.get(offset / 4).map_or(0, |&field| u32::from_le(field))
    }

    /// As [`u32`](Self::u32): the lower half of a word, or the upper one.
    #[inline]
    fn u16(&self, offset: usize) -> u16 {
        (self.u32(offset) >> (offset % 4 * 8)) as u16
    }

    /// The header's field at byte `offset`, 0 if the header is too short to have it.
    #[inline(never)] // A comparison more in each place would add up.
    fn late_u32(&self, offset: usize) -> u32 {
        let has_it = usize::from(self.u16(at::HEADER_BYTES)) >= offset + 4;
        self.words.get(offset / 4).filter(|_| has_it).map_or(0, |&field| u32::from_le(field))
    }

    /// As [`late_u32`](Self::late_u32): the lower half of a word, or the upper one.
    #[inline]
    fn late_u16(&self, offset: usize) -> u16 {
        (self.late_u32(offset & !3) >> (offset % 4 * 8)) as u16
    }

    /// Whether the sections lie within the file, behind the header, at the right places, and the states fit into the arena.
    #[inline]
    fn has_sections(&self) -> bool {
        let group_count = usize::from(self.length_group_count());
        let multiples_of_16 = self.u32(at::CONSTANTS_OFFSET) | self.u32(at::TOTAL_BYTES) | self.state_bytes() as u32;
        usize::from(self.u16(at::HEADER_BYTES)) >= LEAST_HEADER_BYTES
            && usize::from(self.u16(at::TENSOR_RECORD_BYTES)) >= TENSOR_RECORD_BYTES
            && multiples_of_16.is_multiple_of(ALIGNMENT as u32)
            && group_count <= usize::from(u8::MAX)
            && self.reserved_bytes() <= self.arena_bytes()
            && self.fits(self.u32(at::TENSORS_OFFSET), (self.tensor_count() * self.tensor_stride()) as u32)
            && self.fits(self.u32(at::NODES_OFFSET), self.u32(at::NODES_BYTES))
            && self.fits(self.u32(at::PORTS_OFFSET), self.u32(at::PORTS_BYTES))
            && self.fits(self.u32(at::CONSTANTS_OFFSET), self.u32(at::CONSTANTS_BYTES))
            && self.fits(self.late_u32(at::LENGTH_GROUPS_OFFSET), (group_count * LENGTH_GROUP_BYTES) as u32)
            && self.fits(self.late_u32(at::GOLDEN_OFFSET), self.late_u32(at::GOLDEN_BYTES))
            && self.fits(self.late_u32(at::HEADS_OFFSET), self.late_u32(at::HEADS_BYTES))
    }

    /// Whether a section lies within the file, behind the header. Where nothing lies does not matter.
    #[inline(never)]
    fn fits(&self, start: u32, length: u32) -> bool {
        length == 0
            || (start >= u32::from(self.u16(at::HEADER_BYTES))
                && start.checked_add(length).is_some_and(|end| end <= self.u32(at::TOTAL_BYTES)))
    }

    /// The whole file.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        bytemuck::cast_slice(self.words)
    }

    /// The bytes of a section that fits.
    #[inline(never)]
    fn section(&self, start: u32, length: u32) -> &'a [u8] {
        self.bytes().get(start as usize..).and_then(|tail| tail.get(..length as usize)).unwrap_or_default()
    }

    pub fn nodes(&self) -> &'a [u8] {
        self.section(self.u32(at::NODES_OFFSET), self.u32(at::NODES_BYTES))
    }

    pub fn ports(&self) -> &'a [u8] {
        self.section(self.u32(at::PORTS_OFFSET), self.u32(at::PORTS_BYTES))
    }

    /// The section of golden samples.
    pub fn golden(&self) -> &'a [u8] {
        self.section(self.late_u32(at::GOLDEN_OFFSET), self.late_u32(at::GOLDEN_BYTES))
    }

    fn tensor_stride(&self) -> usize {
        self.u16(at::TENSOR_RECORD_BYTES).into()
    }

    pub fn arena_bytes(&self) -> usize {
        self.u32(at::ARENA_BYTES) as usize
    }

    /// Bytes of state, at the arena's start.
    pub fn state_bytes(&self) -> usize {
        self.late_u32(at::STATE_BYTES) as usize
    }

    /// Bytes at the arena's start that hold no tensor: the state, then, for each group, by how much its present length is below
    /// its largest, as u32.
    #[inline(never)]
    pub fn reserved_bytes(&self) -> usize {
        self.state_bytes().saturating_add(4 * usize::from(self.length_group_count()))
    }

    pub fn length_group_count(&self) -> u16 {
        self.late_u16(at::LENGTH_GROUP_COUNT)
    }

    pub fn tensor_count(&self) -> usize {
        self.u16(at::TENSOR_COUNT).into()
    }

    pub fn node_count(&self) -> u16 {
        self.u16(at::NODE_COUNT)
    }

    /// Multiply-accumulates of the node that has most.
    pub fn largest_node_macs(&self) -> u32 {
        self.late_u32(at::LARGEST_NODE)
    }

    pub fn hash(&self) -> u64 {
        u64::from(self.u32(at::MODEL_HASH + 4)) << 32 | u64::from(self.u32(at::MODEL_HASH))
    }

    /// The nodes from number `first` on, in the order in which they run.
    pub fn nodes_from(&self, first: u16) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let mut records = Cursor::new(self.nodes());
        for _ in 0..first {
            records.bytes();
        }
        (first..self.node_count()).map(move |_| Node::decode(records.bytes()).0)
    }

    /// The record of a tensor, and what follows it.
    pub fn tensor_record(&self, index: u32) -> &'a [u8] {
        if index as usize >= self.tensor_count() {
            return &[];
        }
        let start = self.u32(at::TENSORS_OFFSET) as usize + index as usize * self.tensor_stride();
        self.bytes().get(start..).unwrap_or_default()
    }

    #[inline(never)] // Called by every check and every op.
    pub fn tensor(&self, index: u32) -> Tensor {
        let &[[element_type, rank, zero_point, length_group], a, b, c, d, scale, offset] = fields(self.tensor_record(index));
        Tensor {
            element_type: ElementType::of_code(element_type),
            rank,
            zero_point: zero_point as i8,
            dimensions: [a, b, c, d].map(u32::from_le_bytes),
            scale: f32::from_le_bytes(scale),
            offset: u32::from_le_bytes(offset),
            length_group,
        }
    }

    /// The tensor as long as its group is now.
    #[inline(never)]
    pub fn tensor_now(&self, index: u32, arena: &[u8]) -> Tensor {
        let mut tensor = self.tensor(index);
        if tensor.length_group > 0 {
            let shorter = u32_at(arena, self.shorter_at(tensor.length_group.into()));
            tensor.dimensions[0] = tensor.dimensions[0].saturating_sub(shorter);
        }
        tensor
    }

    /// Where in the arena it says how much shorter than its largest length group `number`, from 1 on, is.
    pub fn shorter_at(&self, number: u16) -> usize {
        self.state_bytes() + 4 * usize::from(number).saturating_sub(1)
    }

    /// Length group `number`, from 1 on; one of length 0 if there is no such group.
    #[inline(never)]
    pub fn length_group(&self, number: u16) -> LengthGroup {
        if number.wrapping_sub(1) >= self.length_group_count() {
            return length_group(&[]);
        }
        let start = self.late_u32(at::LENGTH_GROUPS_OFFSET) as usize + (usize::from(number) - 1) * LENGTH_GROUP_BYTES;
        length_group(self.bytes().get(start..).unwrap_or_default())
    }

    /// Tensor index of port `number` of the inputs (`list` 0) or the outputs (`list` 1).
    pub fn port(&self, list: usize, number: usize) -> Option<u32> {
        let mut cursor = Cursor::new(self.ports());
        let mut count = cursor.usize();
        for _ in 0..list {
            for _ in 0..count {
                cursor.u32();
            }
            count = cursor.usize();
        }
        (0..count).map(|_| cursor.u32()).nth(number)
    }

    /// `length` bytes of the constants from `offset` on; `None` if they are not that many.
    #[inline(never)] // Called by every check and every op.
    pub fn constants(&self, offset: u32, length: usize) -> Option<&'a [u8]> {
        let all = self.section(self.u32(at::CONSTANTS_OFFSET), self.u32(at::CONSTANTS_BYTES));
        all.get(offset as usize..)?.get(..length)
    }
}

/// The first `N` fields of a record, four bytes each; zeros if it is shorter.
fn fields<const N: usize>(record: &[u8]) -> &[[u8; 4]; N] {
    record.as_chunks().0.first_chunk().unwrap_or(&[[0; 4]; N])
}

/// The group that a record of [`LENGTH_GROUP_BYTES`] describes.
pub(crate) fn length_group(record: &[u8]) -> LengthGroup {
    let &[[a, b, c, d], add, maximum] = fields(record);
    LengthGroup {
        source: u16::from_le_bytes([a, b]),
        stride: u16::from_le_bytes([c, d]),
        add: i32::from_le_bytes(add),
        maximum: u32::from_le_bytes(maximum),
    }
}
