//! Subtract: the first tensor minus the second, of one shape: `y = x_1 - x_2`.

use serde::{Deserialize, Serialize};

use super::merge::{lower_weighted_sum, two_of_one_shape, weighted_sum, weighted_sum_backward};
use super::{Backward, Example, Forward, Layer, LayerBase, identity};
use crate::device::{Lowering, Value};
use crate::graph::{LengthRule, Shape};

/// Subtracts its second input from its first, value by value.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Subtract {
    base: LayerBase,
}

impl Subtract {
    /// The layer.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Layer for Subtract {
    identity!("Subtract", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        two_of_one_shape(inputs)
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        Ok(LengthRule::Kept)
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        weighted_sum(pass, |input| if input == 0 { 1.0 } else { -1.0 });
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        weighted_sum_backward(pass, |input| if input == 0 { 1.0 } else { -1.0 });
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        Ok(lower_weighted_sum(lowering, |input| if input == 0 { 1.0 } else { -1.0 }))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(Subtract::new(), &[&[4, 3], &[4, 3]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check};
    use super::*;

    #[test]
    fn agrees_with_the_naive_reference() {
        for shape in [vec![1], vec![17], vec![3, 4, 5]] {
            let shapes = [Shape::new(shape.clone()), Shape::new(shape)];
            check(&Subtract::new(), &shapes, &|inputs, _| inputs[0].iter().zip(&inputs[1]).map(|(a, b)| a - b).collect());
        }
    }

    #[test]
    fn the_second_is_subtracted() {
        let layer = Subtract::new();
        let mut harness = Harness::new(&layer, &[Shape::from([2]), Shape::from([2])], 1);
        harness.inputs[0].copy_from_slice(&[1.0, -2.0]);
        harness.inputs[1].copy_from_slice(&[4.0, 0.5]);
        assert_eq!(harness.forward(), [-3.0, -2.5]);
    }

    #[test]
    fn wants_two_of_one_shape() {
        let [a, b] = [Shape::from([3]), Shape::from([4])];
        let error = Subtract::new().output_shape(&[a.clone(), b]).unwrap_err();
        assert!(error.starts_with("two inputs of the same shape: "), "{error}");
        assert_eq!(Subtract::new().output_shape(&[a.clone(), a.clone(), a]), Err("exactly two inputs".to_owned()));
    }
}
