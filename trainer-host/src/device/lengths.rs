//! The length groups of a graph's values: how many rows they have of inputs that may be shorter than their shapes say.

use super::{DeviceGraph, DeviceNode, ExportError, Steps, Value};
use crate::graph::LengthRule;
use samara_runtime::LengthGroup;

/// Most length groups of a file.
const MOST_GROUPS: usize = u8::MAX as usize;

/// The length groups, from number 1 on, and for each value the number of its own; 0 for none.
#[derive(Debug, Default)]
pub(super) struct LengthGroups {
    pub groups: Vec<LengthGroup>,
    pub of_value: Vec<u8>,
}

impl LengthGroups {
    /// Those of a graph; none without inputs of variable length.
    ///
    /// # Errors
    /// If what a node computes of a shorter sequence is not what a file for that length computes, or there are too many groups.
    pub fn of(graph: &DeviceGraph) -> Result<Self, ExportError> {
        let mut lengths = Self { groups: Vec::new(), of_value: vec![0; graph.values.len()] };
        for &input in &graph.variable_inputs {
            let (shape, _) = &graph.values[input.0];
            lengths.of_value[input.0] = lengths.number(LengthGroup::own(shape[0] as u32), true)?;
        }
        // The group of the sequence of which a value is a step, or was made.
        let mut of_steps = vec![0; graph.values.len()];
        for node in &graph.nodes {
            let sequence = node.inputs.iter().map(|input| of_steps[input.0]).find(|&group| group > 0).unwrap_or(0);
            let (output, group) = (node.output.0, lengths.of_node(graph, node)?);
            (lengths.of_value[output], of_steps[output]) = match node.op.steps() {
                Steps::Taken => (group, node.inputs.first().map_or(0, |input| lengths.of_value[input.0])),
                Steps::Gathered => (sequence, 0),
                Steps::Passed => (group, sequence),
            };
        }
        Ok(lengths)
    }

    /// The number of a group, which is a new one if there is none like it.
    fn number(&mut self, group: LengthGroup, is_new: bool) -> Result<u8, ExportError> {
        let known = self.groups.iter().position(|other| *other == group).filter(|_| !is_new);
        let place = known.unwrap_or_else(|| {
            self.groups.push(group);
            self.groups.len() - 1
        });
        let too_many = ExportError::TooLarge { what: "length groups", found: place + 1, limit: MOST_GROUPS };
        u8::try_from(place + 1).map_err(|_| too_many)
    }

    fn of_node(&mut self, graph: &DeviceGraph, node: &DeviceNode) -> Result<u8, ExportError> {
        let of = |&Value(input): &Value| self.of_value[input];
        let Some(source) = node.inputs.iter().map(of).find(|&group| group > 0) else { return Ok(0) };
        let context = graph.context(node);
        // One row for all, or the states with which a recurrent layer begins.
        let serves_all =
            |input: &Value| of(input) == 0 && (graph.shape(*input).first() == Some(&1) || graph.shape(*input).len() == 1);
        // A state before the first step, whose quantization is the op's, has no steps.
        let is_state = |number: usize, input: &Value| of(input) == 0 && node.op.input_quantization(number).is_some();
        let mut inputs = node.inputs.iter().enumerate();
        if !inputs.all(|(number, input)| of(input) == source || serves_all(input) || is_state(number, input)) {
            return Err(context
                .error("its inputs are sequences of variable length, but not all of one: of one input, by the same windows"));
        }
        match node.op.length_rule(&context) {
            None => Err(context.error(
                "an input of the model is of variable length, and what this layer computes depends on it: write a layer before it that \
                 makes one vector of the steps, or give windows valid or causal padding",
            )),
            Some(LengthRule::Reduced) => Ok(0),
            Some(LengthRule::Kept | LengthRule::Windows { add: 0, stride: 1 }) => Ok(source),
            Some(LengthRule::Windows { add, stride }) => {
                let maximum = context.output[0] as u32;
                self.number(LengthGroup { source: source.into(), stride, add, maximum }, false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::encode::{Numbers, encode};
    use crate::device::ops::{Concat, Kind, Linear, Reshape};
    use crate::graph::Shape;

    fn dense(graph: &mut DeviceGraph, x: Value, rows: usize) -> Value {
        graph.push("dense", Linear::new(Kind::Dense, vec![vec![0.5; 2]; 2], vec![0.0; 2]), &[x], Shape::from([rows, 2]))
    }

    #[test]
    fn what_a_file_cannot_say_is_refused_with_the_layer() {
        let mut graph = DeviceGraph::default();
        let x = graph.input(Shape::from([4, 2]), "x");
        graph.variable_inputs.push(x);
        let y = dense(&mut graph, x, 4);
        let message = |graph: &DeviceGraph| encode(graph, Numbers::F32).unwrap_err().to_string();
        let mut flattened = graph.clone();
        flattened.push("flat", Reshape, &[y], Shape::from([8]));
        assert!(
            message(&flattened).contains("flat") && message(&flattened).contains("depends on it"),
            "{}",
            message(&flattened)
        );
        let mut mixed = graph.clone();
        let z = mixed.input(Shape::from([4, 2]), "z");
        mixed.push("both", Concat { axis: 1 }, &[y, z], Shape::from([4, 4]));
        assert!(message(&mixed).contains("both") && message(&mixed).contains("not all of one"), "{}", message(&mixed));
        mixed.variable_inputs.push(z);
        assert!(message(&mixed).contains("not all of one"));
        let file = encode(&graph, Numbers::F32).unwrap();
        assert_eq!((file.length_groups, file.tensors[1].length_group), (vec![LengthGroup::own(4)], 1));
    }
}
