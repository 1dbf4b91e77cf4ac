//! A training under way: what callbacks get in their hands.

use std::time::Instant;

use super::feed::Purpose;
use super::state::{TrainingState, entries_of};
use super::trainer::{OptimizerState, Trainer};
use super::{EpochLog, History, Measurements, Model};
use crate::callbacks::Kept;
use crate::checkpoint::{SavedParameter, Weights};
use crate::data::{Source, Tensor};
use crate::error::{Error, Result};
use crate::graph::{ParameterEntry, SymbolicTensor};
use crate::optimizers::check_option;

/// A training under way. Callbacks read and change it between steps.
#[derive(Debug)]
pub struct Training<'a> {
    pub(super) model: &'a Model,
    pub(super) trainer: Trainer,
    pub(super) epochs: usize,
    pub(super) batch: usize,
    pub(super) samples: usize,
    pub(super) shuffle: bool,
    /// The schedule with all its settings, as a text to be compared.
    pub(super) schedule: String,
    /// The epoch under way or just finished, 0 before the first; and how many of its steps were made.
    pub(super) epoch: usize,
    pub(super) step: usize,
    /// Epochs of trainings that this one follows.
    pub(super) before: usize,
    /// What the epoch's steps measured.
    pub(super) sums: Vec<f64>,
    /// What the schedule multiplies.
    pub(super) base_rate: f32,
    pub(super) history: History,
    pub(super) learning_rate: f32,
    is_stopped: bool,
    /// What the optimizer keeps, as of the last time that the layers' parameters were brought up to date.
    pub(super) kept: OptimizerState,
    /// A callback changed parameters since then.
    is_changed: bool,
    /// A loss that is not finite is no error.
    goes_on_when_diverged: bool,
    /// What callbacks kept in the state that the training goes on from, for them to take.
    pub(super) kept_by_callbacks: Vec<Kept>,
}

/// Refuses layers that are to learn before one that passes no gradient.
fn check_gradients_pass(model: &Model) -> Result<()> {
    let graph = model.graph();
    // The first node that learns of those that each depends on.
    let mut learning: Vec<Option<usize>> = Vec::with_capacity(graph.nodes.len());
    for (number, node) in graph.nodes.iter().enumerate() {
        let before = node.inputs.iter().find_map(|&input| learning[input]);
        if let (Some(layer), Some(before)) = (&node.layer, before)
            && !layer.passes_gradient()
        {
            let (model, layer, kind) = (model.name().to_owned(), node.name.clone(), layer.kind());
            return Err(Error::NoGradient { model, layer, kind, before: graph.nodes[before].name.clone() });
        }
        let learns = graph.parameters[node.parameters.clone()].iter().any(ParameterEntry::learns);
        learning.push(before.or(learns.then_some(number)));
    }
    Ok(())
}

impl<'a> Training<'a> {
    pub(super) fn new(model: &'a Model, batch: usize, samples: usize, seed: u64, epochs: usize, shuffle: bool) -> Result<Self> {
        check_gradients_pass(model)?;
        let trainer = model.trainer(batch, seed)?;
        Ok(Self {
            model,
            epochs,
            batch,
            samples,
            shuffle,
            schedule: String::new(),
            epoch: 0,
            step: 0,
            before: 0,
            sums: vec![0.0; trainer.executor().results().len()],
            base_rate: trainer.base_rate(),
            history: History::default(),
            learning_rate: 0.0,
            is_stopped: false,
            kept: trainer.state().clone(),
            is_changed: false,
            goes_on_when_diverged: false,
            kept_by_callbacks: Vec::new(),
            trainer,
        })
    }

    /// The model. Its layers' parameters are those of the end of the last epoch; those of now are in
    /// [`Training::weights`] and [`Training::parameter`].
    pub fn model(&self) -> &Model {
        self.model
    }

    /// Epochs, at most, those [before](Self::before) included.
    pub fn epochs(&self) -> usize {
        self.epochs
    }

    /// How many of them belong to trainings that this one [follows](super::Fit::follows).
    pub fn before(&self) -> usize {
        self.before
    }

    /// Counts on from another training.
    pub(super) fn follow(&mut self, history: History) {
        let last = history.epochs.last().map_or(0, |log| log.epoch);
        (self.epoch, self.before, self.step) = (last, last, if last > 0 { self.steps() } else { 0 });
        self.history = history;
    }

    /// Steps per epoch.
    pub fn steps(&self) -> usize {
        self.samples.div_ceil(self.batch)
    }

    /// Samples per epoch.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The epoch under way or just finished, from 1; 0 before the first.
    pub fn epoch(&self) -> usize {
        self.epoch
    }

    /// How many steps of this epoch were made.
    pub fn step(&self) -> usize {
        self.step
    }

    /// How many samples these steps took.
    fn done(&self) -> usize {
        (self.step * self.batch).min(self.samples)
    }

    /// The mean loss since the epoch began; 0 before its first step.
    pub fn loss(&self) -> f64 {
        if self.step == 0 { 0.0 } else { self.trainer.executor().loss_of(&self.sums, self.done()) }
    }

