//! What `stateful` layers carry from batch to batch: row i of a batch goes on with the states that row i of the one before left.
//!
//! As in Keras, these are the layers' own, so `fit` (its validation too), `evaluate` and `predict` go on where the last of them ended,
//! between epochs too, until `reset_states`. Gradients stay within a batch. All batches then have as many samples, which Keras is told in
//! advance and this learns from the first batch after a reset.

use super::lane::Lane;
use super::plan::PlanNode;
use crate::checkpoint::SavedParameter;
use crate::error::{Error, Result};
use crate::graph::Graph;

/// What a node carries.
#[derive(Debug)]
struct Entry {
    node: usize,
    /// Values in a row.
    size: usize,
    /// Row by row; empty before the first batch.
    values: Vec<f32>,
}

/// What the nodes of a graph carry, those that do.
#[derive(Debug, Default)]
pub(crate) struct Carried(Vec<Entry>);

impl Carried {
    /// Copies what the layers carry.
    pub fn load(graph: &Graph) -> Self {
        let entry = |(node, size): (usize, usize)| {
            let layer = graph.nodes[node].layer.as_ref();
            Entry { node, size, values: layer.map(|layer| layer.base().carried()).unwrap_or_default() }
        };
        Self(graph.carrying().map(entry).collect())
    }

    /// Copies it back into the layers.
    pub fn store(&self, graph: &Graph) {
        for Entry { node, values, .. } in &self.0 {
            if let Some(layer) = &graph.nodes[*node].layer {
                layer.base().set_carried(values);
            }
        }
    }

    /// Lets all begin anew.
    pub fn reset(&mut self) {
        self.0.iter_mut().for_each(|entry| entry.values.clear());
    }

    /// The rows that there are of some layer.
    pub fn rows(&self) -> Option<usize> {
        self.0.iter().map(|entry| entry.values.len() / entry.size).find(|&rows| rows > 0)
    }

    /// So many samples must come in whole batches, of the size that the states are for.
    pub fn check(&self, graph: &Graph, batch: usize, samples: usize) -> Result<()> {
        for Entry { node, size, values } in &self.0 {
            let (name, rows) = (&graph.nodes[*node].name, values.len() / size);
            if rows != 0 && rows != batch {
                let expected = format!(
                    "{rows}, since the `stateful` layer '{name}' has the states of {rows} samples: take batches of {rows}, or call \
                     `reset_states` before others"
                );
                return Err(Error::Argument { name: "the batch", found: batch.to_string(), expected });
            }
            if !samples.is_multiple_of(batch) {
                let rest = samples % batch;
                let expected = format!(
                    "a multiple of the batch, {batch}, since row i of a batch goes on with the states of row i of the one before in \
                     the `stateful` layer '{name}': leave the last {rest} out, or take a batch that divides the number"
                );
                return Err(Error::Argument { name: "the number of samples", found: samples.to_string(), expected });
            }
        }
        Ok(())
    }

    /// Before a batch of so many samples: hands each shard its rows.
    pub(super) fn hand_out(&mut self, nodes: &[PlanNode], lanes: &mut [Lane], samples: usize) {
        for Entry { node, size, values } in &mut self.0 {
            values.resize(samples * nodes[*node].carried, 0.0);
            for shard in lanes.iter_mut().flat_map(|lane| &mut lane.shards) {
                let own = values.chunks_exact(*size).skip(shard.first).take(shard.samples);
                shard.carried[*node].chunks_exact_mut(*size).zip(own).for_each(|(to, from)| to.copy_from_slice(from));
            }
        }
    }

    /// Behind it: takes back what they are now.
    pub(super) fn take_back(&mut self, lanes: &[Lane]) {
        for Entry { node, size, values } in &mut self.0 {
            for shard in lanes.iter().flat_map(|lane| &lane.shards) {
                let own = values.chunks_exact_mut(*size).skip(shard.first).take(shard.samples);
                own.zip(shard.carried[*node].chunks_exact(*size)).for_each(|(to, from)| to.copy_from_slice(from));
            }
        }
    }

    /// As tensors `[rows, values]` with the nodes' names, to be saved.
    pub fn save(&self, graph: &Graph) -> Vec<SavedParameter> {
        let save = |Entry { node, size, values }: &Entry| SavedParameter {
            name: graph.nodes[*node].name.clone(),
            shape: vec![values.len() / size, *size],
            values: values.clone(),
        };
        self.0.iter().filter(|entry| !entry.values.is_empty()).map(save).collect()
    }

    /// Sets what was saved, and what was not to its beginning; or says which does not fit, with what was expected.
    pub fn restore(&mut self, graph: &Graph, batch: usize, saved: &[SavedParameter]) -> Result<(), (String, String)> {
        let mut expected = self.0.iter().map(|entry| (graph.nodes[entry.node].name.as_str(), [batch, entry.size]));
        for parameter in saved {
            let known = expected.find(|(name, _)| *name == parameter.name);
            if known.is_none_or(|(_, shape)| parameter.shape != shape) {
                let wanted = known.map_or("none".to_owned(), |(_, shape)| format!("{shape:?}"));
                return Err((format!("{} {:?}", parameter.name, parameter.shape), wanted));
            }
        }
        for entry in &mut self.0 {
            let saved = saved.iter().find(|saved| saved.name == graph.nodes[entry.node].name);
            entry.values = saved.map(|saved| saved.values.clone()).unwrap_or_default();
        }
        Ok(())
    }
}
