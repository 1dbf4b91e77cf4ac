//! Fewer nodes, the same function: batch-norms go into their neighbours, clamps into the op before, reshapes of reshapes are one.

use super::{DeviceGraph, DeviceNode, Value, graph::Links};

/// Folds what can be folded exactly. Real numbers only; values that are outputs of the model stay.
///
/// Each round looks at every node once and at few behind it, so the work is linear in the size of the graph; a round follows
/// while one folded a batch-norm.
pub fn simplify(graph: &mut DeviceGraph) {
    let mut folding = Folding { links: graph.links(), removed: vec![false; graph.nodes.len()], graph };
    let nodes = 0..folding.graph.nodes.len();
    loop {
        let mut folded = false;
        nodes.clone().for_each(|node| folded |= folding.fold_back(node));
        // From the end: where a norm went away, one before it may pass.
        nodes.clone().rev().for_each(|node| folded |= folding.fold_forward(node));
        if !folded {
            break;
        }
    }
    nodes.clone().for_each(|node| folding.fuse_clamp(node));
    nodes.for_each(|node| folding.merge_reshapes(node));
    let mut removed = folding.removed.into_iter();
    graph.nodes.retain(|_| removed.next() == Some(false));
    drop_unused_values(graph);
}

/// Drops the values that no node and no port names, and numbers the others anew.
fn drop_unused_values(graph: &mut DeviceGraph) {
    let mut used = vec![false; graph.values.len()];
    let named = graph.nodes.iter().flat_map(|node| node.inputs.iter().chain([&node.output]));
    named.chain(&graph.inputs).chain(&graph.outputs).for_each(|value| used[value.0] = true);
    let mut next = 0;
    let numbers: Vec<usize> = used
        .iter()
        .map(|&used| {
            next += usize::from(used);
            next.saturating_sub(1)
        })
        .collect();
    let renumber = |value: &mut Value| value.0 = numbers[value.0];
    for node in &mut graph.nodes {
        node.inputs.iter_mut().chain([&mut node.output]).for_each(renumber);
    }
    graph.inputs.iter_mut().chain(&mut graph.outputs).chain(&mut graph.variable_inputs).for_each(renumber);
    let mut used = used.iter();
    graph.values.retain(|_| used.next() == Some(&true));
}

/// A graph that nodes are taken out of: they stay in the list, marked, until the end, so that indices hold.
struct Folding<'a> {
    graph: &'a mut DeviceGraph,
    links: Links,
    removed: Vec<bool>,
}

impl Folding<'_> {
    /// The node's scales and shifts, if it is nothing else and still there.
    fn scale_shift(&self, node: usize) -> Option<(Vec<f32>, Vec<f32>)> {
        let (scale, shift) = self.graph.nodes[node].op.as_scale_shift().filter(|_| !self.removed[node])?;
        Some((scale.to_vec(), shift.to_vec()))
    }

    /// The node whose elements `value` holds, in their order: its producer, or the one before reshapes. `None` if anybody else
    /// sees them.
    fn sole_source(&self, value: Value) -> Option<usize> {
        let mut source = self.links.sole_producer(value)?;
        while self.graph.nodes[source].op.is_reshape() {
            source = self.links.sole_producer(self.graph.nodes[source].inputs[0])?;
        }
        Some(source)
    }

    /// Takes `node`, folded into an op before it, out of the graph: its producer gives its output.
    fn remove(&mut self, node: usize) {
        let DeviceNode { inputs, output, .. } = &self.graph.nodes[node];
        let (Some(producer), output) = (self.links.producer(inputs[0]), *output) else { return };
        self.graph.nodes[producer].output = output;
        self.links.set_producer(output, producer);
        self.removed[node] = true;
    }

    /// Folds a norm into the op before it.
    fn fold_back(&mut self, node: usize) -> bool {
        let Some((scale, shift)) = self.scale_shift(node) else { return false };
        let Some(source) = self.sole_source(self.graph.nodes[node].inputs[0]) else { return false };
        let same_channels = self.graph.shape(self.graph.nodes[source].output).channels() == scale.len();
        let folded = same_channels && self.graph.nodes[source].op.fold_output(&scale, &shift);
        if folded {
            self.remove(node);
        }
        folded
    }

    /// Folds a norm into an op behind it, through ops that let it pass.
    fn fold_forward(&mut self, node: usize) -> bool {
        let Some((scale, shift)) = self.scale_shift(node) else { return false };
        let (input, output) = (self.graph.nodes[node].inputs[0], self.graph.nodes[node].output);
        let Some(reader) = self.links.sole_reader(output) else { return false };
        let Some(taker) = behind_passing(self.graph, &self.links, output, &scale) else { return false };
        let folded = self.graph.nodes[taker].op.fold_input(&scale, &shift);
        if folded {
            self.graph.nodes[reader].inputs.iter_mut().for_each(|value| *value = input);
            self.links.replace_reader(input, node, reader);
            self.removed[node] = true;
        }
        folded
    }

    /// Makes a ReLU the clamp of the op before it.
    fn fuse_clamp(&mut self, node: usize) {
        let DeviceNode { op, inputs, .. } = &self.graph.nodes[node];
        let Some(clamp) = op.as_clamp() else { return };
        let Some(source) = self.sole_source(inputs[0]) else { return };
        if self.graph.nodes[source].op.fuse_clamp(clamp) {
            self.remove(node);
        }
    }

    /// Lets a reshape read what another one before it reads, and those who read it read on where that changes no shape.
    fn merge_reshapes(&mut self, node: usize) {
        let DeviceNode { op, inputs, output, .. } = &self.graph.nodes[node];
        if self.removed[node] || !op.is_reshape() {
            return;
        }
        let (mut input, output) = (inputs[0], *output);
        if let Some(before) = self.links.producer(input).filter(|&before| self.graph.nodes[before].op.is_reshape()) {
            let source = self.graph.nodes[before].inputs[0];
            self.graph.nodes[node].inputs[0] = source;
            self.links.remove_reader(input, node);
            self.links.add_reader(source, node);
            if self.links.readers(input).is_empty() && !self.links.is_output(input) {
                self.links.remove_reader(source, before);
                self.removed[before] = true;
            }
            input = source;
        }
        if self.graph.shape(input) == self.graph.shape(output) && !self.links.is_output(output) {
            for &reader in self.links.readers(output) {
                self.graph.nodes[reader].inputs.iter_mut().filter(|value| **value == output).for_each(|value| *value = input);
            }
            self.links.move_readers(output, input);
            self.links.remove_reader(input, node);
            self.removed[node] = true;
        }
    }
}

