//! Convolution: `y[oy, ox, o] = bias[o] + sum_ky,kx,i x[iy, ix, i] * kernel[ky, kx, i, o]`, then an activation.
//!
//! Inputs `[H, W, I]`, outputs `[OH, OW, O]`; kernel `[KH, KW, I, O]`, bias `[O]`. Where tap `ky, kx` stands: windows.rs.
//!
//! A window of one pixel is a matrix product as it stands. Other windows are convolved directly (convolution.rs), as is the
//! input's gradient for strides 1, by the kernel back to front. For the rest of backward, what lies under the windows of some
//! rows is copied into a matrix, a row for each output pixel, which stays in the cache until the product has read it.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::convolution::{AddKernelGradient, Convolve};
use super::epilogue::Epilogue;
use super::options::{convolution_methods, trainable_methods};
use super::windows::{Geometry, Size2D, Window};
use super::{
    Activation, Backward, Example, Forward, GradientSlot, Layer, LayerBase, Padding, ParameterSpec, Requirements, Trainable,
    identity,
};
use crate::device::{Lowering, Value, linear, ops};
use crate::graph::{LengthRule, Shape};
use crate::initializers::glorot_uniform;
use crate::numeric::{Matrix, add_bias, multiply, vectorized};

/// Values of the matrix of windows: a quarter of a megabyte.
const BLOCK: usize = 1 << 16;

/// A convolution.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Conv2D {
    base: LayerBase,
    filters: usize,
    pub(super) window: Window,
    pub(super) kernel: Trainable,
    pub(super) epilogue: Epilogue,
}

impl Conv2D {
    /// A layer with this many filters, this window (a number or `[height, width]`), strides 1, valid padding, with bias,
    /// without activation, kernels drawn by `glorot_uniform`.
    pub fn new(filters: usize, kernel: impl Into<Size2D>) -> Self {
        Self::of(filters, Window::new(kernel.into()))
    }

    /// With this window.
    pub(super) fn of(filters: usize, window: Window) -> Self {
        Self { base: LayerBase::new(), filters, window, kernel: Trainable::new(glorot_uniform()), epilogue: Epilogue::new() }
    }

    convolution_methods!();
    trainable_methods!(kernel, "the kernel", kernel_initializer, kernel_regularizer);

    /// Number of filters, the output's channels.
    pub fn filters(&self) -> usize {
        self.filters
    }

    /// Where a product over gathered windows is slower: with few filters, but not so few channels.
    fn has_direct_kernel_gradient(&self, geometry: &Geometry) -> bool {
        self.filters < 32 && geometry.channels >= 3
    }

    /// Scratch values: zeros for the padding, the kernel back to front, the matrix of windows.
    fn scratch_parts(&self, geometry: &Geometry, samples: usize) -> [usize; 3] {
        let Geometry { channels, .. } = *geometry;
        if is_pointwise(geometry) {
            return [0; 3];
        }
        let ones = geometry.has_strides_of_one();
        let zeros = if channels > self.filters { channels } else { self.filters };
        let turned = if ones { geometry.taps() * channels * self.filters } else { 0 };
        let no_windows = ones && self.has_direct_kernel_gradient(geometry);
        let windows = if no_windows { 0 } else { block_rows(geometry, samples) * row_size(geometry) };
        [zeros, turned, windows]
    }
}

impl Layer for Conv2D {
    identity!("Conv2D", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        self.window.output_shape(inputs, self.filters)
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        self.window.length_rule()
    }

    fn parameters(&self, inputs: &[Shape]) -> Vec<ParameterSpec> {
        let mut specs = vec![self.kernel.spec("kernel", self.window.kernel_shape([inputs[0].channels(), self.filters]))];
        specs.extend(self.epilogue.spec(self.filters));
        specs
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        Requirements { backward_reads_inputs: true, ..Requirements::default() }
    }

