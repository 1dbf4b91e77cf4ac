//! What only the real images show.

use std::fs;

use crate::common::{Place, idx, json, success, train};

fn accuracy(file: &str, data: &str) -> f64 {
    json(&["evaluate", file, "--data", data])["accuracy"].as_f64().unwrap()
}

/// Fashion-MNIST's first 10,000 training samples beside a tenth more, which is held out, and all test samples.
fn part_of_fashion_mnist(place: &Place) -> String {
    let whole = samara_trainer::data::sources::load("fashion-mnist").unwrap();
    let directory = place.path("part");
    fs::create_dir(&directory).unwrap();
    for (part, data) in [("train", whole.train.slice(0..11_111).unwrap()), ("t10k", whole.test)] {
        let bytes = |values: &[f32], scale: f32| values.iter().map(|value| (value * scale).round() as u8).collect::<Vec<_>>();
        let samples = data.samples() as u32;
        let pixels = idx(&[samples, 28, 28], &bytes(data.inputs()[0].values(), 255.0));
        fs::write(directory.join(format!("{part}-images-idx3-ubyte")), pixels).unwrap();
        let labels = idx(&[samples], &bytes(data.targets()[0].values(), 1.0));
        fs::write(directory.join(format!("{part}-labels-idx1-ubyte")), labels).unwrap();
    }
    directory.display().to_string()
}

#[test]
#[ignore = "needs Fashion-MNIST"]
fn the_separable_net_keeps_its_accuracy_on_the_device() {
    let place = Place::new();
    let (data, out) = (part_of_fashion_mnist(&place), place.text("out"));
    let rate = ["--learning-rate", "0.004", "--schedule", "cosine", "--batch", "64"];
    let summary = json(&[&train(&data, &out)[..], &rate].concat());
    let trained = summary["f32_accuracy"].as_f64().unwrap();
    let file = |name: &str| place.text(&format!("out/{name}"));
    let (as_f32, as_int8) = (accuracy(&file("model-f32.samara"), &data), accuracy(&file("model.samara"), &data));
    assert!(trained > 0.7, "one epoch on 10,000 samples taught too little: {trained}");
    assert!((as_f32 - trained).abs() <= 0.002, "the f32 file has {as_f32}, the trainer {trained}");
    assert!((as_int8 - as_f32).abs() <= 0.015, "the int8 file has {as_int8}, the f32 file {as_f32}");

    let outputs = ["first", "second"].map(|name| {
        let (model, samples, expected, labels) =
            (file("model.samara"), place.text("samples"), place.text(name), place.text("labels"));
        let paths = ["--out", &samples, "--expected", &expected, "--labels", &labels];
        success(&[&["export-samples", "--model", &model, "--data", &data][..], &paths].concat());
        fs::read(expected).unwrap()
    });
    assert_eq!(outputs[0].len(), 1000 * 10);
    assert_eq!(outputs[0], outputs[1]);
}

#[test]
#[ignore = "needs Fashion-MNIST"]
fn the_dense_net_keeps_its_accuracy_on_the_device() {
    let place = Place::new();
    let out = place.text("out");
    let mlp = ["train", "--model", "fashion-mlp", "--epochs", "1", "--data", "fashion-mnist", "--out", &out];
    let summary = json(&mlp);
    let (as_f32, as_int8) = (summary["f32_accuracy"].as_f64().unwrap(), summary["int8_accuracy"].as_f64().unwrap());
    assert!(as_f32 > 0.8, "one epoch taught too little: {as_f32}");
    assert!((as_int8 - as_f32).abs() <= 0.005, "the int8 file has {as_int8}, the trainer {as_f32}");
}
