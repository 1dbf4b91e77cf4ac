//! One step of training: a model's plan with its memory.

use std::collections::HashMap;
use std::sync::Arc;

use super::carried::Carried;
use super::feed::Feed;
use super::history::Measurements;
use super::objective::Objective;
use super::plan::Plan;
use super::{
    execute::{Executor, Pace, Values},
    lane::Batch,
};
use crate::data::BatchBuffers;
use crate::error::Result;
use crate::graph::{Graph, ParameterEntry, ParameterKind};
use crate::numeric::Aligned;
use crate::numeric::random::derive;
use crate::optimizers::Optimizer;

/// A model made ready for training with batches up to a size. It works on a copy of the parameters; see
/// [`Trainer::store`]. A step allocates no memory.
#[derive(Debug)]
pub(super) struct Trainer {
    graph: Arc<Graph>,
    objectives: Vec<Objective>,
    executor: Executor,
    values: Values,
    gradients: Aligned,
    /// Of each weight.
    sizes: Vec<usize>,
    optimizer: Arc<dyn Optimizer>,
    state: OptimizerState,
    batch: usize,
    seed: u64,
    /// Which parameters learn in the executor's plan.
    learning: Vec<bool>,
}

/// What an optimizer keeps from step to step.
#[derive(Debug, Default)]
pub(super) struct OptimizerState {
    /// For each of its slots a value for each weight.
    pub slots: Vec<Aligned>,
    pub steps: u64,
}

impl OptimizerState {
    /// Makes the slots of an optimizer that has made no step, for this many weights.
    fn prepare(&mut self, optimizer: &dyn Optimizer, weights: usize) {
        self.slots.resize_with(optimizer.slots().len(), || Aligned::zeros(weights));
    }
}

impl Clone for OptimizerState {
    fn clone(&self) -> Self {
        Self { slots: self.slots.iter().map(|slot| Aligned::of(slot)).collect(), steps: self.steps }
    }

    fn clone_from(&mut self, other: &Self) {
        self.steps = other.steps;
        self.slots.resize_with(other.slots.len(), Aligned::default);
        for (to, from) in self.slots.iter_mut().zip(&other.slots) {
            if to.len() == from.len() {
                to.copy_from_slice(from);
            } else {
                *to = Aligned::of(from);
            }
        }
    }
}

impl Values {
    /// Copies the values of a graph's parameters, and what its layers carry.
    pub(super) fn load(graph: &Graph) -> Self {
        let size = |kind| -> usize { graph.parameters.iter().filter(|p| p.kind == kind).map(|p| p.shape.size()).sum() };
        let mut values = Self {
            weights: Aligned::zeros(size(ParameterKind::Weight)),
            statistics: Aligned::zeros(size(ParameterKind::Statistic)),
            carried: Carried::load(graph),
        };
        for (entry, own) in values.split_mut(graph) {
            own.copy_from_slice(&entry.layer.base().parameters()[entry.index].values);
        }
        values
    }

    /// Copies the values back into the layers.
    pub(super) fn store(&self, graph: &Graph) {
        for (entry, own) in self.split(graph) {
            entry.layer.base().parameters_mut()[entry.index].values.copy_from_slice(own);
        }
        self.carried.store(graph);
    }

    /// The values for a part of the graph, with some of its layers, which all begin anew.
    pub(super) fn of_part(&self, graph: &Graph, part: &Graph) -> Self {
        let own: HashMap<_, _> = self.split(graph).into_iter().map(|(entry, values)| (identity(entry), values)).collect();
        let mut values = Self::load(part);
        for (entry, to) in values.split_mut(part) {
            if let Some(from) = own.get(&identity(entry)) {
                to.copy_from_slice(from);
            }
        }
        values.carried.reset();
        values
    }

