//! Bidirectional (Schuster and Paliwal 1997): a recurrent layer that goes forward, one that goes backward, and what merges their
//! outputs. No layer of its own, but two layers and a merge under a name, as in a model that is applied: nodes
//! `bidirectional/forward_lstm`, `bidirectional/backward_lstm`, `bidirectional/concatenate`, parameters
//! `bidirectional/forward_lstm/kernel` and so on, as in Keras.
//!
//! Inputs `[T, C]`; outputs `[units]` each, or `[T, units]`, those of both layers in the order of steps, merged. Where a mask is 0,
//! rows are zeros, as in Keras.

use std::sync::Arc;

use super::recurrent::{Recurrent, state_of};
use super::{Add, Average, Concatenate, Gru, Layer, Lstm, Multiply, SimpleRnn, Slice};
use crate::graph::{Application, Apply, IntoInputs, Named, Scope, SymbolicTensor, snake_case};

/// What becomes of the two outputs of a [`Bidirectional`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MergeMode {
    /// Side by side, the forward layer's first.
    #[default]
    Concat,
    /// Their sum.
    Sum,
    /// Their product, value by value.
    Mul,
    /// Their mean.
    Ave,
}

/// A layer that [`Bidirectional`] takes.
#[derive(Debug, Clone)]
pub enum RecurrentLayer {
    /// A long short-term memory.
    Lstm(Lstm),
    /// A gated recurrent unit.
    Gru(Gru),
    /// A plain recurrent layer.
    SimpleRnn(SimpleRnn),
}

/// An expression with the layer, of whatever kind.
macro_rules! with_layer {
    ($own:expr, $layer:ident => $result:expr) => {
        match $own {
            RecurrentLayer::Lstm($layer) => $result,
            RecurrentLayer::Gru($layer) => $result,
            RecurrentLayer::SimpleRnn($layer) => $result,
        }
    };
}

macro_rules! from_layers {
    ($($kind:ident),+) => {
        $(impl From<$kind> for RecurrentLayer {
            fn from(layer: $kind) -> Self {
                Self::$kind(layer)
            }
        })+
    };
}

from_layers!(Lstm, Gru, SimpleRnn);

impl RecurrentLayer {
    /// A new layer of this configuration, as a part of a [`Bidirectional`]; backward, its outputs have the order of steps.
    fn part(mut self, direction: &str) -> Part {
        with_layer!(&mut self, layer => {
            let own = layer.base().name().map_or_else(|| snake_case(layer.kind()), str::to_owned);
            let name = format!("{direction}_{}", own.strip_prefix(&format!("{direction}_")).unwrap_or(&own));
            *layer.base_mut() = layer.base().anew();
            let recurrent = layer.recurrent_mut();
            (recurrent.in_order, recurrent.zeros_masked) = (recurrent.backwards, recurrent.sequences);
            let recurrent = recurrent.clone();
            Part { name, states: layer.states(), layer: Arc::new(layer.clone()), recurrent }
        })
    }
}

/// One of the two layers, and what is to be known of it.
#[derive(Debug, Clone)]
struct Part {
    name: String,
    layer: Arc<dyn Layer>,
    recurrent: Recurrent,
    states: usize,
}

/// Two recurrent layers, one of which goes backward. It is applied like a layer, and shares its parameters where it is applied again.
///
/// ```
/// use samara_trainer::prelude::*;
///
/// let words = input([20]).named("words");
/// let x = Embedding::new(1000, 16).apply(&words);
/// let x = Bidirectional::new(Lstm::new(8).return_sequences()).apply(&x);
/// let x = Bidirectional::new(Gru::new(4)).merge_mode(MergeMode::Sum).named("summary").apply(&x);
/// let model = Model::new("reviews", &words, Dense::new(1).activation(Activation::Sigmoid).apply(x))?;
/// assert_eq!(model.tensor("bidirectional/concatenate")?.shape(), Some(&Shape::from([20, 16])));
/// assert_eq!(model.parameter("summary/backward_gru/kernel")?.len(), 16 * 12);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Bidirectional {
    name: Arc<str>,
    forward: Part,
    backward: Part,
    merge_mode: MergeMode,
    merge: Arc<dyn Layer>,
}

