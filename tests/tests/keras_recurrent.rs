//! Recurrent layers give what Keras's give (`keras/recurrent.py`): outputs and gradients of single layers, in every form, and the losses of
//! the first 20 steps of nets with several inputs or outputs.

use samara_trainer::{optimizers::Optimizer, prelude::*};
use serde_json::Value;

const SAMPLES: usize = 3;
const STEPS: usize = 5;
const FEATURES: usize = 4;
const UNITS: usize = 3;
const MASK: [u8; SAMPLES * STEPS] = [1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 0, 1];
/// How far values may be apart, as a part of the largest.
const TOLERANCE: f32 = 1e-5;

fn keras() -> Value {
    serde_json::from_str(include_str!("../keras/recurrent.json")).expect("JSON")
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().expect("numbers").iter().map(|value| value.as_f64().expect("a number") as f32).collect()
}

/// `((i * factor + offset) mod 201 - 100) / 256`, as in `keras/recurrent.py`.
fn values(count: usize, factor: usize, offset: usize) -> Vec<f32> {
    (0..count).map(|i| (((i * factor + offset) % 201) as f32 - 100.0) / 256.0).collect()
}

fn scaled(values: Vec<f32>, factor: f32) -> Vec<f32> {
    values.into_iter().map(|value| factor * value).collect()
}

fn near(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0f32, |largest, value| if value.abs() > largest { value.abs() } else { largest });
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (found - expected).abs() / largest;
        assert!(difference < TOLERANCE, "{what}, {place}: {found}, Keras has {expected}, {difference:.1e} of {largest} apart");
    }
}

/// A layer of `keras/recurrent.py`.
struct Case<'a> {
    kind: &'a str,
    options: Vec<&'a str>,
    merge: Option<&'a str>,
}

impl<'a> Case<'a> {
    fn new(case: &'a Value) -> Self {
        let options = case["options"].as_array().expect("options").iter().filter_map(Value::as_str).collect();
        Self { kind: case["kind"].as_str().expect("a kind"), options, merge: case["merge"].as_str() }
    }

    fn has(&self, option: &str) -> bool {
        self.options.contains(&option)
    }

    /// The layer on these inputs.
    fn apply(&self, inputs: Vec<SymbolicTensor>) -> SymbolicTensor {
        macro_rules! apply {
            ($layer:expr) => {{
                let mut layer = $layer;
                if self.has("return_sequences") {
                    layer = layer.return_sequences();
                }
                if self.has("go_backwards") {
                    layer = layer.go_backwards();
                }
                if self.has("without_bias") {
                    layer = layer.without_bias();
                }
                if self.has("return_state") {
                    layer = layer.return_state();
                }
                let mode = match self.merge {
                    None if self.has("return_state") => {
                        let (output, states) = layer.apply_with_states(inputs);
                        return joined(output, states.to_vec());
                    }
                    None => return layer.apply(inputs),
                    Some("concat") => MergeMode::Concat,
                    Some("sum") => MergeMode::Sum,
                    Some("mul") => MergeMode::Mul,
                    Some("ave") => MergeMode::Ave,
                    Some(mode) => panic!("no mode {mode}"),
                };
                let both = Bidirectional::new(layer).merge_mode(mode);
                if self.has("return_state") {
                    let (output, states) = both.apply_with_states(inputs);
                    return joined(output, states);
                }
                both.apply(inputs)
            }};
        }
        match self.kind {
            "LSTM" => apply!(Lstm::new(UNITS)),
            "GRU" if self.has("reset_before") => apply!(Gru::new(UNITS).reset_before()),
            "GRU" => apply!(Gru::new(UNITS)),
            "SimpleRNN" => apply!(SimpleRnn::new(UNITS)),
            kind => panic!("no layer {kind}"),
        }
    }

    fn states(&self) -> usize {
        let of_one = if self.kind == "LSTM" { 2 } else { 1 };
        let of_all = if self.merge.is_some() { 2 * of_one } else { of_one };
        if self.has("states") { of_all } else { 0 }
    }
}

/// The values of all outputs, one behind the other.
fn joined(output: SymbolicTensor, states: Vec<SymbolicTensor>) -> SymbolicTensor {
    let flat = |tensor: SymbolicTensor| Flatten::new().apply(tensor);
    Concatenate::new().apply(std::iter::once(output).chain(states).map(flat).collect::<Vec<_>>())
}

