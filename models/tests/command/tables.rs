//! CSV files: the columns learned from, the same ones for every command after the training, and what is wrong with a file.

use std::fmt::Write as _;
use std::fs;

use samara_trainer::data::Random;
use serde_json::Value;

use crate::common::{Place, json, length, names, refusal, samara, success};

/// Flowers, sorted by kind, whose sizes and colours go with it; names have commas, quotes and ends of lines.
fn flowers(seed: u64, per_kind: usize) -> String {
    let mut random = Random::new(seed, 0);
    let mut text = "number,\"length, cm\",width,colour,stalks,kind\n".to_owned();
    let kinds = [("Iris \"\"blue\"\" flag", 5.0, "violet, pale"), ("Iris\nsetosa", 1.5, "blue"), ("Iris", 3.5, "violet, pale")];
    for (kind, (name, length, colour)) in kinds.into_iter().enumerate() {
        for number in 0..per_kind {
            let length = length + 0.3 * random.normal();
            let width = 200.0 + 40.0 * length + 5.0 * random.normal();
            let number = kind * per_kind + number;
            let stalks = [1, 2, 10][random.below(3)];
            writeln!(text, "{number},{length:.2},{width:.1},\"{colour}\",{stalks},\"{name}\"").unwrap();
        }
    }
    text
}

const COLUMNS: [&str; 4] = ["--leave-out", "number", "--category", "stalks"];

#[test]
fn a_table_is_trained_on_and_every_command_after_it_has_its_codes() {
    let place = Place::new();
    let (data, out) = (place.write("flowers.csv", flowers(1, 60).as_bytes()), place.text("out"));
    let line = ["train", "--data", &data, "--target", "kind", "--out", &out, "--epochs", "30", "--batch", "8"];
    let arguments = [&line[..], &["--learning-rate", "0.01"], &COLUMNS].concat();
    let summary = json(&arguments);
    assert_eq!(
        names(&place.path("out")),
        ["columns.json", "model-f32.samara", "model.samara", "training.state", "weights.bin"]
    );
    let kinds: Vec<Value> = ["Iris", "Iris\nsetosa", "Iris \"blue\" flag"].map(Value::from).into();
    assert_eq!((&summary["model"], &summary["classes"]), (&"table-mlp".into(), &kinds.into()));
    // Length, width, two colours, three numbers of stalks.
    assert_eq!(summary["parameters"], 7 * 32 + 32 + 32 * 16 + 16 + 16 * 3 + 3);
    assert!(summary["f32_accuracy"].as_f64() > Some(0.9) && summary["int8_accuracy"].as_f64() > Some(0.9), "{summary}");

    let file = |name: &str| place.text(&format!("out/{name}"));
    let evaluate = |name: &str, data: &str| {
        let measured = json(&["evaluate", &file(name), "--data", data, "--target", "kind"]);
        (measured["samples"].clone(), measured["accuracy"].clone())
    };
    for (name, key) in
        [("weights.bin", "f32_accuracy"), ("model-f32.samara", "f32_accuracy"), ("model.samara", "int8_accuracy")]
    {
        assert_eq!(evaluate(name, &data), (36.into(), summary[key].clone()), "{name}");
    }
    let again = place.text("again.samara");
    success(&["quantize", "--weights", &out, "--data", &data, "--out", &again]);
    assert_eq!(fs::read(&again).unwrap(), fs::read(file("model.samara")).unwrap());
    let [inputs, outputs, labels, model] = [place.text("i"), place.text("o"), place.text("l"), file("model.samara")];
    let paths = ["--out", &inputs, "--expected", &outputs, "--labels", &labels, "--count", "36"];
    success(&[&["export-samples", "--model", &model, "--data", &data][..], &paths].concat());
    assert_eq!([&inputs, &outputs, &labels].map(|path| length(path)), [36 * 7, 36 * 3, 36]);

    // Another file: all its rows; a colour that the training did not have is told.
    let text = flowers(2, 10).replacen(",\"blue\",", ",\"white\",", 1);
    let other = place.write("other.csv", text.as_bytes());
    let (samples, accuracy) = evaluate("model.samara", &other);
    assert!(samples == 30 && accuracy.as_f64() > Some(0.8), "{samples} {accuracy}");
    let notes = samara(&["evaluate", &file("model.samara"), "--data", &other]).stderr;
    let notes = String::from_utf8(notes).unwrap();
    let expected = "names that no training row has are all 0: 1, the first \"white\" in line 12, column colour";
    assert!(notes.contains(expected) && notes.contains("all 30 rows"), "{notes}");
    let message = refusal(1, &["quantize", "--weights", &out, "--data", &other, "--out", &again]);
    assert!(message.ends_with("other.csv is not the file of the training, whose training samples are needed"), "{message}");

    // A training goes on with the columns it began with.
    let resumed = [&arguments[..], &["--resume"]].concat();
    assert_eq!(json(&resumed)["history"], summary["history"]);
    fs::write(&data, flowers(3, 60)).unwrap();
    assert!(refusal(1, &resumed).contains("flowers.csv are not those of the training that is to be resumed"));
}

