//! `compile`: optimizer and objectives, checked against the model.

use std::sync::Arc;

use super::Model;
use super::arrange::{Ports, count_error};
use super::objective::{IntoObjectives, Objective};
use super::trainer::OptimizerState;
use crate::activation::Activation;
use crate::data::check_weights;
use crate::error::{Error, Result};
use crate::graph::{Graph, Node};
use crate::layers::ALL_LAYERS;
use crate::optimizers::{Optimizer, check_option};

#[derive(Debug, Clone)]
pub(super) struct Compiled {
    pub optimizer: Arc<dyn Optimizer>,
    /// In the order of the outputs.
    pub objectives: Vec<Objective>,
    pub state: OptimizerState,
}

impl Model {
    /// Sets what the model is trained with: an optimizer and the loss, or an objective for each output, by name or by
    /// position. Metrics are those that go with the losses (accuracy with cross-entropies), if none are given.
    ///
    /// ```
    /// use samara_trainer::prelude::*;
    ///
    /// let x = input([4]).named("facts");
    /// let price = Dense::new(1).named("price").apply(&x);
    /// let kind = Dense::new(3).named("kind").activation(Activation::Softmax).apply(&x);
    /// let mut model = Model::new("shop", &x, [&price, &kind])?;
    /// let price = on("price", MeanSquaredError).weight(0.5).metric(metrics::MeanAbsoluteError);
    /// let kind = on("kind", SparseCategoricalCrossentropy).class_weights([1.0, 1.0, 2.0]);
    /// model.compile(Adam::new(1e-3), [price, kind])?;
    /// // By position, without names:
    /// model.compile(Adam::new(1e-3), (MeanSquaredError, SparseCategoricalCrossentropy))?;
    /// # Ok::<(), samara_trainer::Error>(())
    /// ```
    ///
    /// # Errors
    /// If an output has no objective or two, a name is no output's, a loss or metric does not fit its output's shape, or an
    /// option of the optimizer makes no sense, such as a negative learning rate.
    pub fn compile(&mut self, optimizer: impl Optimizer + 'static, objectives: impl IntoObjectives) -> Result<()> {
        self.compile_with(Arc::new(optimizer), objectives)
    }

    /// As [`Model::compile`], for an optimizer chosen at run time.
    ///
    /// # Errors
    /// As [`Model::compile`].
    pub fn compile_with(&mut self, optimizer: Arc<dyn Optimizer>, objectives: impl IntoObjectives) -> Result<()> {
        let given = objectives.into_objectives();
        optimizer.check()?;
        check_option("the learning rate", optimizer.learning_rate(), 0.0..=f32::MAX, "0 or a positive number")?;
        let limit = optimizer.clipping().map_or(1.0, |clipping| clipping.limit());
        check_option("the limit of the clipping", limit, f32::MIN_POSITIVE..=f32::MAX, "a positive number")?;
        let outputs = self.graph().outputs.len();
        if given.iter().all(|objective| objective.output.is_none()) && given.len() != outputs {
            return Err(count_error(self.name(), "outputs", outputs, given.len(), "loss"));
        }
        let names: Vec<Option<&str>> = given.iter().map(|objective| objective.output.as_deref()).collect();
        let places = self.arrange(Ports::Outputs, "loss", &names)?;
        let objectives = places.into_iter().enumerate().map(|(output, place)| self.checked(output, given[place].clone()));
        let objectives = objectives.collect::<Result<_>>()?;
        self.compiled = Some(Compiled { optimizer, objectives, state: OptimizerState::default() });
        Ok(())
    }

    /// What is allowed, but most likely a mistake, of what the model was compiled with: a sentence for each output whose loss
    /// does not go with its last activation, and that says what to write. [`Model::fit`] prints them unless it is to be quiet.
    ///
    /// ```
    /// use samara_trainer::prelude::*;
    ///
    /// let x = input([4]);
    /// let mut model = Model::new("m", &x, Dense::new(1).named("sick").activation(Activation::Relu).apply(&x))?;
    /// model.compile(Adam::new(1e-3), BinaryCrossentropy)?;
    /// assert_eq!(
    ///     model.warnings(),
    ///     ["output 'sick' ends in relu, but the loss binary_crossentropy expects probabilities: write \
    ///       `.activation(Activation::Sigmoid)` at the last layer, or use `BinaryCrossentropyFromLogits` with values that no \
    ///       activation has changed"]
    /// );
    /// # Ok::<(), Error>(())
    /// ```
    pub fn warnings(&self) -> Vec<String> {
        let objectives = self.compiled.iter().flat_map(|compiled| &compiled.objectives);
        let outputs = self.graph().outputs.iter().zip(self.graph().output_names()).zip(objectives);
        let warning = |((&output, name), objective): ((&usize, &str), &Objective)| {
            let (last, ends) = last_activation(self.graph(), output)?;
            if last == Activation::Softmax && self.graph().nodes[output].shape.channels() == 1 {
                return Some(format!(
                    "output '{name}' is a softmax over one value, which is always 1: write `.activation(Activation::Sigmoid)` \
                     with `BinaryCrossentropy`, or give the layer a unit for each class"
                ));
            }
            let mismatch = objective.loss.mismatch(last)?;
            Some(format!("output '{name}' ends in {ends}, but the loss {} {mismatch}", objective.loss.name()))
        };
        outputs.filter_map(warning).collect()
    }

    /// The objective with its metrics, if it fits the output.
    fn checked(&self, output: usize, mut objective: Objective) -> Result<Objective> {
        let node = &self.graph().nodes[self.graph().outputs[output]];
        check_option("a loss's weight", objective.weight, f32::MIN..=f32::MAX, "a finite number")?;
        check_weights("a class's weight", objective.class_weights.as_deref().unwrap_or_default())?;
        let target = objective.loss.target_shape(&node.shape).map_err(|reason| Error::Loss {
            loss: objective.loss.name().to_owned(),
            output: node.name.clone(),
            shape: node.shape.clone(),
            reason,
        })?;
        for metric in objective.metrics() {
            metric.check(&node.shape, &target).map_err(|reason| Error::Metric {
                metric: metric.name(),
                output: node.name.clone(),
                shape: node.shape.clone(),
                reason,
            })?;
        }
        objective.metrics.get_or_insert_with(|| objective.loss.default_metric().into_iter().collect());
        Ok(objective)
    }

    pub(super) fn compiled(&self, call: &'static str) -> Result<&Compiled> {
        self.compiled.as_ref().ok_or_else(|| Error::NotCompiled { model: self.name().to_owned(), call })
    }

    pub(super) fn compiled_mut(&mut self, call: &'static str) -> Result<&mut Compiled> {
        let model = self.name().to_owned();
        self.compiled.as_mut().ok_or(Error::NotCompiled { model, call })
    }
}

/// What an output ends in, and what to call it: an activation, or a layer of the library with weights, which makes numbers of
/// any size. Layers that only move values are looked through; what else a layer makes cannot be told.
fn last_activation(graph: &Graph, node: usize) -> Option<(Activation, String)> {
    let Node { layer: Some(layer), inputs, parameters, .. } = &graph.nodes[node] else { return None };
    let kind = layer.kind();
    if let Some(activation) = layer.as_activation() {
        return Some((activation, activation.name().to_owned()));
    }
    if ["Flatten", "Reshape"].contains(&kind) {
        return last_activation(graph, *inputs.first()?);
    }
    let is_known = ALL_LAYERS.iter().any(|own| own.name == kind);
    (is_known && !parameters.is_empty()).then(|| (Activation::Linear, format!("{kind} without activation")))
}