/// Behind how many ops [`behind_passing`] looks: beyond any net that makes sense, so that graphs of thousands of nodes take time
/// in proportion.
const FARTHEST: usize = 16;

/// The only node that sees `value`, directly or behind some ops that let a scale per channel pass.
pub(crate) fn behind_passing(graph: &DeviceGraph, links: &Links, value: Value, scale: &[f32]) -> Option<usize> {
    let mut reader = links.sole_reader(value)?;
    for _ in 0..FARTHEST {
        if !graph.nodes[reader].op.lets_pass(&graph.context(&graph.nodes[reader]), scale) {
            return Some(reader);
        }
        reader = links.sole_reader(graph.nodes[reader].output)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::{
            Clamp,
            ops::{Activation, Add, Kind, Linear, Reshape, ScaleShift},
        },
        graph::Shape,
    };
    use samara_runtime::ops::activation::{Function, Parameters};

    fn dense(rows: Vec<Vec<f32>>, bias: Vec<f32>) -> Linear {
        Linear::new(Kind::Dense, rows, bias)
    }

    fn norm(scale: Vec<f32>, shift: Vec<f32>) -> ScaleShift {
        ScaleShift { scale, shift, clamp: Clamp::NONE }
    }

    #[test]
    fn norms_and_clamps_go_through_reshapes_and_reshapes_of_reshapes_vanish() {
        let (line, image) = (Shape::from([3, 2]), Shape::from([3, 1, 2]));
        let mut graph = DeviceGraph::default();
        let x = graph.input(image.clone(), "x");
        let weights = || vec![vec![1.0, 0.0], vec![0.0, 2.0]];
        let y = graph.push("first", dense(weights(), vec![3.0, 4.0]), &[x], image.clone());
        let y = graph.push("to line", Reshape, &[y], line.clone());
        let y = graph.push("norm", norm(vec![10.0, 100.0], vec![-1.0, 0.0]), &[y], line.clone());
        let relu = Activation(Parameters { function: Function::Relu, alpha: f32::INFINITY });
        let y = graph.push("relu", relu, &[y], line.clone());
        let y = graph.push("to image", Reshape, &[y], image.clone());
        let first = graph.push("second", dense(weights(), vec![0.0; 2]), &[y], image.clone());
        let second = graph.push("sum", Add { coefficients: [1.0; 2], clamp: Clamp::NONE }, &[y, y], image.clone());
        let first = graph.push("to line", Reshape, &[first], line.clone());
        graph.outputs.extend([first, second]);
        simplify(&mut graph);
        let names: Vec<&str> = graph.nodes.iter().map(|node| &node.name[..]).collect();
        assert_eq!(names, ["first", "second", "sum", "to line"]);
        let folded = format!("{:?}", graph.nodes[0].op);
        let wanted = "[[10.0, 0.0], [0.0, 200.0]], bias: [29.0, 400.0], clamp: Clamp { minimum: 0.0, maximum: inf }";
        assert!(folded.contains(wanted), "{folded}");
        let between = graph.nodes[0].output;
        assert_eq!((&graph.nodes[1].inputs[..], &graph.nodes[2].inputs[..]), (&[between][..], &[between, between][..]));
    }

    #[test]
    fn a_reshape_that_is_seen_stays() {
        // The norm has other channels than the layer; the first reshape is an output of the model.
        let mut graph = DeviceGraph::default();
        let x = graph.input(Shape::from([2]), "x");
        let y = graph.push("dense", dense(vec![vec![1.0, 2.0]; 4], vec![3.0; 4]), &[x], Shape::from([4]));
        let seen = graph.push("seen", Reshape, &[y], Shape::from([2, 2]));
        let back = graph.push("back", Reshape, &[seen], Shape::from([4]));
        let z = graph.push("norm", norm(vec![10.0, 100.0], vec![-1.0, 0.0]), &[seen], Shape::from([2, 2]));
        let end = graph.push("end", dense(vec![vec![1.0; 4]], vec![0.0]), &[back], Shape::from([1]));
        graph.outputs.extend([seen, z, end]);
        simplify(&mut graph);
        let names: Vec<&str> = graph.nodes.iter().map(|node| &node.name[..]).collect();
        assert_eq!(names, ["dense", "seen", "norm", "end"]);
        assert_eq!(graph.nodes[3].inputs, [graph.nodes[0].output]);
    }

    #[test]
    fn a_norm_behind_a_layer_and_the_relu_behind_it_vanish() {
        let mut graph = DeviceGraph::default();
        let x = graph.input(Shape::from([2]), "x");
        let y = graph.push("dense", dense(vec![vec![1.0, 2.0]], vec![3.0]), &[x], Shape::from([1]));
        let y = graph.push("norm", norm(vec![10.0], vec![-1.0]), &[y], Shape::from([1]));
        let relu = Activation(Parameters { function: Function::Relu, alpha: f32::INFINITY });
        let y = graph.push("relu", relu, &[y], Shape::from([1]));
        graph.outputs.push(y);
        simplify(&mut graph);
        assert_eq!(graph.nodes.len(), 1);
        let folded = format!("{:?}", graph.nodes[0].op);
        assert!(folded.contains("[[10.0, 20.0]], bias: [29.0], clamp: Clamp { minimum: 0.0, maximum: inf }"), "{folded}");
        assert_eq!((graph.nodes[0].output, graph.values.len()), (graph.outputs[0], 2));
    }

    #[test]
    fn a_norm_before_a_flatten_goes_into_the_dense_layer_behind() {
        let mut graph = DeviceGraph::default();
        let x = graph.input(Shape::from([1, 2, 2]), "x");
        let y = graph.push("norm", norm(vec![2.0, 3.0], vec![1.0, 0.5]), &[x], Shape::from([1, 2, 2]));
        let y = graph.push("flatten", Reshape, &[y], Shape::from([4]));
        let y = graph.push("dense", dense(vec![vec![1.0, 10.0, 100.0, 1000.0]], vec![0.0]), &[y], Shape::from([1]));
        graph.outputs.push(y);
        simplify(&mut graph);
        assert_eq!(graph.nodes.len(), 2);
        let folded = format!("{:?}", graph.nodes[1].op);
        // 1 * 1 + 10 * 0.5 + 100 * 1 + 1000 * 0.5 = 606.
        assert!(folded.contains("[[2.0, 30.0, 200.0, 3000.0]], bias: [606.0]"), "{folded}");
    }

    #[test]
    fn a_norm_behind_a_clamp_stays() {
        let mut graph = DeviceGraph::default();
        let x = graph.input(Shape::from([1]), "x");
        let clamp = Clamp { minimum: 0.0, maximum: 6.0 };
        let y = graph.push("dense", Linear { clamp, ..dense(vec![vec![1.0]], vec![0.0]) }, &[x], Shape::from([1]));
        let y = graph.push("norm", norm(vec![-2.0], vec![1.0]), &[y], Shape::from([1]));
        graph.outputs.push(y);
        simplify(&mut graph);
        assert_eq!(graph.nodes.len(), 2);
    }

    #[test]
    fn what_a_second_reader_sees_stays() {
        let mut graph = DeviceGraph::default();
        let x = graph.input(Shape::from([1]), "x");
        let y = graph.push("dense", dense(vec![vec![1.0]], vec![0.0]), &[x], Shape::from([1]));
        let z = graph.push("norm", norm(vec![2.0], vec![0.0]), &[y], Shape::from([1]));
        graph.outputs.extend([y, z]);
        simplify(&mut graph);
        assert_eq!(graph.nodes.len(), 2);
    }
}
