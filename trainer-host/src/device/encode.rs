//! A [`DeviceGraph`] as a [`ModelFile`].

use super::{Constants, DeviceGraph, Encoded, ExportError, Quantization, Value, lengths::LengthGroups, plan::arrange};
use crate::graph::Shape;
use samara_runtime::{
    ALL_OPS, ElementType, LengthGroup, Model, Tensor,
    arena::AlignedBuffer,
    format::writer::{Metadata, ModelFile, NodeRecord},
    ops::quantize::{DEQUANTIZE, QUANTIZE},
};
use std::collections::HashMap;

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
    /// int8 but for some nodes, which compute in f32; conversions stand where the two meet.
    Mixed {
        /// By value.
        quantizations: &'a [Quantization],
        /// `true` if inputs and outputs are f32 all the same.
        float_ports: bool,
        /// By node: `true` for f32.
        real: &'a [bool],
    },
}

/// Encodes every op, plans the arena, and gives the file. The file's tensors are the graph's values, in their
/// order; what conversions make of them follows.
///
/// # Errors
/// If an op cannot be encoded, or there are more tensors or nodes than a file holds.
pub fn encode(graph: &DeviceGraph, numbers: Numbers<'_>) -> Result<ModelFile, ExportError> {
    let (quantizations, float_ports, real) = match numbers {
        Numbers::F32 => (None, false, &[][..]),
        Numbers::I8 { quantizations, float_ports } => (Some(quantizations), float_ports, &[][..]),
        Numbers::Mixed { quantizations, float_ports, real } => (Some(quantizations), float_ports, real),
    };
    let is_real = |node: usize| quantizations.is_none() || real.get(node).is_some_and(|&real| real);
    let tokens = graph.tokens()?;
    let lengths = LengthGroups::of(graph)?;
    let mut made_real = vec![quantizations.is_none(); graph.values.len()];
    for node in (0..graph.nodes.len()).filter(|&node| is_real(node)).map(|node| &graph.nodes[node]) {
        made_real[node.output.0] = true;
        // An f32 input that is read in f32 is itself what is read.
        let is_port = |input: &&Value| float_ports && graph.inputs.contains(input) && !tokens.contains(input);
        node.inputs.iter().filter(is_port).for_each(|input| made_real[input.0] = true);
    }
    let kind = |value: usize| match quantizations {
        _ if tokens.contains(&Value(value)) => Elements::Tokens,
        Some(quantizations) if !made_real[value] => Elements::Quantized(quantizations[value]),
        _ => Elements::Real,
    };
    let mut draft = Draft::default();
    for (index, (shape, name)) in graph.values.iter().enumerate() {
        draft.tensor(shape, name, kind(index), lengths.of_value[index])?;
    }
    let mut forms = Forms { graph, quantizations, lengths: &lengths, draft, other: HashMap::new(), made_real };
    let mut inputs: Vec<usize> = graph.inputs.iter().map(|value| value.0).collect();
    if float_ports {
        for input in &mut inputs {
            if tokens.contains(&Value(*input)) || forms.made_real[*input] {
                continue;
            }
            let port = forms.tensor(*input, true)?;
            let name = format!("{}/quantize", graph.values[*input].1);
            forms.draft.node(&name, Encoded::new(&QUANTIZE, &()), vec![port], *input, 0);
            *input = port;
        }
    }
    for (index, node) in graph.nodes.iter().enumerate() {
        let read = |value: &Value| forms.read(value.0, is_real(index) && !tokens.contains(value));
        let inputs = node.inputs.iter().map(read).collect::<Result<_, _>>()?;
        let context = graph.context(node);
        let constants = &mut forms.draft.constants;
        let encoded = match quantizations {
            Some(quantizations) if !is_real(index) => {
                let inputs: Vec<_> = node.inputs.iter().map(|&Value(input)| quantizations[input]).collect();
                node.op.encode_i8(&context, &inputs, quantizations[node.output.0], constants)?
            }
            _ => node.op.encode_f32(&context, constants)?,
        };
        forms.draft.node(&node.name, encoded, inputs, node.output.0, node.op.macs(&context));
    }
    let ports_are_real = float_ports || quantizations.is_none();
    let port = |output: &Value| forms.read(output.0, ports_are_real && !tokens.contains(output));
    let outputs = graph.outputs.iter().map(port).collect::<Result<_, _>>()?;
    forms.draft.finish(&graph.name, inputs, outputs, lengths.groups.clone())
}

