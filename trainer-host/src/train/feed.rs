//! A source that feeds a model: in the model's order, and checked against it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::Model;
use super::arrange::{Ports, count_error};
use super::lane::real_part;
use super::objective::{Objective, class_of};
use crate::data::{BatchBuffers, Dataset, Field, Source, check_weights};
use crate::error::{Error, Result};
use crate::graph::{Graph, Node, Shape, length_before_padding};
use crate::losses::TargetFault;

/// What samples are taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Their inputs alone.
    Predict,
    /// Targets too.
    Evaluate,
    /// Weights of classes too.
    Train,
}

/// A source with the places of a model's inputs and targets in it.
pub(crate) struct Feed<'a> {
    source: &'a dyn Source,
    graph: Arc<Graph>,
    /// Of the outputs whose targets are taken.
    objectives: Vec<Objective>,
    purpose: Purpose,
    /// For each input of the model its place in the source; for each output that of its target.
    pub inputs: Vec<usize>,
    pub targets: Vec<usize>,
    /// `true` if all samples were checked: batches need no check.
    is_checked: bool,
}

impl fmt::Debug for Feed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("inputs", &self.inputs).field("targets", &self.targets).finish_non_exhaustive()
    }
}

impl Model {
    /// Checks a source against the model, all samples of it if they are in memory.
    pub(super) fn feed<'a>(&self, source: &'a dyn Source, purpose: Purpose) -> Result<Feed<'a>> {
        if u32::try_from(source.samples()).is_err() {
            let (found, expected) = (source.samples().to_string(), format!("at most {}", u32::MAX));
            return Err(Error::Argument { name: "the number of samples", found, expected });
        }
        let graph = self.shared_graph();
        let fields = source.inputs();
        let inputs = self.places(Ports::Inputs, "tensor", &fields, "input tensor")?;
        for (&place, &node) in inputs.iter().zip(&graph.inputs) {
            let Node { name, shape, length_group, .. } = &graph.nodes[node];
            let found = &fields[place].shape;
            let is_shorter = found.len() == shape.len() && found.first() < shape.first() && found.get(1..) == shape.get(1..);
            if *length_group > 0 && is_shorter {
                continue;
            }
            let is_sequence = *length_group > 0 || graph.vocabulary(node).is_some() || shape.len() == 2;
            check_shape(&format!("input '{name}'"), found, shape, is_sequence)?;
        }
        let compiled = self.compiled.as_ref().filter(|_| purpose != Purpose::Predict);
        let objectives = compiled.map_or_else(Vec::new, |compiled| compiled.objectives.clone());
        let mut targets = Vec::new();
        if !objectives.is_empty() {
            let fields = source.targets();
            targets = self.places(Ports::Outputs, "target", &fields, "target tensor")?;
            for ((objective, &place), &output) in objectives.iter().zip(&targets).zip(&graph.outputs) {
                let node = &graph.nodes[output];
                let expected = objective.loss.target_shape(&node.shape).map_err(|reason| Error::Loss {
                    loss: objective.loss.name().to_owned(),
                    output: node.name.clone(),
                    shape: node.shape.clone(),
                    reason,
                })?;
                check_shape(&target_of(node), &fields[place].shape, &expected, false)?;
            }
        }
        let is_checked = source.as_dataset().is_some();
        let feed = Feed { source, graph, objectives, purpose, inputs, targets, is_checked };
        if let Some(data) = source.as_dataset() {
            feed.check_all(data)?;
        }
        Ok(feed)
    }

    fn places(&self, ports: Ports, thing: &'static str, fields: &[Field], given: &'static str) -> Result<Vec<usize>> {
        let names: Vec<Option<&str>> = fields.iter().map(|field| field.name.as_deref()).collect();
        let (what, expected) = match ports {
            Ports::Inputs => ("inputs", self.graph().inputs.len()),
            Ports::Outputs => ("outputs", self.graph().outputs.len()),
        };
        if names.iter().all(Option::is_none) && names.len() != expected {
            return Err(count_error(self.name(), what, expected, names.len(), given));
        }
        self.arrange(ports, thing, &names)
    }
}

