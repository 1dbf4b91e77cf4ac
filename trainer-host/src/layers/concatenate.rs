//! Concatenate: inputs side by side along one axis, the last if nothing else is said.
//!
//! Inputs equal in all other axes; the output's axis has the sum of theirs.

use serde::{Deserialize, Serialize};

use super::{Backward, Example, Forward, GradientSlot, Layer, LayerBase, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::{LengthRule, Shape};

/// Puts several inputs side by side.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Concatenate {
    base: LayerBase,
    axis: Option<usize>,
}

impl Default for Concatenate {
    fn default() -> Self {
        Self::new()
    }
}

impl Concatenate {
    /// Along the last axis.
    pub fn new() -> Self {
        Self { base: LayerBase::new(), axis: None }
    }

    /// Along this axis of the samples' shapes: 0 is the first after the batch.
    pub fn axis(mut self, axis: usize) -> Self {
        self.axis = Some(axis);
        self
    }

    /// The axis for these inputs.
    pub fn axis_of(&self, inputs: &[Shape]) -> usize {
        self.axis.unwrap_or_else(|| inputs.first().map_or(0, |shape| shape.len().saturating_sub(1)))
    }
}

impl Layer for Concatenate {
    identity!("Concatenate", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let axis = self.axis_of(inputs);
        let Some(first) = inputs.first() else { return Err("at least one input".to_owned()) };
        if axis >= first.len() {
            return Err(format!("inputs with more than {axis} axes, to be put side by side along axis {axis}"));
        }
        let mut output = first.to_vec();
        output[axis] = 0;
        for shape in inputs {
            let fits = shape.len() == first.len()
                && shape.iter().zip(first.iter()).enumerate().all(|(number, (a, b))| number == axis || a == b);
            if !fits {
                return Err(format!("inputs that are equal in all axes but axis {axis}"));
            }
            output[axis] += shape[axis];
        }
        Ok(Shape::from(output))
    }

    fn length_rule(&self, inputs: &[Shape]) -> Result<LengthRule, String> {
        match self.axis_of(inputs) {
            0 => Err("another axis than that of the steps, whose ends lie elsewhere for each length".to_owned()),
            _ => Ok(LengthRule::Kept),
        }
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let axis = self.axis_of(pass.input_shapes);
        let run = run(pass.output_shape, axis);
        let mut first = 0;
        for (number, shape) in pass.input_shapes.iter().enumerate() {
            let part = self::run(shape, axis);
            let values = pass.inputs.get(number).chunks_exact(part);
            for (output, values) in pass.output.chunks_exact_mut(run).zip(values) {
                output[first..first + part].copy_from_slice(values);
            }
            first += part;
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let axis = self.axis_of(pass.input_shapes);
        let run = run(pass.output_shape, axis);
        let mut first = 0;
        for (number, shape) in pass.input_shapes.iter().enumerate() {
            let part = self::run(shape, axis);
            if let Some(slot) = pass.input_gradients.get_mut(number) {
                let values = slot.values.chunks_exact_mut(part);
                for (values, gradient) in values.zip(pass.output_gradient.chunks_exact(run)) {
                    GradientSlot { values, accumulate: slot.accumulate }.add(&gradient[first..first + part]);
                }
            }
            first += part;
        }
    }

    fn describe(&self) -> String {
        self.axis.map(|axis| format!("axis {axis}")).unwrap_or_default()
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let axis = self.axis_of(std::slice::from_ref(lowering.input_shape(0)));
        Ok(lowering.output(ops::Concat { axis }))
    }
}

/// Values from this axis on: what lies side by side in memory.
fn run(shape: &Shape, axis: usize) -> usize {
    shape.iter().skip(axis).product()
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(Concatenate::new(), &[&[3, 2], &[3, 4], &[3, 1]]),
        Example::new(Concatenate::new().axis(0), &[&[3, 2], &[1, 2]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check};
    use super::*;

    #[test]
    fn channels_side_by_side() {
        let layer = Concatenate::new();
        let shapes = [Shape::from([1, 2, 1]), Shape::from([1, 2, 2])];
        let mut harness = Harness::new(&layer, &shapes, 1);
        harness.inputs[0].copy_from_slice(&[1.0, 2.0]);
        harness.inputs[1].copy_from_slice(&[3.0, 4.0, 5.0, 6.0]);
        assert_eq!(harness.forward(), [1.0, 3.0, 4.0, 2.0, 5.0, 6.0]);
    }

    #[test]
    fn agrees_with_the_naive_reference() {
        // Along the first axis of the samples, parts lie one behind the other.
        let shapes = [Shape::from([2, 3]), Shape::from([1, 3]), Shape::from([4, 3])];
        check(&Concatenate::new().axis(0), &shapes, &|inputs, _| inputs.concat());
        let shapes = [Shape::from([2, 1]), Shape::from([2, 3])];
        check(&Concatenate::new(), &shapes, &|inputs, _| {
            let (a, b) = (&inputs[0], &inputs[1]);
            vec![a[0], b[0], b[1], b[2], a[1], b[3], b[4], b[5]]
        });
    }

    #[test]
    fn faults_say_what_is_wanted() {
        let wanted = |layer: Concatenate, shapes: &[Shape]| layer.output_shape(shapes).expect_err("a fault");
        let (a, b) = (Shape::from([4, 4, 2]), Shape::from([4, 5, 2]));
        assert_eq!(wanted(Concatenate::new(), &[a.clone(), b]), "inputs that are equal in all axes but axis 2");
        assert_eq!(
            wanted(Concatenate::new().axis(3), &[a]),
            "inputs with more than 3 axes, to be put side by side along axis 3"
        );
        assert_eq!(wanted(Concatenate::new(), &[]), "at least one input");
    }
}
