//! What layers on sequences `[steps, channels]` are made of: most are a layer on images, whose window has one axis (windows.rs).

/// How a window slides along sequences, for the field of the window.
macro_rules! step_window_methods {
    ($($window:ident).+) => {
        /// Moves the window by this many steps.
        pub fn strides(mut self, strides: usize) -> Self {
            self.$($window).+.strides[1] = strides;
            self
        }

        /// What happens at both ends.
        pub fn padding(mut self, padding: $crate::layers::Padding) -> Self {
            self.$($window).+.padding = padding;
            self
        }

        /// Steps from one window to the next.
        pub fn stride_size(&self) -> usize {
            self.$($window).+.strides[1]
        }
    };
}

/// All that convolutions of sequences have in common, for a field `layer` that is the same on images.
macro_rules! step_convolution_methods {
    () => {
        $crate::layers::steps::step_window_methods!(layer.window);

        /// Spreads the taps of the window: steps from one to the next.
        pub fn dilation(mut self, dilation: usize) -> Self {
            self.layer.window.dilation[1] = dilation;
            self
        }

        /// Steps in the window.
        pub fn kernel_size(&self) -> usize {
            self.layer.window.kernel[1]
        }

        /// Steps from one tap to the next.
        pub fn dilation_size(&self) -> usize {
            self.layer.window.dilation[1]
        }

        $crate::layers::options::output_methods!(layer.epilogue);
    };
}

/// The methods of trait `Layer` for a kind that is another one on sequences instead of images: the field `layer`.
macro_rules! layer_on_steps {
    ($kind:literal) => {
        fn kind(&self) -> &'static str {
            $kind
        }

        fn base(&self) -> &$crate::layers::LayerBase {
            self.layer.base()
        }

        fn base_mut(&mut self) -> &mut $crate::layers::LayerBase {
            self.layer.base_mut()
        }

        fn duplicate(&self) -> std::sync::Arc<dyn $crate::layers::Layer> {
            let mut copy = self.clone();
            *copy.layer.base_mut() = self.layer.base().duplicate();
            std::sync::Arc::new(copy)
        }

        $crate::identity!(options);

        fn output_shape(&self, inputs: &[$crate::graph::Shape]) -> Result<$crate::graph::Shape, String> {
            self.layer.output_shape(inputs)
        }

        fn length_rule(&self, inputs: &[$crate::graph::Shape]) -> Result<$crate::graph::LengthRule, String> {
            self.layer.length_rule(inputs)
        }

        fn parameters(&self, inputs: &[$crate::graph::Shape]) -> Vec<$crate::layers::ParameterSpec> {
            self.layer.parameters(inputs)
        }

        fn requirements(&self, inputs: &[$crate::graph::Shape]) -> $crate::layers::Requirements {
            self.layer.requirements(inputs)
        }

        fn scratch(&self, inputs: &[$crate::graph::Shape], samples: usize) -> usize {
            self.layer.scratch(inputs, samples)
        }

        fn forward(&self, pass: &mut $crate::layers::Forward<'_>) {
            self.layer.forward(pass);
        }

        fn backward(&self, pass: &mut $crate::layers::Backward<'_>) {
            self.layer.backward(pass);
        }

        fn lower(&self, lowering: &mut $crate::device::Lowering<'_>) -> Result<$crate::device::Value, String> {
            self.layer.lower(lowering)
        }

        fn activation_layer(&self) -> Option<std::sync::Arc<dyn $crate::layers::Layer>> {
            self.layer.activation_layer()
        }

        fn describe(&self) -> String {
            self.layer.describe()
        }
    };
}

pub(super) use {layer_on_steps, step_convolution_methods, step_window_methods};

#[cfg(test)]
pub(super) mod tests {
    use super::super::{Conv1D, DepthwiseConv1D, Layer, Padding, SeparableConv1D};
    use crate::graph::Shape;

    #[test]
    fn names_and_shapes_of_kernels_are_keras_s() {
        let shapes = |layer: &dyn Layer| {
            let specs = layer.parameters(&[Shape::from([9, 4])]).into_iter();
            specs.map(|spec| (spec.name, spec.shape.to_vec())).collect::<Vec<_>>()
        };
        assert_eq!(shapes(&Conv1D::new(5, 3)), [("kernel", vec![3, 4, 5]), ("bias", vec![5])]);
        assert_eq!(shapes(&DepthwiseConv1D::new(3)), [("kernel", vec![3, 4, 1]), ("bias", vec![4])]);
        let separable = [("depthwise_kernel", vec![3, 4, 1]), ("pointwise_kernel", vec![1, 4, 5]), ("bias", vec![5])];
        assert_eq!(shapes(&SeparableConv1D::new(5, 3)), separable);
        assert_eq!(Conv1D::new(5, 3).strides(2).padding(Padding::Causal).describe(), "5 filters, 3, strides 2, causal");
    }

    /// A window along a sequence.
    #[derive(Debug, Clone, Copy)]
    pub struct StepWindow {
        pub kernel: usize,
        pub stride: usize,
        pub dilation: usize,
        pub padding: Padding,
    }

    const fn window(kernel: usize, stride: usize, dilation: usize, padding: Padding) -> StepWindow {
        StepWindow { kernel, stride, dilation, padding }
    }

    /// Windows for sequences of at least 7 steps.
    pub const STEP_WINDOWS: [StepWindow; 9] = [
        window(3, 1, 1, Padding::Valid),
        window(4, 3, 1, Padding::Valid),
        window(3, 1, 3, Padding::Valid),
        window(1, 2, 1, Padding::Valid),
        window(3, 1, 1, Padding::Same),
        window(4, 2, 1, Padding::Same),
        window(3, 1, 1, Padding::Causal),
        window(3, 2, 1, Padding::Causal),
        window(2, 1, 4, Padding::Causal),
    ];

    /// The step under tap `tap` of output `step`, counted anew: `None` in the padding.
    pub fn input_step(window: StepWindow, steps: usize, step: usize, tap: usize) -> Option<usize> {
        let extent = (window.kernel - 1) * window.dilation + 1;
        let before = match window.padding {
            Padding::Valid => 0,
            Padding::Causal => extent - 1,
            Padding::Same => {
                let padded = (steps.div_ceil(window.stride) - 1) * window.stride + extent;
                padded.saturating_sub(steps) / 2
            }
        };
        (step * window.stride + tap * window.dilation).checked_sub(before).filter(|&from| from < steps)
    }
}
