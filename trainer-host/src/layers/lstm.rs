//! LSTM (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000): with `z = x_t * kernel + h * recurrent_kernel + bias`,
//! cut into four in Keras's order i, f, g, o:
//! `c = sigmoid(z_f) * c + sigmoid(z_i) * tanh(z_g)`, `h = sigmoid(z_o) * tanh(c)`.
//!
//! Inputs and outputs as in `recurrent.rs`: `[T, C]` to `[units]` or `[T, units]`. Parameters as in Keras, whose weights can be copied
//! over: `kernel` `[C, 4 units]`, `recurrent_kernel` `[units, 4 units]`, `bias` `[4 units]`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::activation::sigmoid;
use super::options::recurrent_methods;
use super::recurrent::{After, Cell, Recurrent, Step};
use super::{Backward, Example, Forward, Layer, LayerBase, ParameterSpec, Requirements, Trainable, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::{LengthRule, Shape};
use crate::initializers::UnitForgetBias;

/// A long short-term memory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lstm {
    base: LayerBase,
    recurrent: Recurrent,
}

impl Lstm {
    /// A layer of this many units; kernels drawn by `glorot_uniform`, recurrent kernels orthogonal, biases zero but for the forget
    /// gate's, which are one ([`UnitForgetBias`]; `bias_initializer(zeros())` for none). It gives the hidden state after the last step.
    pub fn new(units: usize) -> Self {
        Self { base: LayerBase::new(), recurrent: Recurrent::new(units, Trainable::new(UnitForgetBias)) }
    }

    recurrent_methods!(2);
}

impl Cell for Lstm {
    const GATES: usize = 4;
    const STATES: usize = 2;

    fn forward(&self, step: Step<'_>, gates: &mut [f32], _: &mut [f32], [hidden, cells]: [&mut [f32]; 2]) {
        let units = step.units;
        gates.iter_mut().zip(step.products).for_each(|(gate, product)| *gate += product);
        let rows = gates.chunks_exact_mut(4 * units).zip(hidden.chunks_exact_mut(units)).zip(cells.chunks_exact_mut(units));
        for (((gates, hidden), cells), before) in rows.zip(step.previous[1].chunks_exact(units)) {
            for (gate, values) in gates.chunks_exact_mut(units).enumerate() {
                if gate == 2 {
                    values.iter_mut().for_each(|value| *value = value.tanh());
                } else {
                    values.iter_mut().for_each(|value| *value = sigmoid(*value));
                }
            }
            for unit in 0..units {
                let [i, f, g, o] = [0, 1, 2, 3].map(|gate| gates[gate * units + unit]);
                cells[unit] = f * before[unit] + i * g;
                hidden[unit] = o * cells[unit].tanh();
            }
        }
    }

    fn backward(
        &self,
        step: Step<'_>,
        After { states: [_, cells], gradients: [gradients, cell_gradients], .. }: After<'_>,
        gates: &mut [f32],
        products: &mut [f32],
        [_, previous]: [&mut [f32]; 2],
    ) {
        let units = step.units;
        for (sample, gates) in gates.chunks_exact_mut(4 * units).enumerate() {
            for unit in 0..units {
                let at = sample * units + unit;
                let [i, f, g, o] = [0, 1, 2, 3].map(|gate| gates[gate * units + unit]);
                let squashed = cells[at].tanh();
                let cell = cell_gradients[at] + gradients[at] * o * (1.0 - squashed * squashed);
                previous[at] = cell * f;
                let slopes = [
                    cell * g * i * (1.0 - i),
                    cell * step.previous[1][at] * f * (1.0 - f),
                    cell * i * (1.0 - g * g),
                    gradients[at] * squashed * o * (1.0 - o),
                ];
                slopes.into_iter().enumerate().for_each(|(gate, slope)| gates[gate * units + unit] = slope);
            }
        }
        products.copy_from_slice(gates);
    }
}

impl Layer for Lstm {
    identity!("LSTM", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        self.recurrent.output_shape(inputs, Self::STATES)
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        self.recurrent.length_rule()
    }

    fn parameters(&self, inputs: &[Shape]) -> Vec<ParameterSpec> {
        self.recurrent.parameters(inputs, Self::GATES, &[Self::GATES * self.recurrent.units])
    }

    fn requirements(&self, inputs: &[Shape]) -> Requirements {
        self.recurrent.requirements::<Self>(inputs)
    }

