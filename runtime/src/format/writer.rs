//! The host's side of the format: the same records for serde and the `postcard` crate.

use super::{
    ALIGNMENT, LAYOUT_PAIRED, crc,
    header::{FORMAT_VERSION, HEADER_BYTES, LENGTH_GROUP_BYTES, MAGIC, TENSOR_RECORD_BYTES, at, u16_at, u32_at},
    view::length_group,
};
use crate::{
    op::overlap,
    tensor::{ElementType, LengthGroup, Tensor},
    train::record::HeadRecord,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::string::String;
use std::vec::Vec;

/// All that a model file holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ModelFile {
    /// The tensors.
    pub tensors: Vec<Tensor>,
    /// The nodes, in the order in which they run.
    pub nodes: Vec<NodeRecord>,
    /// Tensor indices of the inputs.
    pub inputs: Vec<u32>,
    /// Tensor indices of the outputs.
    pub outputs: Vec<u32>,
    /// Length groups, from number 1 on.
    pub length_groups: Vec<LengthGroup>,
    /// Inputs whose outputs are known.
    pub golden: Vec<GoldenSample>,
    /// What a device can learn.
    pub heads: Vec<HeadRecord>,
    /// Names, for people.
    pub metadata: Metadata,
    /// Weights, biases, tables.
    pub constants: Vec<u8>,
    /// Bytes of arena, state and scratch included.
    pub arena_bytes: u32,
}

/// An input whose outputs are known: what [`Session::self_test`](crate::Session::self_test) runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoldenSample {
    /// For each length group whose length is set, in their order, the length, u32; behind them the bytes of all inputs in these lengths, in
    /// their order.
    pub inputs: Vec<u8>,
    /// What [`golden::checksum`](crate::golden::checksum) gives of the outputs.
    pub checksum: u32,
}

/// A node, as [`node`](super::node) reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Code of the op.
    pub code: u16,
    /// Tensor indices of the inputs.
    pub inputs: Vec<u32>,
    /// Tensor index of the output.
    pub output: u32,
    /// First byte of the scratch region in the arena, a multiple of 16.
    pub scratch_offset: u32,
    /// Bytes of the scratch region.
    pub scratch_bytes: u32,
    /// First byte of the state region in the arena, a multiple of 16; 0 if it has none.
    pub state_offset: u32,
    /// Bytes of the state region.
    pub state_bytes: u32,
    /// Multiply-accumulates; `u32::MAX` for that many and more.
    pub macs: u32,
    /// The op's parameters, encoded by [`encode_parameters`].
    pub parameters: Vec<u8>,
}

/// What only people read. A device skips it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Metadata {
    /// The model's name.
    pub name: String,
    /// Names of the tensors, in their order.
    pub tensors: Vec<String>,
    /// Names of the nodes, in their order.
    pub nodes: Vec<String>,
    /// What the exporter has to say: sentences. Behind the names, only in files that have some.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// A tensor's record of [`TENSOR_RECORD_BYTES`]: numbers of fixed width, so that the device finds the n-th at once.
#[derive(Debug, Serialize, Deserialize)]
struct TensorRecord {
    element_type: u8,
    rank: u8,
    zero_point: i8,
    length_group: u8,
    dimensions: [[u8; 4]; 4],
    scale: f32,
    offset: [u8; 4],
}

/// The graph, as one postcard value.
#[derive(Debug, Serialize, Deserialize)]
pub struct Graph {
    tensors: Vec<TensorRecord>,
    nodes: Vec<Vec<u8>>,
    inputs: Vec<u32>,
    outputs: Vec<u32>,
    metadata: Metadata,
}

/// A value in postcard's wire format: an op's parameters.
pub fn encode_parameters(parameters: &impl Serialize) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "writing to a Vec fails for unsized sequences only, and no record has one")]
    postcard::to_allocvec(parameters).expect("a record of known sizes")
}

