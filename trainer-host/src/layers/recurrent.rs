//! What recurrent layers have in common: a [`Cell`] computes one step of all samples, and this walks the steps.
//!
//! Inputs `[T, C]`: T steps of C features. Outputs `[units]`, the state after the last step, or `[T, units]`, that after each. Further inputs,
//! both optional: the initial states `[units]`, one for each the cell has, and behind them a mask `[T, 1]`: where it is 0, a
//! step carries the states through as if it was not there, so that padding changes neither output nor gradients. So do the steps that
//! a shorter sample does not have; a walk backwards begins with the last one that it has.
//!
//! Within, everything lies step by step, `[T][samples][...]`: the product of all inputs with the kernel is one product of
//! matrices, and that of each step's states is one over the samples. Time and memory are linear in T.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::dropout::random_word;
use super::{Backward, Forward, Layer, ParameterSpec, Requirements, Slice, Trainable};
use crate::device::{
    DeviceOp, Lowering, Value, linear,
    ops::{self, Kernels, Kind, Order},
};
use crate::graph::pass::RandomKey;
use crate::graph::{LengthRule, Rounding, Shape, SymbolicTensor, snake_case};
use crate::initializers::{Orthogonal, glorot_uniform};
use crate::numeric::{Matrix, add_bias, add_column_sums, multiply};

/// Configuration of a recurrent layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Recurrent {
    pub units: usize,
    pub kernel: Trainable,
    pub recurrent: Trainable,
    pub bias: Trainable,
    pub has_bias: bool,
    /// Gives all steps' outputs.
    pub sequences: bool,
    pub backwards: bool,
    /// Outputs have the inputs' order also if the walk is backwards.
    #[serde(default)]
    pub in_order: bool,
    /// Rows of masked steps are zeros; else they repeat the state.
    #[serde(default)]
    pub zeros_masked: bool,
    /// The output has rows for the states after the last step, and behind them those of the steps.
    #[serde(default)]
    pub returns_states: bool,
    /// The states go on from batch to batch, and from run to run on the device.
    pub stateful: bool,
    pub dropout: f32,
    pub recurrent_dropout: f32,
}

/// One step of a recurrent layer.
pub(super) trait Cell {
    /// Numbers per unit that the kernel makes of an input.
    const GATES: usize;
    /// 1: the hidden state, which is the output. 2: a cell's behind it.
    const STATES: usize;
    /// Numbers per unit and step that `forward` leaves for `backward`, beside gates and states.
    const EXTRAS: usize = 0;

    /// Whether the last gate's product is not of the hidden state but of what `reset` makes of it, which lies in `extras`.
    fn resets_first(&self) -> bool {
        false
    }

    /// Before the last gate's product, where it is to see another state: makes that of the hidden state as the products see it,
    /// `[samples, units]` both. `gates` hold the inputs' products, and the others' may be turned into gates.
    fn reset(&self, step: Step<'_>, gates: &mut [f32], seen: &[f32], reset: &mut [f32]) {
        let _ = (step, gates, seen, reset);
    }

    /// The way back: turns `through`, the gradient with respect to the state that `reset` made, into that of the hidden state, and
    /// writes those of the gates that `reset` used to `gates` and `products`.
    fn reset_backward(&self, units: usize, gates: &mut [f32], products: &mut [f32], seen: &[f32], through: &mut [f32]) {
        let _ = (units, gates, products, seen, through);
    }

