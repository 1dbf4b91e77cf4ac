//! Separable convolution: a depthwise convolution, then one of single pixels, then an activation:
//! `z[oy, ox, i] = sum_ky,kx x[iy, ix, i] * depthwise[ky, kx, i]`, `y[oy, ox, o] = bias[o] + sum_i z[oy, ox, i] * pointwise[i, o]`.
//!
//! Inputs `[H, W, I]`, outputs `[OH, OW, O]`; depthwise kernel `[KH, KW, I, 1]`, pointwise kernel `[1, 1, I, O]`, bias
//! `[O]`. Where tap `ky, kx` stands: windows.rs.
//!
//! `z` is never whole in memory: the product reads the `z` of a few images while it is in the cache, and backward computes
//! it again, which costs less than to keep it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::depthwise::{add_kernel_gradient, correlate, input_gradient};
use super::epilogue::Epilogue;
use super::options::{convolution_methods, trainable_methods};
use super::windows::{Geometry, Size2D, Window, lower_input};
use super::{
    Activation, Backward, Example, Forward, Layer, LayerBase, Padding, ParameterSpec, Requirements, Trainable, identity,
};
use crate::device::{Lowering, Value, linear, ops};
use crate::graph::{LengthRule, Shape};
use crate::initializers::{Initializer, glorot_uniform};
use crate::numeric::{Matrix, add_bias, multiply};

/// Values of `z` that are computed at once, where a single image has no more: a quarter of a megabyte.
const BLOCK: usize = 1 << 16;

/// A depthwise convolution and one of single pixels as one layer (Keras's `depth_multiplier` is 1).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SeparableConv2D {
    base: LayerBase,
    filters: usize,
    pub(super) window: Window,
    pub(super) depthwise: Trainable,
    pub(super) pointwise: Trainable,
    pub(super) epilogue: Epilogue,
}

impl SeparableConv2D {
    /// A layer with this many filters, this window (a number or `[height, width]`), strides 1, valid padding, with bias,
    /// without activation, kernels drawn by `glorot_uniform`.
    pub fn new(filters: usize, kernel: impl Into<Size2D>) -> Self {
        Self::of(filters, Window::new(kernel.into()))
    }

    /// With this window.
    pub(super) fn of(filters: usize, window: Window) -> Self {
        Self {
            base: LayerBase::new(),
            filters,
            window,
            depthwise: Trainable::new(glorot_uniform()),
            pointwise: Trainable::new(glorot_uniform()),
            epilogue: Epilogue::new(),
        }
    }

    convolution_methods!();
    trainable_methods!(depthwise, "the depthwise kernel", depthwise_initializer, depthwise_regularizer);
    trainable_methods!(pointwise, "the pointwise kernel", pointwise_initializer, pointwise_regularizer);

    /// Draws the first values of both kernels another way.
    pub fn kernel_initializer(mut self, initializer: impl Initializer + 'static) -> Self {
        self.depthwise.initializer = Arc::new(initializer);
        self.pointwise.initializer = self.depthwise.initializer.clone();
        self
    }

    /// Number of filters, the output's channels.
    pub fn filters(&self) -> usize {
        self.filters
    }

    /// Images whose `z` is computed at once.
    fn block(&self, geometry: &Geometry, samples: usize) -> usize {
        (BLOCK / (geometry.output_pixels() * geometry.channels)).clamp(1, samples.max(1))
    }
}

impl Layer for SeparableConv2D {
    identity!("SeparableConv2D", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        self.window.output_shape(inputs, self.filters)
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        self.window.length_rule()
    }

    fn parameters(&self, inputs: &[Shape]) -> Vec<ParameterSpec> {
        let channels = inputs[0].channels();
        let pointwise = Window { kernel: [1; 2], ..self.window };
        let mut specs = vec![
            self.depthwise.spec("depthwise_kernel", self.window.kernel_shape([channels, 1])),
            self.pointwise.spec("pointwise_kernel", pointwise.kernel_shape([channels, self.filters])),
        ];
        specs.extend(self.epilogue.spec(self.filters));
        specs
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        Requirements { backward_reads_inputs: true, ..Requirements::default() }
    }