impl<'a> Feed<'a> {
    pub fn source(&self) -> &'a dyn Source {
        self.source
    }

    pub fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    /// A sentence for each input that takes all steps of its samples although these say that they have fewer.
    pub fn dropped_lengths(&self) -> Vec<String> {
        let inputs = self.source.as_dataset().map_or(&[][..], Dataset::inputs);
        let of_input = |(&place, &node): (&usize, &usize)| {
            let Node { name, length_group, shape, .. } = &self.graph.nodes[node];
            let lengths = inputs.get(place)?.lengths().filter(|_| *length_group == 0)?;
            let is_shorter = |&length: &u32| shape.first().is_some_and(|&most| (length as usize) < most);
            lengths.iter().any(is_shorter).then(|| {
                format!("input '{name}' takes what fills its samples up for steps of theirs: `variable_length` makes it take as many as they have")
            })
        };
        self.inputs.iter().zip(&self.graph.inputs).filter_map(of_input).collect()
    }

    /// Fills a batch, and checks it if it is not a part of something that was checked.
    pub fn take(&self, numbers: impl Iterator<Item = u32>, key: u64, batch: &mut BatchBuffers) -> Result<()> {
        batch.take(self.source, numbers, key)?;
        if self.is_checked { Ok(()) } else { self.check_batch(batch) }
    }

    /// Tokens and targets of a data set in memory, whose values are known to be finite.
    fn check_all(&self, data: &Dataset) -> Result<()> {
        for (&place, &input) in self.inputs.iter().zip(&self.graph.inputs) {
            let Some(vocabulary) = self.graph.vocabulary(input) else { continue };
            let tensor = &data.inputs()[place];
            for number in 0..tensor.samples() {
                let tokens = tensor.sample(number).unwrap_or_default();
                self.check_tokens(input, vocabulary, &tokens, data.first_sample() + number)?;
            }
        }
        let mut lengths = vec![0; self.graph.length_groups.len()];
        for number in 0..data.samples() {
            let sample = data.first_sample() + number;
            self.check_lengths(sample, &mut lengths, |place| {
                let tensor = &data.inputs()[place];
                (tensor.lengths().map(|lengths| lengths[number]), tensor.sample(number).unwrap_or_default())
            })?;
            for (output, &place) in self.targets.iter().enumerate() {
                let target = data.targets()[place].sample(number).unwrap_or_default();
                self.check_target(output, &target, &lengths, sample)?;
            }
        }
        Ok(())
    }

    fn check_batch(&self, batch: &BatchBuffers) -> Result<()> {
        let node = |node: usize| &self.graph.nodes[node];
        for (&place, &input) in self.inputs.iter().zip(&self.graph.inputs) {
            let values = batch.input_values(place);
            let size = values.len().checked_div(batch.samples()).unwrap_or(0);
            check_finite(|| format!("input '{}'", node(input).name), values, size, batch.numbers())?;
            if let Some(vocabulary) = self.graph.vocabulary(input) {
                for (tokens, &number) in values.chunks_exact(size).zip(batch.numbers()) {
                    self.check_tokens(input, vocabulary, tokens, number as usize)?;
                }
            }
        }
        for (output, &place) in self.targets.iter().enumerate() {
            let values = batch.target_values(place);
            let size = values.len().checked_div(batch.samples()).unwrap_or(0);
            check_finite(|| target_of(node(self.graph.outputs[output])), values, size, batch.numbers())?;
            check_weights("a sample's weight", batch.weight_values(place).unwrap_or_default())?;
        }
        let mut lengths = vec![0; self.graph.length_groups.len()];
        for (position, &number) in batch.numbers().iter().enumerate() {
            self.check_lengths(number as usize, &mut lengths, |place| {
                let (given, values) = (batch.length_values(place), batch.input_values(place));
                let size = values.len() / batch.samples();
                (given.map(|given| given[position]), values[position * size..][..size].into())
            })?;
            for (output, &place) in self.targets.iter().enumerate() {
                let values = batch.target_values(place);
                let size = values.len() / batch.samples();
                self.check_target(output, &values[position * size..][..size], &lengths, number as usize)?;
            }
        }
        Ok(())
    }

    /// Fills in how many steps a sample has in each length group. Of inputs, `get` gives what is said of that, and the values.
    fn check_lengths<'v>(
        &self,
        sample: usize,
        lengths: &mut [u32],
        get: impl Fn(usize) -> (Option<u32>, Cow<'v, [f32]>),
    ) -> Result<()> {
        let graph = &self.graph;
        for (&place, &input) in self.inputs.iter().zip(&graph.inputs) {
            let Node { name, shape, length_group, .. } = &graph.nodes[input];
            let Some(group) = usize::from(*length_group).checked_sub(1) else { continue };
            let row = shape.size() / shape[0];
            let (given, values) = get(place);
            // The source may have fewer steps than the model takes at most.
            let most = values.len() / row;
            lengths[group] = match (given, graph.padding(input)) {
                (Some(length), _) => length,
                (None, None) => most as u32,
                (None, Some(padding)) => {
                    let length = length_before_padding(&values, row, padding);
                    let is_padding = |step: &[f32]| length > 1 && step.iter().all(|&value| value == padding);
                    if let Some(step) = values.chunks_exact(row).take(length).position(is_padding) {
                        let found = format!("in step {step} of sample {sample} of input '{name}', before others");
                        let expected = "behind all that count: `pad_sequences` with `Side::After` puts it there; lengths can also \
                                        be said, by `Tensor::with_lengths`";
                        return Err(Error::Argument { name: "padding", found, expected: expected.to_owned() });
                    }
                    length as u32
                }
            };
            let least = graph.least_lengths()[group];
            if !(least as usize..=most).contains(&(lengths[group] as usize)) {
                let found = format!("{}, of sample {sample} of input '{name}'", lengths[group]);
                let expected = format!("from {least} to {most}: the model's windows take at least {least} steps");
                return Err(Error::Argument { name: "the length of a sequence", found, expected });
            }
        }
        Graph::derive_lengths(&graph.length_groups, lengths);
        Ok(())
    }

    /// The tokens of one sample must be of the vocabulary.
    fn check_tokens(&self, input: usize, vocabulary: usize, tokens: &[f32], sample: usize) -> Result<()> {
        let is_token = |&token: &f32| token >= 0.0 && token < vocabulary as f32 && token.fract() == 0.0;
        let Some(position) = tokens.iter().position(|token| !is_token(token)) else { return Ok(()) };
        let what = format!("input '{}'", self.graph.nodes[input].name);
        Err(Error::TokenOutOfRange { what, sample, position, token: tokens[position], vocabulary })
    }

    fn check_target(&self, output: usize, target: &[f32], lengths: &[u32], sample: usize) -> Result<()> {
        let (objective, node) = (&self.objectives[output], &self.graph.nodes[self.graph.outputs[output]]);
        // What stands behind the last step does not count.
        let target = match usize::from(node.length_group).checked_sub(1) {
            Some(group) => &target[..real_part(target.len(), node.shape[0], lengths[group])],
            None => target,
        };
        match objective.loss.target_fault(target, &node.shape) {
            None => {}
            Some(TargetFault::Label { label, classes }) => {
                return Err(Error::LabelOutOfRange { what: target_of(node), sample, label, classes });
            }
            Some(TargetFault::Range { value, wanted }) => {
                let loss = objective.loss.name().to_owned();
                return Err(Error::TargetRange { what: target_of(node), sample, value, loss, wanted });
            }
        }
        match &objective.class_weights {
            Some(weights) if self.purpose == Purpose::Train => check_class(weights, target, sample),
            _ => Ok(()),
        }
    }
}

