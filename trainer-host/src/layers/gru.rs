//! GRU (Cho et al. 2014): with `x_ = x_t * kernel + bias[0]` and `h_ = h * recurrent_kernel + bias[1]`, each cut into three in Keras's
//! order z, r, n: `z = sigmoid(x_z + h_z)`, `r = sigmoid(x_r + h_r)`, `h = z * h + (1 - z) * n`, and
//! `n = tanh(x_n + r * h_n)`, Keras's `reset_after`, which is its default; or `n = tanh(x_n + (r * h) * recurrent_kernel_n)` by
//! [`reset_before`](Gru::reset_before), which has one bias.
//!
//! Inputs and outputs as in `recurrent.rs`: `[T, C]` to `[units]` or `[T, units]`. Parameters as in Keras, whose weights can be copied
//! over: `kernel` `[C, 3 units]`, `recurrent_kernel` `[units, 3 units]`, `bias` `[2, 3 units]` or, with `reset_before`, `[3 units]`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::options::recurrent_methods;
use super::recurrent::{After, Cell, Recurrent, Step};
use super::{Backward, Example, Forward, Layer, LayerBase, ParameterSpec, Requirements, Trainable, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::{LengthRule, Shape};
use crate::initializers::zeros;
use crate::numeric::{sigmoid, tanh, vectorized};

/// A gated recurrent unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Gru {
    base: LayerBase,
    recurrent: Recurrent,
    resets_first: bool,
}

impl Gru {
    /// A layer of this many units; kernels drawn by `glorot_uniform`, recurrent kernels orthogonal, biases zero. It gives the
    /// hidden state after the last step.
    pub fn new(units: usize) -> Self {
        Self { base: LayerBase::new(), recurrent: Recurrent::new(units, Trainable::new(zeros())), resets_first: false }
    }

    /// The reset gate comes before the candidate's product with the recurrent kernel: Keras's `reset_after=False`.
    pub fn reset_before(mut self) -> Self {
        self.resets_first = true;
        self
    }

    recurrent_methods!(1);
}

impl Cell for Gru {
    const GATES: usize = 3;
    const STATES: usize = 1;
    /// The state's part of the candidate, before the reset gate; or the state behind the reset gate.
    const EXTRAS: usize = 1;

    fn resets_first(&self) -> bool {
        self.resets_first
    }

    fn reset(&self, step: Step<'_>, gates: &mut [f32], seen: &[f32], reset: &mut [f32]) {
        let units = step.units;
        let rows = gates.chunks_exact_mut(3 * units).zip(step.products.chunks_exact(3 * units));
        for (sample, (gates, products)) in rows.enumerate() {
            sigmoid_of_sums(&mut gates[..2 * units], &products[..2 * units]);
            for unit in 0..units {
                reset[sample * units + unit] = gates[units + unit] * seen[sample * units + unit];
            }
        }
    }

    fn reset_backward(&self, units: usize, gates: &mut [f32], products: &mut [f32], seen: &[f32], through: &mut [f32]) {
        let rows = gates.chunks_exact_mut(3 * units).zip(products.chunks_exact_mut(3 * units));
        for (sample, (gates, products)) in rows.enumerate() {
            for unit in 0..units {
                let (at, place) = (sample * units + unit, units + unit);
                let r = gates[place];
                gates[place] = through[at] * seen[at] * r * (1.0 - r);
                products[place] = gates[place];
                through[at] *= r;
            }
        }
    }

    fn forward(&self, step: Step<'_>, gates: &mut [f32], extras: &mut [f32], [hidden, _]: [&mut [f32]; 2]) {
        let units = step.units;
        let rows = gates.chunks_exact_mut(3 * units).zip(step.products.chunks_exact(3 * units));
        for (sample, (gates, products)) in rows.enumerate() {
            let range = sample * units..(sample + 1) * units;
            let (z_and_r, n) = gates.split_at_mut(2 * units);
            let (of_z_and_r, of_n) = products.split_at(2 * units);
            if !self.resets_first {
                sigmoid_of_sums(z_and_r, of_z_and_r);
                extras[range.clone()].copy_from_slice(of_n);
            }
            let (z, r) = z_and_r.split_at(units);
            let (before, hidden) = (&step.previous[0][range.clone()], &mut hidden[range]);
            vectorized!({
                if self.resets_first {
                    for (n, of_state) in n.iter_mut().zip(of_n) {
                        *n = tanh(*n + of_state);
                    }
                } else {
                    for ((n, r), of_state) in n.iter_mut().zip(r).zip(of_n) {
                        *n = tanh(*n + r * of_state);
                    }
                }
                for (((hidden, z), before), n) in hidden.iter_mut().zip(z).zip(before).zip(&*n) {
                    *hidden = z * before + (1.0 - z) * n;
                }
            });
        }
    }

    fn backward(
        &self,
        step: Step<'_>,
        After { extras, gradients: [gradients, _], .. }: After<'_>,
        gates: &mut [f32],
        products: &mut [f32],
        [previous, _]: [&mut [f32]; 2],
    ) {
        let units = step.units;
        let rows = gates.chunks_exact_mut(3 * units).zip(products.chunks_exact_mut(3 * units));
        for (sample, (gates, products)) in rows.enumerate() {
            for unit in 0..units {
                let at = sample * units + unit;
                let places = [0, 1, 2].map(|gate| gate * units + unit);
                let [z, r, n] = places.map(|place| gates[place]);
                let candidate = gradients[at] * (1.0 - z) * (1.0 - n * n);
                gates[places[0]] = gradients[at] * (step.previous[0][at] - n) * z * (1.0 - z);
                gates[places[2]] = candidate;
                if !self.resets_first {
                    gates[places[1]] = candidate * extras[at] * r * (1.0 - r);
                }
                places.into_iter().for_each(|place| products[place] = gates[place]);
                if !self.resets_first {
                    products[places[2]] = candidate * r;
                }
                previous[at] += gradients[at] * z;
            }
        }
    }
}

