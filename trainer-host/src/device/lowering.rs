//! What a layer writes to when it says what it is on the device.

use super::{
    DeviceGraph, DeviceOp, Value,
    ops::{Concat, Kind, Linear, Reshape},
};
use crate::graph::Shape;

/// Values below each other as one, of which mostly a part is read.
#[derive(Debug)]
pub(crate) struct Pack {
    whole: Value,
    parts: Vec<Value>,
}

/// What a layer sees of one of its applications when it is lowered.
#[derive(Debug)]
pub struct Lowering<'a> {
    graph: &'a mut DeviceGraph,
    packs: &'a mut Vec<Pack>,
    name: &'a str,
    parameters: &'a [(&'a str, &'a [f32])],
    /// The inputs.
    pub inputs: Vec<Value>,
    /// The output's shape.
    pub output_shape: Shape,
}

impl<'a> Lowering<'a> {
    /// For a layer's application of this name, with the layer's parameters by name. `packs` are those of the graph.
    pub(crate) fn new(
        graph: &'a mut DeviceGraph,
        packs: &'a mut Vec<Pack>,
        name: &'a str,
        parameters: &'a [(&'a str, &'a [f32])],
        inputs: Vec<Value>,
        output_shape: Shape,
    ) -> Self {
        Self { graph, packs, name, parameters, inputs, output_shape }
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

    /// The output of parts below each other along the first axis; a vector is a row. Who reads a part reads it alone.
    pub fn pack(&mut self, parts: &[Value]) -> Value {
        let rows = parts.iter().map(|&part| {
            let shape = self.graph.shape(part).clone();
            let name = format!("{}/row", self.name);
            if shape.len() > 1 { part } else { self.graph.push(name, Reshape, &[part], [1, shape.size()].into()) }
        });
        let rows: Vec<Value> = rows.collect();
        let whole = self.graph.push(self.name, Concat { axis: 0 }, &rows, self.output_shape.clone());
        self.packs.push(Pack { whole, parts: parts.to_vec() });
        whole
    }

    /// Some rows of the only input, in the output's shape, if they are a part that another layer [packed](Self::pack).
    pub fn packed(&mut self, start: usize, rows: usize) -> Option<Value> {
        let pack = self.packs.iter().find(|pack| pack.whole == self.inputs[0])?;
        let mut first = 0;
        let part = pack.parts.iter().copied().find(|&part| {
            let shape = self.graph.shape(part);
            let count = if shape.len() > 1 { shape[0] } else { 1 };
            let is_part = (first, count) == (start, rows);
            first += count;
            is_part
        })?;
        let shape = self.output_shape.clone();
        Some(if *self.graph.shape(part) == shape { part } else { self.graph.push(self.name, Reshape, &[part], shape) })
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
