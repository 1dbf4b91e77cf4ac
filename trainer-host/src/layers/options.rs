//! Builder methods and their getters that several kinds of layers have, written once: each macro stands in the `impl` of a
//! layer with the fields that it names.

/// How a parameter begins and what it costs, for a field of type [`Trainable`](super::Trainable).
macro_rules! trainable_methods {
    ($($field:ident).+, $what:literal, $initializer:ident, $regularizer:ident) => {
        #[doc = concat!("Draws the first values of ", $what, " another way.")]
        pub fn $initializer(mut self, initializer: impl $crate::initializers::Initializer + 'static) -> Self {
            self.$($field).+.initializer = std::sync::Arc::new(initializer);
            self
        }

        #[doc = concat!("Adds a penalty on ", $what, " to the loss.")]
        pub fn $regularizer(mut self, regularizer: impl $crate::regularizers::Regularizer + 'static) -> Self {
            self.$($field).+.regularizer = Some(std::sync::Arc::new(regularizer));
            self
        }
    };
}

/// What follows a product with a kernel, for a field of type [`Epilogue`](super::epilogue::Epilogue).
macro_rules! output_methods {
    ($($epilogue:ident).+) => {
        /// Applies this function to the outputs.
        pub fn activation(mut self, activation: $crate::layers::Activation) -> Self {
            self.$($epilogue).+.activation = $crate::layers::ActivationLayer::behind(activation);
            self
        }

        /// Leaves the bias out.
        pub fn without_bias(mut self) -> Self {
            self.$($epilogue).+.has_bias = false;
            self
        }

        /// `true` with a bias, the last parameter.
        pub fn has_bias(&self) -> bool {
            self.$($epilogue).+.has_bias
        }

        $crate::layers::options::trainable_methods!($($epilogue).+.bias, "the bias", bias_initializer, bias_regularizer);
    };
}

/// How a window slides, for the field `window`.
macro_rules! window_methods {
    () => {
        /// Moves the window by this many pixels: a number or `[vertical, horizontal]`.
        pub fn strides(mut self, strides: impl Into<$crate::layers::Size2D>) -> Self {
            self.window.strides = strides.into().0;
            self
        }

        /// What happens at the borders.
        pub fn padding(mut self, padding: $crate::layers::Padding) -> Self {
            self.window.padding = padding;
            self
        }

        /// Pixels from one window to the next, vertical and horizontal.
        pub fn stride_sizes(&self) -> [usize; 2] {
            self.window.strides
        }
    };
}

/// All that convolutions have in common, for the fields `window` and `epilogue`.
macro_rules! convolution_methods {
    () => {
        $crate::layers::options::window_methods!();

        /// Spreads the taps of the window: a number or `[vertical, horizontal]`.
        pub fn dilation(mut self, dilation: impl Into<$crate::layers::Size2D>) -> Self {
            self.window.dilation = dilation.into().0;
            self
        }

        /// Height and width of the window.
        pub fn kernel_size(&self) -> [usize; 2] {
            self.window.kernel
        }

        /// Pixels from one tap to the next, vertical and horizontal.
        pub fn dilation_sizes(&self) -> [usize; 2] {
            self.window.dilation
        }

        $crate::layers::options::output_methods!(epilogue);
    };
}