    fn scratch(&self, inputs: &[Shape], samples: usize) -> usize {
        // The `z` of a block, and the depthwise kernel back to front.
        let geometry = self.window.checked(inputs);
        (self.block(&geometry, samples) * geometry.output_pixels() + geometry.taps()) * geometry.channels
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let geometry = self.window.checked(pass.input_shapes);
        let (channels, filters, pixels) = (geometry.channels, self.filters, geometry.output_pixels());
        let (input_size, middle_size) = (geometry.input_size(), pixels * channels);
        let block = self.block(&geometry, pass.samples);
        let rounding = self.base.inner_rounding().get();
        let inputs = pass.inputs.get(0).chunks(block * input_size);
        for (input, output) in inputs.zip(pass.output.chunks_mut(block * pixels * filters)) {
            let images = input.len() / input_size;
            let middle = &mut pass.scratch[..images * middle_size];
            for (input, middle) in input.chunks_exact(input_size).zip(middle.chunks_exact_mut(middle_size)) {
                correlate(&geometry, input, pass.parameters.get(0), None, middle, false);
            }
            if let Some(rounding) = rounding {
                rounding.apply(middle);
            }
            let pointwise = Matrix::new(pass.parameters.get(1), channels, filters);
            multiply(output, Matrix::new(middle, images * pixels, channels), pointwise, false);
            if self.epilogue.has_bias {
                add_bias(output, pass.parameters.get(2));
            }
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let geometry = self.window.checked(pass.input_shapes);
        let (channels, filters, pixels) = (geometry.channels, self.filters, geometry.output_pixels());
        let (input_size, middle_size) = (geometry.input_size(), pixels * channels);
        let block = self.block(&geometry, pass.samples);
        let (middle, flipped) = pass.scratch.split_at_mut(block * middle_size);
        let (depthwise, pointwise) = (pass.parameters.get(0), pass.parameters.get(1));
        let mut slot = pass.input_gradients.get_mut(0);
        let rounding = self.base.inner_rounding().get();
        let inputs = pass.inputs.get(0).chunks(block * input_size);
        let blocks = inputs.zip(pass.output_gradient.chunks(block * pixels * filters));
        for (number, (input, output_gradient)) in blocks.enumerate() {
            let images = input.len() / input_size;
            let middle = &mut middle[..images * middle_size];
            let image_pairs = input.chunks_exact(input_size).zip(middle.chunks_exact_mut(middle_size));
            for (input, middle) in image_pairs {
                correlate(&geometry, input, depthwise, None, middle, false);
            }
            if let Some(rounding) = rounding {
                rounding.apply(middle);
            }
            self.epilogue.add_bias_gradient(&mut pass.parameter_gradients, 2, output_gradient);
            let rows = images * pixels;
            let output_gradient = Matrix::new(output_gradient, rows, filters);
            if let Some(pointwise_gradient) = pass.parameter_gradients.get_mut(1) {
                multiply(pointwise_gradient, Matrix::new(middle, rows, channels).transposed(), output_gradient, true);
            }
            // From here on the gradient of `z` stands where `z` was.
            multiply(middle, output_gradient, Matrix::new(pointwise, channels, filters).transposed(), false);
            let image_pairs = input.chunks_exact(input_size).zip(middle.chunks_exact(middle_size));
            for (image, (input, gradient)) in image_pairs.enumerate() {
                if let Some(depthwise_gradient) = pass.parameter_gradients.get_mut(0) {
                    add_kernel_gradient(&geometry, input, gradient, depthwise_gradient);
                }
                if let Some(slot) = &mut slot {
                    let values = &mut slot.values[(number * block + image) * input_size..][..input_size];
                    input_gradient(&geometry, gradient, depthwise, flipped, values, slot.accumulate);
                }
            }
        }
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let geometry = self.window.checked(std::slice::from_ref(lowering.input_shape(0)));
        let kind = ops::Kind::DepthwiseConv2d(geometry.for_device()?);
        let depthwise = linear(kind, lowering.parameter("depthwise_kernel"), &[], geometry.channels);
        lower_input(lowering);
        let (inputs, shape) = (lowering.inputs.clone(), geometry.output_image(geometry.channels));
        let between = lowering.part("depthwise", depthwise, &inputs, shape);
        let kind = ops::Kind::Conv2d(ops::POINTWISE);
        let pointwise = linear(kind, lowering.parameter("pointwise_kernel"), lowering.parameter("bias"), self.filters);
        lowering.inputs = vec![between];
        Ok(geometry.lower(lowering, "pointwise", self.filters, pointwise))
    }

    fn activation_layer(&self) -> Option<Arc<dyn Layer>> {
        self.epilogue.activation_layer()
    }

    fn describe(&self) -> String {
        format!("{} filters, {}{}", self.filters, self.window.describe(), self.epilogue.describe())
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(SeparableConv2D::new(4, 3).padding(Padding::Same).activation(Activation::Tanh), &[&[5, 6, 3]]),
        Example::new(SeparableConv2D::new(3, 3).strides(2).without_bias(), &[&[7, 8, 1]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check, ramp};
    use super::*;

    fn naive(geometry: &Geometry, filters: usize, input: &[f64], parameters: &[Vec<f64>]) -> Vec<f64> {
        let middle = super::super::depthwise_conv2d::tests::naive(geometry, input, &parameters[0], None);
        let mut output = Vec::new();
        for pixel in middle.chunks(geometry.channels) {
            for filter in 0..filters {
                let bias = parameters.get(2).map_or(0.0, |bias| bias[filter]);
                let products = pixel.iter().enumerate().map(|(i, z)| z * parameters[1][i * filters + filter]);
                output.push(bias + products.sum::<f64>());
            }
        }
        output
    }

    #[test]
    fn agrees_with_the_naive_reference() {
        let layers = [
            SeparableConv2D::new(5, 3).padding(Padding::Same),
            SeparableConv2D::new(4, 3).padding(Padding::Same).strides(2).without_bias(),
            SeparableConv2D::new(16, [2, 3]),
            SeparableConv2D::new(3, 2).dilation(2),
        ];
        for layer in layers {
            for shape in [[4, 5, 1], [7, 4, 3], [3, 6, 16]] {
                let shape = [Shape::from(shape)];
                let geometry = layer.window.checked(&shape);
                check(&layer, &shape, &|inputs, parameters| naive(&geometry, layer.filters, &inputs[0], parameters));
            }
        }
    }

    #[test]
    fn several_blocks_of_images() {
        let layer = SeparableConv2D::new(1, 1);
        let shapes = [Shape::from([150, 200, 1])];
        assert_eq!(layer.block(&layer.window.checked(&shapes), 5), 2);
        let mut harness = Harness::new(&layer, &shapes, 5);
        harness.parameter_mut(0).copy_from_slice(&[2.0]);
        harness.parameter_mut(1).copy_from_slice(&[0.25]);
        harness.parameter_mut(2).copy_from_slice(&[0.0]);
        harness.forward();
        assert!(harness.inputs[0].iter().zip(&harness.output).all(|(x, y)| x * 0.5 == *y));
        harness.backward(true, false);
        let gradients = harness.input_gradients[0].iter().zip(&harness.output_gradient);
        assert!(gradients.into_iter().all(|(x, y)| *x == y * 0.5));
    }

    #[test]
    fn keras_gives_the_same() {
        // Keras 3.15: values of ramps, gradients of the sum of the outputs times a ramp.
        let layer = SeparableConv2D::new(2, 3).padding(Padding::Same);
        let mut harness = Harness::new(&layer, &[Shape::from([3, 3, 2])], 1);
        ramp(&mut harness.inputs[0], 11, 5.0);
        ramp(&mut harness.output_gradient, 5, 2.0);
        ramp(harness.parameter_mut(0), 13, 6.0);
        ramp(harness.parameter_mut(1), 7, 3.0);
        ramp(harness.parameter_mut(2), 3, 1.0);
        assert_eq!(
            harness.forward(),
            [
                -109.0, -108.0, -97.0, -96.0, -46.0, -45.0, -253.0, -252.0, -34.0, -33.0, 65.0, 66.0, 23.0, 24.0, 2.0, 3.0,
                -112.0, -111.0
            ]
        );
        harness.backward(true, false);
        assert_eq!(
            harness.input_gradients[0][..],
            [27.0, 6.0, -21.0, 21.0, -33.0, 9.0, 15.0, -45.0, 30.0, -48.0, 3.0, 24.0, -9.0, 27.0, 3.0, -39.0, 15.0, -42.0]
        );
        assert_eq!(
            harness.gradient(0),
            [24.0, 12.0, 18.0, 9.0, 21.0, -54.0, -39.0, 15.0, -24.0, -57.0, -15.0, 30.0, 6.0, 15.0, 3.0, 12.0, -51.0, 27.0]
        );
        assert_eq!(harness.gradient(1), [-96.0, 175.0, 119.0, 26.0]);
        assert_eq!(harness.gradient(2), [1.0, -1.0]);
    }

    #[test]
    fn one_window_by_hand() {
        let layer = SeparableConv2D::new(2, [1, 2]);
        let mut harness = Harness::new(&layer, &[Shape::from([1, 2, 2])], 1);
        harness.inputs[0].copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
        harness.parameter_mut(0).copy_from_slice(&[1.0, 10.0, 2.0, 20.0]);
        harness.parameter_mut(1).copy_from_slice(&[1.0, 0.0, 0.5, 2.0]);
        harness.parameter_mut(2).copy_from_slice(&[0.0, -1.0]);
        // z = [1 + 6, 20 + 80] = [7, 100]; y = [7 + 50, 200 - 1]
        assert_eq!(harness.forward(), [57.0, 199.0]);
    }
}
