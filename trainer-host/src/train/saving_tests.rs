//! Whole models as files.

use serde_json::{Value, json};

use super::duplicate_tests::{data, names, two_cameras};
use super::tests::{data_for, quiet, with_squared_errors};
use super::{Fit, Model, Sequential};
use crate::checkpoint::Weights;
use crate::checkpoint::records::{self, Record, Values};
use crate::constraints::{Constraint, MaxNorm, NonNegative, UnitNorm};
use crate::data::Dataset;
use crate::device::{Lowering, Value as DeviceValue};
use crate::graph::{LayerOptions, Shape, input};
use crate::layers::*;
use crate::losses::SparseCategoricalCrossentropy;
use crate::numeric::random::Random;
use crate::optimizers::Adam;
use crate::regularizers::{L1L2, Regularizer};

fn again(model: &Model) -> Model {
    Model::from_bytes(&model.to_bytes().unwrap(), &[]).unwrap()
}

/// Kinds of layers with all that is set of them, in order.
fn options(model: &Model) -> Vec<(&'static str, LayerOptions)> {
    let layers = model.graph().nodes.iter().filter_map(|node| node.layer.as_ref());
    layers.map(|layer| (layer.kind(), layer.options().unwrap())).collect()
}

/// Trains for three steps.
fn train(model: &mut Model, data: &Dataset) {
    let fit = Fit { batch: data.samples().div_ceil(3), ..quiet(1) };
    model.fit(data, fit).unwrap();
}

/// Every kind of layer comes back from a file with all that is set of it, predicts the same bits and learns the same.
#[test]
fn all_layers_are_saved() {
    for example in ALL_LAYERS.iter().flat_map(|kind| (kind.examples)()) {
        let inputs: Vec<_> = example.inputs.iter().map(|shape| input(shape.clone())).collect();
        let mut model = Model::new("m", inputs.clone(), example.apply(inputs)).unwrap();
        model.initialize(4);
        let mut again = again(&model);
        let what = format!("{:?}", example.layer);
        assert_eq!((names(&again), options(&again)), (names(&model), options(&model)), "{what}");
        assert_eq!((again.name(), Weights::of(&again)), ("m", Weights::of(&model)), "{what}");
        let data = data_for(&model, 9);
        assert_eq!(again.predict(&data).unwrap(), model.predict(&data).unwrap(), "{what}");
        for model in [&mut model, &mut again] {
            with_squared_errors(model);
            train(model, &data);
        }
        assert_eq!(Weights::of(&again), Weights::of(&model), "{what}");
        // What the initializers would draw.
        again.initialize(5);
        model.initialize(5);
        assert_eq!(Weights::of(&again), Weights::of(&model), "{what}");
    }
}

#[test]
fn nested_models_and_shared_layers_stay_so() {
    let data = data();
    let mut model = two_cameras();
    model.set_trainable("base/inner", false).unwrap();
    model.set_learning_rate_factor("dense", 0.5).unwrap();
    model.fit(&data, quiet(2)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cameras.model");
    model.save(&path).unwrap();
    let mut again = Model::load(&path).unwrap();
    assert_eq!((names(&again), options(&again)), (names(&model), options(&model)));
    assert_eq!(again.summary().to_string(), model.summary().to_string());
    assert_eq!(again.predict(&data).unwrap(), model.predict(&data).unwrap());
    assert!(again.export_f32().unwrap() == model.export_f32().unwrap(), "the files differ");
    // Four uses of one layer, in two applications of one model: one set of weights, which learns from all four.
    assert_eq!(
        again.graph().nodes.iter().filter(|node| node.name.ends_with("/shared") || node.name.contains("/shared@")).count(),
        4
    );
    assert_eq!(again.parameters().len(), model.parameters().len());
    for model in [&mut model, &mut again] {
        model.compile(Adam::new(0.01), SparseCategoricalCrossentropy).unwrap();
        train(model, &data);
    }
    assert_eq!(Weights::of(&again), Weights::of(&model));
    assert!(again.to_bytes().unwrap() == model.to_bytes().unwrap(), "the files differ");
    // A part that is cut out, where a tensor of the model is the input.
    let part = Model::new("part", again.tensor("base/shared").unwrap(), again.tensor("dense").unwrap());
    let part = part.unwrap_err().to_string();
    assert!(part.contains("depend on the input"), "{part}");
    let part = Model::new("part", again.tensor("base/shared").unwrap(), again.tensor("base/shared@1").unwrap()).unwrap();
    let loaded = Model::from_bytes(&part.to_bytes().unwrap(), &[]).unwrap();
    assert_eq!((names(&loaded), Weights::of(&loaded)), (names(&part), Weights::of(&part)));
}

/// Multiplies with what is set.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Factor {
    base: LayerBase,
    factor: f32,
}

