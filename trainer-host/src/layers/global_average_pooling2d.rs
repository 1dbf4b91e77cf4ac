//! Global average pooling: `y[c] = sum_h,w x[h, w, c] / (H * W)`.
//!
//! Inputs `[H, W, C]`, outputs `[C]`.

use super::{Backward, Example, Forward, Layer, LayerBase, add_column_sums, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::Shape;
use crate::numeric::vectorized;

/// Averages each channel over the whole image.
#[derive(Debug, Clone, Default)]
pub struct GlobalAveragePooling2D {
    base: LayerBase,
}

impl GlobalAveragePooling2D {
    /// The layer.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Layer for GlobalAveragePooling2D {
    identity!("GlobalAveragePooling2D");

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            [shape] if shape.len() == 3 => Ok(Shape::from([shape.channels()])),
            _ => Err("one input of shape [height, width, channels]".to_owned()),
        }
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let (size, channels) = (pass.input_shapes[0].size(), pass.output_shape.size());
        let factor = channels as f32 / size as f32;
        let inputs = pass.inputs.get(0).chunks_exact(size);
        for (input, output) in inputs.zip(pass.output.chunks_exact_mut(channels)) {
            output.fill(0.0);
            add_column_sums(output, input);
            for sum in output {
                *sum *= factor;
            }
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let (size, channels) = (pass.input_shapes[0].size(), pass.output_shape.size());
        let factor = channels as f32 / size as f32;
        let Some(slot) = pass.input_gradients.get_mut(0) else { return };
        let accumulate = slot.accumulate;
        for gradient in pass.output_gradient.iter_mut() {
            *gradient *= factor;
        }
        let images = slot.values.chunks_exact_mut(size).zip(pass.output_gradient.chunks_exact(channels));
        vectorized(
            #[inline(always)]
            || {
                for (image, gradient) in images {
                    for pixel in image.chunks_exact_mut(channels) {
                        if accumulate {
                            for (sum, &part) in pixel.iter_mut().zip(gradient) {
                                *sum += part;
                            }
                        } else {
                            pixel.copy_from_slice(gradient);
                        }
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
        let pooled = lowering.part("pool", ops::Pool { kind: ops::PoolKind::Average, window }, &inputs, shape);
        lowering.inputs = vec![pooled];
        Ok(lowering.output(ops::Reshape))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(GlobalAveragePooling2D::new(), &[&[4, 3, 5]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check};
    use super::*;

    #[test]
    fn agrees_with_the_naive_reference() {
        for [height, width, channels] in [[4, 6, 3], [1, 1, 5], [7, 3, 17]] {
            check(&GlobalAveragePooling2D::new(), &[Shape::from([height, width, channels])], &|inputs, _| {
                let mean = |channel| inputs[0].iter().skip(channel).step_by(channels).sum::<f64>();
                (0..channels).map(|channel| mean(channel) / (height * width) as f64).collect()
            });
        }
    }

    #[test]
    fn means_of_two_channels() {
        let layer = GlobalAveragePooling2D::new();
        let mut harness = Harness::new(&layer, &[Shape::from([2, 2, 2])], 1);
        harness.inputs[0].copy_from_slice(&[1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 4.0, -6.0]);
        assert_eq!(harness.forward(), [2.5, -3.0]);
        harness.output_gradient.copy_from_slice(&[4.0, 8.0]);
        harness.backward(true, false);
        assert_eq!(harness.input_gradients[0][..], [1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
    }

    #[test]
    fn wants_an_image() {
        let error = GlobalAveragePooling2D::new().output_shape(&[Shape::from([5])]).expect_err("no image");
        assert_eq!(error, "one input of shape [height, width, channels]");
    }
}