fn target_of(node: &Node) -> String {
    format!("the target of output '{}'", node.name)
}

/// A target must be a class that has a weight.
fn check_class(weights: &[f32], target: &[f32], sample: usize) -> Result<()> {
    let (found, expected) = match class_of(target) {
        Some(class) if class < weights.len() => return Ok(()),
        Some(class) => {
            let expected = format!("at least {}: sample {sample} has the class {class}", class.saturating_add(1));
            (format!("a list of {}", weights.len()), expected)
        }
        None => {
            let shown = if let [number] = target { number.to_string() } else { format!("{target:?}") };
            let expected = format!("for numbers of classes or parts that sum to 1, also in sample {sample}");
            (format!("given for the target {shown}"), expected)
        }
    };
    Err(Error::Argument { name: "class_weights", found, expected })
}

fn check_finite(what: impl Fn() -> String, values: &[f32], size: usize, numbers: &[u32]) -> Result<()> {
    let Some(position) = values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
    let (sample, value) = (numbers[position / size] as usize, values[position]);
    Err(Error::NotFinite { what: what(), sample, position: position % size, value })
}

/// Samples must have the wanted shape; trailing dimensions of 1 make no difference.
fn check_shape(what: &str, found: &Shape, expected: &Shape, is_sequence: bool) -> Result<()> {
    fn trimmed(shape: &[usize]) -> &[usize] {
        let kept = shape.iter().rposition(|&dimension| dimension != 1).map_or(0, |last| last + 1);
        &shape[..kept]
    }
    if trimmed(found) == trimmed(expected) {
        return Ok(());
    }
    let is_longer = found.first() > expected.first() && found.iter().skip(1).eq(expected.iter().skip(1));
    let hint = if is_sequence && is_longer {
        ": cut the sequences, as `pad_sequences` does, or make the model's input longer"
    } else {
        ""
    };
    Err(Error::SampleShape { what: what.to_owned(), found: found.clone(), expected: expected.clone(), hint })
}