/// A row of a table for each sample and step, so that the table's gradients are the inputs'.
fn rows_of_a_table(name: &str, steps: usize, size: usize) -> ([SymbolicTensor; 2], Tensor) {
    let tokens = input([steps]).named(name);
    let rows = Embedding::new(SAMPLES * steps, size).named(&format!("{name}_table")).apply(&tokens);
    let numbers = (0..SAMPLES * steps).map(|number| number as f32).collect();
    ([tokens, rows], Tensor::new([SAMPLES, steps], numbers).expect("whole samples"))
}

fn check(case: &Value) -> Result<()> {
    let what = format!("{} {} {}", case["kind"], case["options"], case["merge"]);
    let layer = Case::new(case);
    let ([tokens, sequence], data) = rows_of_a_table("x", STEPS, FEATURES);
    let (mut inputs, mut data, mut taken) = (vec![tokens], vec![data], vec![sequence]);
    let mut tables = vec![("x_table/embeddings".to_owned(), scaled(values(SAMPLES * STEPS * FEATURES, 73, 5), 4.0))];
    for number in 0..layer.states() {
        let name = format!("state_{number}");
        let ([tokens, state], numbers) = rows_of_a_table(&name, 1, UNITS);
        inputs.push(tokens);
        data.push(numbers);
        taken.push(Flatten::new().apply(state));
        tables.push((format!("{name}_table/embeddings"), scaled(values(SAMPLES * UNITS, 57 + 4 * number, 11), 2.0)));
    }
    if layer.has("mask") {
        let mask = input([STEPS, 1]).named("mask");
        inputs.push(mask.clone());
        taken.push(mask);
        data.push(Tensor::new([SAMPLES, STEPS, 1], MASK.map(f32::from).to_vec())?);
    }
    let mut model = Model::new("case", inputs, layer.apply(taken))?;
    tables.iter().try_for_each(|(name, values)| model.set_parameter(name, values))?;
    let weights = model.parameters().iter().filter(|entry| !entry.name.ends_with("embeddings"));
    let weights: Vec<(String, Vec<f32>)> = weights
        .enumerate()
        .map(|(number, entry)| (entry.name.clone(), values(entry.shape.size(), 31 + 2 * number, 7)))
        .collect();
    weights.iter().try_for_each(|(name, values)| model.set_parameter(name, values))?;

    let output = model.predict(&data)?;
    near(output.values(), &numbers(&case["output"]), &format!("{what}: output"));
    if !layer.has("mask") {
        let device = DeviceModel::new(&model.export_f32()?)?.predict(&data)?;
        near(device[0].values(), &numbers(&case["output"]), &format!("{what}: output on the device"));
    }

    // A single step of descent shows the gradients; a large one, more digits of them.
    const RATE: f32 = 64.0;
    model.compile(Sgd::new(RATE), MeanSquaredError)?;
    let target = Tensor::from_samples(output.sample_shape().clone(), scaled(values(output.values().len(), 41, 3), 4.0))?;
    let data = Dataset::with_many(data, vec![target])?;
    model.fit(&data, Fit { epochs: 1, batch: SAMPLES, shuffle: false, verbose: false, ..Fit::default() })?;
    let gradients = |name: &str, before: &[f32]| -> Result<Vec<f32>> {
        let after = model.parameter(name)?;
        Ok(before.iter().zip(after).map(|(before, after)| (before - after) / RATE).collect())
    };
    for (of, parameters) in [("inputs", tables), ("weights", weights)] {
        let expected = case[of].as_array().expect("gradients");
        assert_eq!(expected.len(), parameters.len(), "{what}: {of}");
        for ((name, before), expected) in parameters.iter().zip(expected) {
            near(&gradients(name, before)?, &numbers(expected), &format!("{what}: gradient of {name}"));
        }
    }
    Ok(())
}

#[test]
fn layers_give_the_outputs_and_gradients_of_keras() -> Result<()> {
    let keras = keras();
    let cases = keras["cases"].as_array().expect("cases");
    assert!(cases.len() >= 20);
    cases.iter().try_for_each(check)
}

const NET_STEPS: usize = 20;
const BATCH: usize = 32;

fn labels(classes: usize) -> Vec<u8> {
    (0..BATCH).map(|i| ((i * 5 + i / 7) % classes) as u8).collect()
}

/// Labels of two classes as numbers.
fn truths() -> Result<Tensor> {
    Tensor::new([BATCH, 1], labels(2).into_iter().map(f32::from).collect())
}

fn tokens(length: usize, vocabulary: usize, factor: usize) -> Result<Tensor> {
    let place = 0..BATCH * length;
    Tensor::new([BATCH, length], place.map(|place| ((place * factor + place / 7) % vocabulary) as f32).collect())
}