    /// What the epoch measured on its own batches so far; nothing before its first step.
    pub fn measurements(&self) -> Measurements {
        if self.step == 0 {
            return Measurements::default();
        }
        self.trainer.executor().measurements(self.model.graph(), &self.sums, self.done())
    }

    /// What the last finished epoch measured: at the end of an epoch, that one.
    pub fn log(&self) -> Option<&EpochLog> {
        self.history.epochs.last()
    }

    /// What was measured so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The learning rate of the last step, by schedule and [`Training::base_learning_rate`].
    pub fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    /// The learning rate that the schedule, if there is one, multiplies; the optimizer's at first.
    pub fn base_learning_rate(&self) -> f32 {
        self.base_rate
    }

    /// Sets the learning rate of all following steps, which the schedule, if there is one, multiplies; for single layers see
    /// [`Model::set_learning_rate_factor`].
    ///
    /// # Errors
    /// If it is negative or not finite.
    pub fn set_base_learning_rate(&mut self, rate: f32) -> Result<()> {
        check_option("the learning rate", rate, 0.0..=f32::MAX, "0 or a positive number")?;
        self.base_rate = rate;
        Ok(())
    }

    /// Ends the training after this step; an epoch under way is measured and logged by what it did so far.
    pub fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// `true` after [`Training::stop`].
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// The values of a parameter, as they are now.
    ///
    /// # Errors
    /// If there is no such parameter.
    pub fn parameter(&self, name: &str) -> Result<Vec<f32>> {
        let entry = self.model.entry(name)?;
        let mut parameters = self.trainer.values().split(self.model.graph()).into_iter();
        Ok(parameters.find(|(other, _)| other.name == entry.name).map_or(Vec::new(), |(_, values)| values.to_vec()))
    }

    /// All parameters, as they are now.
    pub fn weights(&self) -> Weights {
        let parameters = self.trainer.values().split(self.model.graph()).into_iter();
        let save = |(entry, values): (&crate::graph::ParameterEntry, &[f32])| SavedParameter {
            name: entry.name.clone(),
            shape: entry.shape.to_vec(),
            values: values.to_vec(),
        };
        Weights { model: self.model.name().to_owned(), parameters: parameters.map(save).collect() }
    }

    /// Sets all parameters: to the best ones seen, say. What the optimizer keeps stays as it is.
    ///
    /// # Errors
    /// If they are not the model's, or a value is not finite. Nothing has changed then.
    pub fn set_weights(&mut self, weights: &Weights) -> Result<()> {
        let fitting = weights.fitting(self.model, "")?;
        let own = self.trainer.values_mut().split_mut(self.model.graph());
        for ((_, values), (_, saved)) in own.into_iter().zip(fitting) {
            values.copy_from_slice(&saved.values);
        }
        self.is_changed = true;
        Ok(())
    }

    /// Lets `stateful` layers begin anew with the next step, or in validation: at the end of an epoch, say.
    pub fn reset_states(&mut self) {
        self.trainer.values_mut().carried.reset();
        self.is_changed = true;
    }

    /// The gradient of a weight in the last step, as the optimizer took it: with regularizers, and clipped; zeros where its layer is frozen
    /// and before the first step.
    ///
    /// # Errors
    /// If there is no such parameter, or it is a statistic.
    pub fn gradient(&self, name: &str) -> Result<Vec<f32>> {
        let entry = self.model.entry(name)?;
        let mut weights = entries_of(self.model.graph(), self.trainer.last_gradients()).into_iter();
        weights.find_map(|(other, values)| (other.name == entry.name).then_some(values)).map(<[f32]>::to_vec).ok_or_else(|| {
            Error::Argument {
                name: "the parameter of `gradient`",
                found: format!("the statistic {name}"),
                expected: "a weight".to_owned(),
            }
        })
    }

    /// What a layer gives for these samples with the parameters of now, outside training: batch normalization by moving
    /// averages, no dropout, `stateful` layers from the beginning. `layer` as for [`Model::tensor`]; one tensor for each input of the model.
    ///
    /// # Errors
    /// If there is no such layer, or the samples do not fit the model.
    pub fn activations(&self, layer: &str, inputs: &[Tensor]) -> Result<Tensor> {
        let mut outputs = self.outputs_of(vec![self.model.tensor(layer)?], inputs)?;
        Ok(outputs.remove(0))
    }

    /// As [`Training::activations`], of all layers, each with its name, in the order in which they are computed.
    ///
    /// # Errors
    /// If the samples do not fit the model.
    pub fn all_activations(&self, inputs: &[Tensor]) -> Result<Vec<(String, Tensor)>> {
        let layers = || self.model.graph().nodes.iter().filter(|node| node.layer.is_some());
        let outputs = self.outputs_of(layers().map(|node| node.symbol.clone()).collect(), inputs)?;
        Ok(layers().map(|node| node.name.clone()).zip(outputs).collect())
    }

