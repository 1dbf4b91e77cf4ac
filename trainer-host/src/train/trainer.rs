//! One step of training: a model's plan with its memory.

use std::sync::Arc;

use super::execute::{Batch, Executor, Objective, Samples, Values};
use super::history::Measurements;
use super::plan::Plan;
use crate::data::Dataset;
use crate::graph::Graph;
use crate::numeric::Aligned;
use crate::numeric::random::derive;
use crate::optimizers::Optimizer;

/// A model made ready for training with batches up to a size. It works on a copy of the parameters; see
/// [`Trainer::store`]. A step allocates no memory.
#[derive(Debug)]
pub(super) struct Trainer {
    graph: Arc<Graph>,
    executor: Executor,
    values: Values,
    gradients: Aligned,
    /// Of each trainable parameter.
    sizes: Vec<usize>,
    optimizer: Arc<dyn Optimizer>,
    pub(super) state: OptimizerState,
    seed: u64,
}

/// What an optimizer keeps from step to step.
#[derive(Debug, Clone, Default)]
pub(super) struct OptimizerState {
    pub values: Vec<f32>,
    pub steps: u64,
}

impl Values {
    /// Copies the values of a graph's parameters.
    pub(super) fn load(graph: &Graph) -> Self {
        let size =
            |trainable| -> usize { graph.parameters.iter().filter(|p| p.trainable == trainable).map(|p| p.shape.size()).sum() };
        let mut values = Self { trainable: Aligned::zeros(size(true)), statistics: Aligned::zeros(size(false)) };
        values.visit(graph, |own, layers| own.copy_from_slice(layers));
        values
    }

    /// Copies the values back into the layers.
    pub(super) fn store(&mut self, graph: &Graph) {
        self.visit(graph, |own, layers| layers.copy_from_slice(own));
    }

    fn visit(&mut self, graph: &Graph, mut copy: impl FnMut(&mut [f32], &mut [f32])) {
        let (mut trainable, mut statistics) = (0, 0);
        for parameter in &graph.parameters {
            let size = parameter.shape.size();
            let (end, values) = if parameter.trainable {
                (&mut trainable, &mut self.trainable)
            } else {
                (&mut statistics, &mut self.statistics)
            };
            let own = &mut values[*end..*end + size];
            copy(own, &mut parameter.layer.base().parameters_mut()[parameter.index].values);
            *end += size;
        }
    }
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
        let losses: Vec<_> = objectives.iter().map(|objective| (objective.loss.clone(), objective.weight)).collect();
        let plan = Plan::new(&graph, batch, &losses, true);
        let values = Values::load(&graph);
        state.values.resize(values.trainable.len() * optimizer.state_per_parameter(), 0.0);
        Self {
            gradients: Aligned::zeros(values.trainable.len()),
            executor: Executor::new(plan, objectives, true),
            sizes: graph.parameters.iter().filter(|p| p.trainable).map(|p| p.shape.size()).collect(),
            graph,
            values,
            optimizer,
            state,
            seed,
        }
    }

    /// One step on the samples with these numbers, at most the planned batch; the learning rate is the optimizer's times
    /// `rate_factor`. Returns for each output the sum of its samples' losses, then of its metrics; last the penalty, once
    /// for each sample.
    ///
    /// `weights` are what each sample of the data counts in the loss, if not 1. The data must have been checked against
    /// the model (`Model::check`).
    pub(crate) fn step(&mut self, data: &Dataset, weights: Option<&[f32]>, indices: &[u32], rate_factor: f32) -> &[f64] {
        let key = derive(self.seed, self.state.steps);
        self.state.steps += 1;
        let samples = Samples::Indices(indices);
        let batch = Batch { inputs: data.inputs(), targets: data.targets(), weights, samples, key };
        self.executor.run(&mut self.values, batch);
        let rate = self.optimizer.learning_rate() * rate_factor;
        let optimizer = Some((&*self.optimizer, rate, self.state.steps));
        self.executor.update(&mut self.values, &mut self.gradients, &mut self.state.values, &self.sizes, optimizer);
        self.executor.results()
    }

    /// The gradients of all trainable parameters for a batch, in the order of the model's table, and the loss. Changes
    /// nothing but statistics.
    #[cfg(test)]
    pub(crate) fn gradients(&mut self, data: &Dataset, indices: &[u32]) -> (f64, &[f32]) {
        let samples = Samples::Indices(indices);
        let key = derive(self.seed, self.state.steps);
        let batch = Batch { inputs: data.inputs(), targets: data.targets(), weights: data.weights(), samples, key };
        self.executor.run(&mut self.values, batch);
        self.executor.update(&mut self.values, &mut self.gradients, &mut self.state.values, &self.sizes, None);
        (self.executor.loss_of(self.executor.results(), indices.len()), &self.gradients)
    }

    /// Writes the parameters into the layers, for all models that use them to see.
    pub fn store(&mut self) {
        self.values.store(&self.graph);
    }

    pub(super) fn values(&mut self) -> &mut Values {
        &mut self.values
    }

    pub(super) fn executor(&self) -> &Executor {
        &self.executor
    }
}

impl Executor {
    /// Means over samples of what was summed up, under the names that histories use. `loss` is the weighted sum over the
    /// outputs and the regularizers' penalty; with several outputs, each output's values follow with its layer's
    /// name before them.
    pub(super) fn measurements(&self, graph: &Graph, sums: &[f64], samples: usize) -> Measurements {
        let mut measurements = Measurements::default();
        measurements.push("loss".to_owned(), self.loss_of(sums, samples));
        let several = self.objectives().len() > 1;
        let mut sums = sums;
        for (objective, &output) in self.objectives().iter().zip(&graph.outputs) {
            let prefix = if several { format!("{}_", graph.layer_name(output)) } else { String::new() };
            let (own, others) = sums.split_at(objective.sums());
            sums = others;
            let (loss, mut own) = own.split_at(1);
            if several {
                measurements.push(format!("{prefix}loss"), loss[0] / samples as f64);
            }
            for metric in &objective.metrics {
                let (of_metric, rest) = own.split_at(metric.sums());
                own = rest;
                measurements.push(format!("{prefix}{}", metric.name()), metric.result(of_metric, samples));
            }
        }
        measurements
    }
}
