//! A [`DeviceGraph`] as a [`ModelFile`].

use super::{
    Constants, DeviceGraph, Encoded, ExportError, Form, NodeContext, Quantization, Value, lengths::LengthGroups, ops::rescale,
    plan::arrange,
};
use crate::graph::Shape;
use samara_runtime::{
    ALL_OPS, ElementType, LengthGroup, Model, Tensor,
    arena::AlignedBuffer,
    format::writer::{Metadata, ModelFile, NodeRecord},
    ops::{
        quantize::{DEQUANTIZE, QUANTIZE},
        wide::convert::{DEQUANTIZE_I16, QUANTIZE_I16},
    },
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
    /// Each node in a form of its own; conversions stand where two meet. Inputs are int16 if a node reads them so, and outputs if a node
    /// makes them so, else int8.
    Mixed {
        /// By value.
        quantizations: &'a [Quantization],
        /// `true` if inputs and outputs are f32 all the same.
        float_ports: bool,
        /// By node.
        forms: &'a [Form],
    },
}

/// Encodes every op, plans the arena, and gives the file. The file's tensors are the graph's values, in their
/// order; what conversions make of them follows.
///
/// # Errors
/// If an op cannot be encoded, or there are more tensors or nodes than a file holds.
pub fn encode(graph: &DeviceGraph, numbers: Numbers<'_>) -> Result<ModelFile, ExportError> {
    let (quantizations, float_ports, forms) = match numbers {
        Numbers::F32 => (&[][..], false, vec![Form::F32; graph.nodes.len()]),
        Numbers::I8 { quantizations, float_ports } => (quantizations, float_ports, vec![Form::I8; graph.nodes.len()]),
        Numbers::Mixed { quantizations, float_ports, forms } => (quantizations, float_ports, forms.to_vec()),
    };
    let is_port_form = |form: Form| form != Form::F32 || float_ports || quantizations.is_empty();
    let tokens = graph.tokens()?;
    let lengths = LengthGroups::of(graph)?;
    let mut made = vec![if quantizations.is_empty() { Form::F32 } else { Form::I8 }; graph.values.len()];
    for (node, &form) in graph.nodes.iter().zip(&forms) {
        made[node.output.0] = form;
        // An input of the model is in the widest form in which it is read, so that nothing is lost.
        let inputs = node.inputs.iter().filter(|&input| graph.inputs.contains(input) && !tokens.contains(input));
        inputs.filter(|_| is_port_form(form)).for_each(|input| made[input.0] = made[input.0].max(form));
    }
    let mut all = Forms { graph, quantizations, lengths: &lengths, draft: Draft::default(), other: HashMap::new(), made };
    for (index, (shape, name)) in graph.values.iter().enumerate() {
        let elements = if tokens.contains(&Value(index)) { Elements::Tokens } else { all.elements(index, all.made[index]) };
        all.draft.tensor(shape, name, elements, lengths.of_value[index])?;
    }
    let mut inputs: Vec<usize> = graph.inputs.iter().map(|value| value.0).collect();
    if float_ports {
        for input in &mut inputs {
            if tokens.contains(&Value(*input)) || all.made[*input] == Form::F32 {
                continue;
            }
            let port = all.tensor(*input, Form::F32)?;
            all.convert(*input, (port, Form::F32), (*input, all.made[*input]))?;
            *input = port;
        }
    }
    for (node, &form) in graph.nodes.iter().zip(&forms) {
        let read = |value: &Value| if tokens.contains(value) { Ok(value.0) } else { all.read(value.0, form) };
        let inputs = node.inputs.iter().map(read).collect::<Result<_, _>>()?;
        let context = graph.context(node);
        let constants = &mut all.draft.constants;
        let encoded = match form {
            Form::F32 => node.op.encode_f32(&context, constants)?,
            Form::I8 => {
                let inputs: Vec<_> = node.inputs.iter().map(|&Value(input)| quantizations[input]).collect();
                node.op.encode_i8(&context, &inputs, quantizations[node.output.0], constants)?
            }
            Form::I16 => {
                let scale = |value: &Value| quantizations[value.0].wide_scale();
                let inputs: Vec<_> = node.inputs.iter().map(scale).collect();
                node.op.encode_i16(&context, &inputs, scale(&node.output), constants)?
            }
        };
        all.draft.node(&node.name, encoded, inputs, node.output.0, node.op.macs(&context));
    }
    let port = |output: &Value| {
        let form = match all.made[output.0] {
            _ if tokens.contains(output) => return Ok(output.0),
            _ if float_ports => Form::F32,
            form if is_port_form(form) => form,
            _ => Form::I8,
        };
        all.read(output.0, form)
    };
    let outputs = graph.outputs.iter().map(port).collect::<Result<_, _>>()?;
    all.draft.finish(&graph.name, inputs, outputs, lengths.groups.clone())
}

