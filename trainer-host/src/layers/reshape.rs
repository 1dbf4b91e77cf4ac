//! Reshape: the same values in another shape of the same size; in place.

use serde::{Deserialize, Serialize};

use super::{Backward, Example, Forward, Layer, LayerBase, Requirements, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::{LengthRule, Shape};

/// Gives each sample another shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reshape {
    base: LayerBase,
    shape: Shape,
}

impl Reshape {
    /// To this shape, the batch left out.
    pub fn new(shape: impl Into<Shape>) -> Self {
        Self { base: LayerBase::new(), shape: shape.into() }
    }

    /// The shape wanted.
    pub fn target_shape(&self) -> &Shape {
        &self.shape
    }
}

impl Layer for Reshape {
    identity!("Reshape", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            [shape] if shape.size() == self.shape.size() => Ok(self.shape.clone()),
            [_] => Err(format!("an input of {} values, for the shape {}", self.shape.size(), self.shape)),
            _ => Err("exactly one input".to_owned()),
        }
    }

    fn length_rule(&self, inputs: &[Shape]) -> Result<LengthRule, String> {
        match self.shape.first() {
            Some(first) if self.shape.len() > 1 && inputs[0].first() == Some(first) => Ok(LengthRule::Kept),
            _ => Err(format!("a shape whose first axis is that of the steps, not {}", self.shape)),
        }
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        Requirements { in_place: true, ..Requirements::default() }
    }

    fn forward(&self, _pass: &mut Forward<'_>) {}

    fn backward(&self, _pass: &mut Backward<'_>) {}

    fn describe(&self) -> String {
        format!("to {}", self.shape)
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        Ok(lowering.output(ops::Reshape))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(Reshape::new([4, 6]), &[&[2, 3, 4]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::check;
    use super::*;

    #[test]
    fn keeps_the_values() {
        let layer = Reshape::new([3, 4]);
        check(&layer, &[Shape::from([2, 3, 2])], &|inputs, _| inputs[0].clone());
        assert_eq!(layer.output_shape(&[Shape::from([12])]), Ok(Shape::from([3, 4])));
        let error = layer.output_shape(&[Shape::from([13])]).expect_err("another size");
        assert_eq!(error, "an input of 12 values, for the shape [3, 4]");
    }
}
