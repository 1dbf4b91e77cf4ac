//! `Sequential`: a chain of layers.

use super::Model;
use crate::error::Result;
use crate::graph::Apply;
use crate::graph::{Shape, SymbolicTensor, input};

/// A thin front for models that are a chain.
#[derive(Debug, Clone)]
pub struct Sequential {
    name: String,
    input: SymbolicTensor,
    output: SymbolicTensor,
}

impl Sequential {
    /// A chain that begins with an input of this shape, the batch left out.
    pub fn new(name: &str, input_shape: impl Into<Shape>) -> Self {
        let input = input(input_shape);
        Self { name: name.to_owned(), output: input.clone(), input }
    }

    /// Samples may be shorter than the input's shape says: [`SymbolicTensor::variable_length`].
    pub fn variable_length(mut self) -> Self {
        self.input = self.input.variable_length();
        self
    }

    /// Puts a layer, or a model, at the end.
    #[expect(clippy::should_implement_trait, reason = "the name that Keras users know")]
    pub fn add(mut self, layer: impl Apply) -> Self {
        self.output = layer.apply(&self.output);
        self
    }

    /// The model.
    ///
    /// # Errors
    /// As `Model::new`.
    pub fn build(self) -> Result<Model> {
        Model::new(&self.name, &self.input, &self.output)
    }
}
