//! The plain recurrent layer (Elman 1990): `h = tanh(x_t * kernel + h * recurrent_kernel + bias)`.
//!
//! Inputs and outputs as in `recurrent.rs`: `[T, C]` to `[units]` or `[T, units]`. Parameters as in Keras, whose weights can be copied
//! over: `kernel` `[C, units]`, `recurrent_kernel` `[units, units]`, `bias` `[units]`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::options::recurrent_methods;
use super::recurrent::{After, Cell, Recurrent, Step};
use super::{Backward, Example, Forward, Layer, LayerBase, ParameterSpec, Requirements, Trainable, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::{LengthRule, Shape};
use crate::initializers::zeros;
use crate::numeric::{tanh, vectorized};

/// A plain recurrent layer. Its gradients fade over a few dozen steps: [`Lstm`](super::Lstm) and [`Gru`](super::Gru) remember longer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SimpleRnn {
    base: LayerBase,
    recurrent: Recurrent,
}

impl SimpleRnn {
    /// A layer of this many units; kernels drawn by `glorot_uniform`, recurrent kernels orthogonal, biases zero. It gives the
    /// hidden state after the last step.
    pub fn new(units: usize) -> Self {
        Self { base: LayerBase::new(), recurrent: Recurrent::new(units, Trainable::new(zeros())) }
    }

    recurrent_methods!(1);
}

impl Cell for SimpleRnn {
    const GATES: usize = 1;
    const STATES: usize = 1;

    fn forward(&self, step: Step<'_>, gates: &mut [f32], _: &mut [f32], [hidden, _]: [&mut [f32]; 2]) {
        vectorized!({
            for (gate, product) in gates.iter_mut().zip(step.products) {
                *gate = tanh(*gate + product);
            }
        });
        hidden.copy_from_slice(gates);
    }

    fn backward(
        &self,
        _: Step<'_>,
        After { gradients: [gradients, _], .. }: After<'_>,
        gates: &mut [f32],
        products: &mut [f32],
        _: [&mut [f32]; 2],
    ) {
        gates.iter_mut().zip(gradients).for_each(|(gate, gradient)| *gate = gradient * (1.0 - *gate * *gate));
        products.copy_from_slice(gates);
    }
}

impl Layer for SimpleRnn {
    identity!("SimpleRNN", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        self.recurrent.output_shape(inputs, Self::STATES)
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        Ok(self.recurrent.length_rule(Self::STATES))
    }

    fn parameters(&self, inputs: &[Shape]) -> Vec<ParameterSpec> {
        self.recurrent.parameters(inputs, Self::GATES, &[self.recurrent.units])
    }

    fn requirements(&self, inputs: &[Shape]) -> Requirements {
        self.recurrent.requirements::<Self>(inputs)
    }

    fn scratch(&self, inputs: &[Shape], samples: usize) -> usize {
        self.recurrent.scratch(self, inputs, samples)
    }

    fn is_noise(&self) -> bool {
        self.recurrent.drops()
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        self.recurrent.forward(self, pass);
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        self.recurrent.backward(self, pass);
    }

    fn describe(&self) -> String {
        self.recurrent.describe()
    }

    fn activation_layer(&self) -> Option<Arc<dyn Layer>> {
        self.recurrent.activation_layer(Self::STATES)
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        self.recurrent.lower(lowering, Self::GATES, Self::STATES, |kernels, _| ops::SimpleRnn { kernels })
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(SimpleRnn::new(3), &[&[4, 2]]),
        Example::new(SimpleRnn::new(5).return_sequences().without_bias(), &[&[3, 3]]),
        Example::new(SimpleRnn::new(2).return_sequences().go_backwards(), &[&[3, 6]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::check;
    use super::super::recurrent::tests::masked_steps_are_as_absent;
    use super::*;

    /// One sample's output of all steps in f64.
    fn reference(x: &[f64], h0: &[f64], steps: usize, parameters: &[Vec<f64>], backwards: bool) -> Vec<f64> {
        let (units, features) = (h0.len(), x.len() / steps);
        let (mut h, mut all) = (h0.to_vec(), Vec::new());
        for number in 0..steps {
            let step = if backwards { steps - 1 - number } else { number };
            let next = |unit: usize| {
                let from_x = (0..features).map(|k| x[step * features + k] * parameters[0][k * units + unit]);
                let from_h = (0..units).map(|k| h[k] * parameters[1][k * units + unit]);
                let bias = parameters.get(2).map_or(0.0, |bias| bias[unit]);
                (from_x.sum::<f64>() + from_h.sum::<f64>() + bias).tanh()
            };
            h = (0..units).map(next).collect();
            all.extend(&h);
        }
        all
    }

    #[test]
    fn agrees_with_the_naive_reference() {
        for (layer, features, steps) in [
            (SimpleRnn::new(3), 2, 4),
            (SimpleRnn::new(2).return_sequences(), 3, 3),
            (SimpleRnn::new(2).return_sequences().go_backwards().without_bias(), 1, 5),
        ] {
            let (units, config) = (layer.recurrent.units, layer.recurrent.clone());
            check(&layer, &[Shape::from([steps, features])], &|inputs, parameters| {
                let all = reference(&inputs[0], &vec![0.0; units], steps, parameters, config.backwards);
                if config.sequences { all } else { all[(steps - 1) * units..].to_vec() }
            });
        }
    }

    #[test]
    fn an_initial_state_has_a_gradient() {
        check(&SimpleRnn::new(3).return_sequences(), &[Shape::from([3, 2]), Shape::from([3])], &|inputs, parameters| {
            reference(&inputs[0], &inputs[1], 3, parameters, false)
        });
    }

    #[test]
    fn masked_steps_change_nothing() {
        masked_steps_are_as_absent(&[(&SimpleRnn::new(2), false), (&SimpleRnn::new(2).go_backwards(), false)]);
    }
}