impl Bidirectional {
    /// A new layer of this configuration and one that is equal but goes backward, their outputs side by side.
    pub fn new(layer: impl Into<RecurrentLayer>) -> Self {
        let forward = layer.into();
        let mut backward = forward.clone();
        with_layer!(&mut backward, layer => layer.recurrent_mut().backwards ^= true);
        let (forward, backward) = (forward.part("forward"), backward.part("backward"));
        let merge_mode = MergeMode::default();
        Self { name: "bidirectional".into(), forward, backward, merge_mode, merge: merge_mode.layer() }
    }

    /// Goes backward by a new layer of this configuration, which says `go_backwards`.
    pub fn backward_layer(mut self, layer: impl Into<RecurrentLayer>) -> Self {
        self.backward = layer.into().part("backward");
        self
    }

    /// Merges the outputs another way.
    pub fn merge_mode(mut self, mode: MergeMode) -> Self {
        (self.merge_mode, self.merge) = (mode, mode.layer());
        self
    }

    /// What cannot be applied to so many tensors, in a sentence.
    fn fault(&self, rest: usize) -> Option<String> {
        let Self { name, forward, backward, .. } = self;
        let states = forward.states + backward.states;
        if forward.recurrent.backwards {
            Some(format!(
                "layer '{name}' goes forward by a layer with `go_backwards`: leave that out, the backward layer is made of it"
            ))
        } else if !backward.recurrent.backwards {
            Some(format!("layer '{name}' goes backward by a layer that goes forward: add `go_backwards()` to it"))
        } else if forward.recurrent.sequences != backward.recurrent.sequences {
            let [with, without] = if forward.recurrent.sequences { ["forward", "backward"] } else { ["backward", "forward"] };
            Some(format!(
                "layer '{name}' has `return_sequences` in its {with} layer, but not in its {without} layer: both or neither"
            ))
        } else if forward.recurrent.returns_states != backward.recurrent.returns_states {
            let [with, without] =
                if forward.recurrent.returns_states { ["forward", "backward"] } else { ["backward", "forward"] };
            Some(format!(
                "layer '{name}' has `return_state` in its {with} layer, but not in its {without} layer: both or neither"
            ))
        } else if rest != 0 && rest != states {
            Some(format!(
                "layer '{name}' was given {rest} initial states: expected none, or {}, those of the forward layer first",
                states
            ))
        } else {
            None
        }
    }
}

impl MergeMode {
    fn layer(self) -> Arc<dyn Layer> {
        match self {
            Self::Concat => Arc::new(Concatenate::new()),
            Self::Sum => Arc::new(Add::new()),
            Self::Mul => Arc::new(Multiply::new()),
            Self::Ave => Arc::new(Average::new()),
        }
    }
}

impl Bidirectional {
    /// As [`apply`](Apply::apply), for layers with `return_state`: the merged outputs, and the states after the last step of each walk,
    /// those of the forward layer first.
    pub fn apply_with_states(&self, inputs: impl IntoInputs) -> (SymbolicTensor, Vec<SymbolicTensor>) {
        match self.applied(inputs.into_inputs()).and_then(|applied| self.with_states(applied)) {
            Ok(applied) => (self.merged(&applied), applied.states),
            Err(fault) => (SymbolicTensor::of_fault(fault), Vec::new()),
        }
    }

    /// As [`apply`](Apply::apply), but without a merge, Keras's `merge_mode=None`: the forward layer's outputs and the backward layer's, which
    /// have the order of steps.
    pub fn apply_separately(&self, inputs: impl IntoInputs) -> [SymbolicTensor; 2] {
        self.applied(inputs.into_inputs()).map_or_else(two_faults, |applied| applied.outputs)
    }

    /// As [`apply_separately`](Self::apply_separately), for layers with `return_state`: behind the outputs the states, as of
    /// [`apply_with_states`](Self::apply_with_states).
    pub fn apply_separately_with_states(&self, inputs: impl IntoInputs) -> ([SymbolicTensor; 2], Vec<SymbolicTensor>) {
        match self.applied(inputs.into_inputs()).and_then(|applied| self.with_states(applied)) {
            Ok(Applied { outputs, states, .. }) => (outputs, states),
            Err(fault) => (two_faults(fault), Vec::new()),
        }
    }

    /// Lets `stateful` layers in it begin anew, in all models they are part of.
    pub fn reset_states(&self) {
        [&self.forward, &self.backward].into_iter().for_each(|part| part.layer.base().reset_states());
    }

