//! Models: a checked graph, and what it is trained with.

use std::fmt;
use std::sync::Arc;

use super::execute::Objective;
use super::trainer::{OptimizerState, Trainer};
use crate::data::{Dataset, Tensor};
use crate::error::{Error, Result};
use crate::graph::{Apply, Graph, IntoInputs, Node, ParameterEntry, Shape, SymbolicTensor};
use crate::losses::{IntoLosses, TargetFault};
use crate::metrics::Metric;
use crate::optimizers::{Optimizer, check_option};

/// A model: what lies between some inputs and some outputs. Its layers hold the parameters, so models made of the same
/// layers share them.
pub struct Model {
    name: String,
    graph: Arc<Graph>,
    inputs: Vec<SymbolicTensor>,
    outputs: Vec<SymbolicTensor>,
    compiled: Option<Compiled>,
}

#[derive(Debug)]
pub(super) struct Compiled {
    pub optimizer: Arc<dyn Optimizer>,
    pub objectives: Vec<Objective>,
    pub state: OptimizerState,
}

impl Model {
    /// A model from inputs to outputs. New layers get their parameters here, always the same for the same graph; see
    /// [`Model::initialize`] for others. Inputs may also be tensors within another model, which cuts a part out of it.
    ///
    /// # Errors
    /// [`Error::Graph`] with all that is wrong: layers that do not take their inputs, inputs that are missing, names
    /// given twice, regularizers with negative factors, initial values that are not finite.
    pub fn new(name: &str, inputs: impl IntoInputs, outputs: impl IntoInputs) -> Result<Self> {
        let (inputs, outputs) = (inputs.into_inputs(), outputs.into_inputs());
        let graph = Arc::new(Graph::build(name, &inputs, &outputs)?);
        Ok(Self { name: name.to_owned(), graph, inputs, outputs, compiled: None })
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The nodes and the table of parameters.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(super) fn shared_graph(&self) -> Arc<Graph> {
        self.graph.clone()
    }

    /// What a layer gives, its `activation` included, to build another model from: `"dense"`; see [`Model::summary`] for the
    /// names. What it gives before its activation is `"dense/linear"`.
    ///
    /// # Errors
    /// If there is no such layer.
    pub fn tensor(&self, layer: &str) -> Result<SymbolicTensor> {
        let nodes = &self.graph.nodes;
        let named = |name: &str| nodes.iter().position(|node| node.name == name);
        let activation_of = |place: usize| nodes.iter().position(|node| node.part_of.is_some() && node.inputs == [place]);
        let linear = || named(layer.strip_suffix("/linear")?).filter(|&place| activation_of(place).is_some());
        let found = named(layer).map(|place| activation_of(place).unwrap_or(place)).or_else(linear);
        found.map(|place| nodes[place].symbol.clone()).ok_or_else(|| {
            let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
            self.not_found("layer", layer, &names)
        })
    }

    /// Draws new initial values for all parameters, statistics included, and forgets the optimizer's state.
    pub fn initialize(&mut self, seed: u64) {
        self.graph.initialize(seed);
        if let Some(compiled) = &mut self.compiled {
            compiled.state = OptimizerState::default();
        }
    }

    /// All parameters; those of a shared layer once. Their values are read and written by name.
    pub fn parameters(&self) -> &[ParameterEntry] {
        &self.graph.parameters
    }

    /// The values of a parameter: `"dense/kernel"`.
    ///
    /// # Errors
    /// If there is no such parameter.
    pub fn parameter(&self, name: &str) -> Result<Vec<f32>> {
        self.entry(name).map(ParameterEntry::values)
    }

    /// Sets the values of a parameter.
    ///
    /// # Errors
    /// If there is no such parameter, its size is another, or a value is NaN or infinite.
    pub fn set_parameter(&self, name: &str, values: &[f32]) -> Result<()> {
        let entry = self.entry(name)?;
        if values.len() != entry.shape.size() {
            let (shape, expected) = (entry.shape.clone(), entry.shape.size());
            return Err(Error::TensorSize { shape, expected, found: values.len() });
        }
        if let Some(position) = values.iter().position(|value| !value.is_finite()) {
            let (found, expected) = (values[position].to_string(), "finite".to_owned());
            return Err(Error::Argument { name: "a value of the parameter", found, expected });
        }
        entry.layer.base().parameters_mut()[entry.index].values.copy_from_slice(values);
        Ok(())
    }

    fn entry(&self, name: &str) -> Result<&ParameterEntry> {
        self.graph.parameters.iter().find(|entry| entry.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.graph.parameters.iter().map(|entry| entry.name.as_str()).collect();
            self.not_found("parameter", name, &names)
        })
    }

