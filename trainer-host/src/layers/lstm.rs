//! LSTM (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000): with `z = x_t * kernel + h * recurrent_kernel + bias`,
//! cut into four in Keras's order i, f, g, o:
//! `c = sigmoid(z_f) * c + sigmoid(z_i) * tanh(z_g)`, `h = sigmoid(z_o) * tanh(c)`.
//!
//! Inputs and outputs as in `recurrent.rs`: `[T, C]` to `[units]` or `[T, units]`. Parameters as in Keras, whose weights can be copied
//! over: `kernel` `[C, 4 units]`, `recurrent_kernel` `[units, 4 units]`, `bias` `[4 units]`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::options::recurrent_methods;
use super::recurrent::{After, Cell, Recurrent, Step};
use super::{Backward, Example, Forward, Layer, LayerBase, ParameterSpec, Requirements, Trainable, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::{LengthRule, Shape};
use crate::initializers::UnitForgetBias;
use crate::numeric::{sigmoid, tanh, vectorized};

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
        vectorized!({
            for (gate, product) in gates.iter_mut().zip(step.products) {
                *gate += product;
            }
            let rows = gates.chunks_exact_mut(4 * units).zip(hidden.chunks_exact_mut(units)).zip(cells.chunks_exact_mut(units));
            for (((gates, hidden), cells), before) in rows.zip(step.previous[1].chunks_exact(units)) {
                let (i_and_f, g_and_o) = gates.split_at_mut(2 * units);
                let (g, o) = g_and_o.split_at_mut(units);
                for gate in i_and_f.iter_mut() {
                    *gate = sigmoid(*gate);
                }
                for gate in o.iter_mut() {
                    *gate = sigmoid(*gate);
                }
                for gate in g.iter_mut() {
                    *gate = tanh(*gate);
                }
                let (i, f) = i_and_f.split_at(units);
                for ((((cell, before), i), f), g) in cells.iter_mut().zip(before).zip(i).zip(f).zip(&*g) {
                    *cell = f * before + i * g;
                }
                for ((hidden, cell), o) in hidden.iter_mut().zip(&*cells).zip(&*o) {
                    *hidden = o * tanh(*cell);
                }
            }
        });
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
        vectorized!({
            for (sample, (gates, previous)) in
                gates.chunks_exact_mut(4 * units).zip(previous.chunks_exact_mut(units)).enumerate()
            {
                let range = sample * units..(sample + 1) * units;
                let (i_and_f, g_and_o) = gates.split_at_mut(2 * units);
                let ((i, f), (g, o)) = (i_and_f.split_at_mut(units), g_and_o.split_at_mut(units));
                outer_slopes(o, previous, &cells[range.clone()], &gradients[range.clone()], &cell_gradients[range.clone()]);
                inner_slopes(i, f, g, previous, &step.previous[1][range]);
            }
        });
        products.copy_from_slice(gates);
    }
}

/// Makes of the output gate the gradient of its sum, and of those of a row's states that of its cells.
#[inline(always)]
fn outer_slopes(o: &mut [f32], of_cells: &mut [f32], cells: &[f32], gradients: &[f32], cell_gradients: &[f32]) {
    let rows = o.iter_mut().zip(of_cells).zip(cells).zip(gradients).zip(cell_gradients);
    for ((((o, of_cell), cell), gradient), cell_gradient) in rows {
        let squashed = tanh(*cell);
        *of_cell = cell_gradient + gradient * *o * (1.0 - squashed * squashed);
        *o = gradient * squashed * *o * (1.0 - *o);
    }
}

/// Makes of the other gates the gradients of their sums, and of that of the cells that of the cells before.
#[inline(always)]
fn inner_slopes(i: &mut [f32], f: &mut [f32], g: &mut [f32], of_cells: &mut [f32], before: &[f32]) {
    for ((((i, f), g), of_cell), before) in i.iter_mut().zip(f).zip(g).zip(of_cells).zip(before) {
        let [input, kept, new, cell] = [*i, *f, *g, *of_cell];
        *i = cell * new * input * (1.0 - input);
        *f = cell * before * kept * (1.0 - kept);
        *g = cell * input * (1.0 - new * new);
        *of_cell = cell * kept;
    }
}

impl Layer for Lstm {
    identity!("LSTM", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        self.recurrent.output_shape(inputs, Self::STATES)
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        Ok(self.recurrent.length_rule(Self::STATES))
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
