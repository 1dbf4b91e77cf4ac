//! `evaluate`: loss and metrics on a data set.

use std::ops::Range;

use super::feed::{Feed, Purpose};
use super::loader::{Loader, Order};
use super::model::check_batch;
use super::plan::Plan;
use super::{Measurements, Model, in_pool};
use super::{
    execute::{Executor, Values},
    lane::Batch,
};
use crate::data::Source;
use crate::error::Result;
use crate::graph::Graph;

/// A plan that only measures, with the data.
pub(super) struct Evaluator<'a> {
    executor: Executor,
    loader: Loader<'a>,
}

impl<'a> Evaluator<'a> {
    /// For batches of at most this size.
    pub fn new(graph: &Graph, feed: Feed<'a>, batch: usize) -> Self {
        let objectives = feed.objectives().to_vec();
        let losses: Vec<_> = objectives.iter().map(|objective| (objective.loss.clone(), objective.weight)).collect();
        let most = if graph.is_stateful() { batch } else { Plan::most_samples_at_once(graph) };
        let batch = batch.min(most).min(feed.source().samples()).max(1);
        let plan = Plan::new(graph, batch, &losses, false);
        Self { executor: Executor::new(plan, objectives, false), loader: Loader::new(feed, batch) }
    }

    /// Measures on these samples.
    pub fn measure(&mut self, graph: &Graph, values: &mut Values, range: Range<usize>) -> Result<Measurements> {
        let samples = range.len();
        let Self { executor, loader } = self;
        let mut sums = vec![0.0; executor.results().len()];
        loader.for_each(Order::Range(range), 0, |feed, buffers| {
            executor.run(values, Batch { feed, buffers, key: 0 })?;
            for (sum, part) in sums.iter_mut().zip(executor.results()) {
                *sum += part;
            }
            Ok(true)
        })?;
        Ok(executor.measurements(graph, &sums, samples))
    }
}

impl Model {
    /// The loss, regularizers' penalties included, and the metrics on a data set, with batch normalization by moving
    /// averages and without dropout. A `stateful` model goes on from where it stands, in batches of as many samples as it has states of,
    /// or, after [`Model::reset_states`], in one batch.
    ///
    /// # Errors
    /// Before `compile`, or if the data does not fit the model.
    pub fn evaluate(&self, data: &(impl Source + ?Sized)) -> Result<Measurements> {
        self.evaluate_in_batches(data, usize::MAX)
    }

    /// As [`Model::evaluate`], with at most this many samples at a time; a net with large layers takes fewer by itself, as
    /// many as its threads work on at once.
    ///
    /// # Errors
    /// As [`Model::evaluate`], and if `batch` is 0.
    pub fn evaluate_in_batches(&self, data: &(impl Source + ?Sized), batch: usize) -> Result<Measurements> {
        self.compiled("evaluate")?;
        check_batch(batch)?;
        let feed = self.feed(&data, Purpose::Evaluate)?;
        let samples = feed.source().samples();
        let mut values = Values::load(self.graph());
        let batch = values.carried.rows().unwrap_or(batch).min(batch);
        values.carried.check(self.graph(), batch.min(samples).max(1), samples)?;
        let mut evaluator = Evaluator::new(self.graph(), feed, batch);
        let measured = in_pool(|| evaluator.measure(self.graph(), &mut values, 0..samples))?;
        values.carried.store(self.graph());
        Ok(measured)
    }
}