    pub(super) fn not_found(&self, what: &'static str, name: &str, known: &[&str]) -> Error {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Error::NotFound { model: self.name.clone(), what, name: name.to_owned(), known }
    }

    /// Sets what the model is trained with: an optimizer and the loss, or a loss with its weight for each output.
    /// Metrics are those that go with the losses (accuracy with cross-entropies); see [`Model::set_metrics`].
    ///
    /// # Errors
    /// If the number of losses is not that of the outputs, a loss does not fit its output's shape, or an option of the
    /// optimizer makes no sense, such as a negative learning rate.
    pub fn compile(&mut self, optimizer: impl Optimizer + 'static, losses: impl IntoLosses) -> Result<()> {
        self.compile_with(Arc::new(optimizer), losses)
    }

    /// As [`Model::compile`], for an optimizer chosen at run time.
    ///
    /// # Errors
    /// As [`Model::compile`].
    pub fn compile_with(&mut self, optimizer: Arc<dyn Optimizer>, losses: impl IntoLosses) -> Result<()> {
        let losses = losses.into_losses();
        optimizer.check()?;
        check_option("the learning rate", optimizer.learning_rate(), 0.0..=f32::MAX, "0 or a positive number")?;
        let limit = optimizer.clipping().map_or(1.0, |clipping| clipping.limit());
        check_option("the limit of the clipping", limit, f32::MIN_POSITIVE..=f32::MAX, "a positive number")?;
        if losses.len() != self.outputs.len() {
            return Err(self.count_error("outputs", self.outputs.len(), losses.len(), "losses were"));
        }
        let mut objectives = Vec::new();
        for ((loss, weight), &output) in losses.into_iter().zip(&self.graph.outputs) {
            let node = &self.graph.nodes[output];
            check_option("a loss's weight", weight, f32::MIN..=f32::MAX, "a finite number")?;
            loss.target_shape(&node.shape).map_err(|reason| Error::Loss {
                loss: loss.name().to_owned(),
                output: node.name.clone(),
                shape: node.shape.clone(),
                reason,
            })?;
            objectives.push(Objective { metrics: loss.default_metric().into_iter().collect(), loss, weight });
        }
        self.compiled = Some(Compiled { optimizer, objectives, state: OptimizerState::default() });
        Ok(())
    }

    /// Measures these at the given output, instead of what goes with its loss.
    ///
    /// # Errors
    /// Before `compile`, if there is no such output, or if a metric does not fit it and the targets that its loss wants.
    pub fn set_metrics(&mut self, output: usize, metrics: Vec<Arc<dyn Metric>>) -> Result<()> {
        let count = self.outputs.len();
        if output >= count {
            return Err(Error::Argument {
                name: "output",
                found: output.to_string(),
                expected: format!("below {count}, the number of outputs"),
            });
        }
        let node = &self.graph.nodes[self.graph.outputs[output]];
        let loss = &self.compiled("set_metrics")?.objectives[output].loss;
        if let Ok(target) = loss.target_shape(&node.shape) {
            for metric in &metrics {
                metric.check(&node.shape, &target).map_err(|reason| Error::Metric {
                    metric: metric.name(),
                    output: node.name.clone(),
                    shape: node.shape.clone(),
                    reason,
                })?;
            }
        }
        self.compiled_mut("set_metrics")?.objectives[output].metrics = metrics;
        Ok(())
    }

    pub(super) fn compiled(&self, call: &'static str) -> Result<&Compiled> {
        self.compiled.as_ref().ok_or_else(|| Error::NotCompiled { model: self.name.clone(), call })
    }

    pub(super) fn compiled_mut(&mut self, call: &'static str) -> Result<&mut Compiled> {
        self.compiled.as_mut().ok_or_else(|| Error::NotCompiled { model: self.name.clone(), call })
    }

    /// A trainer for batches up to this size; `seed` is where dropout's random numbers come from.
    pub(super) fn trainer(&self, batch: usize, seed: u64) -> Result<Trainer> {
        let compiled = self.compiled("trainer")?;
        let (objectives, optimizer) = (compiled.objectives.clone(), compiled.optimizer.clone());
        Ok(Trainer::new(self.shared_graph(), objectives, optimizer, compiled.state.clone(), batch, seed))
    }