/// In the units of the column, however large.
#[test]
fn a_column_of_numbers_is_predicted() {
    let place = Place::new();
    let mut random = Random::new(4, 0);
    let mut text = "rooms,district,price\n".to_owned();
    for _ in 0..400 {
        let (rooms, district) = (1 + random.below(6), random.below(3));
        let price = 50_000.0 + 40_000.0 * rooms as f64 + 90_000.0 * district as f64 + 3000.0 * random.normal();
        writeln!(text, "{rooms},{},{price:.0}", ["North", "East", "Old town"][district]).unwrap();
    }
    let (data, out) = (place.write("prices.csv", text.as_bytes()), place.text("out"));
    let line = ["train", "--data", &data, "--target", "price", "--out", &out, "--epochs", "40", "--batch", "16"];
    let summary = json(&[&line[..], &["--learning-rate", "0.01"]].concat());
    assert_eq!((&summary["loss_function"], &summary["classes"]), (&"mean-squared-error".into(), &Value::Null));
    // The prices' deviation is above 90,000.
    for key in ["f32_loss", "int8_loss"] {
        let deviation = summary[key].as_f64().unwrap().sqrt();
        assert!(deviation < 12_000.0, "{key}: {deviation}");
    }
    let file = place.text("out/weights.bin");
    assert_eq!(json(&["evaluate", &file, "--data", &data])["loss"], summary["f32_loss"]);
    let absolute = json(&["evaluate", &file, "--data", &data, "--loss", "mean-absolute-error"])["loss"].as_f64().unwrap();
    assert!(absolute < summary["f32_loss"].as_f64().unwrap().sqrt(), "{absolute}");
}

#[test]
fn tables_that_make_no_sense() {
    let place = Place::new();
    let out = place.text("out");
    let message = |text: &str, more: &[&str]| {
        let data = place.write("x.csv", text.as_bytes());
        let line = ["train", "--data", &data, "--out", &out, "--epochs", "1"];
        let message = refusal(1, &[&line[..], more].concat());
        message.replace(&data, "x.csv")
    };
    let rows: String = (0..20).map(|row| format!("{row},{}\n", ["oak", "ash"][row % 2])).collect();
    let good = format!("size,kind\n{rows}");
    let kind = ["--target", "kind"];
    assert_eq!(message(&good, &[]), "--target is missing: which column of x.csv? It has size, kind");
    assert_eq!(message(&good, &["--target", "kinds"]), "x.csv: it has no column kinds; it has size, kind");
    let gap = good.replace("\n7,ash", "\n,ash");
    let expected = "x.csv, line 9, column size: found nothing, expected a ";
    assert!(message(&gap, &kind).starts_with(expected), "{}", message(&gap, &kind));
    let typing = good.replace("\n7,ash", "\n7O,ash");
    assert!(message(&typing, &kind).starts_with("x.csv, line 9, column size: found \"7O\", expected a "));
    let short = good.replace("\n7,ash", "\n7");
    assert_eq!(message(&short, &kind), "x.csv: line 9 has 1 field, expected 2 as in the header");
    let more = ["--target", "kind", "--loss", "huber"];
    assert_eq!(message(&good, &more), "--loss is huber, which expects numbers, but the column kind has names");
    let more = ["--target", "kind", "--model", "resnet8"];
    let expected = "--model is resnet8, but x.csv is a CSV file, for which a net is made to fit: leave --model out";
    assert_eq!(message(&good, &more), expected);
    assert_eq!(message("size,kind\n1,a\n", &kind), "x.csv: it has 1 row, expected at least 3: to train, to validate, to test");

    let data = place.write("x.csv", good.as_bytes());
    let message = refusal(1, &["train", "--data", "fashion-mnist", "--out", &out]);
    assert!(message.starts_with("--model is missing: fashion-mnist is no CSV file"), "{message}");
    let line = ["train", "--model", "resnet8", "--data", "fashion-mnist", "--out", &out, "--target", "kind"];
    assert_eq!(refusal(1, &line), "--target names a column of a CSV file, but --data is fashion-mnist");
    let model = place.write("model.samara", &crate::common::small_model());
    let message = refusal(1, &["evaluate", &model, "--data", &data]);
    assert!(message.contains("what the columns of a CSV file are is kept beside the weights"), "{message}");
    let message =
        refusal(1, &["compare", "--model", "resnet8", "--data", &data, "--optimizer", "sgd", "--out", &place.text("x.svg")]);
    assert!(message.contains("a CSV file is read where its target's column is named"), "{message}");
    assert!(names(&place.path("out")).is_empty());
}
