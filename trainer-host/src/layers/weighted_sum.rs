//! WeightedSum: the sum of two or more tensors of one shape, each times a number of its own: `y = w_1 * x_1 + ... + w_n * x_n`. With
//! weights from 0 on that add up to 1 it is a weighted mean: what nets of an ensemble say together.

use serde::{Deserialize, Serialize};

use super::merge::{common_shape, lower_weighted_sum, weighted_sum, weighted_sum_backward};
use super::{Backward, Example, Forward, Layer, LayerBase, identity};
use crate::device::{Lowering, Value};
use crate::graph::{LengthRule, Shape};

/// Adds its inputs, value by value, each times its weight. The weights are given, and not learned.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WeightedSum {
    base: LayerBase,
    weights: Vec<f32>,
}

impl WeightedSum {
    /// With a weight for each input, in their order.
    pub fn new(weights: impl Into<Vec<f32>>) -> Self {
        Self { base: LayerBase::new(), weights: weights.into() }
    }

    /// The weights, in the order of the inputs.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }
}

impl Layer for WeightedSum {
    identity!("WeightedSum", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        if self.weights.len() != inputs.len() {
            return Err(format!("{} inputs, as many as it has weights", self.weights.len()));
        }
        if let Some(weight) = self.weights.iter().find(|weight| !weight.is_finite()) {
            return Err(format!("finite weights, which {weight} is not"));
        }
        common_shape(inputs)
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        Ok(LengthRule::Kept)
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        weighted_sum(pass, |input| self.weights[input]);
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        weighted_sum_backward(pass, |input| self.weights[input]);
    }

    fn describe(&self) -> String {
        self.weights.iter().map(|weight| format!("{weight:.4}")).collect::<Vec<_>>().join(", ")
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        Ok(lower_weighted_sum(lowering, |input| self.weights[input]))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(WeightedSum::new([0.75, 0.25]), &[&[4, 3], &[4, 3]]),
        Example::new(WeightedSum::new([0.5, 0.2, 0.3]), &[&[7], &[7], &[7]]),
        Example::new(WeightedSum::new([1.5, -0.5, 0.125, 2.0]), &[&[2, 3, 5], &[2, 3, 5], &[2, 3, 5], &[2, 3, 5]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check};
    use super::*;

    #[test]
    fn agrees_with_the_naive_reference() {
        for weights in [vec![0.5f32, 0.25], vec![-1.5, 0.5, 3.0, 0.0, 0.125]] {
            let shapes = vec![Shape::from([3, 4, 5]); weights.len()];
            let layer = WeightedSum::new(weights.clone());
            check(&layer, &shapes, &|inputs, _| {
                let sum = |place: usize| inputs.iter().zip(&weights).map(|(x, &weight)| f64::from(weight) * x[place]).sum();
                (0..60).map(sum).collect()
            });
        }
    }

    #[test]
    fn three_say_something_together() {
        let layer = WeightedSum::new([0.5, 0.25, 0.25]);
        let mut harness = Harness::new(&layer, &vec![Shape::from([2]); 3], 1);
        for (input, values) in [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]].iter().enumerate() {
            harness.inputs[input].copy_from_slice(values);
        }
        let output = harness.forward();
        assert!((output[0] - 0.6).abs() < 1e-6 && (output[1] - 0.4).abs() < 1e-6, "{output:?}");
    }

    #[test]
    fn faults_say_what_is_wanted() {
        let shape = Shape::from([3]);
        let wanted = |weights: &[f32], inputs: &[Shape]| WeightedSum::new(weights).output_shape(inputs).unwrap_err();
        assert_eq!(wanted(&[0.5, 0.5], std::slice::from_ref(&shape)), "2 inputs, as many as it has weights");
        assert_eq!(wanted(&[0.5, f32::NAN], &[shape.clone(), shape.clone()]), "finite weights, which NaN is not");
        assert!(wanted(&[1.0], std::slice::from_ref(&shape)).starts_with("two or more inputs of the same shape"));
    }
}
