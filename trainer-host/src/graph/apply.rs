//! How layers are applied to symbolic tensors.

use std::sync::Arc;

use super::{Layer, SymbolicTensor};

/// One symbolic tensor, or several: what a layer can be applied to.
pub trait IntoInputs {
    /// The tensors.
    fn into_inputs(self) -> Vec<SymbolicTensor>;
}

impl IntoInputs for &SymbolicTensor {
    fn into_inputs(self) -> Vec<SymbolicTensor> {
        vec![self.clone()]
    }
}

impl IntoInputs for SymbolicTensor {
    fn into_inputs(self) -> Vec<SymbolicTensor> {
        vec![self]
    }
}

impl<const N: usize> IntoInputs for [SymbolicTensor; N] {
    fn into_inputs(self) -> Vec<SymbolicTensor> {
        self.into()
    }
}

impl<const N: usize> IntoInputs for [&SymbolicTensor; N] {
    fn into_inputs(self) -> Vec<SymbolicTensor> {
        self.into_iter().cloned().collect()
    }
}

impl<const N: usize> IntoInputs for &[SymbolicTensor; N] {
    fn into_inputs(self) -> Vec<SymbolicTensor> {
        self.to_vec()
    }
}

impl IntoInputs for &[SymbolicTensor] {
    fn into_inputs(self) -> Vec<SymbolicTensor> {
        self.to_vec()
    }
}

impl IntoInputs for Vec<SymbolicTensor> {
    fn into_inputs(self) -> Vec<SymbolicTensor> {
        self
    }
}

/// What can be applied to symbolic tensors: layers, and layers made of layers.
pub trait Apply {
    /// Applies it to tensors. Faults are kept in the result, and reported by `Model::new` with the layer's name.
    fn apply_to(&self, inputs: Vec<SymbolicTensor>) -> SymbolicTensor;

    /// Applies it to one tensor or to several. Faults are kept in the result and reported by `Model::new`.
    fn apply(&self, inputs: impl IntoInputs) -> SymbolicTensor
    where
        Self: Sized,
    {
        self.apply_to(inputs.into_inputs())
    }
}

/// Applies a layer, then its activation, if it has one.
pub(crate) fn apply_shared(layer: &Arc<dyn Layer>, inputs: Vec<SymbolicTensor>) -> SymbolicTensor {
    let output = SymbolicTensor::of_layer(layer.clone(), inputs, None, None);
    match layer.activation_layer() {
        Some(activation) => SymbolicTensor::of_layer(activation, vec![output], Some(layer.clone()), None),
        None => output,
    }
}

impl<L: Layer + Clone> Apply for L {
    fn apply_to(&self, inputs: Vec<SymbolicTensor>) -> SymbolicTensor {
        apply_shared(&(Arc::new(self.clone()) as Arc<dyn Layer>), inputs)
    }
}

/// Gives a layer or an input its name.
pub trait Named: Sized {
    /// The same under this name, which parameters, messages and histories then show, and by which data is given.
    fn named(self, name: &str) -> Self;
}

impl<L: Layer + Sized> Named for L {
    fn named(mut self, name: &str) -> Self {
        self.base_mut().set_name(name);
        self
    }
}

impl Named for SymbolicTensor {
    /// An input's name; clones are the same input and have it too. A tensor that a layer makes has the layer's name.
    fn named(self, name: &str) -> Self {
        self.renamed(name)
    }
}
