//! Convolution along sequences: `y[t, o] = bias[o] + sum_k,i x[t * stride + k * dilation - before, i] * kernel[k, i, o]`, then an
//! activation; conv2d.rs.
//!
//! Inputs `[T, I]`, outputs `[OT, O]`; kernel `[K, I, O]`, bias `[O]`. What stands before the first step: windows.rs.

use serde::{Deserialize, Serialize};

use super::options::trainable_methods;
use super::steps::{layer_on_steps, step_convolution_methods};
use super::windows::Window;
use super::{Activation, Conv2D, Example, Layer, Padding};

/// A convolution along the steps of a sequence.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Conv1D {
    layer: Conv2D,
}

impl Conv1D {
    /// A layer with this many filters, a window of this many steps, strides 1, valid padding, with bias, without activation,
    /// kernels drawn by `glorot_uniform`.
    pub fn new(filters: usize, kernel: usize) -> Self {
        Self { layer: Conv2D::of(filters, Window::along_steps(kernel)) }
    }

    step_convolution_methods!();
    trainable_methods!(layer.kernel, "the kernel", kernel_initializer, kernel_regularizer);

    /// Number of filters, the output's channels.
    pub fn filters(&self) -> usize {
        self.layer.filters()
    }
}

impl Layer for Conv1D {
    layer_on_steps!("Conv1D");
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(Conv1D::new(5, 3).padding(Padding::Causal).activation(Activation::Relu), &[&[9, 3]]),
        Example::new(Conv1D::new(4, 3).padding(Padding::Same).strides(2).without_bias(), &[&[10, 2]]),
        Example::new(Conv1D::new(3, 2).padding(Padding::Causal).dilation(3), &[&[8, 5]]),
        Example::new(Conv1D::new(17, 4).strides(3).activation(Activation::Tanh), &[&[11, 1]]),
        Example::new(Conv1D::new(3, 1), &[&[6, 4]]),
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
            for (filters, [steps, channels]) in [(5, [9, 3]), (1, [9, 1]), (32, [21, 2]), (3, [10, 16])] {
                let layer = Conv1D::new(filters, window.kernel).strides(window.stride).dilation(window.dilation);
                let layer = layer.padding(window.padding);
                let shape = [Shape::from([steps, channels])];
                let outputs = layer.output_shape(&shape).expect("a window that fits")[0];
                check(&layer, &shape, &|inputs, parameters| {
                    let value = |place: usize| {
                        let (step, filter) = (place / filters, place % filters);
                        let mut sum = parameters[1][filter];
                        for tap in 0..window.kernel {
                            let Some(from) = input_step(window, steps, step, tap) else { continue };
                            for channel in 0..channels {
                                let weight = parameters[0][(tap * channels + channel) * filters + filter];
                                sum += inputs[0][from * channels + channel] * weight;
                            }
                        }
                        sum
                    };
                    (0..outputs * filters).map(value).collect()
                });
            }
        }
    }

    #[test]
    fn keras_gives_the_same() {
        // Keras 3.15: values of ramps, gradients of the sum of the outputs times a ramp.
        let layer = Conv1D::new(2, 3).strides(2).padding(Padding::Causal);
        let mut harness = Harness::new(&layer, &[Shape::from([6, 2])], 1);
        ramp(&mut harness.inputs[0], 11, 5.0);
        ramp(&mut harness.output_gradient, 5, 2.0);
        ramp(harness.parameter_mut(0), 13, 6.0);
        ramp(harness.parameter_mut(1), 3, 1.0);
        assert_eq!(harness.forward(), [7.0, -13.0, 13.0, 0.0, -3.0, 5.0]);
        harness.backward(true, false);
        assert_eq!(
            harness.input_gradients[0][..],
            [-9.0, -10.0, -11.0, -10.0, -17.0, -17.0, -10.0, -11.0, -12.0, -13.0, 0.0, 0.0]
        );
        assert_eq!(harness.gradient(0), [-9.0, 3.0, 1.0, 4.0, 0.0, -6.0, 10.0, -5.0, 8.0, 7.0, -7.0, -3.0]);
        assert_eq!(harness.gradient(1), [1.0, -3.0]);
        let layer = Conv1D::new(2, 3).dilation(2).padding(Padding::Causal);
        let mut harness = Harness::new(&layer, &[Shape::from([6, 2])], 1);
        ramp(&mut harness.inputs[0], 11, 5.0);
        ramp(&mut harness.output_gradient, 5, 2.0);
        ramp(harness.parameter_mut(0), 13, 6.0);
        ramp(harness.parameter_mut(1), 3, 1.0);
        assert_eq!(harness.forward(), [7.0, -13.0, -2.0, 20.0, 14.0, -20.0, -16.0, 34.0, 29.0, -12.0, -23.0, -15.0]);
        harness.backward(true, false);
        assert_eq!(harness.input_gradients[0][..], [1.0, -2.0, 9.0, 10.0, -5.0, -6.0, 18.0, 18.0, 7.0, 7.0, 4.0, 2.0]);
        assert_eq!(harness.gradient(0), [9.0, -5.0, -12.0, 2.0, -14.0, 7.0, 5.0, 3.0, 13.0, 4.0, 10.0, 4.0]);
        assert_eq!(harness.gradient(1), [-2.0, 0.0]);
        let layer = Conv1D::new(2, 4).strides(2).padding(Padding::Same);
        let mut harness = Harness::new(&layer, &[Shape::from([7, 2])], 1);
        ramp(&mut harness.inputs[0], 11, 5.0);
        ramp(&mut harness.output_gradient, 5, 2.0);
        ramp(harness.parameter_mut(0), 13, 6.0);
        ramp(harness.parameter_mut(1), 3, 1.0);
        assert_eq!(harness.forward(), [9.0, 22.0, -14.0, 28.0, -13.0, -33.0, 28.0, -13.0]);
        harness.backward(true, false);
        assert_eq!(
            harness.input_gradients[0][..],
            [8.0, 6.0, -9.0, -10.0, -11.0, -12.0, -17.0, -17.0, -4.0, -4.0, -10.0, -9.0, 18.0, 19.0]
        );
        assert_eq!(
            harness.gradient(0),
            [0.0, -8.0, 10.0, -15.0, 8.0, 11.0, -7.0, -7.0, 11.0, -2.0, -15.0, 10.0, -8.0, 0.0, 10.0, 1.0]
        );
        assert_eq!(harness.gradient(1), [1.0, -1.0]);
        let layer = Conv1D::new(2, 3).dilation(2);
        let mut harness = Harness::new(&layer, &[Shape::from([7, 1])], 1);
        ramp(&mut harness.inputs[0], 11, 5.0);
        ramp(&mut harness.output_gradient, 5, 2.0);
        ramp(harness.parameter_mut(0), 13, 6.0);
        ramp(harness.parameter_mut(1), 3, 1.0);
        assert_eq!(harness.forward(), [35.0, -6.0, -26.0, 3.0, -10.0, 12.0]);
        harness.backward(true, false);
        assert_eq!(harness.input_gradients[0][..], [12.0, -13.0, 2.0, -12.0, -1.0, -11.0, -10.0]);
        assert_eq!(harness.gradient(0), [12.0, 2.0, 15.0, -7.0, -4.0, -5.0]);
        assert_eq!(harness.gradient(1), [1.0, -3.0]);
    }
}
