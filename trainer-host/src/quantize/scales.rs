//! A scale and a zero point for every tensor.

use super::Range;
use crate::device::{DeviceGraph, DeviceNode, OutputQuantization, Quantization, Value, ops::Rescale};
use std::collections::BTreeSet;

/// The scale of a tensor that is always zero.
const SCALE_OF_ZERO: f32 = 1.0 / 128.0;

/// The quantization that covers a range: `scale = (maximum - minimum) / 255`, real zero being an int8 value exactly.
fn covering(range: Range) -> Quantization {
    let (minimum, maximum) = (f64::from(range.minimum), f64::from(range.maximum));
    let scale = ((maximum - minimum) / 255.0) as f32;
    if !scale.is_normal() {
        return Quantization { scale: SCALE_OF_ZERO, zero_point: 0 };
    }
    with_scale(range, scale)
}

/// The zero point for a range under a scale that is at least the covering one.
fn with_scale(range: Range, scale: f32) -> Quantization {
    let zero_point = (-128.0 - f64::from(range.minimum) / f64::from(scale)).round().clamp(-128.0, 127.0);
    Quantization { scale, zero_point: zero_point as i8 }
}

/// Puts a [`Rescale`] behind each tensor of a given quantization (a softmax's) where a concatenation reads it, which
/// gives its inputs one scale; and before each input whose quantization its reader gives (a state before the first step).
pub fn part_fixed_inputs(graph: &mut DeviceGraph) {
    let mut fixed = vec![false; graph.values.len()];
    for mut node in std::mem::take(&mut graph.nodes) {
        let tie = node.op.output_quantization();
        for number in 0..node.inputs.len() {
            if node.op.input_quantization(number).is_some() {
                let input = &mut node.inputs[number];
                let (shape, name) = graph.values[input.0].clone();
                *input = graph.push(format!("{name}/rescale"), Rescale, &[*input], shape);
                fixed.resize(graph.values.len(), false);
            }
        }
        let any_fixed = node.inputs.iter().any(|input| fixed[input.0]);
        if tie == OutputQuantization::Shared && node.inputs.len() > 1 && any_fixed {
            for input in node.inputs.iter_mut().filter(|input| fixed[input.0]) {
                let (shape, name) = graph.values[input.0].clone();
                *input = graph.push(format!("{name}/rescale"), Rescale, &[*input], shape);
            }
            fixed.resize(graph.values.len(), false);
        } else {
            fixed[node.output.0] =
                matches!(tie, OutputQuantization::Fixed(_)) || (tie == OutputQuantization::Shared && any_fixed);
        }
        graph.nodes.push(node);
    }
}

/// Values that have one quantization: a forest, each tree a group.
struct Groups(Vec<usize>);

impl Groups {
    /// The group that a value belongs to.
    fn of(&mut self, mut value: usize) -> usize {
        while self.0[value] != value {
            self.0[value] = self.0[self.0[value]];
            value = self.0[value];
        }
        value
    }

    fn unite(&mut self, a: usize, b: usize) {
        let (a, b) = (self.of(a), self.of(b));
        self.0[a.max(b)] = a.min(b);
    }
}

/// How often a node may raise its output's scale: more than once only where groups feed back into themselves.
const MOST_RAISES: usize = 16;

