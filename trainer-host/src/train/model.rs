//! Models: a checked graph, and what it is trained with.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::compile::Compiled;
use super::trainer::{OptimizerState, Trainer};
use crate::error::{Error, Result};
use crate::graph::{Application, Apply, Graph, IntoInputs, Layer, Node, ParameterEntry, Scope, Shape, SymbolicTensor};

/// A model: what lies between some inputs and some outputs. Its layers hold the parameters, so models made of the same
/// layers share them.
pub struct Model {
    name: Arc<str>,
    graph: Arc<Graph>,
    inputs: Vec<SymbolicTensor>,
    outputs: Vec<SymbolicTensor>,
    pub(super) compiled: Option<Compiled>,
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
        Ok(Self { name: name.into(), graph, inputs, outputs, compiled: None })
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

    /// Lets `stateful` layers begin anew, with batches of any size. Nothing else does: as in Keras, [`Model::fit`] goes on from epoch to
    /// epoch, from training to validation and back, and where the last call ended.
    ///
    /// ```
    /// use samara_trainer::prelude::*;
    ///
    /// let x = input([2, 1]);
    /// let model = Model::new("m", &x, Lstm::new(1).stateful().apply(&x))?;
    /// let piece = Tensor::new([1, 2, 1], vec![1.0; 2])?;
    /// let first = model.predict(&piece)?;
    /// assert_ne!(model.predict(&piece)?, first);
    /// model.reset_states();
    /// assert_eq!(model.predict(&piece)?, first);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn reset_states(&self) {
        self.graph.nodes.iter().filter_map(|node| node.layer.as_ref()).for_each(|layer| layer.base().reset_states());
    }

    /// Draws new initial values for all parameters, statistics included, and forgets the optimizer's state and those of `stateful` layers.
    pub fn initialize(&mut self, seed: u64) {
        self.graph.initialize(seed);
        self.reset_states();
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

    pub(super) fn entry(&self, name: &str) -> Result<&ParameterEntry> {
        self.graph.parameters.iter().find(|entry| entry.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.graph.parameters.iter().map(|entry| entry.name.as_str()).collect();
            self.not_found("parameter", name, &names)
        })
    }

    pub(crate) fn not_found(&self, what: &'static str, name: &str, known: &[&str]) -> Error {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Error::NotFound { model: self.name.to_string(), what, name: name.to_owned(), known }
    }

    /// A trainer for batches up to this size; `seed` is where dropout's random numbers come from.
    pub(super) fn trainer(&self, batch: usize, seed: u64) -> Result<Trainer> {
        let compiled = self.compiled("trainer")?;
        let (objectives, optimizer) = (compiled.objectives.clone(), compiled.optimizer.clone());
        Ok(Trainer::new(self.shared_graph(), objectives, optimizer, compiled.state.clone(), batch, seed))
    }

    /// Applies the model like a layer, sharing its parameters; gives all its outputs. Its nodes and parameters have the model's
    /// name before theirs: `base/dense`, `base/dense/kernel`; a second application's nodes are `base@1/dense`.
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
                return faulty(format!("expects the shape {} at input '{}', not {found}", node.shape, node.name));
            }
        }
        self.apply_nodes(&inputs, |_, tensor| tensor)
    }

    /// As [`Model::apply_all`], to inputs that fit, beside other models: what one of them made of the same tensors by the same layer, as
    /// they are in `met` by the layer's identity and the tensors' numbers, is taken from there, and what is new is put there.
    pub(crate) fn apply_among(
        &self,
        inputs: &[SymbolicTensor],
        met: &mut HashMap<(usize, Vec<u64>), SymbolicTensor>,
    ) -> Vec<SymbolicTensor> {
        self.apply_nodes(inputs, |key, tensor| met.entry(key).or_insert(tensor).clone())
    }

    /// Applies all layers; `place` gets each tensor that they make, with the layer's identity and the numbers of what it was applied to,
    /// and says what stands in its place.
    fn apply_nodes(
        &self,
        inputs: &[SymbolicTensor],
        mut place: impl FnMut((usize, Vec<u64>), SymbolicTensor) -> SymbolicTensor,
    ) -> Vec<SymbolicTensor> {
        let mut tensors: Vec<Option<SymbolicTensor>> = vec![None; self.graph.nodes.len()];
        for (tensor, &input) in inputs.iter().zip(&self.graph.inputs) {
            tensors[input] = Some(tensor.clone());
        }
        let application = Arc::new(Application(self.name.clone()));
        for (index, Node { layer, inputs, symbol, name, scopes, .. }) in self.graph.nodes.iter().enumerate() {
            if let Some(layer) = layer {
                let inputs: Vec<SymbolicTensor> = inputs.iter().filter_map(|&input| tensors[input].clone()).collect();
                let key = (layer.base().identity(), inputs.iter().map(SymbolicTensor::number).collect());
                let scope = Scope { application: application.clone(), node: name.clone(), scopes: scopes.clone() };
                tensors[index] =
                    Some(place(key, SymbolicTensor::of_layer(layer.clone(), inputs, symbol.part_of(), Some(scope))));
            }
        }
        self.graph.outputs.iter().filter_map(|&output| tensors[output].clone()).collect()
    }

    /// A model of its own, equal in all: layers, shared ones and applied models as they are here, values of parameters, what is
    /// frozen, transforms, how values are rounded, and what it was compiled with, the optimizer's state included. Training one does not change the
    /// other, as it does where a new model is made of the same layers.
    ///
    /// ```
    /// use samara_trainer::prelude::*;
    ///
    /// let x = input([2]);
    /// let model = Model::new("m", &x, Dense::new(1).apply(&x))?;
    /// let copy = model.duplicate()?;
    /// copy.set_parameter("dense/bias", &[1.0])?;
    /// assert_eq!(model.parameter("dense/bias")?, [0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// None in practice: this model was built before.
    pub fn duplicate(&self) -> Result<Self> {
        let mut layers: HashMap<usize, Arc<dyn Layer>> = HashMap::new();
        let mut copy =
            |layer: &Arc<dyn Layer>| layers.entry(layer.base().identity()).or_insert_with(|| layer.duplicate()).clone();
        let mut tensors: Vec<SymbolicTensor> = Vec::with_capacity(self.graph.nodes.len());
        for node in &self.graph.nodes {
            let inputs = node.inputs.iter().map(|&input| tensors[input].clone()).collect();
            let is_input = node.layer.is_none();
            tensors.push(if is_input { node.symbol.as_input() } else { node.symbol.again(inputs, &mut copy) });
        }
        let chosen = |nodes: &[usize]| nodes.iter().map(|&node| tensors[node].clone()).collect::<Vec<_>>();
        let model = Self::new(&self.name, chosen(&self.graph.inputs), chosen(&self.graph.outputs))?;
        for (node, own) in model.graph.nodes.iter().zip(&self.graph.nodes) {
            node.rounding.set(own.rounding.quantization());
        }
        Ok(Self { compiled: self.compiled.clone(), ..model })
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
