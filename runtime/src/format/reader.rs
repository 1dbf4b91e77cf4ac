//! Parsing: bytes are hostile until every index, offset, length, shape and parameter was checked, in linear time.

use super::{
    ALIGNMENT, LAYOUT_PAIRED,
    crc::crc32,
    cursor::Cursor,
    header::{FORMAT_VERSION, HEADER_BYTES, MAGIC, TENSOR_RECORD_BYTES, array, at, u16_at, u32_at},
    node::Node,
};
use crate::{
    error::{LoadError, NodeFault},
    ops::{NodeCheck, OpDef},
    tensor::{ElementType, Tensor},
};

/// A model that was checked: running it cannot fail. Immutable; it borrows the file's bytes, which stay in flash.
#[derive(Debug, Clone, Copy)]
pub struct Model<'a> {
    bytes: &'a [u8],
    tensors: &'a [u8],
    nodes: &'a [u8],
    ports: &'a [u8],
    constants: &'a [u8],
    ops: &'a [&'static OpDef],
}

impl<'a> Model<'a> {
    /// Checks `bytes`, which must start at a multiple of 16 and hold one model and nothing else.
    ///
    /// `ops` are the ops that the firmware links: [`select_ops`](crate::select_ops) of the model, or a list of its own for
    /// models that come over the air.
    ///
    /// # Errors
    /// Every [`LoadError`] but those of the arena.
    pub fn parse(bytes: &'a [u8], ops: &'a [&'static OpDef]) -> Result<Self, LoadError> {
        let (model, rest) = Self::parse_prefix(bytes, ops)?;
        if !rest.is_empty() {
            return Err(LoadError::Length { expected: model.bytes.len() as u32, found: bytes.len() as u32 });
        }
        Ok(model)
    }

    /// As [`parse`](Self::parse), for a model at the start of a flash partition. Returns what follows the model, too.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_prefix(bytes: &'a [u8], ops: &'a [&'static OpDef]) -> Result<(Self, &'a [u8]), LoadError> {
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
        let model = Self {
            bytes,
            tensors: section(at::TENSORS_OFFSET, tensor_count * stride)?,
            nodes: section(at::NODES_OFFSET, u32_at(bytes, at::NODES_BYTES) as usize)?,
            ports: section(at::PORTS_OFFSET, u32_at(bytes, at::PORTS_BYTES) as usize)?,
            constants: section(at::CONSTANTS_OFFSET, u32_at(bytes, at::CONSTANTS_BYTES) as usize)?,
            ops,
        };
        model.check_tensors()?;
        model.check_nodes()?;
        model.check_ports()?;
        Ok((model, rest))
    }

    fn check_tensors(&self) -> Result<(), LoadError> {
        let arena_bytes = self.arena_bytes() as u64;
        for index in 0..self.tensor_count() {
            let bad = LoadError::Tensor { tensor: index as u16 };
            let record = self.tensor_record(index as u32);
            let [element_type, rank, _, reserved] = array(record, 0);
            let tensor = self.tensor(index as u32);
            let elements = tensor.dimensions.iter().try_fold(1u32, |product, &size| product.checked_mul(size));
            let dimensions_beyond_rank = tensor.dimensions.get(usize::from(rank)..).unwrap_or_default();
            let quantization_fits = match tensor.element_type {
                ElementType::F32 => tensor.scale.to_bits() == 1f32.to_bits() && tensor.zero_point == 0,
                // Finite, positive, normal: by the exponent, since integer firmware has no floating point.
                ElementType::I8 => (0x0080_0000..0x7f80_0000).contains(&tensor.scale.to_bits()),
            };
            let fits = elements.is_some_and(|elements| {
                (1..=1 << 28).contains(&elements)
                    && u64::from(tensor.offset) + (elements as u64) * tensor.element_type.bytes() as u64 <= arena_bytes
            });
            if !(fits
                && quantization_fits
                && (1..=4).contains(&rank)
                && element_type <= 1
                && reserved == 0
                && dimensions_beyond_rank.iter().all(|&size| size == 1)
                && (tensor.offset as usize).is_multiple_of(tensor.element_type.bytes()))
            {
                return Err(bad);
            }
        }
        Ok(())
    }

    fn check_nodes(&self) -> Result<(), LoadError> {
        let mut records = Cursor::new(self.nodes);
        for index in 0..u16_at(self.bytes, at::NODE_COUNT) {
            let refuse = |fault| LoadError::Node { node: index, fault };
            let (node, sound) = Node::decode(records.bytes());
            let tensors = self.tensor_count() as u32;
            if !(sound && records.is_sound() && node.output < tensors && node.inputs().all(|input| input < tensors)) {
                return Err(refuse(NodeFault::Record));
            }
            let op = self.op(node.code).ok_or(LoadError::UnknownOp { node: index, code: node.code })?;
            let check = NodeCheck::new(self, &node, op).map_err(refuse)?;
            (op.check)(&check).map_err(refuse)?;
        }
        if records.is_sound() && records.remaining().is_empty() { Ok(()) } else { Err(LoadError::Section) }
    }

    fn check_ports(&self) -> Result<(), LoadError> {
        let mut cursor = Cursor::new(self.ports);
        for _ in 0..2 {
            let count = cursor.u32();
            for _ in 0..count {
                let tensor = cursor.u32();
                if !cursor.is_sound() || tensor as usize >= self.tensor_count() {
                    return Err(LoadError::Ports);
                }
            }
        }
        if cursor.is_sound() && cursor.remaining().is_empty() { Ok(()) } else { Err(LoadError::Ports) }
    }

    /// The whole file.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Bytes of arena that the model needs.
    pub const fn arena_bytes(&self) -> usize {
        u32_at(self.bytes, at::ARENA_BYTES) as usize
    }

    /// A hash of the graph and the constants: state that was saved for one model does not fit another.
    pub const fn hash(&self) -> u64 {
        u64::from_le_bytes(array(self.bytes, at::MODEL_HASH))
    }

    /// Number of tensors.
    pub const fn tensor_count(&self) -> usize {
        u16_at(self.bytes, at::TENSOR_COUNT) as usize
    }

    /// The nodes, in the order in which they run.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let mut records = Cursor::new(self.nodes);
        (0..u16_at(self.bytes, at::NODE_COUNT)).map(move |_| Node::decode(records.bytes()).0)
    }

    fn tensor_record(&self, index: u32) -> &'a [u8] {
        let stride = usize::from(u16_at(self.bytes, at::TENSOR_RECORD_BYTES));
        self.tensors.get((index as usize).wrapping_mul(stride)..).unwrap_or_default()
    }

    /// The tensor of that index. Indices come from the model itself; one that it does not have gives an empty tensor.
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

    /// Tensor index of the model's input of that number.
    pub fn input(&self, number: usize) -> Option<u32> {
        self.port(0, number)
    }

    /// Tensor index of the model's output of that number.
    pub fn output(&self, number: usize) -> Option<u32> {
        self.port(1, number)
    }

    fn port(&self, list: usize, number: usize) -> Option<u32> {
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

    /// The op of that code.
    #[inline]
    pub fn op(&self, code: u16) -> Option<&'static OpDef> {
        self.ops.iter().copied().find(|op| u16::from(op.code) == code)
    }
}
