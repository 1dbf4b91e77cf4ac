//! A search, gone on with, within limits, and what is wrong with its file.

use samara_trainer::Model;

use crate::common::{Place, images, json, names, refusal};

const SEARCH: &str = r#"
name = "small"
input = [28, 28, 1]

[space]
rate = { float = [1e-3, 1e-1], log = true }
units = { integer = [4, 32], step = 4 }
layers = { integer = [0, 2] }

[train]
optimizer = "momentum"
learning_rate = "$rate"
batch = 20
epochs = 2

[[layer]]
kind = "MaxPooling2D"
pool_size = 4

[[layer]]
kind = "Flatten"

[[layer]]
kind = "Dense"
units = "$units"
activation = "relu"
repeat = "$layers"

[[layer]]
kind = "Dense"
units = 10
activation = "softmax"
"#;

#[test]
fn a_search_goes_on_and_any_trial_is_trained_again() {
    let place = Place::new();
    let data = images(&place, 300, |sample| (sample % 10) as u8);
    let (file, out) = (place.write("small.toml", SEARCH.as_bytes()), place.text("out"));
    let tune = |more: &[&str]| json(&[&["tune", &file, "--data", &data, "--out", &out, "--max-flash", "4k"], more].concat());
    let first = tune(&["--trials", "3"]);
    assert_eq!((&first["trials"], &first["failed"]), (&3.into(), &0.into()));
    assert!(first["model_bytes"].as_u64().unwrap() <= 4096 + 1024, "golden samples beside: {first}");
    assert_eq!(names(&place.path("out")), ["model.samara", "model.toml", "studies.db", "weights.bin"]);
    let second = tune(&["--trials", "6"]);
    assert_eq!(second["trials"], 6);
    assert!(second["validation"].as_f64() >= first["validation"].as_f64(), "more trials are not worse: {second}");
    let number = second["trial"].to_string();
    let again = tune(&["--retrain", &number]);
    assert_eq!(again, second);

    let text = std::fs::read_to_string(place.path("out/model.toml")).unwrap();
    assert!(!text.contains('$') && !text.contains("space"), "{text}");
    assert_eq!(Model::from_toml(&text).unwrap().name(), "small");
    let measured =
        json(&["evaluate", &place.text("out/weights.bin"), "--model", &place.text("out/model.toml"), "--data", &data]);
    assert_eq!(measured["accuracy"], second["test_accuracy"]);
}

#[test]
fn what_is_wrong_with_a_search_is_said() {
    let place = Place::new();
    let (data, out) = (images(&place, 300, |sample| (sample % 10) as u8), place.text("out"));
    let refused = |text: &str, more: &[&str], expected: &str| {
        let file = place.write("search.toml", text.as_bytes());
        let error = refusal(1, &[&["tune", &file, "--data", &data, "--out", &out, "--trials", "2"], more].concat());
        assert!(error.contains(expected), "{error}");
    };
    refused("name = \"x\"", &[], "there is no table [space]");
    refused(&SEARCH.replace("\"$units\"", "\"$unit\""), &[], "layer[2].units: $unit is no parameter; rate, units, layers are");
    refused(&SEARCH.replace("momentum", "momentun"), &[], "[train] optimizer is \"momentun\"; known are sgd, momentum");
    refused(&SEARCH.replace("epochs = 2", "epochs = 0"), &[], "[train] epochs is 0");
    refused(&SEARCH.replace("MaxPooling2D", "MaxPoling2D"), &[], "MaxPooling2D");
    refused(SEARCH, &["--max-flash", "100"], "the last candidate: a file of");
    refused(SEARCH, &["--max-macs", "10"], "multiply-accumulates");
    let url = "postgres://me:secret@127.0.0.1:1/studies";
    refused(
        SEARCH,
        &["--storage", url],
        "postgres://me@127.0.0.1:1/studies: the database cannot be reached: Connection refused",
    );
    refused(
        SEARCH,
        &["--storage", "mysql://me@host/studies"],
        "mysql://...: storages are postgres://, postgresql:// and files",
    );
    refused(SEARCH, &["--retrain", "0"], "there is no trial 0 in the study, which has 0");
}
