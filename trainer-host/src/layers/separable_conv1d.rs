//! Separable convolution along sequences: a depthwise convolution, then one of single steps, then an activation:
//! `z[t, i] = sum_k x[t * stride + k * dilation - before, i] * depthwise[k, i]`, `y[t, o] = bias[o] + sum_i z[t, i] * pointwise[i, o]`;
//! separable_conv2d.rs.
//!
//! Inputs `[T, I]`, outputs `[OT, O]`; depthwise kernel `[K, I, 1]`, pointwise kernel `[1, I, O]`, bias `[O]`. What stands before
//! the first step: windows.rs.

use serde::{Deserialize, Serialize};

use super::options::trainable_methods;
use super::steps::{layer_on_steps, step_convolution_methods};
use super::windows::Window;
use super::{Activation, Example, Layer, Padding, SeparableConv2D};
use crate::initializers::Initializer;

/// A depthwise convolution along the steps of a sequence and one of single steps as one layer (Keras's `depth_multiplier` is 1).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SeparableConv1D {
    layer: SeparableConv2D,
}

impl SeparableConv1D {
    /// A layer with this many filters, a window of this many steps, strides 1, valid padding, with bias, without activation,
    /// kernels drawn by `glorot_uniform`.
    pub fn new(filters: usize, kernel: usize) -> Self {
        Self { layer: SeparableConv2D::of(filters, Window::along_steps(kernel)) }
    }

    step_convolution_methods!();
    trainable_methods!(layer.depthwise, "the depthwise kernel", depthwise_initializer, depthwise_regularizer);
    trainable_methods!(layer.pointwise, "the pointwise kernel", pointwise_initializer, pointwise_regularizer);

    /// Draws the first values of both kernels another way.
    pub fn kernel_initializer(mut self, initializer: impl Initializer + 'static) -> Self {
        self.layer = self.layer.kernel_initializer(initializer);
        self
    }

    /// Number of filters, the output's channels.
    pub fn filters(&self) -> usize {
        self.layer.filters()
    }
}

impl Layer for SeparableConv1D {
    layer_on_steps!("SeparableConv1D");
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(SeparableConv1D::new(5, 3).padding(Padding::Causal).activation(Activation::Relu), &[&[9, 3]]),
        Example::new(SeparableConv1D::new(4, 3).padding(Padding::Same).strides(2).without_bias(), &[&[10, 2]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check, ramp};
    use super::super::steps::tests::{STEP_WINDOWS, input_step};
    use super::*;
    use crate::graph::Shape;

    #[test]
    fn agrees_with_the_naive_reference() {
        let (filters, steps, channels) = (4, 11, 3);
        for window in STEP_WINDOWS {
            let layer = SeparableConv1D::new(filters, window.kernel).strides(window.stride).dilation(window.dilation);
            let layer = layer.padding(window.padding);
            let shape = [Shape::from([steps, channels])];
            let outputs = layer.output_shape(&shape).expect("a window that fits")[0];
            check(&layer, &shape, &|inputs, parameters| {
                let between = |step: usize, channel: usize| -> f64 {
                    let taps = (0..window.kernel).filter_map(|tap| Some((tap, input_step(window, steps, step, tap)?)));
                    let product = |(tap, from): (usize, usize)| {
                        inputs[0][from * channels + channel] * parameters[0][tap * channels + channel]
                    };
                    taps.map(product).sum()
                };
                let value = |place: usize| {
                    let (step, filter) = (place / filters, place % filters);
                    let product = |channel: usize| between(step, channel) * parameters[1][channel * filters + filter];
                    parameters[2][filter] + (0..channels).map(product).sum::<f64>()
                };
                (0..outputs * filters).map(value).collect()
            });
        }
    }

    #[test]
    fn keras_gives_the_same() {
        // Keras 3.15: values of ramps, gradients of the sum of the outputs times a ramp.
        let layer = SeparableConv1D::new(2, 3).padding(Padding::Same);
        let mut harness = Harness::new(&layer, &[Shape::from([5, 2])], 1);
        ramp(&mut harness.inputs[0], 11, 5.0);
        ramp(&mut harness.output_gradient, 5, 2.0);
        ramp(harness.parameter_mut(0), 13, 6.0);
        ramp(harness.parameter_mut(1), 7, 3.0);
        ramp(harness.parameter_mut(2), 3, 1.0);
        assert_eq!(harness.forward(), [-157.0, -156.0, -118.0, -117.0, 29.0, 30.0, 11.0, 12.0, -7.0, -6.0]);
        harness.backward(true, false);
        assert_eq!(harness.input_gradients[0][..], [-12.0, 9.0, -27.0, 15.0, 33.0, -9.0, 18.0, -3.0, 24.0, -18.0]);
        assert_eq!(harness.gradient(0), [3.0, 27.0, -45.0, -12.0, 21.0, 21.0]);
        assert_eq!(harness.gradient(1), [1.0, -42.0, -39.0, 17.0]);
        assert_eq!(harness.gradient(2), [0.0, 0.0]);
    }
}