    /// All parameters of the graph with their values.
    pub(super) fn split<'a>(&'a self, graph: &'a Graph) -> Vec<(&'a ParameterEntry, &'a [f32])> {
        let (mut weights, mut statistics) = (&self.weights[..], &self.statistics[..]);
        let of_entry = |entry: &'a ParameterEntry| {
            let rest = match entry.kind {
                ParameterKind::Weight => &mut weights,
                ParameterKind::Statistic => &mut statistics,
            };
            Some((entry, rest.split_off(..entry.shape.size())?))
        };
        graph.parameters.iter().filter_map(of_entry).collect()
    }

    /// All parameters of the graph with their values, to be changed.
    pub(super) fn split_mut<'a>(&'a mut self, graph: &'a Graph) -> Vec<(&'a ParameterEntry, &'a mut [f32])> {
        let (mut weights, mut statistics) = (&mut self.weights[..], &mut self.statistics[..]);
        let of_entry = |entry: &'a ParameterEntry| {
            let rest = match entry.kind {
                ParameterKind::Weight => &mut weights,
                ParameterKind::Statistic => &mut statistics,
            };
            Some((entry, rest.split_off_mut(..entry.shape.size())?))
        };
        graph.parameters.iter().filter_map(of_entry).collect()
    }
}

/// What tells parameters of different graphs apart.
fn identity(entry: &ParameterEntry) -> (usize, usize) {
    (entry.layer.base().identity(), entry.index)
}

impl Trainer {
    pub(super) fn new(
        graph: Arc<Graph>,
        objectives: Vec<Objective>,
        optimizer: Arc<dyn Optimizer>,
        mut state: OptimizerState,
        batch: usize,
        seed: u64,
    ) -> Self {
        let values = Values::load(&graph);
        state.prepare(&*optimizer, values.weights.len());
        Self {
            gradients: Aligned::zeros(values.weights.len()),
            executor: make_executor(&graph, &objectives, batch),
            sizes: graph.parameters.iter().filter(|p| p.kind == ParameterKind::Weight).map(|p| p.shape.size()).collect(),
            learning: learning(&graph).collect(),
            graph,
            objectives,
            values,
            optimizer,
            state,
            batch,
            seed,
        }
    }

    /// Plans anew if layers were frozen or set free since the last plan. No value, no slot moves.
    fn follow_freezing(&mut self) {
        if !learning(&self.graph).eq(self.learning.iter().copied()) {
            self.learning = learning(&self.graph).collect();
            self.executor = make_executor(&self.graph, &self.objectives, self.batch);
            // What is frozen must not count in the norm of all gradients.
            self.gradients.fill(0.0);
        }
    }

    /// One step on a batch, at most of the planned size, with this learning rate and, where a schedule sets it, momentum. Returns for each output the sum of its samples' losses, then of its metrics; last the penalty, once
    /// for each sample.
    pub(super) fn step(
        &mut self,
        feed: &Feed<'_>,
        buffers: &BatchBuffers,
        learning_rate: f32,
        momentum: Option<f32>,
    ) -> Result<&[f64]> {
        self.follow_freezing();
        let key = derive(self.seed, self.state.steps);
        self.state.steps += 1;
        self.executor.run(&mut self.values, Batch { feed, buffers, key })?;
        let optimizer = Some((&*self.optimizer, Pace { learning_rate, momentum, step: self.state.steps, seed: self.seed }));
        self.executor.update(&mut self.values, &mut self.gradients, &mut self.state.slots, &self.sizes, optimizer)?;
        Ok(self.executor.results())
    }

    /// The gradients of all weights for a batch, in the order of the model's table, and the loss. Changes
    /// nothing but statistics.
    #[cfg(test)]
    pub(super) fn gradients(&mut self, feed: &Feed<'_>, indices: &[u32]) -> (f64, &[f32]) {
        let mut buffers = BatchBuffers::new(feed.source(), indices.len());
        feed.take(indices.iter().copied(), 0, &mut buffers).unwrap();
        let key = derive(self.seed, self.state.steps);
        self.executor.run(&mut self.values, Batch { feed, buffers: &buffers, key }).unwrap();
        self.executor.update(&mut self.values, &mut self.gradients, &mut self.state.slots, &self.sizes, None).unwrap();
        (self.executor.loss_of(self.executor.results(), indices.len()), &self.gradients)
    }

