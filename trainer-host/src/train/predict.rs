//! `predict`: outputs for inputs.

use super::execute::{Batch, Executor, Samples, Values};
use super::plan::Plan;
use super::{Model, in_pool};
use crate::data::Tensor;
use crate::error::{Error, Result};

/// Samples per batch where nobody else looks.
const BATCH: usize = 256;

impl Model {
    /// The output for each sample, with batch normalization by moving averages and without dropout.
    ///
    /// # Errors
    /// If the model has several inputs or outputs (see [`Model::predict_all`]), or the samples' shape is not the input's,
    /// or a value is not finite.
    pub fn predict(&self, input: &Tensor) -> Result<Tensor> {
        let mut outputs = self.predict_all(std::slice::from_ref(input))?;
        match outputs.pop() {
            Some(output) if outputs.is_empty() => Ok(output),
            _ => Err(Error::Count {
                model: self.name().to_owned(),
                what: "outputs",
                expected: self.graph().outputs.len(),
                found: 1,
                found_what: "is what `predict` gives: use `predict_all`; 1 was",
            }),
        }
    }

    /// All outputs for all samples, given the tensors of all inputs.
    ///
    /// # Errors
    /// If the inputs do not fit the model, or a value is not finite.
    pub fn predict_all(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        self.check_inputs(inputs)?;
        for (tensor, &node) in inputs.iter().zip(&self.graph().inputs) {
            tensor.check_finite(&format!("input '{}'", self.graph().nodes[node].name))?;
        }
        let references: Vec<&Tensor> = inputs.iter().collect();
        let samples = inputs.first().map_or(0, Tensor::samples);
        let plan = Plan::new(self.graph(), samples.clamp(1, BATCH), &[], false);
        let mut executor = Executor::new(plan, Vec::new(), false);
        let mut values = Values::load(self.graph());
        let shapes = self.graph().outputs.iter().map(|&output| self.graph().nodes[output].shape.clone());
        let mut outputs: Vec<_> = shapes.map(|shape| (Vec::with_capacity(shape.size() * samples), shape)).collect();
        in_pool(|| {
            for start in (0..samples).step_by(BATCH) {
                let range = Samples::Range { start, count: (samples - start).min(BATCH) };
                executor.run(&mut values, Batch { inputs: &references, targets: &[], weights: &[], samples: range, key: 0 });
                for (output, (to, _)) in outputs.iter_mut().enumerate() {
                    executor.read_output(output, to);
                }
            }
        });
        outputs.into_iter().map(|(values, shape)| Tensor::from_samples(shape, values)).collect()
    }
}
