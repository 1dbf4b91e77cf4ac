//! The graph of the runtime's ops, in real numbers.

use super::{DeviceOp, Site};
use crate::graph::Shape;

/// A tensor of a [`DeviceGraph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(crate) usize);

/// A node of a [`DeviceGraph`].
#[derive(Debug)]
pub struct DeviceNode {
    /// Its name.
    pub name: String,
    /// What it computes.
    pub op: Box<dyn DeviceOp>,
    /// Its inputs.
    pub inputs: Vec<Value>,
    /// Its output.
    pub output: Value,
}

/// A graph of the runtime's ops on real numbers. Nodes stand in the order in which they run.
#[derive(Debug, Default)]
pub struct DeviceGraph {
    /// The model's name.
    pub name: String,
    /// Shape and name of each value.
    pub values: Vec<(Shape, String)>,
    /// The nodes.
    pub nodes: Vec<DeviceNode>,
    /// The inputs.
    pub inputs: Vec<Value>,
    /// The outputs.
    pub outputs: Vec<Value>,
}

impl DeviceGraph {
    /// A graph of one op.
    pub fn single(name: impl Into<String>, op: impl DeviceOp + 'static, inputs: &[Shape], output: Shape) -> Self {
        let name = name.into();
        let mut graph = Self { name: name.clone(), ..Self::default() };
        let inputs: Vec<Value> = inputs.iter().map(|shape| graph.input(shape.clone(), "input")).collect();
        let output = graph.push(name, op, &inputs, output);
        graph.outputs.push(output);
        graph
    }

    /// Takes in the nodes, inputs and outputs of a graph that has nothing to do with this one.
    pub fn append(&mut self, other: Self) {
        let base = self.values.len();
        let moved = |values: Vec<Value>| values.into_iter().map(move |Value(value)| Value(base + value));
        self.values.extend(other.values);
        self.inputs.extend(moved(other.inputs));
        self.outputs.extend(moved(other.outputs));
        self.nodes.extend(other.nodes.into_iter().map(|node| DeviceNode {
            inputs: moved(node.inputs).collect(),
            output: Value(base + node.output.0),
            ..node
        }));
    }

    /// A new value.
    pub fn value(&mut self, shape: Shape, name: impl Into<String>) -> Value {
        self.values.push((shape, name.into()));
        Value(self.values.len() - 1)
    }

    /// A new input of the model.
    pub fn input(&mut self, shape: Shape, name: impl Into<String>) -> Value {
        let value = self.value(shape, name);
        self.inputs.push(value);
        value
    }

    /// A new node, and its output.
    pub fn push(&mut self, name: impl Into<String>, op: impl DeviceOp + 'static, inputs: &[Value], output: Shape) -> Value {
        let name = name.into();
        let output = self.value(output, name.clone());
        self.nodes.push(DeviceNode { name, op: Box::new(op), inputs: inputs.to_vec(), output });
        output
    }

    /// Shape of a value.
    pub fn shape(&self, value: Value) -> &Shape {
        &self.values[value.0].0
    }

    /// What `node` sees of its tensors.
    pub fn site<'a>(&'a self, node: &'a DeviceNode) -> Site<'a> {
        Site {
            name: &node.name,
            inputs: node.inputs.iter().map(|&input| self.shape(input)).collect(),
            output: self.shape(node.output),
        }
    }
}