impl Layer for Factor {
    identity!("Factor", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        inputs.first().cloned().ok_or_else(|| "one input".to_owned())
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        pass.output.iter_mut().zip(pass.inputs.get(0)).for_each(|(to, value)| *to = value * self.factor);
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        if let Some(gradient) = pass.input_gradients.get_mut(0) {
            gradient.add_scaled(self.factor, pass.output_gradient);
        }
    }

    fn lower(&self, _lowering: &mut Lowering<'_>) -> Result<DeviceValue, String> {
        Err("not".to_owned())
    }
}

/// As `Factor`, without options.
#[derive(Debug, Clone)]
struct Silent(Factor);

impl Layer for Silent {
    fn kind(&self) -> &'static str {
        "Silent"
    }

    fn base(&self) -> &LayerBase {
        &self.0.base
    }

    fn base_mut(&mut self) -> &mut LayerBase {
        &mut self.0.base
    }

    fn duplicate(&self) -> std::sync::Arc<dyn Layer> {
        self.0.duplicate()
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        self.0.output_shape(inputs)
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        self.0.forward(pass);
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        self.0.backward(pass);
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<DeviceValue, String> {
        self.0.lower(lowering)
    }
}

#[derive(Debug)]
struct Nothing;

impl Regularizer for Nothing {
    fn penalty(&self, _values: &[f32]) -> f64 {
        0.0
    }

    fn add_gradient(&self, _values: &[f32], _gradient: &mut [f32]) {}
}

#[test]
fn layers_from_outside_are_loaded_by_one_of_their_kind_or_named() {
    let factor = |factor| Factor { base: LayerBase::new(), factor };
    let model = Sequential::new("outside", [2]).add(Dense::new(2)).add(factor(0.1).named("tenth")).build().unwrap();
    let bytes = model.to_bytes().unwrap();
    let message = Model::from_bytes(&bytes, &[]).unwrap_err().to_string();
    let wanted =
        "layer 'tenth' of kind Factor cannot be loaded: the library has no such kind: give a layer of it to `Model::load_with`";
    assert_eq!(message, wanted);
    let again = Model::from_bytes(&bytes, &[&factor(7.0)]).unwrap();
    let data = data_for(&model, 5);
    assert_eq!(again.predict(&data).unwrap(), model.predict(&data).unwrap());
    let silent = Sequential::new("outside", [2]).add(Silent(factor(0.1))).build().unwrap();
    assert_eq!(
        silent.save("never").unwrap_err().to_string(),
        "layer 'silent' of kind Silent cannot be saved: its `impl Layer` gives no options: `identity!(\"Silent\", options)` does"
    );
    let costly = Sequential::new("costly", [2]).add(Dense::new(2).kernel_regularizer(Nothing)).build().unwrap();
    assert_eq!(
        costly.save("never").unwrap_err().to_string(),
        "layer 'dense' of kind Dense cannot be saved: the regularizer Nothing is none of this library's, and only they can be saved"
    );
    assert!(!std::path::Path::new("never").exists());
}

/// The file of a model with another architecture, or other records.
fn changed(model: &Model, change: impl FnOnce(&mut Value, &mut Vec<Record>)) -> Result<Model, String> {
    let mut records = records::read(*b"SMRM", &model.to_bytes().unwrap()).unwrap();
    let Values::Text(text) = &records[1].values else { panic!("the architecture is no text") };
    let mut architecture = serde_json::from_str(text).unwrap();
    change(&mut architecture, &mut records);
    records[1] = Record::list("architecture", Values::Text(architecture.to_string()));
    Model::from_bytes(&records::write(*b"SMRM", &records), &[]).map_err(|error| error.to_string())
}

