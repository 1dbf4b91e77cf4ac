//! Forest: what decision trees say of the input's elements, added up: `y[k] = bias[k] + sum of the leaves that walks end at`. The trees have
//! grown elsewhere ([`forest::grow`](crate::forest::grow)) and learn no more; steps have no slope, so no gradient passes.
//!
//! Input of any shape, whose elements the trees ask for by number; output `[K]`. Values are added in the trees' order, as on the device.

use serde::{Deserialize, Serialize};

use super::{Backward, Example, Forward, Layer, LayerBase, identity};
use crate::device::{Lowering, Value, ops};
use crate::forest::{Trees, full};
use crate::graph::Shape;

/// Trees beside nets, in one model with them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Forest {
    base: LayerBase,
    trees: Trees,
}

impl Forest {
    /// With these trees.
    pub fn new(trees: Trees) -> Self {
        Self { base: LayerBase::new(), trees }
    }

    /// The trees.
    pub fn trees(&self) -> &Trees {
        &self.trees
    }
}

impl Layer for Forest {
    identity!("Forest", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (least, most) = (self.trees.least_inputs(), samara_runtime::ops::forest::MAXIMUM_FEATURES);
        match inputs {
            [shape] if (least..=most).contains(&shape.size()) => Ok(Shape::from([self.trees.parts().outputs])),
            _ => Err(format!("one input of {least} to {most} values, for its trees ask for number {}", least - 1)),
        }
    }

    fn passes_gradient(&self) -> bool {
        false
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let (inputs, outputs) = (pass.input_shapes[0].size(), self.trees.parts().outputs);
        let samples = pass.inputs.get(0).chunks_exact(inputs).zip(pass.output.chunks_exact_mut(outputs));
        samples.for_each(|(input, output)| self.trees.answer(input, output));
    }

    /// Zeros.
    fn backward(&self, pass: &mut Backward<'_>) {
        if let Some(slot) = pass.input_gradients.get_mut(0) {
            slot.to_add();
        }
    }

    fn describe(&self) -> String {
        self.trees.describe()
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        Ok(lowering.output(ops::Forest { trees: self.trees.clone() }))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(Forest::new(full(5, 3, 3, 3, 2, 0.7)), &[&[5]]),
        Example::new(Forest::new(full(12, 2, 1, 6, 3, 0.7)), &[&[2, 3, 2]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check};
    use super::*;
    use crate::forest::Parts;
    use crate::layers::{Apply, Dense, Named};
    use crate::{Fit, Model, data, graph::input, losses::MeanSquaredError, optimizers::Sgd};

    #[test]
    fn agrees_with_the_naive_reference() {
        for (trees, shape) in [(full(7, 4, 4, 5, 3, 0.6), vec![7]), (full(12, 3, 1, 9, 2, 0.6), vec![2, 6])] {
            let (parts, size) = (trees.parts().clone(), shape.iter().product());
            check(&Forest::new(trees), &[Shape::new(shape)], &|inputs, _| {
                let outputs = |input: &[f64]| {
                    let mut sums: Vec<f64> = parts.biases.iter().map(|&bias| bias.into()).collect();
                    for (&root, &first) in parts.roots.iter().zip(&parts.firsts) {
                        let mut at = usize::from(root);
                        while at < 1 << 15 {
                            let goes_below = input[usize::from(parts.features[at])] <= f64::from(parts.thresholds[at]);
                            at = if goes_below { parts.below[at] } else { parts.above[at] }.into();
                        }
                        let row = parts.leaves.chunks_exact(parts.width).nth(at - (1 << 15)).unwrap();
                        row.iter().zip(&mut sums[first.into()..]).for_each(|(&value, sum)| *sum += f64::from(value));
                    }
                    sums
                };
                inputs[0].chunks_exact(size).flat_map(outputs).collect()
            });
        }
    }

    #[test]
    fn one_split_by_hand() {
        let leaf = 1 << 15;
        let parts = Parts {
            outputs: 2,
            width: 2,
            biases: vec![0.5, 0.0],
            roots: vec![0],
            firsts: vec![0],
            features: vec![1],
            thresholds: vec![2.0],
            below: vec![leaf],
            above: vec![leaf | 1],
            leaves: vec![1.0, 0.0, 0.25, 0.75],
        };
        let layer = Forest::new(Trees::new(parts).unwrap());
        let mut harness = Harness::new(&layer, &[Shape::from([2])], 3);
        harness.inputs[0].copy_from_slice(&[9.0, 2.0, -9.0, 2.5, 0.0, f32::NAN]);
        assert_eq!(harness.forward(), [1.5, 0.0, 0.75, 0.75, 0.75, 0.75]);
        assert_eq!(layer.describe(), "1 trees, 1 splits, up to 1 deep");
        let error = layer.output_shape(&[Shape::from([1])]).unwrap_err();
        assert_eq!(error, "one input of 2 to 65536 values, for its trees ask for number 1");
    }

    #[test]
    fn nothing_learns_before_a_forest() {
        let x = input([4]);
        let hidden = Dense::new(5).named("hidden").apply(&x);
        let y = Dense::new(1).apply(Forest::new(full(5, 2, 2, 3, 2, 1.0)).apply(&hidden));
        let mut model = Model::new("m", &x, y).unwrap();
        model.compile(Sgd::new(0.1), MeanSquaredError).unwrap();
        let numbers = |size: usize| data::Tensor::from_samples([size], vec![0.5; 8 * size]).unwrap();
        let samples = data::Dataset::new(numbers(4), numbers(1)).unwrap();
        let quiet = || Fit { epochs: 2, verbose: false, ..Fit::default() };
        let error = model.fit(&samples, quiet()).unwrap_err().to_string();
        let expected = "model 'm' cannot be trained: 'forest' (Forest) passes no gradient, but 'hidden' before it is to learn: freeze it \
                        with `model.set_trainable(\"hidden\", false)`";
        assert_eq!(error, expected);
        model.set_trainable("hidden", false).unwrap();
        let before = [model.parameter("hidden/kernel").unwrap(), model.parameter("dense/bias").unwrap()];
        model.fit(&samples, quiet()).unwrap();
        let after = [model.parameter("hidden/kernel").unwrap(), model.parameter("dense/bias").unwrap()];
        assert_eq!(before[0], after[0]);
        assert_ne!(before[1], after[1], "what stands behind it learns");
    }
}
