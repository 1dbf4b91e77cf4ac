//! Parsing: bytes are hostile until every index, offset, length, shape and parameter was checked, in linear time.

use crate::{
    error::{LoadError, NodeFault},
    format::{ALIGNMENT, cursor::Cursor, header::array, node::Node, view::View},
    op::{NodeCheck, OpDef},
    tensor::{ElementType, LengthGroup, Tensor},
};

/// A model that was checked: running it cannot fail. Immutable; it borrows the file's bytes, which stay in flash.
#[derive(Debug, Clone, Copy)]
pub struct Model<'a> {
    pub(crate) view: View<'a>,
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
            return Err(LoadError::Length { expected: model.bytes().len() as u32, found: bytes.len() as u32 });
        }
        Ok(model)
    }

    /// As [`parse`](Self::parse), for a model at the start of a flash partition. Returns what follows the model, too.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_prefix(bytes: &'a [u8], ops: &'a [&'static OpDef]) -> Result<(Self, &'a [u8]), LoadError> {
        let (view, rest) = View::cut(bytes)?;
        let model = Self { view, ops };
        model.check_length_groups()?;
        model.check_tensors()?;
        model.check_nodes()?;
        model.check_ports()?;
        Ok((model, rest))
    }

    fn check_length_groups(&self) -> Result<(), LoadError> {
        for number in 1..=self.view.length_group_count() {
            let group = self.view.length_group(number);
            let follows = if group.source == 0 {
                group == LengthGroup::own(group.maximum) && group.maximum > 0
            } else {
                let source = self.view.length_group(group.source);
                group.source < number
                    && (1..=4096).contains(&group.stride)
                    && group.derived(source.maximum) == Some(group.maximum)
            };
            if !follows {
                return Err(LoadError::LengthGroup { group: number });
            }
        }
        Ok(())
    }

    fn check_tensors(&self) -> Result<(), LoadError> {
        let (arena_bytes, reserved_bytes) = (self.view.arena_bytes() as u64, self.view.reserved_bytes());
        for index in 0..self.view.tensor_count() {
            let bad = LoadError::Tensor { tensor: index as u16 };
            let record = self.view.tensor_record(index as u32);
            let [element_type, rank, ..] = array::<4>(record, 0);
            let tensor = self.view.tensor(index as u32);
            let elements = tensor.dimensions.iter().try_fold(1u32, |product, &size| product.checked_mul(size));
            let dimensions_beyond_rank = tensor.dimensions.get(usize::from(rank)..).unwrap_or_default();
            let quantization_fits = match tensor.element_type {
                ElementType::F32 | ElementType::I32 => tensor.scale.to_bits() == 1f32.to_bits() && tensor.zero_point == 0,
                // Finite, positive, normal: by the exponent, since integer firmware has no floating point.
                ElementType::I8 | ElementType::I16 => {
                    (0x0080_0000..0x7f80_0000).contains(&tensor.scale.to_bits())
                        && (tensor.zero_point == 0 || tensor.element_type == ElementType::I8)
                }
            };
            let fits = elements.is_some_and(|elements| {
                (1..=1 << 28).contains(&elements)
                    && u64::from(tensor.offset) + (elements as u64) * tensor.element_type.bytes() as u64 <= arena_bytes
            });
            // The last dimension is the channels': a length is another one, but for tokens, which have none.
            let length_fits = match u16::from(tensor.length_group) {
                0 => true,
                group => {
                    (rank > 1 || tensor.element_type == ElementType::I32)
                        && tensor.dimensions[0] == self.view.length_group(group).maximum
                }
            };
            if !(fits
                && length_fits
                && quantization_fits
                && (1..=4).contains(&rank)
                && element_type <= ElementType::I16 as u8
                && tensor.offset as usize >= reserved_bytes
                && dimensions_beyond_rank.iter().all(|&size| size == 1)
                && (tensor.offset as usize).is_multiple_of(tensor.element_type.bytes()))
            {
                return Err(bad);
            }
        }
        Ok(())
    }

    fn check_nodes(&self) -> Result<(), LoadError> {
        let mut records = Cursor::new(self.view.nodes());
        let mut state_end = 0;
        for index in 0..self.view.node_count() {
            let refuse = |fault| LoadError::Node { node: index, fault };
            let (node, sound) = Node::decode(records.bytes());
            if !(sound && records.is_sound()) {
                return Err(refuse(NodeFault::Record));
            }
            let op = self.op(node.code).ok_or(LoadError::UnknownOp { node: index, code: node.code })?;
            // States lie one behind the other, in the order of the nodes, where no tensor is: nothing else overwrites them.
            if node.state_bytes > 0 {
                let end = node.state_offset.checked_add(node.state_bytes).filter(|&end| end <= self.view.state_bytes());
                let fits = node.state_offset >= state_end && node.state_offset.is_multiple_of(ALIGNMENT);
                state_end = end.filter(|_| fits).ok_or(refuse(NodeFault::State))?;
            } else if node.state_offset > 0 {
                return Err(refuse(NodeFault::State));
            }
            if node.macs > self.largest_node_macs() {
                return Err(refuse(NodeFault::Work));
            }
            let check = NodeCheck::new(&self.view, &node, op).map_err(refuse)?;
            (op.check)(&check).map_err(refuse)?;
        }
        if records.is_sound() && records.remaining().is_empty() { Ok(()) } else { Err(LoadError::Section) }
    }

    fn check_ports(&self) -> Result<(), LoadError> {
        let mut cursor = Cursor::new(self.view.ports());
        for _ in 0..2 {
            let count = cursor.u32();
            for _ in 0..count {
                let tensor = cursor.u32();
                if !cursor.is_sound() || tensor as usize >= self.view.tensor_count() {
                    return Err(LoadError::Ports);
                }
            }
        }
        if cursor.is_sound() && cursor.remaining().is_empty() { Ok(()) } else { Err(LoadError::Ports) }
    }

    /// The whole file.
    pub fn bytes(&self) -> &'a [u8] {
        self.view.bytes()
    }

    /// Bytes of arena that the model needs.
    pub fn arena_bytes(&self) -> usize {
        self.view.arena_bytes()
    }

    /// Bytes of state: what the nodes remember from run to run. They are part of the arena.
    pub fn state_bytes(&self) -> usize {
        self.view.state_bytes()
    }

    /// Multiply-accumulates of the node that has most of them, `u32::MAX` for that many and more: the least that
    /// [`Session::run_for`](crate::Session::run_for) may have to do before it returns.
    pub fn largest_node_macs(&self) -> u32 {
        self.view.largest_node_macs()
    }

    /// The length group of that number, from 1 on.
    pub fn length_group(&self, number: u16) -> Option<LengthGroup> {
        (1..=self.view.length_group_count()).contains(&number).then(|| self.view.length_group(number))
    }

    /// A hash of the graph and the constants: state that was saved for one model does not fit another.
    pub fn hash(&self) -> u64 {
        self.view.hash()
    }

    /// Number of tensors.
    pub fn tensor_count(&self) -> usize {
        self.view.tensor_count()
    }

    /// The nodes, in the order in which they run.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        self.view.nodes_from(0)
    }

    /// The tensor of that index. Indices come from the model itself; one that it does not have gives an empty tensor.
    pub fn tensor(&self, index: u32) -> Tensor {
        self.view.tensor(index)
    }

    /// Tensor index of the model's input of that number.
    pub fn input(&self, number: usize) -> Option<u32> {
        self.view.port(0, number)
    }

    /// Tensor index of the model's output of that number.
    pub fn output(&self, number: usize) -> Option<u32> {
        self.view.port(1, number)
    }

    /// The op of that code.
    #[inline(never)]
    pub fn op(&self, code: u16) -> Option<&'static OpDef> {
        self.ops.iter().copied().find(|op| u16::from(op.code) == code)
    }
}