    /// The next states. `gates` hold the inputs' products and become what `backward` reads.
    fn forward(&self, step: Step<'_>, gates: &mut [f32], extras: &mut [f32], next: [&mut [f32]; 2]);

    /// Of the gradients with respect to the next states makes those of the inputs' products in `gates`, which hold what
    /// `forward` left, those of the states' products in `products` (which hold nothing), and adds to `previous`, zeros, those of the
    /// previous states but for what comes through the products.
    fn backward(&self, step: Step<'_>, after: After<'_>, gates: &mut [f32], products: &mut [f32], previous: [&mut [f32]; 2]);
}

/// What the way back sees of what a step made.
#[derive(Debug, Clone, Copy)]
pub(super) struct After<'a> {
    /// What `forward` left.
    pub extras: &'a [f32],
    /// The states after the step; the second is empty if the cell has one.
    pub states: [&'a [f32]; 2],
    /// Their gradients.
    pub gradients: [&'a [f32]; 2],
}

/// What a step sees.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'a> {
    pub units: usize,
    /// The states before the step, `[samples, units]` each; the second is empty if the cell has one.
    pub previous: [&'a [f32]; 2],
    /// The hidden state times the recurrent kernel, with the recurrent bias, `[samples, gates * units]`; in `backward` nothing.
    pub products: &'a [f32],
}

impl Recurrent {
    pub fn new(units: usize, bias: Trainable) -> Self {
        Self {
            units,
            kernel: Trainable::new(glorot_uniform()),
            recurrent: Trainable::new(Orthogonal::new(1.0)),
            bias,
            has_bias: true,
            sequences: false,
            backwards: false,
            in_order: false,
            zeros_masked: false,
            returns_states: false,
            stateful: false,
            dropout: 0.0,
            recurrent_dropout: 0.0,
        }
    }

    pub fn output_shape(&self, inputs: &[Shape], states: usize) -> Result<Shape, String> {
        if self.units == 0 {
            return Err("at least 1 unit".to_owned());
        }
        for (name, rate) in [("dropout", self.dropout), ("recurrent dropout", self.recurrent_dropout)] {
            if !(0.0..1.0).contains(&rate) {
                return Err(format!("a {name} from 0 to below 1, not {rate}"));
            }
        }
        let wanted = || {
            let states = ["one initial state", "the initial states h and c"][states - 1];
            format!("an input of shape [steps, features], perhaps {states} of shape [{}]", self.units)
        };
        let [sequence, rest @ ..] = inputs else { return Err(wanted()) };
        let rest = match rest {
            [rest @ .., mask] if **mask == [sequence[0], 1] => rest,
            rest => rest,
        };
        let fits = rest.is_empty() || (rest.len() == states && rest.iter().all(|state| **state == [self.units]));
        match **sequence {
            [steps, _] if fits && self.returns_states => {
                Ok(Shape::from([states + if self.sequences { steps } else { 1 }, self.units]))
            }
            [steps, _] if fits && self.sequences => Ok(Shape::from([steps, self.units])),
            [_, _] if fits => Ok(Shape::from([self.units])),
            _ => Err(wanted()),
        }
    }

    pub fn length_rule(&self, states: usize) -> LengthRule {
        match (self.sequences, self.returns_states) {
            // The states' rows are before those of the steps.
            (true, true) => LengthRule::Windows { add: states as i32, stride: 1 },
            (true, false) => LengthRule::Kept,
            (false, _) => LengthRule::Reduced,
        }
    }

    pub fn parameters(&self, inputs: &[Shape], gates: usize, biases: &[usize]) -> Vec<ParameterSpec> {
        let (features, width) = (inputs[0].channels(), gates * self.units);
        let mut specs =
            vec![self.kernel.spec("kernel", [features, width]), self.recurrent.spec("recurrent_kernel", [self.units, width])];
        specs.extend(self.has_bias.then(|| self.bias.spec("bias", biases)));
        specs
    }

    pub fn requirements<C: Cell>(&self, inputs: &[Shape]) -> Requirements {
        let saved = Sizes::of::<C>(self, inputs, 1).saved();
        let carried = if self.stateful && !gives_states(inputs) { C::STATES * self.units } else { 0 };
        Requirements { backward_reads_inputs: true, saved, carried, ..Requirements::default() }
    }

    pub fn scratch<C: Cell>(&self, cell: &C, inputs: &[Shape], samples: usize) -> usize {
        let sizes = Sizes::of::<C>(self, inputs, samples);
        let Sizes { steps, features, gates, states, .. } = sizes;
        let last = if cell.resets_first() { steps * gates } else { 0 };
        // Forward without memory of its own, or backward.
        let forward = steps * features + gates + 2 * states + sizes.saved();
        let backward = steps * (2 * gates + features + states) + last + 5 * states;
        forward.max(backward)
    }

    /// The kernels for the device; or why the layer is not there.
    fn kernels(&self, lowering: &Lowering<'_>, gates: usize) -> Result<Kernels, String> {
        let Self { backwards, stateful, in_order, .. } = *self;
        let given = lowering.inputs.len() - 1;
        if given > 0 && lowering.input_shape(given).len() > 1 {
            return Err(
                "a mask that comes as a tensor is not there on the device: leave it out, or give whole sequences".into()
            );
        }
        if given > 0 && stateful {
            return Err(
                "it begins each run with the states it is given, and so cannot be `stateful`: leave one of both out".into()
            );
        }
        let order = Order { backwards, stateful, in_order, begins_with_inputs: given > 0 };
        let rows = gates * self.units;
        let of_kernel = |name: &str, bias: &[f32]| linear(Kind::Dense, lowering.parameter(name), bias, rows);
        // `[rows]`, or `[2, rows]` where the states' product has biases of its own.
        let bias = lowering.parameter("bias");
        let (bias, recurrent_bias) = bias.split_at(bias.len().min(rows));
        let input = of_kernel("kernel", bias);
        let recurrent = of_kernel("recurrent_kernel", recurrent_bias);
        Ok(Kernels { input: input.rows, recurrent: recurrent.rows, bias: input.bias, recurrent_bias: recurrent.bias, order })
    }

    /// The device's nodes: `op` makes one of the kernels and whether it gives the cell. The states, if they are asked for, are nodes of
    /// their own: a cell is no row of the other's output, since it has another scale in int8 and a node has one output. So who reads it has
    /// the steps computed again.
    pub fn lower<O: DeviceOp + 'static>(
        &self,
        lowering: &mut Lowering<'_>,
        gates: usize,
        states: usize,
        op: impl Fn(Kernels, bool) -> O,
    ) -> Result<Value, String> {
        let kernels = self.kernels(lowering, gates)?;
        if !self.returns_states {
            return Ok(lowering.output(op(kernels, false)));
        }
        let (inputs, state) = (lowering.inputs.clone(), Shape::from([self.units]));
        let (hidden, output) = if self.sequences {
            // The hidden state is that of the step that comes last.
            let outputs = Shape::from([lowering.output_shape[0] - states, self.units]);
            let output = lowering.part("output", op(kernels.clone(), false), &inputs, outputs);
            let is_first = self.backwards && self.in_order;
            let slice = if is_first { ops::Slice::after(0) } else { ops::Slice::last(self.units) };
            (lowering.part("h", slice, &[output], state.clone()), output)
        } else {
            let hidden = lowering.part("h", op(kernels.clone(), false), &inputs, state.clone());
            (hidden, hidden)
        };
        let mut parts = vec![hidden];
        if states == 2 {
            parts.push(lowering.part("c", op(kernels, true), &inputs, state));
        }
        parts.push(output);
        Ok(lowering.pack(&parts))
    }

    /// The rows of all steps, behind those of the states.
    pub fn outputs(&self, states: usize) -> Slice {
        if self.sequences { Slice::rows(states..) } else { Slice::row(states) }.labelled("output")
    }

    /// What is to be put behind the layer when it is applied.
    pub fn activation_layer(&self, states: usize) -> Option<Arc<dyn Layer>> {
        self.returns_states.then(|| Arc::new(self.outputs(states)) as Arc<dyn Layer>)
    }

    /// Applies a layer, and gives its outputs and states.
    pub fn apply_with_states<const STATES: usize>(
        &self,
        layer: Arc<dyn Layer>,
        inputs: Vec<SymbolicTensor>,
    ) -> (SymbolicTensor, [SymbolicTensor; STATES]) {
        if !self.returns_states {
            let name = layer.base().name().map_or_else(|| snake_case(layer.kind()), str::to_owned);
            let fault = || {
                SymbolicTensor::of_fault(format!(
                    "layer '{name}' is asked for states, but gives none: add `return_state()` to it"
                ))
            };
            return (fault(), std::array::from_fn(|_| fault()));
        }
        let packed = SymbolicTensor::of_layer(layer.clone(), inputs, None, None);
        let part = |slice: Slice| SymbolicTensor::of_layer(Arc::new(slice), vec![packed.clone()], Some(layer.clone()), None);
        let outputs = part(self.outputs(STATES));
        (outputs, std::array::from_fn(|state| part(state_of(state))))
    }

    pub fn describe(&self) -> String {
        let flag = |is: bool, text: &str| if is { format!(", {text}") } else { String::new() };
        format!(
            "{} units{}{}{}{}{}",
            self.units,
            flag(self.sequences, "sequences"),
            flag(self.returns_states, "states"),
            flag(self.backwards && !self.in_order, "backwards"),
            flag(self.backwards && self.in_order, "backwards, outputs in order"),
            flag(self.stateful, "stateful")
        )
    }

    /// How samples of so many steps are walked, some of which may be shorter.
    fn walk<'a>(&self, steps: usize, lengths: Option<&'a [u32]>, mask: Option<&'a [f32]>) -> Walk<'a> {
        Walk { steps, backwards: self.backwards, in_order: self.in_order, lengths, mask }
    }

    /// Rows of the output before those of steps.
    fn rows_of_states<C: Cell>(&self) -> usize {
        if self.returns_states { C::STATES } else { 0 }
    }

    /// The mask among the inputs.
    fn mask_of(shapes: &[Shape], mut input: impl FnMut(usize) -> usize) -> Option<usize> {
        (shapes.len() > 1 && **shapes.last()? == [shapes[0][0], 1]).then(|| input(shapes.len() - 1))
    }

    /// The features in the order of steps, some dropped.
    fn gather(&self, inputs: &[f32], sizes: &Sizes, walk: Walk<'_>, random: Option<RandomKey>, to: &mut [f32]) {
        let width = sizes.features / sizes.samples.max(1);
        for (number, rows) in to.chunks_exact_mut(sizes.features.max(1)).enumerate() {
            for (sample, row) in rows.chunks_exact_mut(width).enumerate() {
                row.copy_from_slice(&inputs[walk.place(sample, number) * width..][..width]);
                if let Some(random) = random {
                    drop_row(row, self.dropout, random.of_sample(sample), 0);
                }
            }
        }
    }

    pub fn forward<C: Cell + Layer>(&self, cell: &C, pass: &mut Forward<'_>) {
        let sizes = Sizes::of::<C>(self, pass.input_shapes, pass.samples);
        let Sizes { steps, states, .. } = sizes;
        let mask = Self::mask_of(pass.input_shapes, |input| input).map(|input| pass.inputs.get(input));
        let walk = self.walk(steps, pass.lengths, mask);
        let random = pass.training.then_some(pass.random).filter(|_| self.recurrent_dropout > 0.0);
        let rounding = cell.base().inner_rounding().get();
        let (features, scratch) = pass.scratch.split_at_mut(steps * sizes.features);
        let (products, scratch) = scratch.split_at_mut(sizes.gates);
        let (dropped, scratch) = scratch.split_at_mut(states);
        let (last, scratch) = scratch.split_at_mut(states);
        let memory = if pass.saved.is_empty() { &mut scratch[..sizes.saved()] } else { &mut *pass.saved };
        let Memory { gates, extras, hidden, cells } = sizes.cut(memory);

        let of_inputs = pass.training.then_some(pass.random).filter(|_| self.dropout > 0.0);
        self.gather(pass.inputs.get(0), &sizes, walk, of_inputs, features);
        let width = C::GATES * self.units;
        let channels = pass.input_shapes[0].channels();
        let rows = steps * sizes.samples;
        let kernel = Matrix::new(pass.parameters.get(0), channels, width);
        multiply(gates, Matrix::new(features, rows, channels), kernel, false);
        let (bias, recurrent_bias) = self.biases(|| pass.parameters.get(2), width);
        if let Some(bias) = bias {
            add_bias(gates, bias);
        }
        hidden[..states].fill(0.0);
        cells.iter_mut().take(states).for_each(|value| *value = 0.0);
        for (sample, row) in pass.carried.chunks_exact(C::STATES * self.units).enumerate() {
            let own = sample * self.units..(sample + 1) * self.units;
            let (before, cells_before) = row.split_at(self.units);
            hidden[own.clone()].copy_from_slice(before);
            if C::STATES == 2 {
                cells[own].copy_from_slice(cells_before);
            }
        }
        if gives_states(pass.input_shapes) {
            hidden[..states].copy_from_slice(pass.inputs.get(1));
            if C::STATES == 2 {
                cells[..states].copy_from_slice(pass.inputs.get(2));
            }
        }
        let recurrent = Matrix::new(pass.parameters.get(1), self.units, width);
        for number in 0..steps {
            let (before, next) = hidden[number * states..].split_at_mut(states);
            let cells = cells.get_mut(number * states..).unwrap_or_default();
            let (cell_before, cell_next) = cells.split_at_mut(if C::STATES == 2 { states } else { 0 });
            let seen: &[f32] = if rounding.is_some() || random.is_some() {
                dropped.copy_from_slice(before);
                self.change_states(dropped, rounding, random);
                dropped
            } else {
                before
            };
            multiply(products, Matrix::new(seen, sizes.samples, self.units), recurrent, false);
            if let Some(bias) = recurrent_bias {
                add_bias(products, bias);
            }
            let gates = &mut gates[number * sizes.gates..][..sizes.gates];
            let extras = &mut extras[number * sizes.extras..][..sizes.extras];
            if cell.resets_first() {
                let step = Step { units: self.units, previous: [before, cell_before], products };
                cell.reset(step, gates, seen, extras);
                let of_last = recurrent.columns(width - self.units..width);
                multiply(last, Matrix::new(extras, sizes.samples, self.units), of_last, false);
                for (products, last) in products.chunks_exact_mut(width).zip(last.chunks_exact(self.units)) {
                    products[width - self.units..].copy_from_slice(last);
                }
            }
            let step = Step { units: self.units, previous: [before, cell_before], products };
            let (next, cell_next) = (&mut next[..states], cell_next.get_mut(..cell_before.len()).unwrap_or_default());
            Cell::forward(cell, step, gates, extras, [next, cell_next]);
            for sample in (0..sizes.samples).filter(|&sample| walk.is_masked(sample, number)) {
                let range = sample * self.units..(sample + 1) * self.units;
                next[range.clone()].copy_from_slice(&before[range.clone()]);
                if C::STATES == 2 {
                    cell_next[range.clone()].copy_from_slice(&cell_before[range]);
                }
            }
        }
        let (units, before) = (self.units, self.rows_of_states::<C>());
        let of_sample = |sample: usize, number: usize| number * states + sample * units..number * states + (sample + 1) * units;
        for (sample, row) in pass.carried.chunks_exact_mut(C::STATES * units).enumerate() {
            for (row, values) in row.chunks_exact_mut(units).zip([&*hidden, &*cells]) {
                row.copy_from_slice(&values[of_sample(sample, steps)]);
            }
        }
        for (sample, output) in pass.output.chunks_exact_mut(sizes.output_rows(self, before) * units).enumerate() {
            let (of_states, outputs) = output.split_at_mut(before * units);
            for (row, values) in of_states.chunks_exact_mut(units).zip([&*hidden, &*cells]) {
                row.copy_from_slice(&values[of_sample(sample, steps)]);
            }
            for (place, row) in outputs.chunks_exact_mut(units).enumerate() {
                let number = if self.sequences { walk.row(sample, place) } else { steps - 1 };
                row.copy_from_slice(&hidden[of_sample(sample, number + 1)]);
                if self.zeros_masked && walk.is_masked(sample, number) {
                    row.fill(0.0);
                }
            }
        }
    }

    /// The bias of the inputs' products, and that of the states', of a parameter `[width]` or `[2, width]`.
    fn biases<'a>(&self, bias: impl FnOnce() -> &'a [f32], width: usize) -> (Option<&'a [f32]>, Option<&'a [f32]>) {
        if !self.has_bias {
            return (None, None);
        }
        let (bias, recurrent) = bias().split_at(width);
        (Some(bias), (!recurrent.is_empty()).then_some(recurrent))
    }

