//! The training workloads that are compared with other frameworks: nets of the zoo and of the textbooks, with optimizers and batch sizes.

use samara_models::textbook;
use samara_trainer::{Result, prelude::*};

/// A net to train.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// Its short name.
    pub name: &'static str,
    /// Samples per step, as they are compared.
    pub batches: &'static [usize],
    /// Tokens that its inputs are drawn from; 0 if they are numbers from 0 to 1.
    vocabulary: u64,
    build: fn() -> Result<Model>,
    compile: fn(&mut Model) -> Result<()>,
}

/// All workloads: a dense net, separable convolutions, residual convolutions, depthwise convolutions, one LSTM on two sequences,
/// embeddings and LSTMs of two texts.
pub const WORKLOADS: &[Workload] = &[
    workload("w1", &[32, 128], 0, || zoo("fashion-mlp"), sgd),
    workload("w2", &[32, 128], 0, || zoo("fashion-separable-large"), adam),
    workload("w3", &[32, 128], 0, || zoo("resnet8"), adam),
    workload("w4", &[100], 0, || zoo("ds-cnn"), adam),
    workload("w5", &[32, 128], 0, || textbook::siamese_lstm(20), |model| model.compile(RmsProp::new(1e-3), BinaryCrossentropy)),
    workload(
        "w6",
        &[128],
        10_000,
        || textbook::question_answering(100, 100),
        |model| model.compile(RmsProp::new(1e-3), SparseCategoricalCrossentropy),
    ),
];

const fn workload(
    name: &'static str,
    batches: &'static [usize],
    vocabulary: u64,
    build: fn() -> Result<Model>,
    compile: fn(&mut Model) -> Result<()>,
) -> Workload {
    Workload { name, batches, vocabulary, build, compile }
}

fn zoo(name: &str) -> Result<Model> {
    samara_models::find(name).expect("a net of the zoo").build()
}

fn sgd(model: &mut Model) -> Result<()> {
    model.compile(Sgd::new(1e-3), SparseCategoricalCrossentropy)
}

fn adam(model: &mut Model) -> Result<()> {
    model.compile(Adam::new(1e-3), SparseCategoricalCrossentropy)
}

impl Workload {
    /// The net, compiled with its optimizer and its cross-entropy.
    ///
    /// # Errors
    /// None in practice: the nets are tested.
    ///
    /// # Panics
    /// If the zoo lacks the net; a test holds the table to the zoo.
    pub fn compiled(&self) -> Result<Model> {
        let mut model = (self.build)()?;
        (self.compile)(&mut model)?;
        Ok(model)
    }

    /// Random inputs of a model's shapes, from 0 to 1 or tokens, with random classes; the same in every run.
    ///
    /// # Errors
    /// None in practice: shapes and classes are the model's own.
    pub fn random_data(&self, model: &Model, samples: usize) -> Result<Dataset> {
        let graph = model.graph();
        let classes = graph.nodes[graph.outputs[0]].shape.channels().max(2) as u64;
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 40
        };
        let mut value = |vocabulary: u64| match vocabulary {
            0 => random() as f32 / (1 << 24) as f32,
            _ => (random() % vocabulary) as f32,
        };
        let mut inputs = Vec::new();
        for &node in &graph.inputs {
            let shape = graph.nodes[node].shape.clone();
            let values = (0..samples * shape.size()).map(|_| value(self.vocabulary)).collect();
            inputs.push(Tensor::from_samples(shape, values)?);
        }
        let labels = (0..samples).map(|_| value(classes)).collect();
        Dataset::with_many(inputs, vec![Tensor::from_samples([1], labels)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_is_there_and_takes_its_data() {
        for workload in WORKLOADS {
            let model = workload.compiled().unwrap();
            model.check(&workload.random_data(&model, 3).unwrap()).unwrap();
        }
    }
}
