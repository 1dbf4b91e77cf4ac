//! Depthwise convolution: `y[oy, ox, c] = bias[c] + sum_ky,kx x[iy, ix, c] * kernel[ky, kx, c]`, then an activation.
//!
//! Inputs `[H, W, C]`, outputs `[OH, OW, C]`; kernel `[KH, KW, C, 1]`, bias `[C]`. Where tap `ky, kx` stands: windows.rs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::depthwise::{add_kernel_gradient, correlate, input_gradient};
use super::epilogue::Epilogue;
use super::options::{convolution_methods, trainable_methods};
use super::windows::{Size2D, Window};
use super::{
    Activation, Backward, Example, Forward, Layer, LayerBase, Padding, ParameterSpec, Requirements, Trainable, identity,
};
use crate::device::{Lowering, Value, linear, ops};
use crate::graph::{LengthRule, Shape};
use crate::initializers::glorot_uniform;

/// A convolution of each channel by itself (Keras's `depth_multiplier` is 1).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DepthwiseConv2D {
    base: LayerBase,
    pub(super) window: Window,
    pub(super) kernel: Trainable,
    pub(super) epilogue: Epilogue,
}

impl DepthwiseConv2D {
    /// A layer with this window (a number or `[height, width]`), strides 1, valid padding, with bias, without
    /// activation, kernels drawn by `glorot_uniform`.
    pub fn new(kernel: impl Into<Size2D>) -> Self {
        Self::of(Window::new(kernel.into()))
    }

    /// With this window.
    pub(super) fn of(window: Window) -> Self {
        Self { base: LayerBase::new(), window, kernel: Trainable::new(glorot_uniform()), epilogue: Epilogue::new() }
    }

    convolution_methods!();
    trainable_methods!(kernel, "the kernel", depthwise_initializer, depthwise_regularizer);
}

impl Layer for DepthwiseConv2D {
    identity!("DepthwiseConv2D", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let geometry = self.window.on(inputs)?;
        Ok(geometry.output_shape(geometry.channels))
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        self.window.length_rule()
    }

    fn parameters(&self, inputs: &[Shape]) -> Vec<ParameterSpec> {
        let channels = inputs[0].channels();
        let mut specs = vec![self.kernel.spec("kernel", self.window.kernel_shape([channels, 1]))];
        specs.extend(self.epilogue.spec(channels));
        specs
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        Requirements { backward_reads_inputs: true, ..Requirements::default() }
    }

