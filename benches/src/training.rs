//! The training workloads that are compared with other frameworks: nets of the zoo, with optimizers and batch sizes.

use std::sync::Arc;

use samara_trainer::{Result, optimizers::Optimizer, prelude::*};

/// A net to train.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// Its short name.
    pub name: &'static str,
    /// The net's name in the zoo.
    pub model: &'static str,
    /// Samples per step, as they are compared.
    pub batches: &'static [usize],
    optimizer: fn() -> Arc<dyn Optimizer>,
}

/// All workloads: a dense net, separable convolutions, residual convolutions, depthwise convolutions.
pub const WORKLOADS: &[Workload] = &[
    Workload { name: "w1", model: "fashion-mlp", batches: &[32, 128], optimizer: sgd },
    Workload { name: "w2", model: "fashion-separable-large", batches: &[32, 128], optimizer: adam },
    Workload { name: "w3", model: "resnet8", batches: &[32, 128], optimizer: adam },
    Workload { name: "w4", model: "ds-cnn", batches: &[100], optimizer: adam },
];

fn sgd() -> Arc<dyn Optimizer> {
    Arc::new(Sgd::new(1e-3))
}

fn adam() -> Arc<dyn Optimizer> {
    Arc::new(Adam::new(1e-3))
}

impl Workload {
    /// The net, compiled with its optimizer and the cross-entropy.
    ///
    /// # Errors
    /// None in practice: the zoo's nets are tested.
    ///
    /// # Panics
    /// If the zoo lacks the net; a test holds the table to the zoo.
    pub fn compiled(&self) -> Result<Model> {
        let mut model = samara_models::find(self.model).expect("a net of the zoo").build()?;
        model.compile_with((self.optimizer)(), SparseCategoricalCrossentropy)?;
        Ok(model)
    }
}

/// Random inputs from 0 to 1 of a model's shape, with random classes; the same in every run.
///
/// # Errors
/// None in practice: shapes and classes are the model's own.
pub fn random_data(model: &Model, samples: usize) -> Result<Dataset> {
    let graph = model.graph();
    let shape = graph.nodes[graph.inputs[0]].shape.clone();
    let classes = graph.nodes[graph.outputs[0]].shape.channels() as u64;
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 40
    };
    let values = (0..samples * shape.size()).map(|_| random() as f32 / (1 << 24) as f32).collect();
    let labels: Vec<u32> = (0..samples).map(|_| (random() % classes) as u32).collect();
    Dataset::new(Tensor::from_samples(shape, values)?, Tensor::from_labels(&labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_is_in_the_zoo_and_takes_its_data() {
        for workload in WORKLOADS {
            let model = workload.compiled().unwrap();
            model.check(&random_data(&model, 3).unwrap()).unwrap();
        }
    }
}
