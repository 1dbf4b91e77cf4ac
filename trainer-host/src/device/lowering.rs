//! What a layer writes to when it says what it is on the device.

use super::{
    DeviceGraph, DeviceOp, Value,
    ops::{Concat, Gather, Kind, Linear, Reshape, Slice},
};
use crate::graph::Shape;

/// Values below each other as one, of which mostly a part is read.
#[derive(Debug)]
pub(crate) struct Pack {
    whole: Value,
    /// With their numbers of rows.
    parts: Vec<(Value, usize)>,
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
    /// `true` if inputs are sequences of variable length.
    pub is_variable: bool,
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
        is_variable: bool,
    ) -> Self {
        Self { graph, packs, name, parameters, inputs, output_shape, is_variable }
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

    /// The layer's name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The lowering of the layer on a step of its inputs, which is no sequence of variable length, with its parameters.
    pub(crate) fn on_step<'b>(&'b mut self, name: &'b str, inputs: Vec<Value>, output_shape: Shape) -> Lowering<'b> {
        let parameters = self.parameters;
        Lowering { graph: self.graph, packs: self.packs, name, parameters, inputs, output_shape, is_variable: false }
    }

    /// The output of parts below each other along the first axis; a vector is a row. Who reads a part reads it alone.
    pub fn pack(&mut self, parts: &[Value]) -> Value {
        let rows = |part: &Value| {
            let shape = self.graph.shape(*part);
            (*part, if shape.len() > 1 { shape[0] } else { 1 })
        };
        let parts = parts.iter().map(rows).collect();
        self.packed_as(parts, Concat { axis: 0 })
    }

    /// The output of steps, each a row of the first axis. Who reads a step reads it alone.
    pub(crate) fn pack_steps(&mut self, steps: &[Value]) -> Value {
        let rows = steps.iter().map(|&step| (step, 1)).collect();
        if self.is_variable { self.packed_as(rows, Gather) } else { self.packed_as(rows, Concat { axis: 0 }) }
    }

    /// The output of parts below each other, each of so many rows.
    fn packed_as(&mut self, parts: Vec<(Value, usize)>, op: impl DeviceOp + 'static) -> Value {
        let row = self.output_shape[1..].to_vec();
        let mut rows = Vec::new();
        for &(part, count) in &parts {
            let shape = Shape::from([&[count], &row[..]].concat());
            let is_whole = *self.graph.shape(part) == shape;
            let name = format!("{}/rows", self.name);
            rows.push(if is_whole { part } else { self.graph.push(name, Reshape, &[part], shape) });
        }
        let whole = self.graph.push(self.name, op, &rows, self.output_shape.clone());
        self.packs.push(Pack { whole, parts });
        whole
    }

    /// The part of an input that another layer [packed](Self::pack) and that is these rows.
    fn part_of(&self, input: usize, start: usize, rows: usize) -> Option<Value> {
        let pack = self.packs.iter().find(|pack| pack.whole == self.inputs[input])?;
        let mut first = 0;
        let is_part = |&&(_, count): &&(Value, usize)| {
            let is_part = (first, count) == (start, rows);
            first += count;
            is_part
        };
        pack.parts.iter().find(is_part).map(|&(part, _)| part)
    }

    /// Some rows of the only input, in the output's shape, if they are a part that another layer [packed](Self::pack).
    pub fn packed(&mut self, start: usize, rows: usize) -> Option<Value> {
        let part = self.part_of(0, start, rows)?;
        let shape = self.output_shape.clone();
        Some(if *self.graph.shape(part) == shape { part } else { self.graph.push(self.name, Reshape, &[part], shape) })
    }

    /// A step of an input, of this shape.
    pub(crate) fn step_of(&mut self, input: usize, step: usize, shape: &Shape) -> Value {
        let part = self.part_of(input, step, 1).filter(|&part| self.graph.shape(part) == shape);
        part.unwrap_or_else(|| {
            let start = step * shape.size();
            let slice = if self.is_variable { Slice::step(start) } else { Slice::after(start) };
            self.part(&format!("step {step}"), slice, &[self.inputs[input]], shape.clone())
        })
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