    fn scratch(&self, inputs: &[Shape], samples: usize) -> usize {
        let geometry = self.window.checked(inputs);
        let [zeros, turned, windows] = self.scratch_parts(&geometry, samples);
        zeros + turned + windows
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let geometry = self.window.checked(pass.input_shapes);
        let (filters, input, kernel) = (self.filters, pass.inputs.get(0), pass.parameters.get(0));
        if is_pointwise(&geometry) {
            let (pixels, channels) = (input.len() / geometry.channels, geometry.channels);
            multiply(pass.output, Matrix::new(input, pixels, channels), Matrix::new(kernel, channels, filters), false);
            if self.epilogue.has_bias {
                add_bias(pass.output, pass.parameters.get(1));
            }
            return;
        }
        let zeros = &mut pass.scratch[..geometry.channels];
        zeros.fill(0.0);
        let bias = self.epilogue.has_bias.then(|| pass.parameters.get(1));
        let outputs = pass.output.chunks_exact_mut(pass.output_shape.size());
        for (input, output) in input.chunks_exact(geometry.input_size()).zip(outputs) {
            let geometry = &geometry;
            Convolve { geometry, filters, input, kernel, bias, zeros, output, accumulate: false }.run();
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let geometry = self.window.checked(pass.input_shapes);
        let (fan_in, filters) = (geometry.taps() * geometry.channels, self.filters);
        self.epilogue.add_bias_gradient(&mut pass.parameter_gradients, 1, pass.output_gradient);
        let mut kernel_gradient = pass.parameter_gradients.get_mut(0);
        let kernel = Matrix::new(pass.parameters.get(0), fan_in, filters).transposed();
        let input = pass.inputs.get(0);
        let slot = pass.input_gradients.get_mut(0);
        if is_pointwise(&geometry) {
            let pixels = input.len() / fan_in;
            let output_gradient = Matrix::new(pass.output_gradient, pixels, filters);
            if let Some(kernel_gradient) = kernel_gradient {
                multiply(kernel_gradient, Matrix::new(input, pixels, fan_in).transposed(), output_gradient, true);
            }
            if let Some(slot) = slot {
                multiply(slot.values, output_gradient, kernel, slot.accumulate);
            }
            return;
        }
        let [zeros, turned, _] = self.scratch_parts(&geometry, pass.samples);
        let (zeros, scratch) = pass.scratch.split_at_mut(zeros);
        let (turned, windows) = scratch.split_at_mut(turned);
        let direct = self.has_direct_kernel_gradient(&geometry);
        if direct && let Some(kernel_gradient) = kernel_gradient.take() {
            let output_gradients = pass.output_gradient.chunks_exact(pass.output_shape.size());
            for (input, output_gradient) in input.chunks_exact(geometry.input_size()).zip(output_gradients) {
                AddKernelGradient { geometry: &geometry, filters, input, output_gradient, kernel_gradient }.run();
            }
        }
        let mut scattered = None;
        match slot {
            Some(slot) if geometry.has_strides_of_one() => {
                zeros.fill(0.0);
                turn(pass.parameters.get(0), geometry.channels, filters, turned);
                let accumulate = slot.accumulate;
                let turned_geometry = geometry.turned(filters);
                let output_gradients = pass.output_gradient.chunks_exact(pass.output_shape.size());
                for (output, input) in slot.values.chunks_exact_mut(geometry.input_size()).zip(output_gradients) {
                    Convolve {
                        geometry: &turned_geometry,
                        filters: geometry.channels,
                        input,
                        kernel: turned,
                        bias: None,
                        zeros: &zeros[..filters],
                        output,
                        accumulate,
                    }
                    .run();
                }
            }
            slot => scattered = slot.map(GradientSlot::to_add),
        }
        if kernel_gradient.is_none() && scattered.is_none() {
            return;
        }
        for rows in blocks(&geometry, pass.samples) {
            let pixels = rows.len() * geometry.horizontal.outputs;
            let output_gradient = &pass.output_gradient[rows.start * geometry.horizontal.outputs * filters..];
            let output_gradient = Matrix::new(output_gradient, pixels, filters);
            if let Some(kernel_gradient) = &mut kernel_gradient {
                gather(&geometry, input, rows.clone(), windows);
                let windows = Matrix::new(windows, pixels, fan_in).transposed();
                multiply(kernel_gradient, windows, output_gradient, true);
            }
            if let Some(input_gradient) = &mut scattered {
                multiply(windows, output_gradient, kernel, false);
                scatter(&geometry, windows, rows, input_gradient);
            }
        }
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let geometry = self.window.checked(std::slice::from_ref(lowering.input_shape(0)));
        let kind = ops::Kind::Conv2d(geometry.for_device()?);
        let convolution = linear(kind, lowering.parameter("kernel"), lowering.parameter("bias"), self.filters);
        Ok(geometry.lower(lowering, "convolution", self.filters, convolution))
    }

    fn activation_layer(&self) -> Option<Arc<dyn Layer>> {
        self.epilogue.activation_layer()
    }

    fn describe(&self) -> String {
        format!("{} filters, {}{}", self.filters, self.window.describe(), self.epilogue.describe())
    }
}

/// The kernel of the convolution that computes the input's gradient: `turned[last - tap, o, i] = kernel[tap, i, o]`.
fn turn(kernel: &[f32], channels: usize, filters: usize, turned: &mut [f32]) {
    let size = channels * filters;
    for (from, to) in kernel.chunks_exact(size).zip(turned.chunks_exact_mut(size).rev()) {
        for (channel, row) in from.chunks_exact(filters).enumerate() {
            for (value, to) in row.iter().zip(to.iter_mut().skip(channel).step_by(channels)) {
                *to = *value;
            }
        }
    }
}

/// `true` if every window is the one pixel of its output.
fn is_pointwise(geometry: &Geometry) -> bool {
    geometry.vertical.is_pointwise() && geometry.horizontal.is_pointwise()
}

/// Values of the matrix of windows for one row of the output.
fn row_size(geometry: &Geometry) -> usize {
    geometry.horizontal.outputs * geometry.taps() * geometry.channels
}

/// Rows of the output whose windows are gathered at once; a block may hold rows of several samples.
fn block_rows(geometry: &Geometry, samples: usize) -> usize {
    (BLOCK / row_size(geometry)).clamp(1, (samples * geometry.vertical.outputs).max(1))
}

/// The rows of all samples' outputs, block by block.
fn blocks(geometry: &Geometry, samples: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let (all, size) = (samples * geometry.vertical.outputs, block_rows(geometry, samples));
    (0..all).step_by(size).map(move |first| first..if first + size < all { first + size } else { all })
}

/// Calls `visit` for each run of values that lie side by side both in the image and in the matrix of windows: with the
/// place in the image (`None` in the padding), the place in the matrix, and the length.
#[inline(always)]
fn for_each_run(geometry: &Geometry, rows: Range<usize>, mut visit: impl FnMut(Option<usize>, usize, usize)) {
    let Geometry { vertical, horizontal, channels, .. } = *geometry;
    let run = horizontal.kernel * channels;
    let mut at = 0;
    for row in rows {
        let (sample, output_row) = (row / vertical.outputs, row % vertical.outputs);
        for output in 0..horizontal.outputs {
            for ky in 0..vertical.kernel {
                let Some(input_row) = vertical.input(output_row, ky) else {
                    visit(None, at, run);
                    at += run;
                    continue;
                };
                let line = (sample * vertical.inputs + input_row) * horizontal.inputs;
                let inside = horizontal.taps(output);
                let whole = inside.len() == horizontal.kernel && horizontal.dilation == 1;
                if let (true, Some(first)) = (whole, horizontal.input(output, 0)) {
                    visit(Some((line + first) * channels), at, run);
                    at += run;
                    continue;
                }
                for kx in 0..horizontal.kernel {
                    let place = horizontal.input(output, kx).map(|column| (line + column) * channels);
                    visit(place, at, channels);
                    at += channels;
                }
            }
        }
    }
}

/// Copies what lies under the windows of some rows of the output into a matrix.
fn gather(geometry: &Geometry, input: &[f32], rows: Range<usize>, windows: &mut [f32]) {
    vectorized!({
        for_each_run(
            geometry,
            rows,
            #[inline(always)]
            |from, to, length| match from {
                Some(from) => windows[to..to + length].copy_from_slice(&input[from..from + length]),
                None => windows[to..to + length].fill(0.0),
            },
        );
    });
}

/// Adds a matrix of windows' gradients to the image's.
fn scatter(geometry: &Geometry, windows: &[f32], rows: Range<usize>, input_gradient: &mut [f32]) {
    vectorized!({
        for_each_run(
            geometry,
            rows,
            #[inline(always)]
            |to, from, length| {
                let Some(to) = to else { return };
                for (sum, part) in input_gradient[to..to + length].iter_mut().zip(&windows[from..from + length]) {
                    *sum += part;
                }
            },
        );
    });
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(Conv2D::new(5, 1).activation(Activation::Tanh), &[&[4, 3, 2]]),
        Example::new(Conv2D::new(4, 3).padding(Padding::Same).without_bias(), &[&[5, 6, 3]]),
        Example::new(Conv2D::new(3, [3, 2]).strides(2).padding(Padding::Same), &[&[7, 6, 1]]),
        Example::new(Conv2D::new(2, [2, 3]).dilation(2), &[&[6, 7, 2]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check, ramp};
    use super::*;

    fn naive(geometry: &Geometry, filters: usize, input: &[f64], kernel: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
        let Geometry { vertical, horizontal, channels, .. } = *geometry;
        let mut output = vec![0.0; geometry.output_pixels() * filters];
        for (place, sum) in output.iter_mut().enumerate() {
            let (pixel, filter) = (place / filters, place % filters);
            *sum = bias.map_or(0.0, |bias| bias[filter]);
            for tap in 0..geometry.taps() {
                let row = vertical.input(pixel / horizontal.outputs, tap / horizontal.kernel);
                let column = horizontal.input(pixel % horizontal.outputs, tap % horizontal.kernel);
                if let (Some(row), Some(column)) = (row, column) {
                    for channel in 0..channels {
                        let value = input[(row * horizontal.inputs + column) * channels + channel];
                        *sum += value * kernel[(tap * channels + channel) * filters + filter];
                    }
                }
            }
        }
        output
    }

    fn compare(layer: &Conv2D, shape: [usize; 3]) {
        let shape = [Shape::from(shape)];
        let geometry = layer.window.checked(&shape);
        check(layer, &shape, &|inputs, parameters| {
            let bias = parameters.get(1).map(Vec::as_slice);
            naive(&geometry, layer.filters, &inputs[0], &parameters[0], bias)
        });
    }

    #[test]
    fn agrees_with_the_naive_reference() {
        let layers = [
            Conv2D::new(5, 3).padding(Padding::Same),
            Conv2D::new(16, 3).padding(Padding::Same),
            Conv2D::new(4, 3).padding(Padding::Same).strides(2).without_bias(),
            Conv2D::new(50, 3).padding(Padding::Same),
            Conv2D::new(32, 2).padding(Padding::Same).strides(2),
            Conv2D::new(17, 1),
            Conv2D::new(3, 1).strides(2),
            Conv2D::new(2, [2, 3]),
            Conv2D::new(2, [4, 2]).padding(Padding::Same).strides([2, 1]),
            Conv2D::new(3, [3, 2]).dilation([1, 2]).padding(Padding::Same),
        ];
        for layer in layers {
            for shape in [[4, 5, 1], [7, 4, 3], [3, 9, 2], [3, 10, 16]] {
                compare(&layer, shape);
            }
        }
    }

    #[test]
    fn several_blocks_of_rows() {
        // The gradients of two samples at once, in blocks that end within a sample, are those of each by itself.
        let layer = Conv2D::new(32, [1, 3]).padding(Padding::Same).strides([1, 2]).without_bias();
        let shapes = [Shape::from([21, 300, 8])];
        assert_eq!(block_rows(&layer.window.checked(&shapes), 2), 18);
        let mut both = Harness::new(&layer, &shapes, 2);
        both.backward(true, false);
        let mut sum = vec![0.0; both.gradient(0).len()];
        for sample in 0..2 {
            let mut one = Harness::new(&layer, &shapes, 1);
            let (input, output) = (one.inputs[0].len(), one.output_gradient.len());
            one.inputs[0].copy_from_slice(&both.inputs[0][sample * input..][..input]);
            one.output_gradient.copy_from_slice(&both.output_gradient[sample * output..][..output]);
            let kernel = both.parameter_mut(0).to_vec();
            one.parameter_mut(0).copy_from_slice(&kernel);
            one.backward(true, false);
            assert_eq!(one.input_gradients[0][..], both.input_gradients[0][sample * input..][..input]);
            sum.iter_mut().zip(one.gradient(0)).for_each(|(sum, part)| *sum += part);
        }
        for (found, wanted) in both.gradient(0).iter().zip(&sum) {
            assert!((found - wanted).abs() < 1e-3, "{found} instead of {wanted}");
        }
    }

    #[test]
    fn keras_gives_the_same() {
        // Keras 3.15: values of ramps, gradients of the sum of the outputs times a ramp.
        let layer = Conv2D::new(2, 3).strides(2).padding(Padding::Same);
        let mut harness = Harness::new(&layer, &[Shape::from([4, 5, 2])], 1);
        ramp(&mut harness.inputs[0], 11, 5.0);
        ramp(&mut harness.output_gradient, 5, 2.0);
        ramp(harness.parameter_mut(0), 13, 6.0);
        ramp(harness.parameter_mut(1), 3, 1.0);
        assert_eq!(harness.forward(), [-7.0, 23.0, -47.0, -2.0, -22.0, 19.0, -30.0, 6.0, 31.0, 18.0, -1.0, -28.0]);
        harness.backward(true, false);
        assert_eq!(
            harness.input_gradients[0][..],
            [
                8.0, 6.0, -9.0, -10.0, -11.0, -10.0, -17.0, -17.0, -10.0, -11.0, -4.0, -6.0, -2.0, -3.0, 8.0, 9.0, 22.0, 22.0,
                10.0, 9.0, 16.0, 16.0, 35.0, 10.0, -5.0, -4.0, 15.0, 0.0, -1.0, -4.0, -8.0, -6.0, -10.0, -8.0, -6.0, -6.0,
                -6.0, -8.0, -4.0, -6.0
            ]
        );
        assert_eq!(
            harness.gradient(0),
            [
                3.0, -11.0, 14.0, -3.0, 2.0, 11.0, -12.0, 0.0, 11.0, -13.0, -7.0, 1.0, -8.0, 3.0, 3.0, -11.0, 16.0, -11.0, 2.0,
                11.0, -15.0, 6.0, 11.0, -13.0, -9.0, 3.0, 1.0, 4.0, -6.0, -6.0, 12.0, -5.0, 12.0, -1.0, -10.0, 3.0
            ]
        );
        assert_eq!(harness.gradient(1), [-2.0, 0.0]);
    }

    #[test]
    fn windows_by_hand() {
        // Two filters over one channel, same padding: one column of zeros on the right, one row of zeros below.
        let layer = Conv2D::new(2, 2).padding(Padding::Same);
        let mut harness = Harness::new(&layer, &[Shape::from([2, 2, 1])], 1);
        harness.inputs[0].copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
        harness.parameter_mut(0).copy_from_slice(&[1.0, 1.0, 10.0, 0.0, 100.0, 0.0, 1000.0, 0.0]);
        harness.parameter_mut(1).copy_from_slice(&[0.0, 0.5]);
        assert_eq!(harness.forward(), [4321.0, 1.5, 402.0, 2.5, 43.0, 3.5, 4.0, 4.5]);
    }

    #[test]
    fn faults_say_what_is_wanted() {
        let shape = [Shape::from([8, 8, 3])];
        assert_eq!(Conv2D::new(0, 3).output_shape(&shape).expect_err("no filter"), "at least 1 filter");
        let error = Conv2D::new(4, 9).output_shape(&shape).expect_err("too large");
        assert_eq!(error, "a height of at least 9, the window's extent, with valid padding");
        assert_eq!(Conv2D::new(4, 9).padding(Padding::Same).output_shape(&shape), Ok(Shape::from([8, 8, 4])));
    }
}