    fn scratch(&self, inputs: &[Shape], _samples: usize) -> usize {
        // The kernel back to front.
        let geometry = self.window.checked(inputs);
        geometry.taps() * geometry.channels
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let geometry = self.window.checked(pass.input_shapes);
        let kernel = pass.parameters.get(0);
        let bias = self.epilogue.has_bias.then(|| pass.parameters.get(1));
        let inputs = pass.inputs.get(0).chunks_exact(geometry.input_size());
        for (input, output) in inputs.zip(pass.output.chunks_exact_mut(pass.output_shape.size())) {
            correlate(&geometry, input, kernel, bias, output, false);
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let geometry = self.window.checked(pass.input_shapes);
        let (input_size, output_size) = (geometry.input_size(), pass.output_shape.size());
        self.epilogue.add_bias_gradient(&mut pass.parameter_gradients, 1, pass.output_gradient);
        let mut kernel_gradient = pass.parameter_gradients.get_mut(0);
        let mut slot = pass.input_gradients.get_mut(0);
        let inputs = pass.inputs.get(0).chunks_exact(input_size);
        for (sample, (input, gradient)) in inputs.zip(pass.output_gradient.chunks_exact(output_size)).enumerate() {
            if let Some(kernel_gradient) = &mut kernel_gradient {
                add_kernel_gradient(&geometry, input, gradient, kernel_gradient);
            }
            if let Some(slot) = &mut slot {
                let values = &mut slot.values[sample * input_size..][..input_size];
                input_gradient(&geometry, gradient, pass.parameters.get(0), pass.scratch, values, slot.accumulate);
            }
        }
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let geometry = self.window.checked(std::slice::from_ref(lowering.input_shape(0)));
        let kind = ops::Kind::DepthwiseConv2d(geometry.for_device()?);
        let convolution = linear(kind, lowering.parameter("kernel"), lowering.parameter("bias"), geometry.channels);
        Ok(geometry.lower(lowering, "convolution", geometry.channels, convolution))
    }

    fn activation_layer(&self) -> Option<Arc<dyn Layer>> {
        self.epilogue.activation_layer()
    }

    fn describe(&self) -> String {
        self.window.describe() + &self.epilogue.describe()
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(DepthwiseConv2D::new(3).padding(Padding::Same), &[&[5, 4, 3]]),
        Example::new(DepthwiseConv2D::new([3, 2]).strides(2).padding(Padding::Same), &[&[7, 6, 18]]),
        Example::new(DepthwiseConv2D::new(2).without_bias().activation(Activation::Sigmoid), &[&[4, 5, 1]]),
    ]
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::harness::{Harness, check, ramp};
    use super::super::windows::Geometry;
    use super::*;

    /// One image, by the formula.
    pub fn naive(geometry: &Geometry, input: &[f64], kernel: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
        let Geometry { vertical, horizontal, channels, .. } = *geometry;
        let mut output = vec![0.0; geometry.output_pixels() * channels];
        for (place, sum) in output.iter_mut().enumerate() {
            let (pixel, channel) = (place / channels, place % channels);
            *sum = bias.map_or(0.0, |bias| bias[channel]);
            for tap in 0..geometry.taps() {
                let row = vertical.input(pixel / horizontal.outputs, tap / horizontal.kernel);
                let column = horizontal.input(pixel % horizontal.outputs, tap % horizontal.kernel);
                if let (Some(row), Some(column)) = (row, column) {
                    let value = input[(row * horizontal.inputs + column) * channels + channel];
                    *sum += value * kernel[tap * channels + channel];
                }
            }
        }
        output
    }

    #[test]
    fn agrees_with_the_naive_reference() {
        let layers = [
            DepthwiseConv2D::new(3).padding(Padding::Same),
            DepthwiseConv2D::new(3).padding(Padding::Same).strides(2).without_bias(),
            DepthwiseConv2D::new(3),
            DepthwiseConv2D::new([2, 4]).padding(Padding::Same).strides([1, 3]),
            DepthwiseConv2D::new([3, 2]).dilation([2, 1]).padding(Padding::Same),
            DepthwiseConv2D::new(3).dilation([1, 2]).padding(Padding::Same).strides([2, 1]),
        ];
        for layer in layers {
            // One channel, less than a vector, one vector, one and a part; rows of tiles and rests.
            for shape in [[4, 5, 1], [5, 9, 1], [6, 5, 3], [3, 8, 16], [3, 13, 19]] {
                let shape = [Shape::from(shape)];
                if layer.output_shape(&shape).is_err() {
                    continue;
                }
                let geometry = layer.window.checked(&shape);
                check(&layer, &shape, &|inputs, parameters| {
                    naive(&geometry, &inputs[0], &parameters[0], parameters.get(1).map(Vec::as_slice))
                });
            }
        }
    }

    #[test]
    fn keras_gives_the_same() {
        // Keras 3.15: values of ramps, gradients of the sum of the outputs times a ramp.
        let layer = DepthwiseConv2D::new(3).strides(2).padding(Padding::Same);
        let mut harness = Harness::new(&layer, &[Shape::from([4, 4, 2])], 1);
        ramp(&mut harness.inputs[0], 11, 5.0);
        ramp(&mut harness.output_gradient, 5, 2.0);
        ramp(harness.parameter_mut(0), 13, 6.0);
        ramp(harness.parameter_mut(1), 3, 1.0);
        assert_eq!(harness.forward(), [53.0, -22.0, -48.0, -10.0, 5.0, -2.0, 2.0, 18.0]);
        harness.backward(true, false);
        assert_eq!(
            harness.input_gradients[0][..],
            [
                12.0, 0.0, 10.0, 0.0, -4.0, -1.0, -10.0, -2.0, 6.0, 0.0, 4.0, 0.0, -4.0, -4.0, -4.0, -5.0, -6.0, -2.0, -7.0,
                -4.0, -8.0, 2.0, 2.0, 9.0, -3.0, -8.0, -2.0, -10.0, -1.0, -4.0, 0.0, 10.0
            ]
        );
        assert_eq!(
            harness.gradient(0),
            [9.0, -7.0, 12.0, 12.0, 1.0, 2.0, 10.0, -8.0, 13.0, 11.0, 0.0, 0.0, 12.0, 1.0, -10.0, -2.0, -6.0, 0.0]
        );
        assert_eq!(harness.gradient(1), [1.0, -1.0]);
    }

    #[test]
    fn one_window_by_hand() {
        let layer = DepthwiseConv2D::new(2);
        let mut harness = Harness::new(&layer, &[Shape::from([2, 2, 2])], 1);
        harness.inputs[0].copy_from_slice(&[1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 4.0, 40.0]);
        harness.parameter_mut(0).copy_from_slice(&[1.0, 0.5, 2.0, 0.5, 3.0, 0.5, 4.0, 0.5]);
        harness.parameter_mut(1).copy_from_slice(&[100.0, 200.0]);
        // 100 + 1 + 4 + 9 + 16, 200 + (10 + 20 + 30 + 40) / 2
        assert_eq!(harness.forward(), [130.0, 250.0]);
    }
}