/// All that recurrent layers have in common, for the field `recurrent` of a layer with so many states.
macro_rules! recurrent_methods {
    ($states:literal) => {
        /// Gives the hidden state after each step, `[T, units]`.
        pub fn return_sequences(mut self) -> Self {
            self.recurrent.sequences = true;
            self
        }

        /// Gives the states after the last step, too: to [`apply_with_states`](Self::apply_with_states). What `apply` gives stays the
        /// outputs.
        pub fn return_state(mut self) -> Self {
            self.recurrent.returns_states = true;
            self
        }

        /// Applies a layer with [`return_state`](Self::return_state), and gives its outputs and its states after the last step, each
        /// `[units]`: the hidden state, and behind it an LSTM's cell. They are tensors like all others, initial states of another layer
        /// for one. On the device, the hidden state is a row of the outputs, and an LSTM's cell, which has another scale in int8, an op of
        /// its own: a layer of which outputs and cell are read costs its multiply-accumulates twice. In int8, states are rounded to 8 bits
        /// on their way.
        pub fn apply_with_states(
            &self,
            inputs: impl $crate::graph::IntoInputs,
        ) -> ($crate::graph::SymbolicTensor, [$crate::graph::SymbolicTensor; $states]) {
            self.recurrent.apply_with_states(std::sync::Arc::new(self.clone()), inputs.into_inputs())
        }

        /// Walks from the last step to the first. Outputs come in the order of that walk, as in Keras.
        pub fn go_backwards(mut self) -> Self {
            self.recurrent.backwards = true;
            self
        }

        /// The states go on, so that a long sequence is given piece by piece: on the device from run to run, on the host from batch to
        /// batch, sample `i` of a batch from where sample `i` of the batch before ended, until they are reset
        /// ([`Model::reset_states`](crate::Model::reset_states), [`reset_states`](Self::reset_states)). As in Keras, gradients stay within
        /// a batch, all batches have as many samples, and nothing is reset between epochs or between `fit`, `evaluate` and `predict`;
        /// [`Training::reset_states`](crate::train::Training::reset_states) is for callbacks. Initial states that are given come before
        /// those of the last batch; on the device there cannot be both. A saved model begins anew.
        ///
        /// A layer can be trained on samples in any order and then run on streams: `layer.clone().stateful()` has the same weights.
        pub fn stateful(mut self) -> Self {
            self.recurrent.stateful = true;
            self
        }

        /// Lets a [`stateful`](Self::stateful) layer begin anew, in all models it is part of.
        pub fn reset_states(&self) {
            self.base.reset_states();
        }

        /// Leaves the bias out.
        pub fn without_bias(mut self) -> Self {
            self.recurrent.has_bias = false;
            self
        }

        /// Drops this share of the features in training, from 0 to below 1: the same ones in each step of a sample.
        pub fn dropout(mut self, rate: f32) -> Self {
            self.recurrent.dropout = rate;
            self
        }

        /// Drops this share of the hidden state before its product with the recurrent kernel in training, from 0 to below 1: the
        /// same units in each step of a sample.
        pub fn recurrent_dropout(mut self, rate: f32) -> Self {
            self.recurrent.recurrent_dropout = rate;
            self
        }

        /// Number of units.
        pub fn units(&self) -> usize {
            self.recurrent.units
        }

        pub(super) fn recurrent_mut(&mut self) -> &mut Recurrent {
            &mut self.recurrent
        }

        /// Number of states.
        pub(super) fn states(&self) -> usize {
            <Self as Cell>::STATES
        }

        $crate::layers::options::trainable_methods!(recurrent.kernel, "the kernel", kernel_initializer, kernel_regularizer);
        $crate::layers::options::trainable_methods!(
            recurrent.recurrent,
            "the recurrent kernel",
            recurrent_initializer,
            recurrent_regularizer
        );
        $crate::layers::options::trainable_methods!(recurrent.bias, "the bias", bias_initializer, bias_regularizer);
    };
}

pub(super) use {convolution_methods, output_methods, recurrent_methods, trainable_methods, window_methods};

#[cfg(test)]
mod tests {
    use super::super::*;
    use crate::initializers::Constant;
    use crate::numeric::random::Random;
    use crate::regularizers::L1;

    /// Each parameter that has a penalty, with its first value and the penalty of a value of 1.
    fn given(layer: &dyn Layer) -> Vec<(&'static str, f32, f64)> {
        let specs = layer.parameters(&[Shape::from([4, 4, 2])]).into_iter();
        let given = specs.filter_map(|spec| {
            let mut value = [f32::NAN];
            spec.initializer.fill(&[1], &mut Random::new(0, 0), &mut value);
            Some((spec.name, value[0], spec.regularizer?.penalty(&[1.0])))
        });
        given.collect()
    }

    #[test]
    fn methods_reach_the_parameter_of_their_name() {
        let c = Constant::new;
        let l = L1::new;
        let dense = Dense::new(3).kernel_initializer(c(1.0)).kernel_regularizer(l(2.0));
        let kernel_and_bias = [("kernel", 1.0, 2.0), ("bias", 3.0, 4.0)];
        assert_eq!(given(&dense.bias_initializer(c(3.0)).bias_regularizer(l(4.0))), kernel_and_bias);
        let convolution = Conv2D::new(3, 2).kernel_initializer(c(1.0)).kernel_regularizer(l(2.0));
        assert_eq!(given(&convolution.bias_initializer(c(3.0)).bias_regularizer(l(4.0))), kernel_and_bias);
        let depthwise = DepthwiseConv2D::new(2).depthwise_initializer(c(1.0)).depthwise_regularizer(l(2.0));
        assert_eq!(given(&depthwise.bias_initializer(c(3.0)).bias_regularizer(l(4.0))), kernel_and_bias);
        let separable = SeparableConv2D::new(3, 2).depthwise_initializer(c(1.0)).depthwise_regularizer(l(2.0));
        let separable = separable.pointwise_initializer(c(5.0)).pointwise_regularizer(l(6.0));
        assert_eq!(
            given(&separable.bias_initializer(c(3.0)).bias_regularizer(l(4.0))),
            [("depthwise_kernel", 1.0, 2.0), ("pointwise_kernel", 5.0, 6.0), ("bias", 3.0, 4.0)]
        );
        let normalization = BatchNormalization::new().gamma_initializer(c(1.0)).gamma_regularizer(l(2.0));
        assert_eq!(
            given(&normalization.beta_initializer(c(3.0)).beta_regularizer(l(4.0))),
            [("gamma", 1.0, 2.0), ("beta", 3.0, 4.0)]
        );
        let slopes = PReLU::new().alpha_initializer(c(0.25)).alpha_regularizer(l(2.0));
        assert_eq!(given(&slopes), [("alpha", 0.25, 2.0)]);
    }
}
