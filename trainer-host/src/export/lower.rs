//! From layers to the runtime's ops: each layer says how, in its own file.

use super::{
    Clamp, DeviceGraph, DeviceOp, ExportError, Value,
    ops::{Kind, Linear},
};
use crate::{
    graph::{Graph, Shape},
    layers::ParameterValue,
};

/// What a layer sees of one of its applications when it is lowered.
#[derive(Debug)]
pub struct Lowering<'a> {
    graph: &'a mut DeviceGraph,
    name: &'a str,
    parameters: &'a [ParameterValue],
    /// The inputs.
    pub inputs: Vec<Value>,
    /// The output's shape.
    pub output_shape: Shape,
}

impl Lowering<'_> {
    /// The layer's parameter of that name; empty if it has none.
    pub fn parameter(&self, name: &str) -> &[f32] {
        self.parameters.iter().find(|parameter| parameter.name == name).map_or(&[], |parameter| &parameter.values)
    }

    /// Shape of an input.
    pub fn input_shape(&self, input: usize) -> &Shape {
        self.graph.shape(self.inputs[input])
    }

    /// A node that turns the layer's inputs into its output.
    pub fn output(&mut self, op: impl DeviceOp + 'static) -> Value {
        let (inputs, shape) = (self.inputs.clone(), self.output_shape.clone());
        self.graph.push(self.name, op, &inputs, shape)
    }

    /// A node on the way to the output, its name the layer's and `part`.
    pub fn part(&mut self, part: &str, op: impl DeviceOp + 'static, inputs: &[Value], shape: Shape) -> Value {
        let name = format!("{}/{part}", self.name);
        self.graph.push(name, op, inputs, shape)
    }
}

/// A linear op from a kernel `[fan_in, channels]`, row by row, and a bias; no bias is zeros.
pub fn linear(kind: Kind, kernel: &[f32], bias: &[f32], channels: usize) -> Linear {
    let row = |channel: usize| kernel.iter().skip(channel).step_by(channels).copied().collect();
    let bias = if bias.is_empty() { vec![0.0; channels] } else { bias.to_vec() };
    Linear { kind, rows: (0..channels).map(row).collect(), bias, clamp: Clamp::NONE }
}

/// Lowers a graph, node by node.
///
/// # Errors
/// If a layer has no counterpart on the device.
pub fn lower(name: &str, graph: &Graph) -> Result<DeviceGraph, ExportError> {
    let mut device = DeviceGraph { name: name.to_owned(), ..DeviceGraph::default() };
    let mut values: Vec<Value> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let value = match &node.layer {
            None => device.value(node.shape.clone(), &node.name),
            Some(layer) => {
                let parameters = layer.base().parameters();
                let mut lowering = Lowering {
                    graph: &mut device,
                    name: &node.name,
                    parameters: &parameters,
                    inputs: node.inputs.iter().map(|&input| values[input]).collect(),
                    output_shape: node.shape.clone(),
                };
                let failed = |reason| ExportError::Layer { layer: node.name.clone(), reason };
                layer.lower(&mut lowering).map_err(failed)?
            }
        };
        values.push(value);
    }
    device.inputs = graph.inputs.iter().map(|&input| values[input]).collect();
    device.outputs = graph.outputs.iter().map(|&output| values[output]).collect();
    Ok(device)
}