    fn with_states(&self, applied: Applied) -> Result<Applied, String> {
        if applied.states.is_empty() {
            let name = &self.name;
            return Err(format!("layer '{name}' is asked for states, but gives none: add `return_state()` to the layer in it"));
        }
        Ok(applied)
    }

    fn merged(&self, Applied { application, outputs, .. }: &Applied) -> SymbolicTensor {
        node(application, snake_case(self.merge.kind()), self.merge.clone(), outputs.to_vec(), None)
    }

    fn applied(&self, inputs: Vec<SymbolicTensor>) -> Result<Applied, String> {
        let mut given = inputs.into_iter();
        let sequence = given.next().ok_or_else(|| format!("layer '{}' without inputs: expected a sequence", self.name))?;
        let mut given: Vec<SymbolicTensor> = given.collect();
        let steps = sequence.shape().and_then(|shape| shape.first().copied());
        let is_mask =
            |tensor: &SymbolicTensor| steps.is_some_and(|steps| tensor.shape().is_some_and(|shape| shape[..] == [steps, 1]));
        let mask = given.pop_if(|last| is_mask(last));
        if let Some(fault) = self.fault(given.len()) {
            return Err(fault);
        }
        let application = Arc::new(Application(self.name.clone()));
        let mut states = Vec::new();
        let mut part = |Part { name, layer, recurrent, states: count }: &Part, given: &[SymbolicTensor]| {
            let inputs = std::iter::once(&sequence).chain(given).chain(&mask).cloned().collect();
            let own = node(&application, name.clone(), layer.clone(), inputs, None);
            if !recurrent.returns_states {
                return own;
            }
            let slice = |slice: Slice| {
                let name = format!("{name}/{}", slice.describe());
                node(&application, name, Arc::new(slice), vec![own.clone()], Some(layer.clone()))
            };
            states.extend((0..*count).map(|state| slice(state_of(state))));
            slice(recurrent.outputs(*count))
        };
        let (of_forward, of_backward) = given.split_at(if given.is_empty() { 0 } else { self.forward.states });
        let outputs = [part(&self.forward, of_forward), part(&self.backward, of_backward)];
        Ok(Applied { application, outputs, states })
    }
}

/// What an application gives before the merge.
struct Applied {
    application: Arc<Application>,
    outputs: [SymbolicTensor; 2],
    /// Of layers that give them.
    states: Vec<SymbolicTensor>,
}

fn node(
    application: &Arc<Application>,
    name: String,
    layer: Arc<dyn Layer>,
    inputs: Vec<SymbolicTensor>,
    part_of: Option<Arc<dyn Layer>>,
) -> SymbolicTensor {
    let scope = Scope { application: application.clone(), node: name, scopes: Vec::new() };
    SymbolicTensor::of_layer(layer, inputs, part_of, Some(scope))
}

/// One fault, told once: the other tensor comes of the first.
fn two_faults(fault: String) -> [SymbolicTensor; 2] {
    let tensor = SymbolicTensor::of_fault(fault);
    [tensor.clone(), tensor]
}

impl Apply for Bidirectional {
    /// Applies it to a sequence; perhaps to initial states behind it, those of the forward layer first; perhaps to a mask behind
    /// these, which both layers see.
    fn apply_to(&self, inputs: Vec<SymbolicTensor>) -> SymbolicTensor {
        self.applied(inputs).map_or_else(SymbolicTensor::of_fault, |applied| self.merged(&applied))
    }
}

impl Named for Bidirectional {
    fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Tensor;
    use crate::graph::{Shape, input};
    use crate::layers::Subtract;
    use crate::numeric::random::Random;
    use crate::{Error, Model};

    fn draw(shape: &[usize]) -> Tensor {
        let mut random = Random::new(5, 0);
        let values = (0..shape.iter().product()).map(|_| (random.uniform() * 2.0 - 1.0) as f32).collect();
        Tensor::new(shape.to_vec(), values).unwrap()
    }

    fn model(layer: &Bidirectional) -> Model {
        let x = input([5, 3]);
        let mut model = Model::new("m", &x, layer.apply(&x)).unwrap();
        model.initialize(3);
        model
    }

