//! Add: the sum of two or more tensors of one shape.

use serde::{Deserialize, Serialize};

use super::merge::{common_shape, lower_weighted_sum, weighted_sum, weighted_sum_backward};
use super::{Backward, Example, Forward, Layer, LayerBase, identity};
use crate::device::{Lowering, Value};
use crate::graph::{LengthRule, Shape};

/// Adds its inputs, value by value.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Add {
    base: LayerBase,
}

impl Add {
    /// The layer.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Layer for Add {
    identity!("Add", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        common_shape(inputs)
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        Ok(LengthRule::Kept)
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        weighted_sum(pass, |_| 1.0);
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        weighted_sum_backward(pass, |_| 1.0);
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        Ok(lower_weighted_sum(lowering, |_| 1.0))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(Add::new(), &[&[4, 3], &[4, 3]]), Example::new(Add::new(), &[&[7], &[7], &[7]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check};
    use super::*;

    #[test]
    fn agrees_with_the_naive_reference() {
        for count in [2, 3, 5] {
            let shapes = vec![Shape::from([3, 4, 5]); count];
            check(&Add::new(), &shapes, &|inputs, _| {
                (0..60).map(|place| inputs.iter().map(|input| input[place]).sum()).collect()
            });
        }
    }

    #[test]
    fn sum_of_three() {
        let layer = Add::new();
        let mut harness = Harness::new(&layer, &vec![Shape::from([2]); 3], 1);
        for (input, values) in [[3.0, -3.0], [6.0, 0.0], [-3.0, 9.0]].iter().enumerate() {
            harness.inputs[input].copy_from_slice(values);
        }
        assert_eq!(harness.forward(), [6.0, 6.0]);
        harness.output_gradient.copy_from_slice(&[1.0, 2.0]);
        harness.backward(true, false);
        assert!(harness.input_gradients.iter().all(|gradient| gradient[..] == [1.0, 2.0]));
    }
}