    /// The model's outputs for these samples, as [`Training::activations`].
    ///
    /// # Errors
    /// If the samples do not fit the model.
    pub fn predict(&self, samples: &(impl Source + ?Sized)) -> Result<Vec<Tensor>> {
        let graph = self.model.graph();
        self.model.predictor_with(samples.samples().max(1), self.trainer.values().of_part(graph, graph)).predict_all(samples)
    }

    /// The values of some of the model's tensors.
    fn outputs_of(&self, outputs: Vec<SymbolicTensor>, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let graph = self.model.graph();
        self.model.feed(&inputs, Purpose::Predict)?;
        // The inputs that they depend on, on whatever path.
        let mut needed = vec![false; graph.nodes.len()];
        let is_output = |node: &usize| outputs.iter().any(|output| output.number() == graph.nodes[*node].symbol.number());
        let mut open: Vec<usize> = (0..needed.len()).filter(is_output).collect();
        while let Some(node) = open.pop() {
            if !std::mem::replace(&mut needed[node], true) {
                open.extend(&graph.nodes[node].inputs);
            }
        }
        let (mut symbols, mut tensors) = (Vec::new(), Vec::new());
        for (&node, tensor) in graph.inputs.iter().zip(inputs).filter(|&(&node, _)| needed[node]) {
            symbols.push(graph.nodes[node].symbol.clone());
            tensors.push(tensor.clone());
        }
        let part = Model::new(self.model.name(), symbols, outputs)?;
        let values = self.trainer.values().of_part(graph, part.graph());
        let samples = tensors.first().map_or(1, Tensor::samples);
        part.predictor_with(samples, values).predict_all(&tensors)
    }

    /// Weights and statistics, as they are now.
    pub(crate) fn values(&self) -> [&[f32]; 2] {
        let values = self.trainer.values();
        [&values.weights, &values.statistics]
    }

    /// Sets weights and statistics, one behind the other and as many as there are.
    pub(crate) fn set_values(&mut self, values: &[f32]) {
        let own = self.trainer.values_mut();
        let (weights, statistics) = values.split_at(own.weights.len());
        own.weights.copy_from_slice(weights);
        own.statistics.copy_from_slice(statistics);
        self.is_changed = true;
    }

    /// Lets a loss that is not finite be none of an error.
    pub(crate) fn go_on_when_diverged(&mut self) {
        self.goes_on_when_diverged = true;
    }

    /// Puts a training that has not begun where another one was.
    pub(crate) fn go_on_from(&mut self, state: &TrainingState) -> Result<()> {
        state.restore(self)
    }

    /// All that [`Fit::resume`](super::Fit::resume) needs to go on from here with the same bits, but for what callbacks keep for
    /// themselves: for that, [`Callback::take_state`](crate::callbacks::Callback::take_state) gets a state.
    pub fn state(&self) -> TrainingState {
        TrainingState::of(self)
    }

    /// `true` before the first epoch and when all of one is done, validation included.
    pub(crate) fn is_between_epochs(&self) -> bool {
        self.history.epochs.last().map_or(0, |log| log.epoch) == self.epoch
    }

    /// Goes to the next epoch, if one is finished.
    pub(super) fn begin_epoch(&mut self) {
        if self.is_between_epochs() {
            (self.epoch, self.step) = (self.epoch + 1, 0);
            self.sums.fill(0.0);
        }
    }

    /// Makes a step; `factor` is the schedule's. The loss must stay finite.
    pub(super) fn make_step(&mut self, factor: f32, step: impl FnOnce(&mut Trainer, f32) -> Result<&[f64]>) -> Result<()> {
        self.learning_rate = self.base_rate * factor;
        let results = step(&mut self.trainer, self.learning_rate)?;
        for (sum, part) in self.sums.iter_mut().zip(results) {
            *sum += part;
        }
        self.step += 1;
        let loss = self.loss();
        if loss.is_finite() || self.goes_on_when_diverged {
            Ok(())
        } else {
            Err(Error::Diverged { loss, epoch: self.epoch, step: self.step })
        }
    }

    /// Logs the epoch under way, with what was measured on validation data, and brings the layers up to date.
    pub(super) fn end_epoch(&mut self, started: Instant, validation: Option<Measurements>) {
        let mut measurements = self.measurements();
        if let Some(measured) = validation {
            measurements.extend_with_prefix("val_", measured);
        }
        let (epoch, learning_rate, seconds) = (self.epoch, self.learning_rate, started.elapsed().as_secs_f64());
        self.history.epochs.push(EpochLog { epoch, learning_rate, seconds, measurements });
        self.keep();
    }

    /// Brings the layers' parameters up to date.
    pub(super) fn keep(&mut self) {
        self.trainer.store();
        self.kept.clone_from(self.trainer.state());
        self.is_changed = false;
    }

    /// Brings the layers' parameters up to date if a callback changed any.
    pub(super) fn keep_changes(&mut self) {
        if self.is_changed {
            self.keep();
        }
    }
}