    /// What one layer gives alone, with the weights that it has in the model, of inputs back to front or not.
    fn alone(layer: impl Into<RecurrentLayer>, from: &Model, name: &str, data: &Tensor, is_turned: bool) -> Vec<f32> {
        let x = input([5, 3]);
        let output = with_layer!(layer.into(), layer => layer.named("own").apply(&x));
        let alone = Model::new("alone", &x, output).unwrap();
        for parameter in ["kernel", "recurrent_kernel", "bias"] {
            let values = from.parameter(&format!("bidirectional/{name}/{parameter}")).unwrap();
            alone.set_parameter(&format!("own/{parameter}"), &values).unwrap();
        }
        let steps = data.values().chunks(15).flat_map(|sample| sample.chunks(3).rev().flatten());
        let turned = Tensor::new([2, 5, 3], steps.copied().collect()).unwrap();
        alone.predict(if is_turned { &turned } else { data }).unwrap().values().to_vec()
    }

    #[test]
    fn both_directions_are_merged_step_by_step() {
        let data = draw(&[2, 5, 3]);
        let own = || Gru::new(2).return_sequences();
        let model = |mode| model(&Bidirectional::new(own()).merge_mode(mode));
        let (forward, backward) = {
            let model = model(MergeMode::Concat);
            let forward = alone(own(), &model, "forward_gru", &data, false);
            (forward, alone(own(), &model, "backward_gru", &data, true))
        };
        // What the backward layer gave after the steps from the last to this one.
        let turned = backward.chunks(10).flat_map(|sample| sample.chunks(2).rev());
        let pairs: Vec<(&[f32], &[f32])> = forward.chunks(2).zip(turned).collect();
        let expected = |merge: fn(f32, f32) -> f32| -> Vec<f32> {
            pairs.iter().flat_map(|(a, b)| [merge(a[0], b[0]), merge(a[1], b[1])]).collect()
        };
        let found = |mode| model(mode).predict(&data).unwrap().values().to_vec();
        assert_eq!(found(MergeMode::Concat), pairs.iter().flat_map(|(a, b)| [*a, *b].concat()).collect::<Vec<_>>());
        assert_eq!(found(MergeMode::Sum), expected(|a, b| a + b));
        assert_eq!(found(MergeMode::Mul), expected(|a, b| a * b));
        assert_eq!(found(MergeMode::Ave), expected(|a, b| (a + b) / 2.0));
    }