    /// Checks a data set against the model: numbers of tensors, shapes, labels.
    ///
    /// # Errors
    /// The first thing that does not fit. Before `compile`, only the inputs are checked.
    pub fn check(&self, data: &Dataset) -> Result<()> {
        self.check_inputs(data.inputs())?;
        let Some(compiled) = &self.compiled else { return Ok(()) };
        let outputs = &self.graph.outputs;
        if data.targets().len() != outputs.len() {
            return Err(self.count_error("outputs", outputs.len(), data.targets().len(), "target tensors were"));
        }
        for ((objective, target), &output) in compiled.objectives.iter().zip(data.targets()).zip(outputs) {
            let node = &self.graph.nodes[output];
            let what = format!("the target of output '{}'", node.name);
            let loss = objective.loss.name().to_owned();
            let expected = objective.loss.target_shape(&node.shape).map_err(|reason| Error::Loss {
                loss: loss.clone(),
                output: node.name.clone(),
                shape: node.shape.clone(),
                reason,
            })?;
            target.check_shape(&what, &expected)?;
            let samples = target.values().chunks_exact(target.sample_shape().size()).enumerate();
            for (place, values) in samples {
                let sample = data.first_sample() + place;
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
        }
        Ok(())
    }

    pub(crate) fn check_inputs(&self, inputs: &[Tensor]) -> Result<()> {
        let wanted = &self.graph.inputs;
        if inputs.len() != wanted.len() {
            return Err(self.count_error("inputs", wanted.len(), inputs.len(), "input tensors were"));
        }
        for (tensor, &input) in inputs.iter().zip(wanted) {
            let node = &self.graph.nodes[input];
            let what = format!("input '{}'", node.name);
            tensor.check_shape(&what, &node.shape)?;
            if tensor.samples() != inputs[0].samples() {
                return Err(Error::SampleCount { what, found: tensor.samples(), expected: inputs[0].samples() });
            }
        }
        Ok(())
    }

    fn count_error(&self, what: &'static str, expected: usize, found: usize, found_what: &'static str) -> Error {
        Error::Count { model: self.name.clone(), what, expected, found, found_what }
    }

    /// Applies the model like a layer, sharing its parameters; gives all its outputs.
    pub fn apply_all(&self, inputs: impl IntoInputs) -> Vec<SymbolicTensor> {
        let inputs = inputs.into_inputs();
        let faulty = |reason: String| {
            let sentence = format!("model '{}' applied as a layer {reason}", self.name);
            self.outputs.iter().map(|_| SymbolicTensor::of_fault(sentence.clone())).collect()
        };
        if inputs.len() != self.inputs.len() {
            return faulty(format!("has {} inputs, but {} tensors were given", self.inputs.len(), inputs.len()));
        }
        for (given, &wanted) in inputs.iter().zip(&self.graph.inputs) {
            let node = &self.graph.nodes[wanted];
            if given.shape().is_some_and(|shape| *shape != node.shape) {
                let found = given.shape().map(Shape::to_string).unwrap_or_default();
                return faulty(format!("wants the shape {} at input '{}', not {found}", node.shape, node.name));
            }
        }
        let mut tensors: Vec<Option<SymbolicTensor>> = vec![None; self.graph.nodes.len()];
        for (tensor, &input) in inputs.into_iter().zip(&self.graph.inputs) {
            tensors[input] = Some(tensor);
        }
        for (index, Node { layer, inputs, symbol, .. }) in self.graph.nodes.iter().enumerate() {
            if let Some(layer) = layer {
                let inputs = inputs.iter().filter_map(|&input| tensors[input].clone()).collect();
                tensors[index] = Some(SymbolicTensor::of_layer(layer.clone(), inputs, symbol.part_of()));
            }
        }
        self.graph.outputs.iter().filter_map(|&output| tensors[output].clone()).collect()
    }

    /// A table of the layers with their shapes and parameters.
    pub fn summary(&self) -> impl fmt::Display + '_ {
        self.graph.summary(&self.name)
    }
}

/// Name, inputs, outputs and counts; [`Model::summary`] has the layers.
impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("name", &self.name)
            .field("inputs", &self.inputs)
            .field("outputs", &self.outputs)
            .field("nodes", &self.graph.nodes.len())
            .field("trainable_size", &self.trainable_size())
            .field("compiled", &self.compiled.is_some())
            .finish()
    }
}

impl Apply for Model {
    /// Applies the model like a layer; for models with several outputs see [`Model::apply_all`].
    fn apply_to(&self, inputs: Vec<SymbolicTensor>) -> SymbolicTensor {
        let mut outputs = self.apply_all(inputs);
        match outputs.pop() {
            Some(output) if outputs.is_empty() => output,
            _ => SymbolicTensor::of_fault(format!(
                "model '{}' has {} outputs and was applied like a layer with one: use `apply_all`",
                self.name,
                self.outputs.len()
            )),
        }
    }
}

pub(super) fn check_batch(batch: usize) -> Result<()> {
    if batch == 0 {
        return Err(Error::Argument { name: "batch", found: "0".to_owned(), expected: "at least 1".to_owned() });
    }
    Ok(())
}