/// Parameters as serde and the `postcard` crate read them, and the number of bytes that they take. `None` if these are none.
pub fn decode_parameters<P: DeserializeOwned>(bytes: &[u8]) -> Option<(P, usize)> {
    let (parameters, rest) = postcard::take_from_bytes(bytes).ok()?;
    Some((parameters, bytes.len() - rest.len()))
}

/// Why [`ModelFile::from_bytes`] refused a graph that the device's reader accepted.
#[derive(Debug)]
pub struct GraphError(String);

impl core::fmt::Display for GraphError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "the graph section is malformed: {}", self.0)
    }
}

impl core::error::Error for GraphError {}

impl ModelFile {
    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut ops = 0u128;
        for node in &self.nodes {
            ops |= 1u128 << (node.code & 127);
        }
        let tensors: Vec<TensorRecord> = self.tensors.iter().map(record_of).collect();
        let nodes: Vec<Vec<u8>> = self.nodes.iter().map(encode_parameters).collect();
        let mut bytes = std::vec![0; HEADER_BYTES];
        // A list is its count, then its elements: offsets point past the count.
        let count_bytes = |count: usize| encode_parameters(&(count as u32)).len();
        let tensors_offset = bytes.len() + count_bytes(tensors.len());
        bytes.extend(encode_parameters(&tensors));
        let nodes_offset = bytes.len() + count_bytes(nodes.len());
        bytes.extend(encode_parameters(&nodes));
        let ports_offset = bytes.len();
        bytes.extend(encode_parameters(&(&self.inputs, &self.outputs)));
        let ports_end = bytes.len();
        let mut hash = fnv1a(FNV_OFFSET, bytes.get(HEADER_BYTES..).unwrap_or_default());
        bytes.extend(encode_parameters(&self.metadata));
        if !self.metadata.notes.is_empty() {
            bytes.extend(encode_parameters(&self.metadata.notes));
        }
        let length_groups_offset = bytes.len();
        self.length_groups.iter().for_each(|group| bytes.extend(length_group_bytes(group)));
        hash = fnv1a(hash, bytes.get(length_groups_offset..).unwrap_or_default());
        hash = fnv1a(hash, &self.constants);
        let heads_offset = bytes.len();
        self.heads.iter().for_each(|head| bytes.extend(head.to_bytes()));
        hash = fnv1a(hash, bytes.get(heads_offset..).unwrap_or_default());
        let golden_offset = bytes.len();
        for sample in &self.golden {
            bytes.extend(sample.checksum.to_le_bytes());
            bytes.extend(&sample.inputs);
        }
        let golden_end = bytes.len();
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        let constants_offset = bytes.len();
        bytes.extend(&self.constants);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);

        let total = bytes.len() as u32;
        let mut put = |offset: usize, field: &[u8]| {
            bytes.iter_mut().skip(offset).zip(field).for_each(|(to, from)| *to = *from);
        };
        put(0, &MAGIC);
        put(at::VERSION, &FORMAT_VERSION.to_le_bytes());
        put(at::HEADER_BYTES, &(HEADER_BYTES as u16).to_le_bytes());
        put(at::TOTAL_BYTES, &total.to_le_bytes());
        put(at::ARENA_BYTES, &self.arena_bytes.to_le_bytes());
        put(at::OPS, &ops.to_le_bytes());
        put(at::TENSOR_COUNT, &(tensors.len() as u16).to_le_bytes());
        put(at::NODE_COUNT, &(nodes.len() as u16).to_le_bytes());
        put(at::LAYOUT, &LAYOUT_PAIRED.to_le_bytes());
        put(at::TENSOR_RECORD_BYTES, &(TENSOR_RECORD_BYTES as u16).to_le_bytes());
        for (offset, value) in [
            (at::TENSORS_OFFSET, tensors_offset),
            (at::NODES_OFFSET, nodes_offset),
            (at::NODES_BYTES, ports_offset - nodes_offset),
            (at::PORTS_OFFSET, ports_offset),
            (at::PORTS_BYTES, ports_end - ports_offset),
            (at::CONSTANTS_OFFSET, constants_offset),
            (at::CONSTANTS_BYTES, self.constants.len()),
            (at::STATE_BYTES, self.state_bytes()),
            (at::LENGTH_GROUPS_OFFSET, length_groups_offset),
            (at::LARGEST_NODE, self.nodes.iter().map(|node| node.macs).max().unwrap_or(0) as usize),
            (at::HEADS_OFFSET, if self.heads.is_empty() { 0 } else { heads_offset }),
            (at::HEADS_BYTES, golden_offset - heads_offset),
            (at::GOLDEN_OFFSET, golden_offset),
            (at::GOLDEN_BYTES, golden_end - golden_offset),
        ] {
            put(offset, &(value as u32).to_le_bytes());
        }
        put(at::MODEL_HASH, &hash.to_le_bytes());
        put(at::MINIMUM_RUNTIME, &self.minimum_runtime().to_le_bytes());
        put(at::LENGTH_GROUP_COUNT, &(self.length_groups.len() as u16).to_le_bytes());
        repair_crc(&mut bytes);
        bytes
    }

    /// Bytes of state, at the arena's start.
    pub fn state_bytes(&self) -> usize {
        let ends = self.nodes.iter().map(|node| node.state_offset as usize + node.state_bytes as usize);
        ends.max().unwrap_or(0).next_multiple_of(ALIGNMENT)
    }

    /// Multiply-accumulates of all nodes.
    pub fn macs(&self) -> u64 {
        self.nodes.iter().map(|node| u64::from(node.macs)).sum()
    }

    /// Bytes that the golden samples take.
    pub fn golden_bytes(&self) -> usize {
        self.golden.iter().map(|sample| 4 + sample.inputs.len()).sum()
    }

    /// The least [`RUNTIME_LEVEL`](super::header::RUNTIME_LEVEL) that runs the file.
    pub fn minimum_runtime(&self) -> u16 {
        let place = |tensor: u32| self.tensors.get(tensor as usize).map_or(0..0, Tensor::range);
        let shares = |node: &NodeRecord| {
            let output = place(node.output);
            let mut inputs = node.inputs.iter().map(|&input| place(input)).enumerate();
            inputs.any(|(number, input)| overlap(&input, &output) && (number > 0 || input != output))
        };
        let needs_state = self.nodes.iter().any(|node| node.state_bytes > 0);
        u16::from(needs_state || !self.length_groups.is_empty() || self.nodes.iter().any(shares))
    }

    /// Reads a file that [`Model::parse`](crate::Model::parse) accepted, names included.
    ///
    /// # Errors
    /// If the graph section is not what the `postcard` crate reads as a graph.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, GraphError> {
        // Fields that a short header does not have read as 0.
        let (header, graph) = bytes.split_at_checked(u16_at(bytes, at::HEADER_BYTES).into()).unwrap_or_default();
        let (mut graph, behind): (Graph, _) = take(graph)?;
        // Up to the length groups, which stand behind the metadata.
        let notes = (u32_at(header, at::LENGTH_GROUPS_OFFSET) as usize).saturating_sub(bytes.len() - behind.len());
        if let Some(notes) = behind.get(..notes).filter(|notes| !notes.is_empty()) {
            graph.metadata.notes = decode(notes)?;
        }
        let nodes = graph.nodes.iter().map(|record| decode(record)).collect::<Result<_, _>>()?;
        let section = |offset: usize, length: u32| {
            let tail = bytes.get(u32_at(header, offset) as usize..);
            tail.and_then(|tail| tail.get(..length as usize)).unwrap_or_default()
        };
        let constants = section(at::CONSTANTS_OFFSET, u32_at(header, at::CONSTANTS_BYTES));
        let group_count = u32::from(u16_at(header, at::LENGTH_GROUP_COUNT));
        let groups = section(at::LENGTH_GROUPS_OFFSET, group_count * LENGTH_GROUP_BYTES as u32);
        let golden = section(at::GOLDEN_OFFSET, u32_at(header, at::GOLDEN_BYTES));
        let tensors = graph
            .tensors
            .iter()
            .map(|record| Tensor {
                element_type: ElementType::of_code(record.element_type),
                rank: record.rank,
                zero_point: record.zero_point,
                dimensions: record.dimensions.map(u32::from_le_bytes),
                scale: record.scale,
                offset: u32::from_le_bytes(record.offset),
                length_group: record.length_group,
            })
            .collect::<Vec<Tensor>>();
        let length_groups: Vec<LengthGroup> = groups.chunks_exact(LENGTH_GROUP_BYTES).map(length_group).collect();
        let inputs: Vec<Tensor> = graph.inputs.iter().filter_map(|&input| tensors.get(input as usize).copied()).collect();
        let golden = golden_samples(golden, &inputs, &length_groups);
        let heads = HeadRecord::all(section(at::HEADS_OFFSET, u32_at(header, at::HEADS_BYTES))).collect();
        Ok(Self {
            tensors,
            nodes,
            inputs: graph.inputs,
            outputs: graph.outputs,
            length_groups,
            golden,
            heads,
            metadata: graph.metadata,
            constants: constants.to_vec(),
            arena_bytes: u32_at(header, at::ARENA_BYTES),
        })
    }
}

