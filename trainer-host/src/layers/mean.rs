//! Mean over some axes: `y[kept] = sum over the others of x / n`.
//!
//! Inputs of any shape; outputs have the other axes, or all with 1 in place of those that the mean is over. Axis 0 is the first
//! after the batch, over which there is no mean.

use serde::{Deserialize, Serialize};

use super::{Backward, Example, Forward, Layer, LayerBase, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::{LengthRule, Shape};

/// Averages over some axes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mean {
    base: LayerBase,
    axes: Vec<usize>,
    keeps_axes: bool,
}

impl Mean {
    /// Over one axis: 0 is the first after the batch.
    pub fn over_axis(axis: usize) -> Self {
        Self::over_axes([axis])
    }

    /// Over several axes.
    pub fn over_axes(axes: impl Into<Vec<usize>>) -> Self {
        Self { base: LayerBase::new(), axes: axes.into(), keeps_axes: false }
    }

    /// Keeps the axes in the shape, with a size of 1.
    pub fn keep_axes(mut self) -> Self {
        self.keeps_axes = true;
        self
    }

    /// The values of a mean: of the steps that a sample has.
    fn count(&self, shape: &Shape, lengths: Option<&[u32]>, sample: usize) -> f32 {
        let of_axis = |&axis: &usize| match lengths {
            Some(lengths) if axis == 0 => lengths[sample] as usize,
            _ => shape[axis],
        };
        self.axes.iter().map(of_axis).product::<usize>() as f32
    }

    /// Calls `visit` with each place of one sample's input and its place in the output.
    fn for_each_place(&self, shape: &Shape, mut visit: impl FnMut(usize, usize)) {
        // How far a step along each axis goes in the output: not at all along those that the mean is over.
        let mut strides = vec![0; shape.len()];
        let mut stride = 1;
        for axis in (0..shape.len()).rev().filter(|axis| !self.axes.contains(axis)) {
            strides[axis] = stride;
            stride *= shape[axis];
        }
        let mut index = vec![0; shape.len()];
        for place in 0..shape.size() {
            visit(place, index.iter().zip(&strides).map(|(index, stride)| index * stride).sum());
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                if index[axis] < shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
    }
}

impl Layer for Mean {
    identity!("Mean", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [shape] = inputs else { return Err("exactly one input".to_owned()) };
        let twice = || (1..self.axes.len()).any(|number| self.axes[..number].contains(&self.axes[number]));
        if !(1..=shape.len()).contains(&self.axes.len()) || twice() || self.axes.iter().any(|&axis| axis >= shape.len()) {
            return Err(format!("an input that has the axes {:?}, each named once", self.axes));
        }
        let size = |(axis, &size): (usize, &usize)| match (self.axes.contains(&axis), self.keeps_axes) {
            (false, _) => Some(size),
            (true, true) => Some(1),
            (true, false) => None,
        };
        let sizes: Vec<usize> = shape.iter().enumerate().filter_map(size).collect();
        // The mean of everything is one value, in a vector.
        Ok(Shape::from(if sizes.is_empty() { vec![1] } else { sizes }))
    }

    fn length_rule(&self, inputs: &[Shape]) -> Result<LengthRule, String> {
        if self.axes.contains(&0) {
            Ok(LengthRule::Reduced)
        } else if self.keeps_axes || self.axes.len() + 1 < inputs[0].len() {
            Ok(LengthRule::Kept)
        } else {
            Err("`keep_axes`: without it, the steps stand where features do".to_owned())
        }
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let (shape, size) = (&pass.input_shapes[0], pass.output_shape.size());
        let inputs = pass.inputs.get(0).chunks_exact(shape.size());
        for (sample, (inputs, outputs)) in inputs.zip(pass.output.chunks_exact_mut(size)).enumerate() {
            let count = self.count(shape, pass.lengths, sample);
            outputs.fill(0.0);
            self.for_each_place(shape, |from, to| outputs[to] += inputs[from]);
            outputs.iter_mut().for_each(|output| *output /= count);
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let (shape, size) = (&pass.input_shapes[0], pass.output_shape.size());
        let Some(slot) = pass.input_gradients.get_mut(0) else { return };
        let samples = slot.to_add().chunks_exact_mut(shape.size());
        for (sample, (gradients, output)) in samples.zip(pass.output_gradient.chunks_exact(size)).enumerate() {
            let count = self.count(shape, pass.lengths, sample);
            self.for_each_place(shape, |to, from| gradients[to] += output[from] / count);
        }
    }

    fn describe(&self) -> String {
        format!("over axes {:?}", self.axes)
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        Ok(lowering.output(ops::Mean { axes: self.axes.clone() }))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(Mean::over_axis(1), &[&[3, 4, 2]]), Example::new(Mean::over_axes([0, 2]).keep_axes(), &[&[3, 4, 2]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::check;
    use super::*;
    use crate::prelude::{Apply, Model, Named, input};

    #[test]
    fn steps_of_several_lengths_stay_in_front_of_an_axis() {
        let x = input([5, 3]).variable_length();
        let error = Model::new("steps", &x, Mean::over_axis(1).named("level").apply(&x)).unwrap_err().to_string();
        assert!(error.contains("'level'") && error.contains("expected `keep_axes`"), "{error}");
        let model = Model::new("steps", &x, Mean::over_axis(1).keep_axes().apply(&x)).unwrap();
        assert!(model.export_f32().is_ok());
    }

    #[test]
    fn agrees_with_the_naive_reference() {
        check(&Mean::over_axis(1), &[Shape::from([2, 3, 2])], &|inputs, _| {
            let mean = |i: usize, k: usize| (0..3).map(|j| inputs[0][(i * 3 + j) * 2 + k]).sum::<f64>() / 3.0;
            vec![mean(0, 0), mean(0, 1), mean(1, 0), mean(1, 1)]
        });
        check(&Mean::over_axes([1, 0]), &[Shape::from([2, 3])], &|inputs, _| vec![inputs[0].iter().sum::<f64>() / 6.0]);
    }

    #[test]
    fn shapes_with_and_without_the_axes() {
        let shape = [Shape::from([4, 5, 6])];
        assert_eq!(Mean::over_axis(1).output_shape(&shape), Ok(Shape::from([4, 6])));
        assert_eq!(Mean::over_axes([0, 1]).keep_axes().output_shape(&shape), Ok(Shape::from([1, 1, 6])));
        assert_eq!(Mean::over_axes([0, 1, 2]).output_shape(&shape), Ok(Shape::from([1])));
        let wanted = Mean::over_axis(3).output_shape(&shape).expect_err("an axis that is not there");
        assert_eq!(wanted, "an input that has the axes [3], each named once");
        assert!(Mean::over_axes([1, 1]).output_shape(&shape).is_err());
        assert!(Mean::over_axes([]).output_shape(&shape).is_err());
    }
}
