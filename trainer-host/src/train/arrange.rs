//! What is given for inputs and outputs, by name or by position.

use super::Model;
use super::feed::Purpose;
use crate::data::{Dataset, Source, Tensor};
use crate::error::{Error, Result};

/// Inputs or outputs of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ports {
    Inputs,
    Outputs,
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

    /// Checks data against the model: names or numbers of inputs and targets, shapes; and labels, where the data is in memory.
    ///
    /// # Errors
    /// The first thing that does not fit. Before `compile`, only the inputs are checked.
    pub fn check(&self, data: &(impl Source + ?Sized)) -> Result<()> {
        self.feed(&data, Purpose::Evaluate).map(|_| ())
    }

    /// The targets of a data set, in the order of the model's outputs.
    pub(crate) fn targets_of<'d>(&self, data: &'d Dataset) -> Result<Vec<&'d Tensor>> {
        self.check(data)?;
        let order = self.arrange(Ports::Outputs, "target", &data.target_names())?;
        Ok(order.into_iter().map(|position| &data.targets()[position]).collect())
    }

    /// Checks tensors given by position.
    pub(crate) fn check_inputs(&self, inputs: &[Tensor]) -> Result<()> {
        self.feed(&inputs, Purpose::Predict)?;
        let expected = inputs.first().map_or(0, Tensor::samples);
        match inputs.iter().zip(self.graph().input_names()).find(|(tensor, _)| tensor.samples() != expected) {
            None => Ok(()),
            Some((tensor, name)) => {
                Err(Error::SampleCount { what: format!("input '{name}'"), found: tensor.samples(), expected })
            }
        }
    }
}