/// The whole samples of a section, for these inputs.
fn golden_samples(mut section: &[u8], inputs: &[Tensor], groups: &[LengthGroup]) -> Vec<GoldenSample> {
    let mut samples = Vec::new();
    let mut take = || {
        let (checksum, rest) = section.split_first_chunk()?;
        let (mut values, mut lengths) = (rest, Vec::with_capacity(groups.len()));
        for group in groups {
            let length = if group.source == 0 {
                let (length, behind) = values.split_first_chunk()?;
                values = behind;
                u32::from_le_bytes(*length)
            } else {
                group.derived(*lengths.get(usize::from(group.source) - 1)?)?
            };
            lengths.push(length);
        }
        for input in inputs {
            let bytes = match usize::from(input.length_group).checked_sub(1) {
                None => input.bytes(),
                Some(group) => {
                    let row = input.bytes() / (input.dimensions[0] as usize).max(1);
                    row.checked_mul(*lengths.get(group)? as usize)?
                }
            };
            (_, values) = values.split_at_checked(bytes)?;
        }
        let (inputs, behind) = rest.split_at_checked(rest.len() - values.len())?;
        section = behind;
        Some(GoldenSample { inputs: inputs.to_vec(), checksum: u32::from_le_bytes(*checksum) })
    };
    while let Some(sample) = take() {
        samples.push(sample);
    }
    samples
}

