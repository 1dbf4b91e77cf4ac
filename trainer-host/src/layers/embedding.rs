//! Embedding: `y = table[token]`, a learned row for each token of a vocabulary.
//!
//! Inputs `[...]` of tokens: integers from 0 to below the vocabulary's size, as they stand in an input of the model; outputs
//! `[..., D]`. Parameter `embeddings` `[V, D]`. Its gradient is the sum of the output's gradients where the token stands, added in
//! the order of samples, so that it does not depend on the number of threads.

use serde::{Deserialize, Serialize};

use super::options::trainable_methods;
use super::{Backward, Example, Forward, Layer, LayerBase, ParameterSpec, Requirements, Trainable, WeightGradient, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::{LengthRule, Shape};
use crate::initializers::Uniform;

/// A row of numbers for each token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Embedding {
    base: LayerBase,
    vocabulary: usize,
    size: usize,
    table: Trainable,
    /// Token 0 fills sequences up.
    #[serde(default)]
    mask_zero: bool,
}

impl Embedding {
    /// For tokens below `vocabulary`, rows of `size` numbers, drawn evenly from -0.05 to 0.05.
    pub fn new(vocabulary: usize, size: usize) -> Self {
        Self { base: LayerBase::new(), vocabulary, size, table: Trainable::new(Uniform::new(-0.05, 0.05)), mask_zero: false }
    }

    trainable_methods!(table, "the rows", embeddings_initializer, embeddings_regularizer);

    /// Takes zeros behind the last other token of a sample for padding: the sample is as long as it is without them, at least one token.
    /// A sample whose zeros stand before other tokens is refused; see [`pad_sequences`](crate::data::pad_sequences), whose tensors
    /// say their lengths. A model file does not look for zeros: [`DeviceModel::predict`](crate::device::run::DeviceModel::predict)
    /// takes the lengths that tensors say, else all tokens.
    pub fn mask_zero(mut self) -> Self {
        self.mask_zero = true;
        self
    }

    /// Number of tokens.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary
    }
}

/// A token as the trainer has it, an integer in an f32. What is none was refused with the data.
fn row_of(token: f32, rows: usize) -> usize {
    (token as usize).min(rows - 1)
}

impl Layer for Embedding {
    identity!("Embedding", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            _ if self.vocabulary == 0 || self.size == 0 => Err("at least 1 token and 1 number for each".to_owned()),
            // An f32 holds integers up to here.
            _ if self.vocabulary > 1 << 24 => Err(format!("at most {} tokens", 1 << 24)),
            [shape] if !shape.is_empty() => {
                let mut output = shape.to_vec();
                output.push(self.size);
                Ok(Shape::from(output))
            }
            _ => Err("one input of tokens of shape [tokens]".to_owned()),
        }
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        Ok(LengthRule::Kept)
    }

    fn vocabulary(&self, _input: usize) -> Option<usize> {
        Some(self.vocabulary)
    }

    fn padding(&self, _input: usize) -> Option<f32> {
        self.mask_zero.then_some(0.0)
    }

    fn parameters(&self, _inputs: &[Shape]) -> Vec<ParameterSpec> {
        vec![self.table.spec("embeddings", [self.vocabulary, self.size])]
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        Requirements { backward_reads_inputs: true, ..Requirements::default() }
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let table = pass.parameters.get(0);
        for (&token, output) in pass.inputs.get(0).iter().zip(pass.output.chunks_exact_mut(self.size)) {
            output.copy_from_slice(&table[row_of(token, self.vocabulary) * self.size..][..self.size]);
        }
    }

    /// Nothing: tokens have no gradient, and that of the rows is made over the whole batch.
    fn backward(&self, _pass: &mut Backward<'_>) {}

    fn has_batch_weight_gradient(&self) -> bool {
        true
    }

    fn weight_gradient(&self, pass: &mut WeightGradient<'_>) {
        let WeightGradient { gradient, range, .. } = pass;
        if !pass.accumulate {
            gradient.fill(0.0);
        }
        (pass.shards)(&mut |inputs, output_gradient| {
            for (&token, part) in inputs.get(0).iter().zip(output_gradient.chunks_exact(self.size)) {
                let start = row_of(token, self.vocabulary) * self.size;
                if range.contains(&start) {
                    let sums = &mut gradient[start - range.start..][..self.size];
                    sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
                }
            }
        });
    }

    fn describe(&self) -> String {
        let masked = if self.mask_zero { ", token 0 masked" } else { "" };
        format!("{} tokens, {} numbers each{masked}", self.vocabulary, self.size)
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let table = lowering.parameter("embeddings").to_vec();
        Ok(lowering.output(ops::Embedding { table }))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(Embedding::new(7, 3), &[&[5]]),
        Example::new(Embedding::new(4, 2), &[&[2, 3]]),
        Example::new(Embedding::new(5, 2).mask_zero(), &[&[4]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check};
    use super::*;

    #[test]
    fn agrees_with_the_naive_reference() {
        check(&Embedding::new(6, 3), &[Shape::from([4])], &|inputs, parameters| {
            let row = |token: &f64| parameters[0][token.round() as usize * 3..][..3].to_vec();
            inputs[0].iter().flat_map(row).collect()
        });
    }

    #[test]
    fn a_token_that_stands_twice_adds_up() {
        let layer = Embedding::new(3, 2);
        let mut harness = Harness::new(&layer, &[Shape::from([3])], 1);
        harness.inputs[0].copy_from_slice(&[2.0, 0.0, 2.0]);
        harness.parameter_mut(0).copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(harness.forward(), [5.0, 6.0, 1.0, 2.0, 5.0, 6.0]);
        harness.output_gradient.copy_from_slice(&[1.0, 2.0, 10.0, 20.0, 100.0, 200.0]);
        harness.backward(true, false);
        assert_eq!(harness.gradient(0), [10.0, 20.0, 0.0, 0.0, 101.0, 202.0]);
    }
}
