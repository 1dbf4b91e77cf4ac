//! Depthwise convolution along sequences: `y[t, c] = bias[c] + sum_k x[t * stride + k * dilation - before, c] * kernel[k, c]`, then
//! an activation; depthwise_conv2d.rs.
//!
//! Inputs `[T, C]`, outputs `[OT, C]`; kernel `[K, C, 1]`, bias `[C]`. What stands before the first step: windows.rs.

use serde::{Deserialize, Serialize};

use super::options::trainable_methods;
use super::steps::{layer_on_steps, step_convolution_methods};
use super::windows::Window;
use super::{Activation, DepthwiseConv2D, Example, Layer, Padding};

/// A convolution of each channel by itself along the steps of a sequence (Keras's `depth_multiplier` is 1).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DepthwiseConv1D {
    layer: DepthwiseConv2D,
}

impl DepthwiseConv1D {
    /// A layer with a window of this many steps, strides 1, valid padding, with bias, without activation, kernels drawn by
    /// `glorot_uniform`.
    pub fn new(kernel: usize) -> Self {
        Self { layer: DepthwiseConv2D::of(Window::along_steps(kernel)) }
    }

    step_convolution_methods!();
    trainable_methods!(layer.kernel, "the kernel", depthwise_initializer, depthwise_regularizer);
}

impl Layer for DepthwiseConv1D {
    layer_on_steps!("DepthwiseConv1D");
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(DepthwiseConv1D::new(3).padding(Padding::Causal).activation(Activation::Relu), &[&[9, 3]]),
        Example::new(DepthwiseConv1D::new(3).padding(Padding::Same).strides(2).without_bias(), &[&[10, 18]]),
        Example::new(DepthwiseConv1D::new(2).dilation(2), &[&[8, 5]]),
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
        for window in STEP_WINDOWS {
            for [steps, channels] in [[9, 3], [9, 1], [21, 19]] {
                let layer = DepthwiseConv1D::new(window.kernel).strides(window.stride).dilation(window.dilation);
                let layer = layer.padding(window.padding);
                let shape = [Shape::from([steps, channels])];
                let outputs = layer.output_shape(&shape).expect("a window that fits")[0];
                check(&layer, &shape, &|inputs, parameters| {
                    let value = |place: usize| {
                        let (step, channel) = (place / channels, place % channels);
                        let taps = (0..window.kernel).filter_map(|tap| Some((tap, input_step(window, steps, step, tap)?)));
                        let product = |(tap, from): (usize, usize)| {
                            inputs[0][from * channels + channel] * parameters[0][tap * channels + channel]
                        };
                        parameters[1][channel] + taps.map(product).sum::<f64>()
                    };
                    (0..outputs * channels).map(value).collect()
                });
            }
        }
    }

    #[test]
    fn keras_gives_the_same() {
        // Keras 3.15: values of ramps, gradients of the sum of the outputs times a ramp.
        let layer = DepthwiseConv1D::new(3).strides(2).padding(Padding::Same);
        let mut harness = Harness::new(&layer, &[Shape::from([6, 2])], 1);
        ramp(&mut harness.inputs[0], 11, 5.0);
        ramp(&mut harness.output_gradient, 5, 2.0);
        ramp(harness.parameter_mut(0), 13, 6.0);
        ramp(harness.parameter_mut(1), 3, 1.0);
        assert_eq!(harness.forward(), [35.0, 3.0, -11.0, 6.0, 28.0, -7.0]);
        harness.backward(true, false);
        assert_eq!(harness.input_gradients[0][..], [12.0, 0.0, 10.0, 0.0, -4.0, -1.0, -10.0, -2.0, -14.0, -5.0, -5.0, -4.0]);
        assert_eq!(harness.gradient(0), [8.0, -3.0, 11.0, 10.0, -10.0, -3.0]);
        assert_eq!(harness.gradient(1), [1.0, -3.0]);
    }
}