#[test]
fn what_does_not_fit_together_is_told() {
    let model = two_cameras();
    let told = |change: &dyn Fn(&mut Value, &mut Vec<Record>)| changed(&model, change).err().unwrap_or_default();
    let last = model.graph().nodes.len() - 1;
    assert_eq!(told(&|_, _| {}), "");
    let damaged = "the file is damaged: its architecture has ";
    let takes = told(&|file, _| file["nodes"][last]["layer"]["inputs"] = json!([last]));
    assert_eq!(takes, format!("{damaged}node {last}, which takes no node before it"));
    let takes = told(&|file, _| file["nodes"][last]["layer"]["inputs"] = json!([]));
    assert_eq!(takes, format!("{damaged}node {last}, which takes no node before it"));
    let no_layer = told(&|file, _| file["nodes"][last]["layer"]["layer"] = json!(1000));
    assert_eq!(no_layer, format!("{damaged}node {last}, which has no layer"));
    assert_eq!(told(&|file, _| file["outputs"] = json!([1000])), format!("{damaged}an input or output that is no node"));
    assert_eq!(told(&|file, _| file["applications"] = json!([7, 0])), format!("{damaged}an application of no model"));
    let fit = "the weights do not fit the model cameras: ";
    assert_eq!(told(&|_, records| drop(records.pop())), format!("{fit}dense/bias is missing"));
    let extra = |_: &mut Value, records: &mut Vec<Record>| records.push(Record::list("weights/x", Values::F32(vec![1.0])));
    assert_eq!(told(&extra), format!("{fit}they have x, which none of its layers has"));
    let nan = |_: &mut Value, records: &mut Vec<Record>| {
        let bias = records.last_mut().unwrap();
        bias.values = Values::F32(vec![f32::NAN; 3]);
    };
    assert_eq!(told(&nan), format!("{fit}dense/bias has values that are not finite"));
    // A kernel of four gigabytes is not asked for.
    let huge = told(&|file, _| {
        let layers = file["layers"].as_array_mut().unwrap();
        let head = layers.iter_mut().find(|layer| layer["name"] == "dense").unwrap();
        head["options"]["units"] = json!(1 << 27);
    });
    assert_eq!(huge, format!("{fit}found dense/kernel of shape [8, 3], expected [8, 134217728]"));
    let text = told(&|file, _| file["nodes"] = json!("none"));
    assert!(text.starts_with("the file is damaged: its architecture makes no sense: invalid type: string"), "{text}");
    assert!(told(&|file, _| file["nodes"][0]["input"]["shape"] = json!(vec![1; 40])).contains("at most 32 dimensions"));
}

/// The places of all values that have none within them.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| leaves(value, &format!("{path}/{name}"), found)),
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(place, value)| leaves(value, &format!("{path}/{place}"), found));
        }
        _ => found.push(path.to_owned()),
    }
}

/// Whatever stands in a file with a right checksum, reading it ends: with an error, or with a model that can be shown.
#[test]
fn hostile_files_do_no_harm() {
    let mut models = vec![two_cameras()];
    models.extend(ALL_LAYERS.iter().flat_map(|kind| (kind.examples)()).map(|example| {
        let inputs: Vec<_> = example.inputs.iter().map(|shape| input(shape.clone())).collect();
        Model::new("m", inputs.clone(), example.apply(inputs)).unwrap()
    }));
    let hostile: [Value; 13] = [
        json!(0),
        json!(1),
        json!(2),
        json!(7),
        json!(1 << 16),
        json!(1 << 31),
        json!(u64::MAX / 2),
        json!(u64::MAX),
        json!(-1),
        json!(1e39),
        json!(0.5),
        json!(null),
        json!("x"),
    ];
    let mut loaded = 0;
    for model in &models {
        changed(model, |_, _| {}).unwrap();
        let mut places = Vec::new();
        changed(model, |file, _| leaves(file, "", &mut places)).unwrap();
        for place in &places {
            for value in &hostile {
                if let Ok(model) = changed(model, |file, _| *file.pointer_mut(place).unwrap() = value.clone()) {
                    assert!(!model.summary().to_string().is_empty());
                    loaded += 1;
                }
            }
        }
    }
    assert!(loaded > 1000, "too few changes are let through: {loaded}");
    // Bytes that are changed anywhere, and files that are cut off.
    let good = models[0].to_bytes().unwrap();
    let mut random = Random::new(3, 0);
    for round in 0..20_000 {
        let mut bad = good.clone();
        bad.truncate(bad.len() - 4);
        if round % 5 == 0 {
            bad.truncate(random.below(bad.len()));
        }
        for _ in 0..1 + random.below(3) {
            if let Some(byte) = {
                let length = bad.len().max(1);
                bad.get_mut(random.below(length))
            } {
                *byte = random.below(256) as u8;
            }
        }
        bad.extend(samara_runtime::crc32(&bad).to_le_bytes());
        let _ = Model::from_bytes(&bad, &[]);
    }
    for length in 0..good.len() {
        assert!(Model::from_bytes(&good[..length], &[]).is_err(), "cut to {length}");
    }
}

