//! Weights that Keras saved (`keras/weights.py`) are read into the same nets, which then give what Keras's gave.

use std::path::PathBuf;

use samara_trainer::prelude::*;
use serde_json::Value;

/// How far outputs may be apart.
const TOLERANCE: f32 = 1e-5;

const DENSE: &str = r#"
name = "dense"
input = [6]
layer = [
    { kind = "Dense", units = 5, activation = "relu" },
    { kind = "Dense", units = 3, activation = "softmax", name = "classes" },
]
"#;

const SEPARABLE: &str = r#"
name = "separable"
input = [8, 8, 2]
layer = [
    { kind = "Conv2D", filters = 3, kernel = 3, strides = 2, padding = "same", use_bias = false, name = "stem" },
    { kind = "BatchNormalization" },
    { kind = "PReLU" },
    { kind = "DepthwiseConv2D", kernel = 3, padding = "same" },
    { kind = "BatchNormalization" },
    { kind = "Activation", activation = "relu" },
    { kind = "Dropout", rate = 0.1 },
    { kind = "SeparableConv2D", filters = 4, kernel = 3 },
    { kind = "LayerNormalization" },
    { kind = "GlobalAveragePooling2D" },
    { kind = "Dense", units = 2, name = "classes" },
]
"#;

const RECURRENT: &str = r#"
name = "recurrent"
input = [{ name = "words", shape = [6] }]
model = [{ name = "inner", input = [2], layer = [{ kind = "Dense", units = 2 }, { kind = "Dense", units = 2 }] }]
layer = [
    { kind = "Embedding", vocabulary = 9, size = 4, name = "embedded" },
    { kind = "Bidirectional", layer = { kind = "LSTM", units = 3, return_sequences = true } },
    { kind = "TimeDistributed", layer = { kind = "Dense", units = 3, activation = "tanh" }, name = "steps" },
    { kind = "GRU", units = 2, name = "after" },
    { kind = "GRU", units = 2, resets_first = true, name = "before", inputs = "steps" },
    { kind = "SimpleRNN", units = 2, name = "plain", inputs = "embedded" },
    { kind = "Bidirectional", layer = { kind = "GRU", units = 2 }, merge_mode = "sum", name = "summary", inputs = "embedded" },
    { kind = "LSTM", units = 2, name = "last", inputs = "embedded" },
    { apply = "inner", name = "one", inputs = "after" },
    { apply = "inner", name = "two", inputs = "before" },
    { kind = "Concatenate", inputs = ["one", "two", "plain", "last", "summary"] },
    { kind = "Dense", units = 1, name = "out" },
]
"#;

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("keras").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// As in `keras/weights.py`.
fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| (((i * 37 + 11) % 201) as f32 - 100.0) / 128.0).collect()
}

/// The model with Keras's weights gives what Keras gave; what was matched to what.
fn check(text: &str, name: &str, inputs: Tensor) -> Vec<String> {
    let model = Model::from_toml(text).unwrap();
    let (weights, matches) = Weights::from_keras(&file(name), &model).unwrap();
    weights.restore(&model).unwrap();
    let keras: Value = serde_json::from_str(include_str!("../keras/weights.json")).expect("JSON");
    let expected: Vec<f32> = serde_json::from_value(keras[model.name()].clone()).expect("numbers");
    let found = model.predict(&inputs).unwrap();
    assert_eq!(found.values().len(), expected.len());
    for (found, expected) in found.values().iter().zip(&expected) {
        assert!((found - expected).abs() < TOLERANCE, "{name}: {found}, Keras has {expected}");
    }
    matches.iter().map(ToString::to_string).collect()
}

#[test]
fn dense_nets_are_those_of_keras() {
    let matches = check(DENSE, "dense.weights.h5", Tensor::new([3, 6], values(18)).unwrap());
    assert_eq!(matches, ["layers/dense (\"dense\") is dense, by order", "layers/dense_1 (\"classes\") is classes, by name"]);
}

#[test]
fn convolutions_and_norms_are_those_of_keras() {
    let matches = check(SEPARABLE, "separable.keras", Tensor::new([2, 8, 8, 2], values(256)).unwrap());
    assert!(matches.contains(&"layers/conv2d (\"stem\") is stem, by name".to_owned()), "{matches:?}");
    assert_eq!(matches.len(), 8);
}

#[test]
fn recurrent_nets_embeddings_and_models_within_are_those_of_keras() {
    let tokens = (0..12u8).map(|i| f32::from(i * 5 % 9)).collect();
    let matches = check(RECURRENT, "recurrent.keras", Tensor::new([2, 6], tokens).unwrap());
    assert!(matches.iter().any(|line| line.ends_with("is inner/dense_1, by order")), "{matches:?}");
    assert!(matches.iter().any(|line| line.ends_with("is summary/backward_gru, by order")), "{matches:?}");
}

#[test]
fn what_does_not_fit_is_told() {
    let refused = |text: &str| {
        let model = Model::from_toml(text).unwrap();
        Weights::from_keras(&file("dense.weights.h5"), &model).unwrap_err().to_string()
    };
    let of_dense = "the weights do not fit the model dense: ";
    assert_eq!(
        refused(&DENSE.replace("units = 5", "units = 4")),
        format!("{of_dense}layers/dense (\"dense\") has arrays of shapes [6, 5], [5], but dense wants [6, 4], [4]")
    );
    assert_eq!(
        refused(&DENSE.replace("\"classes\"", "\"kinds\"")),
        format!(
            "{of_dense}the file has the layer \"classes\" at layers/dense_1, but the model has none of this name and class dense; left are kinds"
        )
    );
    let more = DENSE.replace("layer = [", "layer = [{ kind = \"Dense\", units = 5 },");
    assert_eq!(refused(&more), format!("{of_dense}the model has the layer dense_1 of class dense, which the file has not"));
    let other = DENSE
        .replace("{ kind = \"Dense\", units = 5, activation = \"relu\" }", "{ kind = \"Activation\", activation = \"relu\" }");
    assert_eq!(
        refused(&other),
        format!("{of_dense}the file has a layer of class dense at layers/dense, but the model has no such layer left for it")
    );
}

#[test]
fn damaged_files_are_refused_without_panic() {
    for (text, name) in [(DENSE, "dense.weights.h5"), (SEPARABLE, "separable.keras")] {
        let (model, good) = (Model::from_toml(text).unwrap(), file(name));
        assert!(Weights::are_of_keras(&good) && !Weights::are_of_keras(b"PK\x03\x04"));
        for part in 0..200 {
            let _ = Weights::from_keras(&good[..good.len() * part / 200], &model);
            let mut bad = good.clone();
            bad[(part * 97) % good.len()] ^= 0xff;
            let _ = Weights::from_keras(&bad, &model);
        }
        assert!(Weights::from_keras(&good[..good.len() / 2], &model).is_err());
    }
    let message = Weights::from_keras(b"nothing", &Model::from_toml(DENSE).unwrap()).unwrap_err().to_string();
    assert!(message.contains("expected"), "{message}");
}
