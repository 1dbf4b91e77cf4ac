//! Masking: `y = x`, of sequences whose samples end where all that follows is one value.
//!
//! Inputs `[T, ...]`, inputs of the model; outputs the same.

use serde::{Deserialize, Serialize};

use super::{Backward, Example, Forward, Layer, LayerBase, Requirements, identity};
use crate::device::{Lowering, Value};
use crate::graph::{LengthRule, Shape};

/// Takes steps at the end whose values are all one value for padding: a sample is as long as it is without them, at least one step.
/// A sample with such steps before others is refused. Lengths that tensors say
/// ([`Tensor::with_lengths`](crate::data::Tensor::with_lengths)) come before those found so. A model file does not look for padding:
/// [`DeviceModel::predict`](crate::device::run::DeviceModel::predict) takes the lengths that tensors say, else all steps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Masking {
    base: LayerBase,
    value: f32,
}

impl Masking {
    /// Steps filled with this value are padding.
    pub fn new(value: f32) -> Self {
        Self { base: LayerBase::new(), value }
    }
}

impl Layer for Masking {
    identity!("Masking", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            _ if !self.value.is_finite() => Err(format!("a finite value, not {}", self.value)),
            [shape] if shape.len() > 1 => Ok(shape.clone()),
            _ => Err("one input of shape [steps, ...]".to_owned()),
        }
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        Ok(LengthRule::Kept)
    }

    fn padding(&self, _input: usize) -> Option<f32> {
        Some(self.value)
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        Requirements { in_place: true, ..Requirements::default() }
    }

    fn forward(&self, _pass: &mut Forward<'_>) {}

    fn backward(&self, _pass: &mut Backward<'_>) {}

    fn describe(&self) -> String {
        self.value.to_string()
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        Ok(lowering.inputs[0])
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(Masking::new(0.0), &[&[4, 3]]), Example::new(Masking::new(-1.0), &[&[3, 2, 2]])]
}
