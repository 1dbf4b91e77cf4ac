//! What a layer writes to when it says what it is on the device.

use super::{
    DeviceGraph, DeviceOp, Value,
    ops::{Kind, Linear},
};
use crate::graph::Shape;

/// What a layer sees of one of its applications when it is lowered.
#[derive(Debug)]
pub struct Lowering<'a> {
    graph: &'a mut DeviceGraph,
    name: &'a str,
    parameters: &'a [(&'a str, &'a [f32])],
    /// The inputs.
    pub inputs: Vec<Value>,
    /// The output's shape.
    pub output_shape: Shape,
}

impl<'a> Lowering<'a> {
    /// For a layer's application of this name, with the layer's parameters by name.
    pub(crate) fn new(
        graph: &'a mut DeviceGraph,
        name: &'a str,
        parameters: &'a [(&'a str, &'a [f32])],
        inputs: Vec<Value>,
        output_shape: Shape,
    ) -> Self {
        Self { graph, name, parameters, inputs, output_shape }
    }

    /// The layer's parameter of that name; empty if it has none.
    pub fn parameter(&self, name: &str) -> &[f32] {
        self.parameters.iter().find(|(own, _)| *own == name).map_or(&[], |(_, values)| values)
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
    Linear::new(kind, (0..channels).map(row).collect(), bias)
}