/// Trains for some steps, and compares the losses.
fn check_losses(
    mut model: Model,
    optimizer: impl Optimizer + 'static,
    objectives: impl Into<Vec<Objective>>,
    data: &Dataset,
) -> Result<()> {
    for entry in model.parameters() {
        if ["kernel", "embeddings"].iter().any(|end| entry.name.ends_with(end)) {
            model.set_parameter(&entry.name, &values(entry.shape.size(), 31 + 2 * entry.index, 7))?;
        }
    }
    model.compile(optimizer, objectives.into())?;
    let fit = Fit { epochs: NET_STEPS, batch: BATCH, shuffle: false, verbose: false, ..Fit::default() };
    let history = model.fit(data, fit)?;
    let (keras, name) = (keras(), model.name());
    let expected = keras["losses"][name].as_array().expect("losses");
    assert_eq!((history.epochs.len(), expected.len()), (NET_STEPS, NET_STEPS));
    for (step, (epoch, expected)) in history.epochs.iter().zip(expected).enumerate() {
        let (found, expected) = (epoch.measurements.get("loss").expect("a loss"), expected.as_f64().expect("a number"));
        let difference = (found - expected).abs() / expected;
        assert!(difference < 1e-4, "{name}, step {step}: loss {found}, Keras has {expected}, {difference:.1e} apart");
    }
    Ok(())
}

#[test]
fn one_lstm_on_two_inputs_learns_as_in_keras() -> Result<()> {
    let (lstm, left, right) = (Lstm::new(8), input([20, 16]), input([20, 16]));
    let merged = Concatenate::new().apply([&lstm.apply(&left), &lstm.apply(&right)]);
    let output = Dense::new(1).activation(Activation::Sigmoid).apply(merged);
    let x = |factor| Tensor::new([BATCH, 20, 16], scaled(values(BATCH * 320, factor, 5), 4.0));
    let data = Dataset::with_many(vec![x(73)?, x(77)?], vec![truths()?])?;
    check_losses(Model::new("siamese", [&left, &right], output)?, RmsProp::new(0.003), [on("dense", BinaryCrossentropy)], &data)
}

#[test]
fn answers_to_questions_are_learnt_as_in_keras() -> Result<()> {
    let (text, question) = (input([12]).named("text"), input([6]).named("question"));
    let of_text = Lstm::new(8).apply(Embedding::new(30, 8).apply(&text));
    let of_question = Lstm::new(6).apply(Embedding::new(20, 8).apply(&question));
    let merged = Concatenate::new().apply([of_text, of_question]);
    let output = Dense::new(10).activation(Activation::Softmax).named("answer").apply(merged);
    let data = Dataset::with_many(vec![tokens(12, 30, 17)?, tokens(6, 20, 13)?], vec![Tensor::from_labels(&labels(10))])?;
    let model = Model::new("question_answering", [&text, &question], output)?;
    check_losses(model, RmsProp::new(0.003), [on("answer", SparseCategoricalCrossentropy)], &data)
}

#[test]
fn three_outputs_with_weights_are_learnt_as_in_keras() -> Result<()> {
    let post = input([16]).named("post");
    let convolution = || Conv1D::new(8, 3).activation(Activation::Relu);
    let x = convolution().apply(Embedding::new(40, 8).apply(&post));
    let x = convolution().apply(MaxPooling1D::new(2).apply(x));
    let x = Dense::new(8).activation(Activation::Relu).apply(GlobalMaxPooling1D::new().apply(x));
    let age = Dense::new(1).named("age").apply(&x);
    let income = Dense::new(4).activation(Activation::Softmax).named("income").apply(&x);
    let gender = Dense::new(1).activation(Activation::Sigmoid).named("gender").apply(&x);
    let classes = labels(4).into_iter().flat_map(|label| (0..4).map(move |class| f32::from(u8::from(class == label))));
    let data = Dataset::builder()
        .input("post", tokens(16, 40, 19)?)
        .target("age", Tensor::new([BATCH, 1], scaled(values(BATCH, 73, 5), 4.0))?)
        .target("income", Tensor::new([BATCH, 4], classes.collect())?)
        .target("gender", truths()?)
        .build()?;
    let objectives = [
        on("age", MeanSquaredError).weight(0.25),
        on("income", CategoricalCrossentropy),
        on("gender", BinaryCrossentropy).weight(10.0),
    ];
    check_losses(Model::new("posts", &post, [age, income, gender])?, Adam::new(0.003), objectives, &data)
}