    #[test]
    fn without_a_merge_both_outputs_are_as_those_of_the_layers_alone() {
        let data = draw(&[2, 5, 3]);
        let x = input([5, 3]);
        let layer = Bidirectional::new(Lstm::new(2).return_sequences().return_state());
        let ([forward, backward], states) = layer.apply_separately_with_states(&x);
        let outputs: Vec<SymbolicTensor> = [forward, backward].into_iter().chain(states).collect();
        let mut model = Model::new("m", &x, outputs).unwrap();
        model.initialize(3);
        let found = model.predict_all(&data).unwrap();
        let own = || Lstm::new(2).return_sequences();
        assert_eq!(found[0].values(), alone(own(), &model, "forward_lstm", &data, false));
        let backward = alone(own(), &model, "backward_lstm", &data, true);
        let turned: Vec<f32> = backward.chunks(10).flat_map(|sample| sample.chunks(2).rev().flatten().copied()).collect();
        assert_eq!(found[1].values(), turned);
        // The hidden states after the last step of each walk.
        for sample in 0..2 {
            assert_eq!(found[2].sample(sample).unwrap()[..], found[0].sample(sample).unwrap()[8..]);
            assert_eq!(found[4].sample(sample).unwrap()[..], found[1].sample(sample).unwrap()[..2]);
        }
        let names: Vec<&str> = model.graph().nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names[1..3], ["bidirectional/forward_lstm", "bidirectional/forward_lstm/h"]);
        assert!(!names.contains(&"bidirectional/concatenate"));
        let [forward, backward] = Bidirectional::new(Gru::new(2)).apply_separately(&x);
        let last = Model::new("m", &x, Subtract::new().apply([&forward, &backward])).unwrap();
        assert_eq!(last.tensor("subtract").unwrap().shape(), Some(&Shape::from([2])));
    }

    #[test]
    fn without_a_merge_a_fault_is_told_once() {
        let x = input([5, 3]);
        let outputs = Bidirectional::new(Gru::new(2).go_backwards()).apply_separately(&x);
        let Err(Error::Graph { faults, .. }) = Model::new("m", &x, Add::new().apply(&outputs[..])) else { panic!() };
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[1].contains("goes forward by a layer with `go_backwards`"), "{faults:?}");
        let (outputs, _) = Bidirectional::new(Gru::new(2)).apply_separately_with_states(&x);
        let message = Model::new("m", &x, Add::new().apply(&outputs[..])).unwrap_err().to_string();
        assert!(message.contains("layer 'bidirectional' is asked for states, but gives none"), "{message}");
    }

    #[test]
    fn without_sequences_the_last_states_are_merged() {
        let data = draw(&[2, 5, 3]);
        let model = model(&Bidirectional::new(Lstm::new(2)).backward_layer(SimpleRnn::new(1).go_backwards()));
        let forward = alone(Lstm::new(2), &model, "forward_lstm", &data, false);
        let backward = alone(SimpleRnn::new(1), &model, "backward_simple_rnn", &data, true);
        let expected = [&forward[..2], &backward[..1], &forward[2..], &backward[1..]].concat();
        assert_eq!(model.predict(&data).unwrap().values(), expected);
    }

    #[test]
    fn initial_states_go_to_the_layer_they_belong_to() {
        let (x, states) = (input([5, 3]), [input([2]), input([2])]);
        let output = Bidirectional::new(SimpleRnn::new(2)).apply([&x, &states[0], &states[1]]);
        let model = Model::new("m", [&x, &states[0], &states[1]], output).unwrap();
        let (data, zeros, ones) = (draw(&[2, 5, 3]), Tensor::new([2, 2], vec![0.0; 4]), Tensor::new([2, 2], vec![1.0; 4]));
        let (zeros, ones) = (zeros.unwrap(), ones.unwrap());
        let of = |states: [&Tensor; 2]| {
            let output = model.predict(&[data.clone(), states[0].clone(), states[1].clone()]).unwrap();
            output.values().to_vec()
        };
        let (without, forward, backward) = (of([&zeros; 2]), of([&ones, &zeros]), of([&zeros, &ones]));
        for place in 0..without.len() {
            assert_eq!(without[place] != forward[place], place % 4 < 2, "{place}");
            assert_eq!(without[place] != backward[place], place % 4 >= 2, "{place}");
        }
    }

    #[test]
    fn masked_steps_are_zeros_in_rows_and_as_absent_for_both() {
        let (x, mask) = (input([5, 3]), input([5, 1]));
        let output = Bidirectional::new(Lstm::new(2).return_sequences()).apply([&x, &mask]);
        let mut masked = Model::new("m", [&x, &mask], output).unwrap();
        masked.initialize(3);
        let short = input([3, 3]);
        let output = Bidirectional::new(Lstm::new(2).return_sequences()).apply(&short);
        let alone = Model::new("alone", &short, output).unwrap();
        for entry in masked.parameters() {
            alone.set_parameter(&entry.name, &entry.values()).unwrap();
        }
        let data = draw(&[1, 5, 3]);
        let mask = Tensor::new([1, 5, 1], vec![1.0, 1.0, 1.0, 0.0, 0.0]).unwrap();
        let expected = alone.predict(&Tensor::new([1, 3, 3], data.values()[..9].to_vec()).unwrap()).unwrap();
        let found = masked.predict(&[data, mask]).unwrap();
        assert_eq!(found.values(), [expected.values(), &[0.0; 8]].concat());
    }

    #[test]
    fn it_is_named_shared_saved_and_copied_as_a_whole() {
        let (a, b) = (input([5, 3]), input([5, 3]));
        let both = Bidirectional::new(Lstm::new(2).named("reader"));
        let last = Bidirectional::new(Gru::new(2)).named("last");
        let outputs = [both.apply(&a), both.apply(&b), last.apply(&a)];
        let mut model = Model::new("m", [&a, &b], outputs).unwrap();
        model.initialize(3);
        let names = |model: &Model| -> Vec<String> { model.parameters().iter().map(|entry| entry.name.clone()).collect() };
        assert_eq!(
            names(&model)[..3],
            ["kernel", "recurrent_kernel", "bias"].map(|name| format!("bidirectional/forward_reader/{name}"))
        );
        assert_eq!(names(&model)[9], "last/backward_gru/kernel");
        assert_eq!(names(&model).len(), 12);
        let nodes: Vec<&str> = model.graph().nodes.iter().map(|node| node.name.as_str()).collect();
        assert!(nodes.contains(&"bidirectional@1/concatenate"), "{nodes:?}");
        let summary = model.summary().to_string();
        assert!(
            summary.lines().any(|line| line.starts_with("  bidirectional/backward_reader ") && line.contains(" LSTM ")),
            "{summary}"
        );
        let data = [draw(&[2, 5, 3]), draw(&[2, 5, 3])];
        let expected = model.predict_all(&data).unwrap();
        let saved = Model::from_bytes(&model.to_bytes().unwrap(), &[]).unwrap();
        for copy in [saved, model.duplicate().unwrap()] {
            assert_eq!((names(&copy), copy.predict_all(&data).unwrap()), (names(&model), expected.clone()));
            copy.set_parameter("last/backward_gru/bias", &[1.0; 12]).unwrap();
            assert_ne!(copy.predict_all(&data).unwrap()[2], expected[2]);
        }
        assert_eq!(model.predict_all(&data).unwrap(), expected);
    }

    #[test]
    fn states_come_from_the_end_of_each_walk() {
        let data = draw(&[2, 5, 3]);
        let x = input([5, 3]);
        let (output, states) = Bidirectional::new(Lstm::new(2).return_sequences().return_state()).apply_with_states(&x);
        let [hidden, _, back, _] = &states[..] else { panic!("{} states", states.len()) };
        let mut model = Model::new("m", &x, [output, hidden.clone(), back.clone()]).unwrap();
        model.initialize(3);
        let copy = Model::from_bytes(&model.to_bytes().unwrap(), &[]).unwrap();
        let found = copy.predict_all(&[data]).unwrap();
        for sample in 0..2 {
            let rows = &found[0].values()[sample * 20..][..20];
            assert_eq!(found[1].values()[sample * 2..][..2], rows[16..18], "forward, the last step's");
            assert_eq!(found[2].values()[sample * 2..][..2], rows[2..4], "backward, the first step's");
        }
        let names = model.graph().output_names().join(" ");
        assert_eq!(names, "bidirectional/concatenate bidirectional/forward_lstm bidirectional/backward_lstm");
        let (without, states) = Bidirectional::new(Lstm::new(2)).apply_with_states(&x);
        assert!(states.is_empty() && Model::new("m", &x, without).unwrap_err().to_string().contains("add `return_state()`"));
    }

    #[test]
    fn the_layers_learn_as_the_one_given_does() {
        let layer = Lstm::new(2);
        layer.set_trainable(false);
        assert_eq!(model(&Bidirectional::new(layer)).trainable_size(), 0);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let told = |layer: Bidirectional, states: usize| {
            let inputs = std::iter::once(input([5, 3])).chain((0..states).map(|_| input([2]))).collect::<Vec<_>>();
            match Model::new("m", inputs.clone(), layer.apply(inputs)) {
                Err(Error::Graph { faults, .. }) => faults.join("; "),
                other => panic!("{other:?}"),
            }
        };
        let turned = || Lstm::new(2).go_backwards();
        assert!(told(Bidirectional::new(turned()), 0).contains(
            "layer 'bidirectional' goes forward by a layer with `go_backwards`: leave that out, the backward layer is made of it"
        ));
        assert!(
            told(Bidirectional::new(Lstm::new(2)).backward_layer(Lstm::new(2)).named("both"), 0)
                .contains("layer 'both' goes backward by a layer that goes forward: add `go_backwards()` to it")
        );
        let apart = Bidirectional::new(Lstm::new(2)).backward_layer(turned().return_sequences());
        assert!(told(apart, 0).contains("has `return_sequences` in its backward layer, but not in its forward layer"));
        let apart = Bidirectional::new(Lstm::new(2)).backward_layer(turned().return_state());
        assert!(told(apart, 0).contains("has `return_state` in its backward layer, but not in its forward layer"));
        assert!(told(Bidirectional::new(Lstm::new(2)), 2).contains(
            "layer 'bidirectional' was given 2 initial states: expected none, or 4, those of the forward layer first"
        ));
        let uneven = Bidirectional::new(Lstm::new(2)).backward_layer(Lstm::new(3).go_backwards()).merge_mode(MergeMode::Sum);
        let message = told(uneven, 0);
        assert!(message.contains("layer 'bidirectional/add' on inputs of shapes [2] and [3]"), "{message}");
    }
}
