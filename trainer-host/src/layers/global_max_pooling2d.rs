//! Global max pooling: `y[c] = max_h,w x[h, w, c]`.
//!
//! Inputs `[H, W, C]`, outputs `[C]`. The gradient goes to the first of the largest values of a channel, in the order of
//! rows.

use super::max_pooling2d::give;
use super::{Backward, Example, Forward, Layer, LayerBase, Requirements, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::Shape;
use crate::numeric::vectorized;

/// Keeps the largest value of each channel of the whole image.
#[derive(Debug, Clone, Default)]
pub struct GlobalMaxPooling2D {
    base: LayerBase,
}

impl GlobalMaxPooling2D {
    /// The layer.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Layer for GlobalMaxPooling2D {
    identity!("GlobalMaxPooling2D");

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            [shape] if shape.len() == 3 => Ok(Shape::from([shape.channels()])),
            _ => Err("one input of shape [height, width, channels]".to_owned()),
        }
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        Requirements { backward_reads_inputs: true, backward_reads_output: true, ..Requirements::default() }
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let (size, channels) = (pass.input_shapes[0].size(), pass.output_shape.size());
        let images = pass.inputs.get(0).chunks_exact(size).zip(pass.output.chunks_exact_mut(channels));
        vectorized(
            #[inline(always)]
            || {
                for (image, output) in images {
                    output.copy_from_slice(&image[..channels]);
                    for pixel in image[channels..].chunks_exact(channels) {
                        for (largest, &value) in output.iter_mut().zip(pixel) {
                            *largest = if value > *largest { value } else { *largest };
                        }
                    }
                }
            },
        );
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let (size, channels) = (pass.input_shapes[0].size(), pass.output_shape.size());
        let Some(slot) = pass.input_gradients.get_mut(0) else { return };
        let replace = !slot.accumulate;
        let images = pass.inputs.get(0).chunks_exact(size).zip(slot.values.chunks_exact_mut(size));
        // The output's gradient becomes what is left of it.
        let outputs = pass.output.chunks_exact(channels).zip(pass.output_gradient.chunks_exact_mut(channels));
        vectorized(
            #[inline(always)]
            || {
                for ((image, gradient), (largest, left)) in images.zip(outputs) {
                    for (values, gradient) in image.chunks_exact(channels).zip(gradient.chunks_exact_mut(channels)) {
                        give(replace, values, largest, left, gradient);
                    }
                }
            },
        );
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let Some((height, width, channels)) = lowering.input_shape(0).as_image() else {
            return Err("its input is no image".to_owned());
        };
        let window = ops::whole_image(height, width)?;
        let (inputs, shape) = (lowering.inputs.clone(), Shape::from([1, 1, channels]));
        let pooled = lowering.part("pool", ops::Pool { kind: ops::PoolKind::Maximum, window }, &inputs, shape);
        lowering.inputs = vec![pooled];
        Ok(lowering.output(ops::Reshape))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(GlobalMaxPooling2D::new(), &[&[4, 3, 5]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check};
    use super::*;

    #[test]
    fn agrees_with_the_naive_reference() {
        for [height, width, channels] in [[4, 6, 3], [1, 1, 5], [7, 3, 17]] {
            check(&GlobalMaxPooling2D::new(), &[Shape::from([height, width, channels])], &|inputs, _| {
                let values = |channel| inputs[0].iter().skip(channel).step_by(channels);
                (0..channels).map(|channel| values(channel).fold(f64::NEG_INFINITY, |a, &b| a.max(b))).collect()
            });
        }
    }

    #[test]
    fn the_first_of_equal_values_gets_the_gradient() {
        let layer = GlobalMaxPooling2D::new();
        let mut harness = Harness::new(&layer, &[Shape::from([2, 2, 2])], 1);
        harness.inputs[0].copy_from_slice(&[1.0, -1.0, 3.0, -2.0, 3.0, -3.0, 2.0, -1.0]);
        assert_eq!(harness.forward(), [3.0, -1.0]);
        harness.output_gradient.copy_from_slice(&[4.0, 8.0]);
        harness.backward(true, false);
        assert_eq!(harness.input_gradients[0][..], [0.0, 8.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn wants_an_image() {
        let error = GlobalMaxPooling2D::new().output_shape(&[Shape::from([5])]).expect_err("no image");
        assert_eq!(error, "one input of shape [height, width, channels]");
    }
}