    /// Whether the layer drops values, which is all that training changes in its forward pass.
    pub const fn drops(&self) -> bool {
        self.dropout > 0.0 || self.recurrent_dropout > 0.0
    }

    /// Makes of the hidden state what the products see.
    fn change_states(&self, values: &mut [f32], rounding: Option<Rounding>, random: Option<RandomKey>) {
        if let Some(rounding) = rounding {
            rounding.apply(values);
        }
        if let Some(random) = random {
            self.drop_states(values, random);
        }
    }

    fn drop_states(&self, values: &mut [f32], random: RandomKey) {
        for (sample, row) in values.chunks_exact_mut(self.units).enumerate() {
            drop_row(row, self.recurrent_dropout, random.of_sample(sample), 1 << 20);
        }
    }

    pub fn backward<C: Cell + Layer>(&self, cell: &C, pass: &mut Backward<'_>) {
        let sizes = Sizes::of::<C>(self, pass.input_shapes, pass.samples);
        let Sizes { steps, states, .. } = sizes;
        let (units, width, channels) = (self.units, C::GATES * self.units, pass.input_shapes[0].channels());
        let mask = Self::mask_of(pass.input_shapes, |input| input).map(|input| pass.inputs.get(input));
        let walk = self.walk(steps, pass.lengths, mask);
        let saved = sizes.parts(pass.saved);
        let (gates, scratch) = pass.scratch.split_at_mut(steps * sizes.gates);
        let (products, scratch) = scratch.split_at_mut(steps * sizes.gates);
        let (features, scratch) = scratch.split_at_mut(steps * sizes.features);
        let (hidden, scratch) = scratch.split_at_mut(steps * states);
        let (gradients, scratch) = scratch.split_at_mut(states);
        let (cell_gradients, scratch) = scratch.split_at_mut(states);
        let (previous, scratch) = scratch.split_at_mut(states);
        let (cell_previous, scratch) = scratch.split_at_mut(states);
        let (through, scratch) = scratch.split_at_mut(states);
        // The gradients of the last gate's products, where these are of another state than the others'.
        let last = &mut scratch[..if cell.resets_first() { steps * sizes.gates } else { 0 }];
        gates.copy_from_slice(saved.gates);
        hidden.copy_from_slice(&saved.hidden[..steps * states]);
        let (rounding, random) = (cell.base().inner_rounding().get(), (self.recurrent_dropout > 0.0).then_some(pass.random));
        hidden.chunks_exact_mut(states).for_each(|values| self.change_states(values, rounding, random));
        let before = self.rows_of_states::<C>();
        let output_size = sizes.output_rows(self, before) * units;
        for (state, gradients) in [&mut *gradients, &mut *cell_gradients].into_iter().enumerate() {
            gradients.fill(0.0);
            for (row, output) in gradients.chunks_exact_mut(units).zip(pass.output_gradient.chunks_exact(output_size)) {
                if state < before {
                    row.copy_from_slice(&output[state * units..][..units]);
                }
            }
        }
        let recurrent = Matrix::new(pass.parameters.get(1), units, width).transposed();
        for number in (0..steps).rev() {
            let is_masked = |sample: usize| walk.is_masked(sample, number);
            if self.sequences || number + 1 == steps {
                for (sample, row) in gradients.chunks_exact_mut(units).enumerate() {
                    if self.zeros_masked && self.sequences && is_masked(sample) {
                        continue;
                    }
                    let place = if self.sequences { walk.row(sample, number) } else { 0 };
                    let output = &pass.output_gradient[sample * output_size + (before + place) * units..][..units];
                    row.iter_mut().zip(output).for_each(|(sum, part)| *sum += part);
                }
            }
            let state = |values: &'_ [f32], at: usize| -> std::ops::Range<usize> {
                if values.is_empty() { 0..0 } else { at * states..(at + 1) * states }
            };
            let (now, after) = (state(saved.cells, number), state(saved.cells, number + 1));
            let step = Step { units, previous: [&saved.hidden[number * states..][..states], &saved.cells[now]], products: &[] };
            let gates = &mut gates[number * sizes.gates..][..sizes.gates];
            let products = &mut products[number * sizes.gates..][..sizes.gates];
            previous.fill(0.0);
            cell_previous.fill(0.0);
            let after = After {
                extras: &saved.extras[number * sizes.extras..][..sizes.extras],
                states: [&saved.hidden[(number + 1) * states..][..states], &saved.cells[after]],
                gradients: [gradients, cell_gradients],
            };
            Cell::backward(cell, step, after, gates, products, [previous, cell_previous]);
            for sample in (0..sizes.samples).filter(|&sample| is_masked(sample)) {
                gates[sample * width..][..width].fill(0.0);
                products[sample * width..][..width].fill(0.0);
            }
            // What comes through the products, past what was dropped.
            if cell.resets_first() {
                let last = &mut last[number * sizes.gates..][..sizes.gates];
                last.fill(0.0);
                for (last, products) in last.chunks_exact_mut(width).zip(products.chunks_exact_mut(width)) {
                    last[width - units..].copy_from_slice(&products[width - units..]);
                    products[width - units..].fill(0.0);
                }
                multiply(through, Matrix::new(last, sizes.samples, width), recurrent, false);
                cell.reset_backward(units, gates, products, &hidden[number * states..][..states], through);
            }
            multiply(through, Matrix::new(products, sizes.samples, width), recurrent, cell.resets_first());
            if self.recurrent_dropout > 0.0 {
                self.drop_states(through, pass.random);
            }
            previous.iter_mut().zip(&*through).for_each(|(sum, part)| *sum += part);
            for sample in (0..sizes.samples).filter(|&sample| is_masked(sample)) {
                let range = sample * units..(sample + 1) * units;
                previous[range.clone()].copy_from_slice(&gradients[range.clone()]);
                cell_previous[range.clone()].copy_from_slice(&cell_gradients[range]);
            }
            gradients.copy_from_slice(previous);
            cell_gradients.copy_from_slice(cell_previous);
        }