    /// Writes the parameters into the layers, for all models that use them to see.
    pub fn store(&mut self) {
        self.values.store(&self.graph);
    }

    pub(super) fn values(&self) -> &Values {
        &self.values
    }

    pub(super) fn values_mut(&mut self) -> &mut Values {
        &mut self.values
    }

    /// The gradients of all weights in the last step, in the order of the model's table.
    pub(super) fn last_gradients(&self) -> &[f32] {
        &self.gradients
    }

    pub(super) fn state(&self) -> &OptimizerState {
        &self.state
    }

    /// Sets the number of steps; `fill` sets the slots, the parts of all weights of one after the other.
    pub(super) fn restore_state(&mut self, steps: u64, mut fill: impl FnMut(Vec<&mut [f32]>)) {
        self.state.steps = steps;
        for slot in &mut self.state.slots {
            let mut rest = &mut slot[..];
            fill(self.sizes.iter().filter_map(|&size| rest.split_off_mut(..size)).collect());
        }
    }

    /// The optimizer's slots with their names.
    pub(super) fn slots(&self) -> impl Iterator<Item = (&'static str, &[f32])> {
        self.optimizer.slots().iter().copied().zip(self.state.slots.iter().map(|slot| &slot[..]))
    }

    /// The optimizer and the losses with all their settings, as texts to be compared.
    pub(super) fn settings(&self) -> [(&'static str, String); 2] {
        [("optimizer", format!("{:?}", self.optimizer)), ("loss", format!("{:?}", self.objectives))]
    }

    pub(super) fn optimizer_name(&self) -> &'static str {
        self.optimizer.name()
    }

    /// The optimizer's learning rate.
    pub(super) fn base_rate(&self) -> f32 {
        self.optimizer.learning_rate()
    }

    pub(super) fn has_momentum(&self) -> bool {
        self.optimizer.has_momentum()
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn executor(&self) -> &Executor {
        &self.executor
    }
}

fn learning(graph: &Graph) -> impl Iterator<Item = bool> {
    graph.parameters.iter().map(ParameterEntry::learns)
}

fn make_executor(graph: &Graph, objectives: &[Objective], batch: usize) -> Executor {
    let losses: Vec<_> = objectives.iter().map(|objective| (objective.loss.clone(), objective.weight)).collect();
    Executor::new(Plan::new(graph, batch, &losses, true), objectives.to_vec(), true)
}

impl Executor {
    /// Means over samples of what was summed up, under the names that histories use. `loss` is the weighted sum over the
    /// outputs and the regularizers' penalty; with several outputs, each output's values follow with its name before
    /// them.
    pub(super) fn measurements(&self, graph: &Graph, sums: &[f64], samples: usize) -> Measurements {
        let mut measurements = Measurements::default();
        measurements.push("loss".to_owned(), self.loss_of(sums, samples));
        let several = self.objectives().len() > 1;
        let mut sums = sums;
        for (objective, output) in self.objectives().iter().zip(graph.output_names()) {
            let prefix = if several { format!("{output}_") } else { String::new() };
            let (own, others) = sums.split_at(objective.sums());
            sums = others;
            let (loss, mut own) = own.split_at(1);
            if several {
                measurements.push(format!("{prefix}loss"), loss[0] / samples as f64);
            }
            for metric in objective.metrics() {
                let (of_metric, rest) = own.split_at(metric.sums());
                own = rest;
                measurements.push(format!("{prefix}{}", metric.name()), metric.result(of_metric, samples));
            }
        }
        measurements
    }
}
