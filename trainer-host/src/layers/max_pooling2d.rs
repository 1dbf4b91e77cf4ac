//! Max pooling: `y[oy, ox, c] = max_ky,kx x[iy, ix, c]` over the taps within the image.
//!
//! Inputs `[H, W, C]`, outputs `[OH, OW, C]`. The gradient goes to the first of the largest values of a window, in the
//! order of rows. Where tap `ky, kx` stands: windows.rs.

use super::options::window_methods;
use super::windows::{Size2D, Window};
use super::{Backward, Example, Forward, Layer, LayerBase, Padding, Requirements, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::Shape;
use crate::numeric::vectorized;

/// Keeps the largest value of each window.
#[derive(Debug, Clone)]
pub struct MaxPooling2D {
    base: LayerBase,
    window: Window,
}

impl MaxPooling2D {
    /// A layer with this window (a number or `[height, width]`) that moves by its own size, with valid padding.
    pub fn new(pool: impl Into<Size2D>) -> Self {
        let pool = pool.into();
        Self { base: LayerBase::new(), window: Window { strides: pool.0, ..Window::new(pool) } }
    }

    window_methods!();

    /// Height and width of the window.
    pub fn pool_size(&self) -> [usize; 2] {
        self.window.kernel
    }
}

impl Layer for MaxPooling2D {
    identity!("MaxPooling2D");

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let geometry = self.window.on(inputs)?;
        Ok(geometry.output_shape(geometry.channels))
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        Requirements { backward_reads_inputs: true, backward_reads_output: true, ..Requirements::default() }
    }

    fn scratch(&self, inputs: &[Shape], _samples: usize) -> usize {
        // What is left of one output pixel's gradient.
        inputs[0].channels()
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let geometry = self.geometry(pass.input_shapes);
        let inputs = pass.inputs.get(0).chunks_exact(geometry.input_size());
        for (input, output) in inputs.zip(pass.output.chunks_exact_mut(pass.output_shape.size())) {
            vectorized(
                #[inline(always)]
                || {
                    geometry.for_each_window(
                        #[inline(always)]
                        |pixel, taps| {
                            let output = &mut output[pixel * geometry.channels..][..geometry.channels];
                            for (number, tap) in taps.enumerate() {
                                let values = &input[tap * geometry.channels..][..geometry.channels];
                                if number == 0 {
                                    output.copy_from_slice(values);
                                } else {
                                    for (largest, &value) in output.iter_mut().zip(values) {
                                        *largest = if value > *largest { value } else { *largest };
                                    }
                                }
                            }
                        },
                    );
                },
            );
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let geometry = self.geometry(pass.input_shapes);
        let channels = geometry.channels;
        let Some(slot) = pass.input_gradients.get_mut(0) else { return };
        // Where each pixel lies in one window at most, what stands in its place need not be read.
        let replace = !slot.accumulate && self.window.strides == self.window.kernel && geometry.is_covered();
        let input_gradients = if replace { slot.values } else { slot.to_add() };
        let output_size = pass.output_shape.size();
        let inputs = pass.inputs.get(0).chunks_exact(geometry.input_size());
        let outputs = pass.output.chunks_exact(output_size).zip(pass.output_gradient.chunks_exact(output_size));
        let input_gradients = input_gradients.chunks_exact_mut(geometry.input_size());
        let left = &mut pass.scratch[..channels];
        for ((input, input_gradient), (output, output_gradient)) in inputs.zip(input_gradients).zip(outputs) {
            vectorized(
                #[inline(always)]
                || {
                    geometry.for_each_window(
                        #[inline(always)]
                        |pixel, taps| {
                            let largest = &output[pixel * channels..][..channels];
                            left.copy_from_slice(&output_gradient[pixel * channels..][..channels]);
                            for tap in taps {
                                let values = &input[tap * channels..][..channels];
                                let gradient = &mut input_gradient[tap * channels..][..channels];
                                give(replace, values, largest, left, gradient);
                            }
                        },
                    );
                },
            );
        }
    }

    fn describe(&self) -> String {
        self.window.describe()
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let window = self.window.checked(std::slice::from_ref(lowering.input_shape(0))).for_device()?;
        Ok(lowering.output(ops::Pool { kind: ops::PoolKind::Maximum, window }))
    }
}

/// Gives what is left of an output's gradient to the tap that has the largest value.
#[inline(always)]
pub(super) fn give(replace: bool, values: &[f32], largest: &[f32], left: &mut [f32], gradient: &mut [f32]) {
    for (((gradient, &value), &largest), left) in gradient.iter_mut().zip(values).zip(largest).zip(left) {
        let is_largest = value == largest;
        let part = if is_largest { *left } else { 0.0 };
        *left = if is_largest { 0.0 } else { *left };
        *gradient = if replace { part } else { *gradient + part };
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(MaxPooling2D::new(2), &[&[5, 6, 3]]),
        Example::new(MaxPooling2D::new(3).strides(2).padding(Padding::Same), &[&[6, 5, 2]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check, ramp};
    use super::*;

    fn naive(layer: &MaxPooling2D, shape: &Shape, input: &[f64]) -> Vec<f64> {
        let geometry = layer.window.checked(std::slice::from_ref(shape));
        let mut output = vec![f64::NEG_INFINITY; geometry.output_pixels() * geometry.channels];
        let columns = geometry.horizontal.outputs;
        for (place, output) in output.iter_mut().enumerate() {
            let (pixel, channel) = (place / geometry.channels, place % geometry.channels);
            for ky in 0..geometry.vertical.kernel {
                for kx in 0..geometry.horizontal.kernel {
                    let row = geometry.vertical.input(pixel / columns, ky);
                    if let (Some(row), Some(column)) = (row, geometry.horizontal.input(pixel % columns, kx)) {
                        let value = input[(row * geometry.horizontal.inputs + column) * geometry.channels + channel];
                        *output = if value > *output { value } else { *output };
                    }
                }
            }
        }
        output
    }

    #[test]
    fn agrees_with_the_naive_reference() {
        let layers = [
            MaxPooling2D::new(2),
            MaxPooling2D::new(3).strides(2).padding(Padding::Same),
            MaxPooling2D::new([1, 3]).strides([2, 1]),
            MaxPooling2D::new(2).padding(Padding::Same),
        ];
        for layer in layers {
            for shape in [[4, 6, 3], [5, 7, 2], [7, 5, 1], [3, 3, 17]] {
                let shape = [Shape::from(shape)];
                check(&layer, &shape, &|inputs, _| naive(&layer, &shape[0], &inputs[0]));
            }
        }
    }

    #[test]
    fn keras_gives_the_same() {
        // Keras 3.15: values of ramps, gradients of the sum of the outputs times a ramp.
        let layer = MaxPooling2D::new(3).strides(2).padding(Padding::Same);
        let mut harness = Harness::new(&layer, &[Shape::from([4, 5, 1])], 1);
        ramp(&mut harness.inputs[0], 11, 5.0);
        ramp(&mut harness.output_gradient, 5, 2.0);
        assert_eq!(harness.forward(), [4.0, 5.0, 5.0, 1.0, 4.0, 5.0]);
        harness.backward(true, false);
        assert_eq!(
            harness.input_gradients[0][..],
            [0.0, 0.0, 0.0, 2.0, 0.0, 0.0, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -2.0, -1.0, 0.0, 1.0, 0.0, 0.0]
        );
    }

    #[test]
    fn the_first_of_equal_values_gets_the_gradient() {
        let layer = MaxPooling2D::new(2);
        let mut harness = Harness::new(&layer, &[Shape::from([2, 5, 1])], 1);
        harness.inputs[0].copy_from_slice(&[1.0, 3.0, -5.0, -2.0, 9.0, 3.0, 3.0, -2.0, -7.0, 9.0]);
        assert_eq!(harness.forward(), [3.0, -2.0]);
        harness.output_gradient.copy_from_slice(&[10.0, 20.0]);
        harness.backward(true, false);
        assert_eq!(harness.input_gradients[0][..], [0.0, 10.0, 0.0, 20.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