        let rows = steps * sizes.samples;
        let random = (self.dropout > 0.0).then_some(pass.random);
        self.gather(pass.inputs.get(0), &sizes, walk, random, features);
        if let Some(sums) = pass.parameter_gradients.get_mut(0) {
            let features = Matrix::new(features, rows, channels).transposed();
            multiply(sums, features, Matrix::new(gates, rows, width), true);
        }
        if let Some(sums) = pass.parameter_gradients.get_mut(1) {
            let hidden = Matrix::new(hidden, rows, units).transposed();
            multiply(sums, hidden, Matrix::new(products, rows, width), true);
            if cell.resets_first() {
                let reset = Matrix::new(saved.extras, rows, units).transposed();
                multiply(sums, reset, Matrix::new(last, rows, width), true);
            }
        }
        if self.has_bias
            && let Some(sums) = pass.parameter_gradients.get_mut(2)
        {
            let (bias, recurrent_bias) = sums.split_at_mut(width);
            add_column_sums(bias, gates);
            if !recurrent_bias.is_empty() {
                add_column_sums(recurrent_bias, products);
            }
        }
        let states = [&*gradients, &*cell_gradients];
        for (number, gradient) in
            states.into_iter().enumerate().take(if gives_states(pass.input_shapes) { C::STATES } else { 0 })
        {
            if let Some(slot) = pass.input_gradients.get_mut(1 + number) {
                slot.add(gradient);
            }
        }
        let Some(slot) = pass.input_gradients.get_mut(0) else { return };
        let kernel = Matrix::new(pass.parameters.get(0), channels, width).transposed();
        multiply(features, Matrix::new(gates, rows, width), kernel, false);
        for (number, rows) in features.chunks_exact_mut(sizes.features).enumerate() {
            for (sample, row) in rows.chunks_exact_mut(channels).enumerate() {
                if let Some(random) = random {
                    drop_row(row, self.dropout, random.of_sample(sample), 0);
                }
                let to = &mut slot.values[walk.place(sample, number) * channels..][..channels];
                for (to, part) in to.iter_mut().zip(row) {
                    *to = if slot.accumulate { *to + *part } else { *part };
                }
            }
        }
    }
}

