//! Fewer nodes, the same function: batch-norms go into their neighbours, clamps into the op before.

use super::{DeviceGraph, Value};

/// Folds what can be folded exactly. Real numbers only; values that are outputs of the model stay.
pub fn simplify(graph: &mut DeviceGraph) {
    while (0..graph.nodes.len()).any(|node| fold_back(graph, node) || fold_forward(graph, node)) {}
    while (0..graph.nodes.len()).any(|node| fuse_clamp(graph, node)) {}
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
    graph.inputs.iter_mut().chain(&mut graph.outputs).for_each(renumber);
    let mut used = used.iter();
    graph.values.retain(|_| used.next() == Some(&true));
}

/// The node that makes `value`, if nothing else than one node reads it.
fn sole_producer(graph: &DeviceGraph, value: Value) -> Option<usize> {
    sole_consumer(graph, value)?;
    graph.nodes.iter().position(|node| node.output == value)
}

/// The node that reads `value`, if it is the only one and reads it once, and the value is no output of the model.
pub(crate) fn sole_consumer(graph: &DeviceGraph, value: Value) -> Option<usize> {
    let mut readers = graph
        .nodes
        .iter()
        .enumerate()
        .flat_map(|(index, node)| node.inputs.iter().filter(move |&&input| input == value).map(move |_| index));
    let only = readers.next()?;
    (readers.next().is_none() && !graph.outputs.contains(&value)).then_some(only)
}

/// Takes `node` out of the graph, its producer giving the node's output.
fn remove_behind(graph: &mut DeviceGraph, producer: usize, node: usize) {
    graph.nodes[producer].output = graph.nodes[node].output;
    graph.nodes.remove(node);
}

fn fold_back(graph: &mut DeviceGraph, node: usize) -> bool {
    let Some((scale, shift)) = graph.nodes[node].op.as_scale_shift().map(|(scale, shift)| (scale.to_vec(), shift.to_vec()))
    else {
        return false;
    };
    let Some(producer) = sole_producer(graph, graph.nodes[node].inputs[0]) else { return false };
    let folded = graph.nodes[producer].op.fold_output(&scale, &shift);
    if folded {
        remove_behind(graph, producer, node);
    }
    folded
}

fn fold_forward(graph: &mut DeviceGraph, node: usize) -> bool {
    let Some((scale, shift)) = graph.nodes[node].op.as_scale_shift().map(|(scale, shift)| (scale.to_vec(), shift.to_vec()))
    else {
        return false;
    };
    let mut at = node;
    loop {
        let Some(consumer) = sole_consumer(graph, graph.nodes[at].output) else { return false };
        if graph.nodes[consumer].op.fold_input(&scale, &shift) {
            break;
        }
        if !graph.nodes[consumer].op.lets_pass(&scale) {
            return false;
        }
        at = consumer;
    }
    let (input, output) = (graph.nodes[node].inputs[0], graph.nodes[node].output);
    for reader in &mut graph.nodes {
        reader.inputs.iter_mut().filter(|value| **value == output).for_each(|value| *value = input);
    }
    graph.nodes.remove(node);
    true
}

fn fuse_clamp(graph: &mut DeviceGraph, node: usize) -> bool {
    let Some(clamp) = graph.nodes[node].op.as_clamp() else { return false };
    let Some(producer) = sole_producer(graph, graph.nodes[node].inputs[0]) else { return false };
    let fused = graph.nodes[producer].op.fuse_clamp(clamp);
    if fused {
        remove_behind(graph, producer, node);
    }
    fused
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::{
            Clamp,
            ops::{Activation, Kind, Linear, Reshape, ScaleShift},
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
