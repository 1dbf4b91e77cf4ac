//! Quantities as targets.

use std::fs;

use samara_trainer::prelude::*;
use serde_json::Value;

use crate::common::{Place, archive, images, json, names, refusal, small_model, success};

/// 50 samples of 640 values, and 640 others that follow from each.
fn regression_data() -> (Vec<f32>, Vec<f32>) {
    let x: Vec<f32> = (0..50 * 640).map(|i| ((i / 640 * 7 % 50 + 1) as f32 * (i % 640) as f32 / 4000.0).sin()).collect();
    let y = x.iter().map(|x| 0.5 - 2.0 * x).collect();
    (x, y)
}

/// Quantities as targets: losses instead of accuracies, the same from whoever measures them, and as the definition has them.
#[test]
fn targets_may_be_quantities() {
    let place = Place::new();
    let (x, y) = regression_data();
    let data = place.write("own.npz", &archive(("50, 640", &x), ("50, 640", &y)));
    let (out, name) = (place.text("out"), "anomaly-autoencoder");
    let loss = ["--loss", "mean-squared-error"];
    let line = ["train", "--model", name, "--data", &data, "--out", &out, "--epochs", "30", "--batch", "5"];
    let summary = json(&[&line[..], &loss].concat());
    assert_eq!(summary["loss_function"], "mean-squared-error");
    assert!(summary["f32_accuracy"].is_null() && summary["int8_accuracy"].is_null(), "{summary}");
    let history = summary["history"].as_array().unwrap();
    assert!(history[29]["val_loss"].is_number() && history[29]["accuracy"].is_null(), "{}", history[29]);
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value}"));
    let [as_f32, as_int8] = ["f32_loss", "int8_loss"].map(|key| number(&summary[key]));
    // Samples that all gave the mean would leave the variance.
    let mean = y.iter().sum::<f32>() / y.len() as f32;
    let variance = f64::from(y.iter().map(|y| (y - mean).powi(2)).sum::<f32>() / y.len() as f32);
    assert!(as_f32 < 0.7 * variance, "{as_f32} of {variance}: it learned nothing");
    assert!((as_int8 / as_f32 - 1.0).abs() < 0.1, "{as_int8} in int8, {as_f32} in f32");

    let file = |name: &str| place.text(&format!("out/{name}"));
    let evaluate = |name: &str| {
        let measured = json(&[&["evaluate", &file(name), "--data", &data][..], &loss].concat());
        assert!(measured["accuracy"].is_null() && measured["samples"] == 50, "{measured}");
        number(&measured["loss"])
    };
    assert_eq!(evaluate("weights.bin"), as_f32);
    assert!((evaluate("model-f32.samara") / as_f32 - 1.0).abs() < 1e-4);
    assert_eq!(evaluate("model.samara"), as_int8);
    let device = DeviceModel::new(&fs::read(file("model.samara")).unwrap()).unwrap();
    let errors = device.run_each(
        50,
        |session, sample| session.write_f32(0, &x[sample * 640..(sample + 1) * 640]),
        |session, sample| {
            let pairs = session.output_f32(0).unwrap().zip(&y[sample * 640..]);
            pairs.map(|(output, target)| f64::from(output - target).powi(2)).sum::<f64>() / 640.0
        },
    );
    let by_hand = errors.unwrap().iter().sum::<f64>() / 50.0;
    assert!((by_hand / as_int8 - 1.0).abs() < 1e-6, "{by_hand} by hand, {as_int8} measured");

    let again = place.text("again.samara");
    let line = ["quantize", "--model", name, "--weights", &out, "--data", &data, "--out", &again];
    assert_eq!(json(&[&line[..], &loss].concat())["int8_loss"], summary["int8_loss"]);
    assert_eq!(fs::read(&again).unwrap(), fs::read(file("model.samara")).unwrap());
    let text = success(&[&line[..], &loss].concat());
    assert!(text.starts_with(&format!("int8 test loss {as_int8:.4}, written to ")), "{text}");
    let text = success(&[&["evaluate", &again, "--data", &data][..], &loss].concat());
    assert_eq!(text, format!("loss {as_int8:.4} on 50 test samples\n"));
}

#[test]
fn quantities_that_do_not_fit() {
    let place = Place::new();
    let out = place.text("out");
    let (x, y) = regression_data();
    let train = |data: &str, more: &[&str]| {
        let line = ["train", "--model", "anomaly-autoencoder", "--data", data, "--out", &out, "--epochs", "1"];
        refusal(1, &[&line[..], more].concat())
    };
    let data = place.write("values.npz", &archive(("50, 640", &x), ("50, 640", &y)));
    let message = train(&data, &[]);
    assert!(message.contains("array y_train has the shape [50, 640], expected one class number for each sample"), "{message}");
    let message = train(&data, &["--loss", "binary-crossentropy"]);
    let far = y.chunks(640).skip(5).position(|sample| sample.iter().any(|y| !(0.0..=1.0).contains(y))).unwrap() + 5;
    assert!(message.contains("training samples") && message.contains(&format!("in sample {far}, ")), "{message}");
    assert!(message.contains("but binary_crossentropy expects probabilities from 0 to 1"), "{message}");
    let data = place.write("few.npz", &archive(("50, 640", &x), ("50, 3", &y[..150])));
    let message = train(&data, &["--loss", "huber"]);
    assert!(message.contains("[3]") && message.contains("[640]"), "{message}");

    let model = place.write("small.samara", &small_model());
    let data = images(&place, 40, |sample| (sample % 10) as u8);
    let evaluate = |loss: &str| refusal(1, &["evaluate", &model, "--data", &data, "--loss", loss]);
    assert_eq!(evaluate("mean-absolute-error"), "the targets have the shape [], but [10] is expected");
    assert!(names(&place.path("out")).is_empty());
}