#[test]
fn penalties_and_first_values_come_back() {
    let x = input([3]);
    let y = Dense::new(2).kernel_initializer(crate::initializers::Orthogonal::new(0.7)).kernel_regularizer(L1L2::new(0.1, 0.3));
    let mut model = Model::new("m", &x, y.bias_initializer(crate::initializers::Uniform::new(-1.0, 0.1)).apply(&x)).unwrap();
    let mut again = again(&model);
    assert!(again.predict(&data_for(&model, 2)).is_ok());
    for model in [&mut model, &mut again] {
        model.initialize(9);
        with_squared_errors(model);
    }
    assert_eq!(Weights::of(&again), Weights::of(&model));
    let data = data_for(&model, 4);
    assert_eq!(again.evaluate(&data).unwrap(), model.evaluate(&data).unwrap());
}

#[test]
fn constraints_come_back() {
    /// From outside of the library.
    #[derive(Debug)]
    struct Own;
    impl Constraint for Own {
        fn apply(&self, _shape: &Shape, _values: &mut [f32]) {}
    }
    let x = input([3]);
    let model = Model::new("kept", &x, Dense::new(2).apply(Dense::new(4).apply(&x))).unwrap();
    model.set_constraint("dense/kernel", MaxNorm::new(0.75)).unwrap();
    model.set_constraint("dense/bias", NonNegative).unwrap();
    model.set_constraint("dense_1/kernel", UnitNorm).unwrap();
    let kept = |model: &Model| -> Vec<String> {
        model.parameters().iter().map(|parameter| format!("{:?}", parameter.constraint())).collect()
    };
    let expected = ["Some(MaxNorm { limit: 0.75 })", "Some(NonNegative)", "Some(UnitNorm)", "None"];
    assert_eq!(kept(&again(&model)), expected);
    assert_eq!(kept(&model.duplicate().unwrap()), expected);
    model.set_constraint("dense_1/bias", Own).unwrap();
    let told = model.to_bytes().unwrap_err().to_string();
    let expected = "layer 'dense_1' of kind Dense cannot be saved: the constraint Own is none of this library's, and only they can be saved";
    assert_eq!(told.replace('"', "'"), expected);
}

/// A model and a training's state as files are all that a training needs to go on.
#[test]
fn a_training_goes_on_with_a_loaded_model() {
    let directory = tempfile::tempdir().unwrap();
    let [model_path, state_path] = ["cameras.model", "training.state"].map(|name| directory.path().join(name));
    let data = data();
    let start = || {
        let model = two_cameras();
        model.set_trainable("base/inner", false).unwrap();
        model
    };
    let mut whole = start();
    whole.fit(&data, quiet(5)).unwrap();
    let mut model = start();
    let save = crate::callbacks::SaveState::new(&state_path);
    model.fit(&data, Fit { callbacks: vec![Box::new(save)], ..quiet(2) }).unwrap();
    model.save(&model_path).unwrap();
    let mut again = Model::load(&model_path).unwrap();
    again.compile(Adam::new(0.01), SparseCategoricalCrossentropy).unwrap();
    let state = super::TrainingState::load(&state_path).unwrap();
    again.fit(&data, Fit { resume: Some(state), ..quiet(5) }).unwrap();
    assert_eq!(Weights::of(&again), Weights::of(&whole));
}