/// Whether initial states are among the inputs.
fn gives_states(inputs: &[Shape]) -> bool {
    inputs.get(1).is_some_and(|shape| shape.len() == 1)
}

/// Which steps of samples come when, and which are as absent.
#[derive(Debug, Clone, Copy)]
struct Walk<'a> {
    steps: usize,
    backwards: bool,
    in_order: bool,
    lengths: Option<&'a [u32]>,
    mask: Option<&'a [f32]>,
}

impl Walk<'_> {
    /// Where among all samples' steps that one lies which comes as number `number`; those that a sample does not have come last.
    fn place(&self, sample: usize, number: usize) -> usize {
        let length = self.lengths.map_or(self.steps, |lengths| lengths[sample] as usize);
        sample * self.steps + if self.backwards && number < length { length - 1 - number } else { number }
    }

    /// The row of the output of the step that comes as number `number`; asked of a row, the number of its step: the order turns around
    /// or not.
    fn row(&self, sample: usize, number: usize) -> usize {
        if self.in_order { self.place(sample, number) - sample * self.steps } else { number }
    }

    fn is_masked(&self, sample: usize, number: usize) -> bool {
        self.lengths.is_some_and(|lengths| number >= lengths[sample] as usize)
            || self.mask.is_some_and(|mask| mask[self.place(sample, number)] == 0.0)
    }
}

