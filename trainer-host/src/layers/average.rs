//! Average: the mean of two or more tensors of one shape: `y = (x_1 + ... + x_n) / n`.

use serde::{Deserialize, Serialize};

use super::merge::{common_shape, lower_weighted_sum, weighted_sum, weighted_sum_backward};
use super::{Backward, Example, Forward, Layer, LayerBase, identity};
use crate::device::{Lowering, Value};
use crate::graph::{LengthRule, Shape};

/// Averages its inputs, value by value.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Average {
    base: LayerBase,
}

impl Average {
    /// The layer.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Layer for Average {
    identity!("Average", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        common_shape(inputs)
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        Ok(LengthRule::Kept)
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let factor = 1.0 / pass.input_shapes.len() as f32;
        weighted_sum(pass, |_| factor);
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let factor = 1.0 / pass.input_shapes.len() as f32;
        weighted_sum_backward(pass, |_| factor);
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let factor = 1.0 / lowering.inputs.len() as f32;
        Ok(lower_weighted_sum(lowering, |_| factor))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(Average::new(), &[&[4, 3], &[4, 3]]),
        Example::new(Average::new(), &[&[7], &[7], &[7]]),
        Example::new(Average::new(), &[&[2, 3, 5], &[2, 3, 5], &[2, 3, 5], &[2, 3, 5]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check};
    use super::*;

    #[test]
    fn agrees_with_the_naive_reference() {
        for count in [2, 3, 5] {
            let shapes = vec![Shape::from([3, 4, 5]); count];
            check(&Average::new(), &shapes, &|inputs, _| {
                let mean = |place: usize| inputs.iter().map(|input| input[place]).sum::<f64>() / count as f64;
                (0..60).map(mean).collect()
            });
        }
    }

    #[test]
    fn mean_of_three() {
        let layer = Average::new();
        let mut harness = Harness::new(&layer, &vec![Shape::from([2]); 3], 1);
        for (input, values) in [[3.0, -3.0], [6.0, 0.0], [-3.0, 9.0]].iter().enumerate() {
            harness.inputs[input].copy_from_slice(values);
        }
        let output = harness.forward();
        assert!((output[0] - 2.0).abs() < 1e-6 && (output[1] - 2.0).abs() < 1e-6, "{output:?}");
    }
    #[test]
    fn rounds_in_the_order_of_the_device() {
        // Each input times the rounded third, then added one after the other: what the file's chain of sums does.
        let layer = Average::new();
        let values = [[1.1f32, -0.3, 7.7e8], [0.7, 1e-9, -3.3], [1e7, 0.2, 5.5]];
        let mut harness = Harness::new(&layer, &vec![Shape::from([3]); 3], 1);
        for (input, values) in harness.inputs.iter_mut().zip(&values) {
            input.copy_from_slice(values);
        }
        let third = 1.0f32 / 3.0;
        let expected =
            [0, 1, 2].map(|place| values.iter().skip(1).fold(third * values[0][place], |sum, x| sum + third * x[place]));
        assert_eq!(harness.forward(), expected);
        harness.output_gradient.copy_from_slice(&[3.0, -1.0, 1e-8]);
        harness.backward(true, false);
        assert!(harness.input_gradients.iter().all(|gradient| gradient[..] == [third * 3.0, -third, third * 1e-8]));
    }
}