/// The graph's values as a file has them: each in the form in which it is made, and in the other where that is read.
struct Forms<'a> {
    graph: &'a DeviceGraph,
    quantizations: Option<&'a [Quantization]>,
    lengths: &'a LengthGroups,
    draft: Draft,
    /// Tensors with a value's other form.
    other: HashMap<usize, usize>,
    /// Values that are made in f32.
    made_real: Vec<bool>,
}

impl Forms<'_> {
    /// A tensor for a value, in f32 or in int8.
    fn tensor(&mut self, value: usize, real: bool) -> Result<usize, ExportError> {
        let (shape, name) = &self.graph.values[value];
        let (form, elements) = match self.quantizations {
            Some(quantizations) if !real => ("i8", Elements::Quantized(quantizations[value])),
            _ => ("f32", Elements::Real),
        };
        self.draft.tensor(shape, &format!("{name}/{form}"), elements, self.lengths.of_value[value])
    }

    /// The tensor that holds a value in f32 or in int8; a conversion fills it where nothing else did.
    fn read(&mut self, value: usize, real: bool) -> Result<usize, ExportError> {
        if self.made_real[value] == real || self.quantizations.is_none() {
            return Ok(value);
        }
        if let Some(&tensor) = self.other.get(&value) {
            return Ok(tensor);
        }
        let tensor = self.tensor(value, real)?;
        let (form, op) = if real { ("dequantize", &DEQUANTIZE) } else { ("quantize", &QUANTIZE) };
        let name = format!("{}/{form}", self.graph.values[value].1);
        self.draft.node(&name, Encoded::new(op, &()), vec![value], tensor, 0);
        self.other.insert(value, tensor);
        Ok(tensor)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{
        ops::{Kind, Linear},
        run::DeviceModel,
    };

    /// Three dense layers of one weight each, 2, -1 and 3; scales of 1/8.
    fn chain() -> DeviceGraph {
        let mut graph = DeviceGraph::default();
        let mut x = graph.input([1].into(), "x");
        for (name, weight) in [("first", 2.0), ("second", -1.0), ("third", 3.0)] {
            x = graph.push(name, Linear::new(Kind::Dense, vec![vec![weight]], vec![0.0]), &[x], [1].into());
        }
        graph.outputs.push(x);
        graph
    }

    fn file(real: [bool; 3], float_ports: bool) -> ModelFile {
        let quantizations = [Quantization { scale: 0.125, zero_point: 3 }; 4];
        let numbers = Numbers::Mixed { quantizations: &quantizations, float_ports, real: &real };
        encode(&chain(), numbers).expect("three small layers")
    }

    /// The names of a file's nodes, and what it makes of 1.0625, half a step above 1.
    fn nodes_and_output(real: [bool; 3], float_ports: bool) -> (Vec<String>, f32) {
        let file = file(real, float_ports);
        let model = DeviceModel::new(&to_checked_bytes(&file).unwrap()).unwrap();
        let write = |session: &mut samara_runtime::Session<'_>, _| session.write_f32(0, &[1.0625]);
        let read = |session: &samara_runtime::Session<'_>, _| session.output_f32(0).unwrap().next().unwrap();
        (file.metadata.nodes, model.run_each(1, write, read).unwrap()[0])
    }

    #[test]
    fn conversions_stand_where_f32_and_int8_meet() {
        let (nodes, output) = nodes_and_output([false, true, false], false);
        assert_eq!(nodes, ["first", "first/dequantize", "second", "second/quantize", "third"]);
        // 1.0625 is 1.125 in int8, ties going away from zero.
        assert_eq!(output, -6.75);
        let (nodes, output) = nodes_and_output([true, false, true], true);
        assert_eq!(nodes, ["first", "first/quantize", "second", "second/dequantize", "third"]);
        // 2.125 is a step: nothing is lost.
        assert_eq!(output, -6.375);
        let (nodes, output) = nodes_and_output([true; 3], true);
        assert_eq!((nodes.len(), output), (3, -6.375));
        let (nodes, _) = nodes_and_output([true; 3], false);
        assert_eq!(nodes, ["x/dequantize", "first", "second", "third", "third/quantize"], "ports stay int8");
    }
}