/// `sigmoid(gate + product)`, in place.
fn sigmoid_of_sums(gates: &mut [f32], products: &[f32]) {
    vectorized!({
        for (gate, product) in gates.iter_mut().zip(products) {
            *gate = sigmoid(*gate + product);
        }
    });
}

impl Layer for Gru {
    identity!("GRU", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        self.recurrent.output_shape(inputs, Self::STATES)
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        Ok(self.recurrent.length_rule(Self::STATES))
    }

    fn parameters(&self, inputs: &[Shape]) -> Vec<ParameterSpec> {
        let width = Self::GATES * self.recurrent.units;
        let biases: &[usize] = if self.resets_first { &[width] } else { &[2, width] };
        self.recurrent.parameters(inputs, Self::GATES, biases)
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
        format!("{}{}", self.recurrent.describe(), if self.resets_first { ", reset before" } else { "" })
    }

    fn activation_layer(&self) -> Option<Arc<dyn Layer>> {
        self.recurrent.activation_layer(Self::STATES)
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let resets_first = self.resets_first;
        self.recurrent.lower(lowering, Self::GATES, Self::STATES, |kernels, _| ops::Gru { kernels, resets_first })
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(Gru::new(3), &[&[4, 2]]),
        Example::new(Gru::new(5).return_sequences().without_bias(), &[&[3, 3]]),
        Example::new(Gru::new(2).return_sequences().go_backwards(), &[&[3, 6]]),
        Example::new(Gru::new(3).return_sequences().reset_before(), &[&[4, 3]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::check;
    use super::super::recurrent::tests::masked_steps_are_as_absent;
    use super::*;

    /// One sample's output of all steps in f64.
    fn reference(x: &[f64], h0: &[f64], steps: usize, parameters: &[Vec<f64>], config: &Gru) -> Vec<f64> {
        let units = h0.len();
        let (features, width) = (x.len() / steps, 3 * units);
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        let bias = |place: usize| parameters.get(2).and_then(|bias| bias.get(place)).map_or(0.0, |&bias| bias);
        let (mut h, mut all) = (h0.to_vec(), Vec::new());
        for number in 0..steps {
            let step = if config.recurrent.backwards { steps - 1 - number } else { number };
            let from_x = |column: usize| {
                let products = (0..features).map(|k| x[step * features + k] * parameters[0][k * width + column]);
                products.sum::<f64>() + bias(column)
            };
            let product = |h: &[f64], column: usize| {
                let products = (0..units).map(|k| h[k] * parameters[1][k * width + column]);
                products.sum::<f64>() + bias(width + column)
            };
            let r: Vec<f64> = (0..units).map(|unit| logistic(from_x(units + unit) + product(&h, units + unit))).collect();
            let reset: Vec<f64> = h.iter().zip(&r).map(|(h, r)| h * r).collect();
            let next = |unit: usize| {
                let z = logistic(from_x(unit) + product(&h, unit));
                let column = 2 * units + unit;
                let of_state = if config.resets_first { product(&reset, column) } else { r[unit] * product(&h, column) };
                z * h[unit] + (1.0 - z) * (from_x(column) + of_state).tanh()
            };
            h = (0..units).map(next).collect();
            all.extend(&h);
        }
        all
    }

    #[test]
    fn agrees_with_the_naive_reference() {
        for (layer, features, steps) in [
            (Gru::new(3), 2, 4),
            (Gru::new(2).return_sequences(), 3, 3),
            (Gru::new(2).return_sequences().go_backwards().without_bias(), 1, 5),
            (Gru::new(4).go_backwards(), 2, 1),
            (Gru::new(3).reset_before(), 2, 4),
            (Gru::new(2).reset_before().return_sequences().go_backwards(), 3, 3),
            (Gru::new(2).reset_before().without_bias(), 1, 5),
        ] {
            let (units, config) = (layer.recurrent.units, layer.clone());
            check(&layer, &[Shape::from([steps, features])], &|inputs, parameters| {
                let all = reference(&inputs[0], &vec![0.0; units], steps, parameters, &config);
                if config.recurrent.sequences { all } else { all[(steps - 1) * units..].to_vec() }
            });
        }
    }

    #[test]
    fn an_initial_state_has_a_gradient() {
        for layer in [Gru::new(3).return_sequences(), Gru::new(3).return_sequences().reset_before()] {
            check(&layer, &[Shape::from([3, 2]), Shape::from([3])], &|inputs, parameters| {
                reference(&inputs[0], &inputs[1], 3, parameters, &layer)
            });
        }
    }

    #[test]
    fn masked_steps_change_nothing() {
        let before = Gru::new(2).reset_before();
        masked_steps_are_as_absent(&[(&Gru::new(2), false), (&Gru::new(2).go_backwards().return_sequences(), true)]);
        masked_steps_are_as_absent(&[(&before, false), (&before.clone().go_backwards(), false)]);
    }
}