/// The graph's values as a file has them: each in the form in which it is made, and in others where it is read in those.
struct Forms<'a> {
    graph: &'a DeviceGraph,
    /// By value; none in a file that is f32 throughout.
    quantizations: &'a [Quantization],
    lengths: &'a LengthGroups,
    draft: Draft,
    /// Tensors with a value in another form.
    other: HashMap<(usize, Form), usize>,
    /// The form in which each value is made.
    made: Vec<Form>,
}

impl Forms<'_> {
    /// What a tensor holds that has a value in a form.
    fn elements(&self, value: usize, form: Form) -> Elements {
        match form {
            Form::I8 => Elements::Quantized(self.quantizations[value]),
            Form::I16 => Elements::Wide(self.quantizations[value].wide_scale()),
            Form::F32 => Elements::Real,
        }
    }

    /// A tensor for a value in a form that is not the one in which it is made.
    fn tensor(&mut self, value: usize, form: Form) -> Result<usize, ExportError> {
        let (shape, name) = &self.graph.values[value];
        self.draft.tensor(shape, &format!("{name}/{}", form.name()), self.elements(value, form), self.lengths.of_value[value])
    }

    /// A node that makes one tensor of a value from another.
    fn convert(&mut self, value: usize, (from, is): (usize, Form), (to, becomes): (usize, Form)) -> Result<(), ExportError> {
        let (shape, name) = &self.graph.values[value];
        let quantization = &self.quantizations[value];
        let scale = |form: Form| if form == Form::I8 { quantization.scale } else { quantization.wide_scale() };
        let encoded = match (is, becomes) {
            (Form::F32, Form::I8) => Encoded::new(&QUANTIZE, &()),
            (Form::F32, _) => Encoded::new(&QUANTIZE_I16, &()),
            (Form::I8, Form::F32) => Encoded::new(&DEQUANTIZE, &()),
            (_, Form::F32) => Encoded::new(&DEQUANTIZE_I16, &()),
            _ => rescale(&NodeContext { name, inputs: vec![shape], output: shape }, scale(is), scale(becomes))?,
        };
        self.draft.node(&format!("{name}/{}", encoded.op.name), encoded, vec![from], to, 0);
        Ok(())
    }

    /// The tensor that holds a value in a form; a conversion fills it where nothing else did.
    fn read(&mut self, value: usize, form: Form) -> Result<usize, ExportError> {
        if self.made[value] == form {
            return Ok(value);
        }
        if let Some(&tensor) = self.other.get(&(value, form)) {
            return Ok(tensor);
        }
        let tensor = self.tensor(value, form)?;
        self.convert(value, (value, self.made[value]), (tensor, form))?;
        self.other.insert((value, form), tensor);
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
    /// int16 of that scale.
    Wide(f32),
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
        let (element_type, scale, zero_point) = match elements {
            Elements::Real => (ElementType::F32, 1.0, 0),
            Elements::Quantized(Quantization { scale, zero_point }) => (ElementType::I8, scale, zero_point),
            Elements::Wide(scale) => (ElementType::I16, scale, 0),
            Elements::Tokens => (ElementType::I32, 1.0, 0),
        };
        // A scalar is a vector of one element.
        let shape: &[usize] = if shape.is_empty() { &[1] } else { shape };
        if shape.len() > 4 {
            let reason = format!("its output has {} dimensions, {shape:?}; a file holds at most 4", shape.len());
            return Err(ExportError::Layer { layer: name.to_owned(), reason });
        }
        if !scale.is_normal() {
            let reason = format!("its values are beyond {}: a scale of {scale} is no normal f32", element_type.name());
            return Err(ExportError::Layer { layer: name.to_owned(), reason });
        }
        let mut dimensions = [1; 4];
        dimensions.iter_mut().zip(shape).for_each(|(to, &from)| *to = from as u32);
        self.metadata.tensors.push(name.to_owned());
        self.tensors.push(Tensor {
            element_type,
            rank: shape.len() as u8,
            zero_point,
            dimensions,
            scale,
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

    fn file(forms: [Form; 3], float_ports: bool) -> ModelFile {
        let quantizations = [Quantization { scale: 0.125, zero_point: 3 }; 4];
        let numbers = Numbers::Mixed { quantizations: &quantizations, float_ports, forms: &forms };
        encode(&chain(), numbers).expect("three small layers")
    }

    /// The names of a file's nodes, and what it makes of 1.0625, half a step above 1.
    fn nodes_and_output(forms: [Form; 3], float_ports: bool) -> (Vec<String>, f32) {
        let file = file(forms, float_ports);
        let model = DeviceModel::new(&to_checked_bytes(&file).unwrap()).unwrap();
        let write = |session: &mut samara_runtime::Session<'_>, _| session.write_f32(0, &[1.0625]);
        let read = |session: &samara_runtime::Session<'_>, _| session.output_f32(0).unwrap().next().unwrap();
        (file.metadata.nodes, model.run_each(1, write, read).unwrap()[0])
    }

    #[test]
    fn conversions_stand_where_f32_and_int8_meet() {
        let (nodes, output) = nodes_and_output([Form::I8, Form::F32, Form::I8], false);
        assert_eq!(nodes, ["first", "first/dequantize", "second", "second/quantize", "third"]);
        // 1.0625 is 1.125 in int8, ties going away from zero.
        assert_eq!(output, -6.75);
        let (nodes, output) = nodes_and_output([Form::F32, Form::I8, Form::F32], true);
        assert_eq!(nodes, ["first", "first/quantize", "second", "second/dequantize", "third"]);
        // 2.125 is a step: nothing is lost.
        assert_eq!(output, -6.375);
        let (nodes, output) = nodes_and_output([Form::F32; 3], true);
        assert_eq!((nodes.len(), output), (3, -6.375));
        let (nodes, _) = nodes_and_output([Form::F32; 3], false);
        assert_eq!(nodes, ["x/dequantize", "first", "second", "third", "third/quantize"], "ports stay int8");
    }

    #[test]
    fn int16_nodes_meet_int8_ones_and_f32_ports() {
        let wide = Quantization { scale: 0.125, zero_point: 3 }.wide_scale();
        assert_eq!(wide, 0.125 * 131.0 / 32768.0, "int8 reaches from -131 to 124 steps");
        assert_eq!(Quantization { scale: 1.0 / 256.0, zero_point: -128 }.wide_scale(), 1.0 / 32768.0);
        let (nodes, output) = nodes_and_output([Form::I8, Form::I16, Form::I8], false);
        assert_eq!(nodes, ["first", "first/rescale_i16", "second", "second/rescale_i16", "third"]);
        // 2.25 is 18 steps of int8, and they come back.
        assert_eq!(output, -6.75);
        let (nodes, output) = nodes_and_output([Form::I16; 3], true);
        assert_eq!(nodes, ["x/quantize_i16", "first", "second", "third", "third/dequantize_i16"]);
        assert!((output + 6.375).abs() < 4.0 * wide, "{output}");
        let (nodes, output) = nodes_and_output([Form::F32, Form::I16, Form::F32], true);
        assert_eq!(nodes, ["first", "first/quantize_i16", "second", "second/dequantize_i16", "third"]);
        assert!((output + 6.375).abs() < 4.0 * wide, "{output}");
        // An input that both read is in the wider form, wherever its readers stand.
        for forms in [[Form::I8, Form::I16], [Form::I16, Form::I8]] {
            let mut graph = DeviceGraph::default();
            let x = graph.input([1].into(), "x");
            for (name, weight) in [("first", 2.0), ("second", 3.0)] {
                let y = graph.push(name, Linear::new(Kind::Dense, vec![vec![weight]], vec![0.0]), &[x], [1].into());
                graph.outputs.push(y);
            }
            let quantizations = [Quantization { scale: 0.125, zero_point: 3 }; 3];
            let numbers = Numbers::Mixed { quantizations: &quantizations, float_ports: false, forms: &forms };
            let file = encode(&graph, numbers).expect("two small layers");
            assert_eq!(file.tensors[file.inputs[0] as usize].element_type, ElementType::I16, "{forms:?}");
        }
        // An int16 node at a port makes it int16.
        let file = file([Form::I16, Form::I8, Form::I16], false);
        let types = |ports: &[u32]| file.tensors[ports[0] as usize].element_type;
        assert_eq!((types(&file.inputs), types(&file.outputs)), (ElementType::I16, ElementType::I16));
    }
}
