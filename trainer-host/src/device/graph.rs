//! The graph of the runtime's ops, in real numbers.

use super::{DeviceOp, ExportError, NodeContext};
use crate::graph::Shape;
use std::collections::HashSet;

/// A tensor of a [`DeviceGraph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(crate) usize);

/// A node of a [`DeviceGraph`].
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone, Default)]
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
    /// The inputs whose first dimension is the largest of several lengths.
    pub variable_inputs: Vec<Value>,
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
        self.variable_inputs.extend(moved(other.variable_inputs));
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

    /// Takes the nodes out that nothing depends on.
    pub(crate) fn drop_unread(&mut self) {
        let mut read: HashSet<Value> = self.outputs.iter().copied().collect();
        let is_read = |node: &DeviceNode| {
            let is_read = read.contains(&node.output);
            read.extend(node.inputs.iter().filter(|_| is_read));
            is_read
        };
        let kept: Vec<bool> = self.nodes.iter().rev().map(is_read).collect();
        let mut kept = kept.into_iter().rev();
        self.nodes.retain(|_| kept.next() == Some(true));
    }

    /// Shape of a value.
    pub fn shape(&self, value: Value) -> &Shape {
        &self.values[value.0].0
    }

    /// The values that are tokens.
    ///
    /// # Errors
    /// If one of them is no input of the model, or is read as real numbers, too.
    pub(crate) fn tokens(&self) -> Result<HashSet<Value>, ExportError> {
        let tokens: HashSet<Value> =
            self.nodes.iter().filter(|node| node.op.takes_tokens()).flat_map(|node| node.inputs.iter().copied()).collect();
        for node in &self.nodes {
            let is_wrong = |input: &&Value| {
                let is_input = self.inputs.contains(input);
                tokens.contains(input) && !(is_input && node.op.takes_tokens())
            };
            if let Some(input) = node.inputs.iter().find(is_wrong) {
                let name = &self.values[input.0].1;
                let reason = format!(
                    "it takes {name:?}, which are tokens: they must be an input of the model that embeddings alone read"
                );
                return Err(ExportError::Layer { layer: node.name.clone(), reason });
            }
        }
        Ok(tokens)
    }

    /// What `node` sees of its tensors.
    pub fn context<'a>(&'a self, node: &'a DeviceNode) -> NodeContext<'a> {
        NodeContext {
            name: &node.name,
            inputs: node.inputs.iter().map(|&input| self.shape(input)).collect(),
            output: self.shape(node.output),
        }
    }

    /// Which nodes make and read each value.
    pub(crate) fn links(&self) -> Links {
        let mut links = Links { values: vec![Ends::default(); self.values.len()] };
        for (index, node) in self.nodes.iter().enumerate() {
            links.values[node.output.0].producer = Some(index);
            node.inputs.iter().for_each(|input| links.values[input.0].readers.push(index));
        }
        self.outputs.iter().for_each(|output| links.values[output.0].is_output = true);
        links
    }
}

/// Which nodes make and read each value of a [`DeviceGraph`], as indices: looked up at once in graphs of any size.
#[derive(Debug)]
pub(crate) struct Links {
    values: Vec<Ends>,
}

/// The two ends of a value.
#[derive(Debug, Clone, Default)]
struct Ends {
    producer: Option<usize>,
    /// One that reads the value twice stands here twice.
    readers: Vec<usize>,
    is_output: bool,
}

impl Links {
    /// The node that reads `value`, if it is the only one and reads it once, and the value is no output of the model.
    pub fn sole_reader(&self, value: Value) -> Option<usize> {
        match &self.values[value.0] {
            Ends { readers, is_output: false, .. } if readers.len() == 1 => readers.first().copied(),
            _ => None,
        }
    }

    /// The node that makes `value`, if a single node reads it and nobody else sees it.
    pub fn sole_producer(&self, value: Value) -> Option<usize> {
        self.sole_reader(value)?;
        self.values[value.0].producer
    }

    /// From now on, `producer` makes this value.
    pub fn set_producer(&mut self, value: Value, producer: usize) {
        self.values[value.0].producer = Some(producer);
    }

    /// The node that makes `value`, if one does.
    pub fn producer(&self, value: Value) -> Option<usize> {
        self.values[value.0].producer
    }

    /// The nodes that read `value`.
    pub fn readers(&self, value: Value) -> &[usize] {
        &self.values[value.0].readers
    }

    /// `true` if `value` is an output of the model.
    pub fn is_output(&self, value: Value) -> bool {
        self.values[value.0].is_output
    }

    /// From now on, those who read `from` read `to`.
    pub fn move_readers(&mut self, from: Value, to: Value) {
        let readers = std::mem::take(&mut self.values[from.0].readers);
        self.values[to.0].readers.extend(readers);
    }

    /// From now on, `reader` does not read `value`.
    pub fn remove_reader(&mut self, value: Value, reader: usize) {
        self.values[value.0].readers.retain(|other| *other != reader);
    }

    /// From now on, `reader` reads `value`.
    pub fn add_reader(&mut self, value: Value, reader: usize) {
        self.values[value.0].readers.push(reader);
    }

    /// From now on, `new` reads this value where `old` did.
    pub fn replace_reader(&mut self, value: Value, old: usize, new: usize) {
        self.values[value.0].readers.iter_mut().filter(|reader| **reader == old).for_each(|reader| *reader = new);
    }
}
