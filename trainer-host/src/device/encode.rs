//! A [`DeviceGraph`] as a [`ModelFile`].

use super::{Constants, DeviceGraph, Encoded, ExportError, Quantization, Value, lengths::LengthGroups, plan::arrange};
use crate::graph::Shape;
use samara_runtime::{
    ALL_OPS, ElementType, LengthGroup, Model, Tensor,
    arena::AlignedBuffer,
    format::writer::{Metadata, ModelFile, NodeRecord},
    ops::quantize::{DEQUANTIZE, QUANTIZE},
};

/// The element type of a file.
#[derive(Debug, Clone, Copy)]
pub enum Numbers<'a> {
    /// f32 throughout.
    F32,
    /// int8, with the quantization of each value.
    I8 {
        /// By value.
        quantizations: &'a [Quantization],
        /// `true` if inputs and outputs are f32 all the same, converted on the device.
        float_ports: bool,
    },
}

/// Encodes every op, plans the arena, and gives the file. The file's tensors are the graph's values, in their
/// order; f32 ports of an int8 file follow.
///
/// # Errors
/// If an op cannot be encoded, or there are more tensors or nodes than a file holds.
pub fn encode(graph: &DeviceGraph, numbers: Numbers<'_>) -> Result<ModelFile, ExportError> {
    let mut draft = Draft::default();
    let tokens = graph.tokens()?;
    let lengths = LengthGroups::of(graph)?;
    for (index, (shape, name)) in graph.values.iter().enumerate() {
        let kind = match numbers {
            _ if tokens.contains(&Value(index)) => Elements::Tokens,
            Numbers::F32 => Elements::Real,
            Numbers::I8 { quantizations, .. } => Elements::Quantized(quantizations[index]),
        };
        draft.tensor(shape, name, kind, lengths.of_value[index])?;
    }
    let float_ports = matches!(numbers, Numbers::I8 { float_ports: true, .. });
    let mut inputs: Vec<usize> = graph.inputs.iter().map(|value| value.0).collect();
    if float_ports {
        for input in inputs.iter_mut().filter(|input| !tokens.contains(&Value(**input))) {
            let (shape, name) = &graph.values[*input];
            let port = draft.tensor(shape, &format!("{name}/f32"), Elements::Real, lengths.of_value[*input])?;
            draft.node(&format!("{name}/quantize"), Encoded::new(&QUANTIZE, &()), vec![port], *input, 0);
            *input = port;
        }
    }
    for node in &graph.nodes {
        let context = graph.context(node);
        let encoded = match numbers {
            Numbers::F32 => node.op.encode_f32(&context, &mut draft.constants)?,
            Numbers::I8 { quantizations, .. } => {
                let inputs: Vec<_> = node.inputs.iter().map(|&Value(input)| quantizations[input]).collect();
                node.op.encode_i8(&context, &inputs, quantizations[node.output.0], &mut draft.constants)?
            }
        };
        let inputs = node.inputs.iter().map(|value| value.0).collect();
        draft.node(&node.name, encoded, inputs, node.output.0, node.op.macs(&context));
    }
    let mut outputs: Vec<usize> = graph.outputs.iter().map(|value| value.0).collect();
    if float_ports {
        for output in &mut outputs {
            let (shape, name) = &graph.values[*output];
            let port = draft.tensor(shape, &format!("{name}/f32"), Elements::Real, lengths.of_value[*output])?;
            draft.node(&format!("{name}/dequantize"), Encoded::new(&DEQUANTIZE, &()), vec![*output], port, 0);
            *output = port;
        }
    }
    draft.finish(&graph.name, inputs, outputs, lengths.groups)
}

/// The bytes of a file, after the runtime accepted them.
///
/// # Errors
/// [`ExportError::Refused`]: the exporter wrote what the runtime does not take.
pub fn to_checked_bytes(file: &ModelFile) -> Result<Vec<u8>, ExportError> {
    let bytes = file.to_bytes();
    Model::parse(AlignedBuffer::copy_of(&bytes).as_slice(), ALL_OPS)?;
    Ok(bytes)
}

/// What a tensor holds.
#[derive(Debug, Clone, Copy)]
enum Elements {
    Real,
    Quantized(Quantization),
    Tokens,
}

/// A file in the making.
#[derive(Default)]
struct Draft {
    tensors: Vec<Tensor>,
    nodes: Vec<NodeRecord>,
    constants: Constants,
    metadata: Metadata,
}

impl Draft {
    fn tensor(&mut self, shape: &Shape, name: &str, elements: Elements, length_group: u8) -> Result<usize, ExportError> {
        let quantization = if let Elements::Quantized(quantization) = elements { Some(quantization) } else { None };
        // A scalar is a vector of one element.
        let shape: &[usize] = if shape.is_empty() { &[1] } else { shape };
        if shape.len() > 4 {
            let reason = format!("its output has {} dimensions, {shape:?}; a file holds at most 4", shape.len());
            return Err(ExportError::Layer { layer: name.to_owned(), reason });
        }
        if let Some(Quantization { scale, .. }) = quantization
            && !scale.is_normal()
        {
            let reason = format!("its values are beyond int8: a scale of {scale} is no normal f32");
            return Err(ExportError::Layer { layer: name.to_owned(), reason });
        }
        let mut dimensions = [1; 4];
        dimensions.iter_mut().zip(shape).for_each(|(to, &from)| *to = from as u32);
        self.metadata.tensors.push(name.to_owned());
        self.tensors.push(Tensor {
            element_type: match elements {
                Elements::Real => ElementType::F32,
                Elements::Quantized(_) => ElementType::I8,
                Elements::Tokens => ElementType::I32,
            },
            rank: shape.len() as u8,
            zero_point: quantization.map_or(0, |quantization| quantization.zero_point),
            dimensions,
            scale: quantization.map_or(1.0, |quantization| quantization.scale),
            offset: 0,
            length_group,
        });
        Ok(self.tensors.len() - 1)
    }

    fn node(&mut self, name: &str, encoded: Encoded, inputs: Vec<usize>, output: usize, macs: u64) {
        self.metadata.nodes.push(name.to_owned());
        self.nodes.push(NodeRecord {
            code: encoded.op.code.into(),
            inputs: indices(inputs),
            output: output as u32,
            scratch_bytes: encoded.scratch_bytes as u32,
            state_bytes: encoded.state_bytes as u32,
            macs: u32::try_from(macs).unwrap_or(u32::MAX),
            parameters: encoded.parameters,
            ..NodeRecord::default()
        });
    }

    fn finish(
        mut self,
        name: &str,
        inputs: Vec<usize>,
        outputs: Vec<usize>,
        length_groups: Vec<LengthGroup>,
    ) -> Result<ModelFile, ExportError> {
        let limit = usize::from(u16::MAX);
        for (what, found) in [("tensors", self.tensors.len()), ("nodes", self.nodes.len())] {
            if found > limit {
                return Err(ExportError::TooLarge { what, found, limit });
            }
        }
        self.metadata.name = name.to_owned();
        let mut file = ModelFile {
            tensors: self.tensors,
            nodes: self.nodes,
            inputs: indices(inputs),
            outputs: indices(outputs),
            length_groups,
            metadata: self.metadata,
            constants: self.constants.into_bytes(),
            ..ModelFile::default()
        };
        arrange(&mut file, ALL_OPS)?;
        Ok(file)
    }
}

fn indices(tensors: Vec<usize>) -> Vec<u32> {
    tensors.into_iter().map(|tensor| tensor as u32).collect()
}
