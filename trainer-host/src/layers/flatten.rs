//! Flatten: the same values as one axis. Inputs of any shape, outputs `[size]`; in place.

use serde::{Deserialize, Serialize};

use super::{Backward, Example, Forward, Layer, LayerBase, Requirements, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::{LengthRule, Shape};

/// Gives each sample a single axis.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Flatten {
    base: LayerBase,
}

impl Flatten {
    /// The layer.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Layer for Flatten {
    identity!("Flatten", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            [shape] => Ok(Shape::from([shape.size()])),
            _ => Err("exactly one input".to_owned()),
        }
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        Err("before it a layer that makes one vector of the steps: a `GlobalAveragePooling1D`, or a recurrent layer without \
             `return_sequences`"
            .to_owned())
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        Requirements { in_place: true, ..Requirements::default() }
    }

    fn forward(&self, _pass: &mut Forward<'_>) {}

    fn backward(&self, _pass: &mut Backward<'_>) {}

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        Ok(lowering.output(ops::Reshape))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(Flatten::new(), &[&[2, 3, 4]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::check;
    use super::*;

    #[test]
    fn keeps_the_values() {
        check(&Flatten::new(), &[Shape::from([2, 3, 2])], &|inputs, _| inputs[0].clone());
        assert_eq!(Flatten::new().output_shape(&[Shape::from([2, 3, 2])]), Ok(Shape::from([12])));
        assert_eq!(Flatten::new().output_shape(&[Shape::from([])]), Ok(Shape::from([1])));
        assert!(Flatten::new().output_shape(&[]).is_err());
    }
}
