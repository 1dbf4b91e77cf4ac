//! Data in a model's order, and checked against it.

use super::Model;
use super::objective::{Objective, class_of};
use crate::data::{Dataset, Tensor};
use crate::error::{Error, Result};
use crate::graph::Node;
use crate::losses::TargetFault;

/// Inputs or outputs of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ports {
    Inputs,
    Outputs,
}

/// The tensors of a data set, in a model's order.
#[derive(Debug)]
pub(super) struct Arranged<'a> {
    pub inputs: Vec<&'a Tensor>,
    pub targets: Vec<&'a Tensor>,
    /// What each sample counts in the loss of each output, if not 1.
    pub weights: Vec<Option<&'a [f32]>>,
}

pub(super) fn count_error(model: &str, what: &'static str, expected: usize, found: usize, found_what: &'static str) -> Error {
    Error::Count { model: model.to_owned(), what, expected, found, found_what }
}

impl Model {
    /// For each input or output the position of what is given for it: by name if there are names, else by position.
    pub(super) fn arrange(&self, ports: Ports, thing: &'static str, given: &[Option<&str>]) -> Result<Vec<usize>> {
        let graph = self.graph();
        let (what, names, nodes) = match ports {
            Ports::Inputs => ("input", graph.input_names(), &graph.inputs),
            Ports::Outputs => ("output", graph.output_names(), &graph.outputs),
        };
        if given.iter().all(Option::is_none) {
            return Ok((0..names.len()).collect());
        }
        let mut found = vec![None; names.len()];
        for (position, name) in given.iter().enumerate() {
            let Some(name) = name else {
                let (found, expected) =
                    (format!("given without a name, as number {position}"), "named, as others are".to_owned());
                return Err(Error::Argument { name: thing, found, expected });
            };
            let is_nodes = |&node: &usize| graph.nodes[node].name == *name;
            let port = names.iter().position(|own| own == name).or_else(|| nodes.iter().position(is_nodes));
            let port = port.ok_or_else(|| self.not_found(what, name, &names))?;
            if found[port].replace(position).is_some() {
                return Err(Error::GivenTwice { thing, what, name: (*name).to_owned() });
            }
        }
        let missing = |port: usize| Error::Missing {
            model: self.name().to_owned(),
            what,
            name: names[port].to_owned(),
            thing,
            given: given.iter().flatten().copied().collect::<Vec<_>>().join(", "),
        };
        found.iter().enumerate().map(|(port, position)| position.ok_or_else(|| missing(port))).collect()
    }

    /// The tensors of a data set in the model's order, checked.
    pub(super) fn arranged<'a>(&self, data: &'a Dataset) -> Result<Arranged<'a>> {
        let inputs = self.arranged_inputs(data.inputs(), &data.input_names())?;
        let mut arranged = Arranged { inputs, targets: Vec::new(), weights: Vec::new() };
        let Some(compiled) = &self.compiled else { return Ok(arranged) };
        let (expected, found) = (self.graph().outputs.len(), data.targets().len());
        let names = data.target_names();
        if names.iter().all(Option::is_none) && found != expected {
            return Err(count_error(self.name(), "outputs", expected, found, "target tensors were"));
        }
        let places = self.arrange(Ports::Outputs, "target", &names)?;
        for ((objective, &place), &output) in compiled.objectives.iter().zip(&places).zip(&self.graph().outputs) {
            check_targets(objective, &self.graph().nodes[output], &data.targets()[place], data.first_sample())?;
        }
        arranged.targets = places.iter().map(|&place| &data.targets()[place]).collect();
        arranged.weights = places.iter().map(|&place| data.weights(place)).collect();
        Ok(arranged)
    }

    /// Checks a data set against the model: names or numbers of tensors, shapes, labels.
    ///
    /// # Errors
    /// The first thing that does not fit. Before `compile`, only the inputs are checked.
    pub fn check(&self, data: &Dataset) -> Result<()> {
        self.arranged(data).map(|_| ())
    }

    /// Checks targets against the weights of classes.
    pub(super) fn check_classes(&self, data: &Arranged<'_>, first_sample: usize) -> Result<()> {
        let Some(compiled) = &self.compiled else { return Ok(()) };
        for (objective, target) in compiled.objectives.iter().zip(&data.targets) {
            let Some(weights) = &objective.class_weights else { continue };
            for (place, target) in target.values().chunks_exact(target.sample_shape().size()).enumerate() {
                let sample = first_sample + place;
                let (found, expected) = match class_of(target) {
                    Some(class) if class < weights.len() => continue,
                    Some(class) => {
                        let expected = format!("at least {}: sample {sample} has the class {class}", class + 1);
                        (format!("a list of {}", weights.len()), expected)
                    }
                    None => {
                        let shown = if let [number] = target { number.to_string() } else { format!("{target:?}") };
                        let expected = format!("for numbers of classes or parts that sum to 1, also in sample {sample}");
                        (format!("given for the target {shown}"), expected)
                    }
                };
                return Err(Error::Argument { name: "class_weights", found, expected });
            }
        }
        Ok(())
    }

    /// Checks tensors given by position.
    pub(crate) fn check_inputs(&self, inputs: &[Tensor]) -> Result<()> {
        self.arranged_inputs(inputs, &vec![None; inputs.len()]).map(|_| ())
    }

    fn arranged_inputs<'a>(&self, inputs: &'a [Tensor], names: &[Option<&str>]) -> Result<Vec<&'a Tensor>> {
        let wanted = &self.graph().inputs;
        if names.iter().all(Option::is_none) && inputs.len() != wanted.len() {
            return Err(count_error(self.name(), "inputs", wanted.len(), inputs.len(), "input tensors were"));
        }
        let places = self.arrange(Ports::Inputs, "tensor", names)?;
        let arranged: Vec<&Tensor> = places.into_iter().map(|place| &inputs[place]).collect();
        for (tensor, &input) in arranged.iter().zip(wanted) {
            let node = &self.graph().nodes[input];
            let what = format!("input '{}'", node.name);
            tensor.check_shape(&what, &node.shape)?;
            if tensor.samples() != arranged[0].samples() {
                return Err(Error::SampleCount { what, found: tensor.samples(), expected: arranged[0].samples() });
            }
        }
        Ok(arranged)
    }
}

fn check_targets(objective: &Objective, node: &Node, target: &Tensor, first_sample: usize) -> Result<()> {
    let what = format!("the target of output '{}'", node.name);
    let loss = objective.loss.name().to_owned();
    let expected = objective.loss.target_shape(&node.shape).map_err(|reason| Error::Loss {
        loss: loss.clone(),
        output: node.name.clone(),
        shape: node.shape.clone(),
        reason,
    })?;
    target.check_shape(&what, &expected)?;
    for (place, values) in target.values().chunks_exact(target.sample_shape().size()).enumerate() {
        let sample = first_sample + place;
        match objective.loss.target_fault(values, &node.shape) {
            None => {}
            Some(TargetFault::Label { label, classes }) => {
                return Err(Error::LabelOutOfRange { what, sample, label, classes });
            }
            Some(TargetFault::Range { value, wanted }) => {
                return Err(Error::TargetRange { what, sample, value, loss, wanted });
            }
        }
    }
    Ok(())
}