/// The row of a state in the output of a layer that gives states.
pub(super) fn state_of(state: usize) -> Slice {
    Slice::row(state).labelled(["h", "c"][state])
}

/// Drops some values of a row and scales the others, the same for each step of a sample.
fn drop_row(row: &mut [f32], rate: f32, key: u64, first: usize) {
    let threshold = (f64::from(rate) * 2f64.powi(32)) as u32;
    let scale = 1.0 / (1.0 - rate);
    for (place, value) in row.iter_mut().enumerate() {
        *value *= if random_word(key, first + place) >= threshold { scale } else { 0.0 };
    }
}

/// Numbers of values: of each step of all samples, but for `steps` and `samples`.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    steps: usize,
    samples: usize,
    features: usize,
    gates: usize,
    extras: usize,
    states: usize,
    cells: usize,
}

/// What `forward` leaves for `backward`.
struct Memory<T> {
    gates: T,
    extras: T,
    /// The states before each step and after the last.
    hidden: T,
    cells: T,
}

impl Sizes {
    fn of<C: Cell>(layer: &Recurrent, inputs: &[Shape], samples: usize) -> Self {
        let states = samples * layer.units;
        Self {
            steps: inputs[0][0],
            samples,
            features: samples * inputs[0].channels(),
            gates: C::GATES * states,
            extras: C::EXTRAS * states,
            states,
            cells: (C::STATES - 1) * states,
        }
    }