fn length_group_bytes(group: &LengthGroup) -> Vec<u8> {
    let fields = [&group.source.to_le_bytes()[..], &group.stride.to_le_bytes(), &group.add.to_le_bytes()];
    [fields.concat(), group.maximum.to_le_bytes().to_vec()].concat()
}

/// Writes the right checksum into a file whose bytes were changed.
pub fn repair_crc(bytes: &mut [u8]) {
    let checksum = crc::of_file(bytes);
    bytes.iter_mut().skip(at::CRC).zip(checksum.to_le_bytes()).for_each(|(to, from)| *to = from);
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, GraphError> {
    take(bytes).map(|(value, _)| value)
}

/// A value, and what stands behind it.
fn take<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), GraphError> {
    postcard::take_from_bytes(bytes).map_err(|error| GraphError(std::format!("{error}")))
}

fn record_of(tensor: &Tensor) -> TensorRecord {
    TensorRecord {
        element_type: tensor.element_type as u8,
        rank: tensor.rank,
        zero_point: tensor.zero_point,
        length_group: tensor.length_group,
        dimensions: tensor.dimensions.map(u32::to_le_bytes),
        scale: tensor.scale,
        offset: tensor.offset.to_le_bytes(),
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bits (Fowler, Noll, Vo).
fn fnv1a(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
