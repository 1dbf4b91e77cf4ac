//! `evaluate`: loss and metrics on a data set.

use std::ops::Range;

use super::arrange::Arranged;
use super::execute::{Batch, Executor, Samples, Values};
use super::model::check_batch;
use super::objective::Objective;
use super::plan::Plan;
use super::{Measurements, Model, in_pool};
use crate::data::Dataset;
use crate::error::Result;
use crate::graph::Graph;

/// A plan that only measures.
pub(super) struct Evaluator {
    executor: Executor,
    batch: usize,
}

impl Evaluator {
    pub fn new(graph: &Graph, objectives: Vec<Objective>, batch: usize) -> Self {
        let losses: Vec<_> = objectives.iter().map(|objective| (objective.loss.clone(), objective.weight)).collect();
        let plan = Plan::new(graph, batch, &losses, false);
        Self { executor: Executor::new(plan, objectives, false), batch }
    }

    /// Measures on these samples.
    pub fn measure(&mut self, graph: &Graph, values: &mut Values, data: &Arranged<'_>, range: Range<usize>) -> Measurements {
        let samples = range.len();
        let mut sums = vec![0.0; self.executor.results().len()];
        for start in range.clone().step_by(self.batch) {
            let samples = Samples::Range { start, count: (range.end - start).min(self.batch) };
            let batch = Batch { inputs: &data.inputs, targets: &data.targets, weights: &data.weights, samples, key: 0 };
            self.executor.run(values, batch);
            for (sum, part) in sums.iter_mut().zip(self.executor.results()) {
                *sum += part;
            }
        }
        self.executor.measurements(graph, &sums, samples)
    }
}

impl Model {
    /// The loss, regularizers' penalties included, and the metrics on a data set, with batch normalization by moving
    /// averages and without dropout.
    ///
    /// # Errors
    /// Before `compile`, or if the data does not fit the model.
    pub fn evaluate(&self, data: &Dataset, batch: usize) -> Result<Measurements> {
        let compiled = self.compiled("evaluate")?;
        check_batch(batch)?;
        let arranged = self.arranged(data)?;
        let batch = batch.min(data.samples());
        let mut evaluator = Evaluator::new(self.graph(), compiled.objectives.clone(), batch);
        let mut values = Values::load(self.graph());
        Ok(in_pool(|| evaluator.measure(self.graph(), &mut values, &arranged, 0..data.samples())))
    }
}