    /// Rows of a sample's output, so many of them for states.
    fn output_rows(&self, layer: &Recurrent, of_states: usize) -> usize {
        of_states + if layer.sequences { self.steps } else { 1 }
    }

    fn saved(&self) -> usize {
        self.steps * (self.gates + self.extras) + (self.steps + 1) * (self.states + self.cells)
    }

    fn cut<'a>(&self, memory: &'a mut [f32]) -> Memory<&'a mut [f32]> {
        let (gates, memory) = memory.split_at_mut(self.steps * self.gates);
        let (extras, memory) = memory.split_at_mut(self.steps * self.extras);
        let (hidden, cells) = memory.split_at_mut((self.steps + 1) * self.states);
        Memory { gates, extras, hidden, cells: &mut cells[..(self.steps + 1) * self.cells] }
    }

    fn parts<'a>(&self, memory: &'a [f32]) -> Memory<&'a [f32]> {
        let (gates, memory) = memory.split_at(self.steps * self.gates);
        let (extras, memory) = memory.split_at(self.steps * self.extras);
        let (hidden, cells) = memory.split_at((self.steps + 1) * self.states);
        Memory { gates, extras, hidden, cells: &cells[..(self.steps + 1) * self.cells] }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::harness::Harness;
    use super::super::{Apply, Gru, Lstm};
    use super::*;
    use crate::Model;
    use crate::graph::input;

    #[test]
    fn states_are_asked_of_layers_that_give_them() {
        let x = input([4, 3]);
        let given = Gru::new(2).return_state();
        let (output, [hidden]) = given.apply_with_states(&x);
        let model = Model::new("m", &x, [&output, &hidden, &given.apply(&x)]).unwrap();
        let names: Vec<&str> = model.graph().nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["input", "gru", "gru/output", "gru/h", "gru@1", "gru/output_1"]);
        let (output, _) = Gru::new(2).apply_with_states(&x);
        let message = Model::new("m", &x, output).unwrap_err().to_string();
        assert!(message.contains("layer 'gru' is asked for states, but gives none: add `return_state()` to it"), "{message}");
    }

    #[test]
    fn a_hidden_state_beside_outputs_is_a_row_of_them() {
        let x = input([4, 3]);
        let ops = |layer: Lstm, has_cell: bool| {
            let (y, [hidden, cell]) = layer.return_sequences().return_state().apply_with_states(&x);
            let outputs = if has_cell { vec![y, hidden, cell] } else { vec![y, hidden] };
            let graph = Model::new("m", &x, outputs).unwrap().device_graph().unwrap();
            let is_slice = |op: &dyn std::fmt::Debug| format!("{op:?}").starts_with("Slice");
            graph.nodes.iter().map(|node| (node.name.clone(), is_slice(&node.op))).collect::<Vec<_>>()
        };
        let of = |name: &str, is_slice| (name.to_owned(), is_slice);
        assert_eq!(ops(Lstm::new(2), false), [of("lstm/output", false), of("lstm/h", true)]);
        // A cell has another scale in int8.
        assert_eq!(ops(Lstm::new(2).go_backwards(), true), [of("lstm/output", false), of("lstm/h", true), of("lstm/c", false)]);
    }

    #[test]
    fn what_a_device_cannot_have_is_told() {
        let (x, state, mask) = (input([4, 3]), input([2]), input([4, 1]));
        let refused = |inputs: &[&SymbolicTensor], layer: Gru| {
            let inputs: Vec<SymbolicTensor> = inputs.iter().map(|&input| input.clone()).collect();
            let output = layer.apply(&inputs[..]);
            Model::new("m", inputs, output).unwrap().export_f32().unwrap_err().to_string()
        };
        let message = refused(&[&x, &state], Gru::new(2).stateful());
        assert!(message.contains("it begins each run with the states it is given, and so cannot be `stateful`"), "{message}");
        let message = refused(&[&x, &mask], Gru::new(2));
        assert!(message.contains("a mask that comes as a tensor is not there on the device"), "{message}");
    }

    /// Checks that steps that are masked change neither outputs nor gradients of a layer of 2 units.
    pub fn masked_steps_are_as_absent(layers: &[(&dyn Layer, bool)]) {
        // Padding at the end, at the start and in between, in the samples of one batch; features there are large.
        let mask = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        for &(layer, sequences) in layers {
            let mut harness = Harness::new(layer, &[Shape::from([4, 3]), Shape::from([4, 1])], 4);
            harness.inputs[1].copy_from_slice(&mask);
            for (row, &mask) in harness.inputs[0].chunks_exact_mut(3).zip(&mask) {
                if mask == 0.0 {
                    row.fill(1e3);
                }
            }
            harness.forward();
            harness.backward(true, false);
            let (output, size) = (harness.output.clone(), harness.output_shape.size());
            let mut kernel = vec![0.0; harness.gradient(0).len()];
            for sample in 0..4 {
                // The same sample without its padding.
                let real: Vec<usize> = (0..4).filter(|step| mask[sample * 4 + step] != 0.0).collect();
                if real.is_empty() {
                    assert!(output[sample * size..][..size].iter().all(|&value| value == 0.0));
                    continue;
                }
                let mut alone = Harness::new(layer, &[Shape::from([real.len(), 3])], 1);
                for parameter in 0..3 {
                    let values = harness.parameter_mut(parameter).to_vec();
                    alone.parameter_mut(parameter).copy_from_slice(&values);
                }
                for (row, step) in alone.inputs[0].chunks_exact_mut(3).zip(&real) {
                    row.copy_from_slice(&harness.inputs[0][(sample * 4 + step) * 3..][..3]);
                }
                let last = alone.forward().len() - 2;
                assert_eq!(alone.output[last..], output[sample * size..][size - 2..size], "sample {sample}");
                if !sequences {
                    alone.output_gradient.copy_from_slice(&harness.output_gradient[sample * size..][..size]);
                    alone.backward(true, false);
                    kernel.iter_mut().zip(alone.gradient(0)).for_each(|(sum, part)| *sum += part);
                }
            }
            for (place, &mask) in mask.iter().enumerate().filter(|_| !sequences) {
                let gradient = &harness.input_gradients[0][place * 3..][..3];
                assert_eq!(gradient.iter().all(|&value| value == 0.0), mask == 0.0, "{place}: {gradient:?}");
            }
            if !sequences {
                for (found, wanted) in harness.gradient(0).iter().zip(&kernel) {
                    assert!((found - wanted).abs() <= 1e-6 * (1.0 + wanted.abs()), "{found} with padding, {wanted} without");
                }
            }
        }
    }
}