    fn scratch(&self, inputs: &[Shape], samples: usize) -> usize {
        self.recurrent.scratch(self, inputs, samples)
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
        self.recurrent.lower(lowering, Self::GATES, Self::STATES, |kernels, gives_cell| {
            let op = ops::Lstm::new(kernels);
            if gives_cell { op.gives_cell() } else { op }
        })
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(Lstm::new(3), &[&[4, 2]]),
        Example::new(Lstm::new(5).return_sequences().without_bias(), &[&[3, 3]]),
        Example::new(Lstm::new(2).return_sequences().go_backwards(), &[&[3, 6]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::check;
    use super::super::recurrent::tests::masked_steps_are_as_absent;
    use super::*;

    /// One sample's output of all steps in f64, masked steps carried through.
    fn reference(
        x: &[f64],
        first: [&[f64]; 2],
        mask: &[f64],
        parameters: &[Vec<f64>],
        [backwards, in_order]: [bool; 2],
    ) -> Vec<f64> {
        let mut all: Vec<Vec<f64>> =
            states(x, first, mask, parameters, backwards).into_iter().map(|[hidden, _]| hidden).collect();
        if in_order && backwards {
            all.reverse();
        }
        all.concat()
    }

    /// One sample's states after each step.
    fn states(x: &[f64], [h0, c0]: [&[f64]; 2], mask: &[f64], parameters: &[Vec<f64>], backwards: bool) -> Vec<[Vec<f64>; 2]> {
        let (units, steps) = (h0.len(), mask.len());
        let features = x.len() / steps;
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        let (mut h, mut c, mut all) = (h0.to_vec(), c0.to_vec(), Vec::new());
        for number in 0..steps {
            let step = if backwards { steps - 1 - number } else { number };
            let z = |column: usize| {
                let from_x = (0..features).map(|k| x[step * features + k] * parameters[0][k * 4 * units + column]);
                let from_h = (0..units).map(|k| h[k] * parameters[1][k * 4 * units + column]);
                from_x.sum::<f64>() + from_h.sum::<f64>() + parameters.get(2).map_or(0.0, |bias| bias[column])
            };
            let next: Vec<[f64; 2]> = (0..units)
                .map(|unit| {
                    let [i, f, g, o] = [0, 1, 2, 3].map(|gate| z(gate * units + unit));
                    let cell = logistic(f) * c[unit] + logistic(i) * g.tanh();
                    [logistic(o) * cell.tanh(), cell]
                })
                .collect();
            if mask[step] != 0.0 {
                h = next.iter().map(|[h, _]| *h).collect();
                c = next.iter().map(|[_, c]| *c).collect();
            }
            all.push([h.clone(), c.clone()]);
        }
        all
    }

    #[test]
    fn agrees_with_the_naive_reference() {
        let mut in_order = Lstm::new(2).return_sequences().go_backwards();
        in_order.recurrent.in_order = true;
        for (layer, features, steps) in [
            (in_order, 2, 4),
            (Lstm::new(3), 2, 4),
            (Lstm::new(2).return_sequences(), 3, 3),
            (Lstm::new(2).return_sequences().go_backwards().without_bias(), 1, 5),
            (Lstm::new(4).go_backwards(), 2, 1),
        ] {
            let (units, config) = (layer.recurrent.units, layer.recurrent.clone());
            let (zeros, ones) = (vec![0.0; units], vec![1.0; steps]);
            check(&layer, &[Shape::from([steps, features])], &|inputs, parameters| {
                let all = reference(&inputs[0], [&zeros, &zeros], &ones, parameters, [config.backwards, config.in_order]);
                if config.sequences { all } else { all[(steps - 1) * units..].to_vec() }
            });
        }
    }

    #[test]
    fn initial_states_have_gradients() {
        let shapes = [Shape::from([3, 2]), Shape::from([4]), Shape::from([4])];
        check(&Lstm::new(4).return_sequences(), &shapes, &|inputs, parameters| {
            reference(&inputs[0], [&inputs[1], &inputs[2]], &[1.0; 3], parameters, [false; 2])
        });
    }

    #[test]
    fn the_last_states_are_rows_before_the_outputs() {
        let shapes = [Shape::from([4, 2]), Shape::from([3]), Shape::from([3])];
        for (layer, backwards, sequences) in [
            (Lstm::new(3).return_state(), false, false),
            (Lstm::new(3).return_state().return_sequences().go_backwards(), true, true),
        ] {
            check(&layer, &shapes, &|inputs, parameters| {
                let all = states(&inputs[0], [&inputs[1], &inputs[2]], &[1.0; 4], parameters, backwards);
                let outputs = all.iter().skip(if sequences { 0 } else { 3 }).flat_map(|[hidden, _]| hidden.clone());
                [all[3].concat(), outputs.collect()].concat()
            });
        }
    }

    #[test]
    fn masked_steps_change_nothing() {
        masked_steps_are_as_absent(&[(&Lstm::new(2), false), (&Lstm::new(2).go_backwards().return_sequences(), true)]);
    }
}