/// Gives each value its quantization. Values that ops tie together form groups; a group takes the given quantization of a
/// member, or covers all members' ranges. Scales that would push a multiplier out of its range are raised. The nodes of each group
/// in `together` have the same quantizations around them, but for given ones.
pub fn assign(graph: &DeviceGraph, ranges: &[Range], together: &[Vec<usize>]) -> Vec<Quantization> {
    let mut groups = Groups((0..graph.values.len()).collect());
    for node in graph.nodes.iter().filter(|node| node.op.output_quantization() == OutputQuantization::Shared) {
        node.inputs.iter().for_each(|input| groups.unite(node.output.0, input.0));
    }
    let mut given = vec![false; graph.values.len()];
    for node in graph.nodes.iter().filter(|node| matches!(node.op.output_quantization(), OutputQuantization::Fixed(_))) {
        given[groups.of(node.output.0)] = true;
    }
    let asked = |node: &DeviceNode| -> Vec<(usize, Quantization)> {
        let inputs = node.inputs.iter().enumerate();
        inputs.filter_map(|(number, input)| Some((input.0, node.op.input_quantization(number)?))).collect()
    };
    for (input, _) in graph.nodes.iter().flat_map(asked) {
        given[groups.of(input)] = true;
    }
    for (first, other) in together.iter().flat_map(|nodes| nodes.iter().map(|&node| (nodes[0], node))) {
        let values = |node: usize| graph.nodes[node].inputs.iter().chain([&graph.nodes[node].output]);
        for (a, b) in values(first).zip(values(other)) {
            if !given[groups.of(a.0)] && !given[groups.of(b.0)] {
                groups.unite(a.0, b.0);
            }
        }
    }
    let group: Vec<usize> = (0..graph.values.len()).map(|value| groups.of(value)).collect();
    let mut range_of = vec![Range::ZERO; group.len()];
    for (value, range) in ranges.iter().enumerate() {
        range_of[group[value]] = range_of[group[value]].union(*range);
    }
    let mut fixed = vec![false; group.len()];
    let mut chosen: Vec<Quantization> = range_of.iter().map(|&range| covering(range)).collect();
    let mut readers = vec![Vec::new(); group.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        if let OutputQuantization::Fixed(quantization) = node.op.output_quantization() {
            chosen[group[node.output.0]] = quantization;
            fixed[group[node.output.0]] = true;
        }
        for (input, quantization) in asked(node) {
            chosen[group[input]] = quantization;
            fixed[group[input]] = true;
        }
        node.inputs.iter().for_each(|input| readers[group[input.0]].push(index));
    }
    // Raising one scale may raise what the nodes ask for that read it.
    let mut pending: BTreeSet<usize> = (0..graph.nodes.len()).collect();
    let mut raises = vec![0; graph.nodes.len()];
    while let Some(index) = pending.pop_first() {
        let node = &graph.nodes[index];
        let inputs: Vec<Quantization> = node.inputs.iter().map(|&Value(input)| chosen[group[input]]).collect();
        let output = group[node.output.0];
        let least = node.op.least_output_scale(&inputs);
        if chosen[output].scale < least && !fixed[output] && raises[index] < MOST_RAISES {
            chosen[output] = with_scale(range_of[output], least);
            raises[index] += 1;
            pending.extend(&readers[output]);
        }
    }
    group.iter().map(|&group| chosen[group]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::ops::{Concat, Kind, Linear, Reshape, Softmax},
        graph::Shape,
    };

    #[test]
    fn a_range_is_covered_and_zero_is_exact() {
        assert_eq!(covering(Range { minimum: 0.0, maximum: 255.0 }), Quantization { scale: 1.0, zero_point: -128 });
        assert_eq!(covering(Range { minimum: -127.0, maximum: 128.0 }), Quantization { scale: 1.0, zero_point: -1 });
        assert_eq!(covering(Range { minimum: -255.0, maximum: 0.0 }), Quantization { scale: 1.0, zero_point: 127 });
        assert_eq!(covering(Range::ZERO).zero_point, 0);
    }

    #[test]
    fn a_scale_that_is_raised_raises_those_that_follow_from_it() {
        let mut graph = DeviceGraph::default();
        let dense = || Linear::new(Kind::Dense, vec![vec![1.0]], vec![0.0]);
        let (a, b) = (graph.input(Shape::from([1]), "a"), graph.input(Shape::from([1]), "b"));
        // The first node stands before the one whose output's scale is raised, and with it the first one's input's.
        let first = graph.push("first", dense(), &[a], Shape::from([1]));
        let second = graph.push("second", dense(), &[b], Shape::from([1]));
        let both = graph.push("both", Concat { axis: 0 }, &[a, second], Shape::from([2]));
        graph.outputs.extend([first, both]);
        let ranges = [1e-6, 1000.0, 1e-6, 1e-6, 1e-6].map(|maximum| Range { minimum: 0.0, maximum });
        let chosen = assign(&graph, &ranges, &[]);
        assert!(chosen[a.0].scale > 1e-4 && chosen[a.0] == chosen[both.0], "{chosen:?}");
        for node in &graph.nodes {
            let inputs: Vec<_> = node.inputs.iter().map(|input| chosen[input.0]).collect();
            let (scale, least) = (chosen[node.output.0].scale, node.op.least_output_scale(&inputs));
            assert!(scale >= least, "{}: a scale of {scale}, at least {least} is needed", node.name);
        }
    }

    #[test]
    fn a_concatenation_has_one_scale_and_a_softmax_before_it_is_rescaled() {
        let mut graph = DeviceGraph::default();
        let a = graph.input(Shape::from([2]), "a");
        let b = graph.input(Shape::from([2]), "b");
        let c = graph.push("softmax", Softmax, &[b], Shape::from([2]));
        let c = graph.push("reshape", Reshape, &[c], Shape::from([2]));
        let d = graph.push("concat", Concat { axis: 0 }, &[a, c], Shape::from([4]));
        graph.outputs.push(d);
        part_fixed_inputs(&mut graph);
        assert_eq!(graph.nodes.len(), 4);
        let ranges = vec![Range { minimum: 0.0, maximum: 2.55 }; graph.values.len()];
        let chosen = assign(&graph, &ranges, &[]);
        assert_eq!(chosen[c.0], Quantization { scale: 1.0 / 256.0, zero_point: -128 });
        assert_eq!((chosen[a.0], chosen[d.0]), (covering(ranges[0]), covering(ranges[0])));
        assert_eq!(chosen[graph.nodes[2].output.0], chosen[d.0]);
    }
}
