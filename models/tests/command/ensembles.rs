//! Nets that answer together, as one file, and what keeps them from it.

use samara_trainer::prelude::*;

use crate::common::{Place, images, json, names, refusal, success};

/// A net of a TOML file: a pool of this size, a hidden layer, and so many classes.
fn net(place: &Place, name: &str, pool: usize, units: usize, end: &str) -> String {
    let text = format!(
        "name = \"{name}\"\ninput = [28, 28, 1]\nlayer = [\n  {{ kind = \"MaxPooling2D\", pool_size = {pool} }},\n  {{ kind = \"Flatten\" }},\n  \
         {{ kind = \"Dense\", units = {units}, activation = \"relu\" }},\n  {{ kind = \"Dense\", {end} }},\n]\n"
    );
    place.write(&format!("{name}.toml"), text.as_bytes())
}

const TEN: &str = "units = 10, activation = \"softmax\"";

/// Trains a net a little, and gives what `--member` takes.
fn trained(place: &Place, data: &str, model: &str, out: &str, seed: &str) -> String {
    let out = place.text(out);
    success(&["train", "--model", model, "--data", data, "--epochs", "2", "--batch", "20", "--seed", seed, "--out", &out]);
    format!("{model}={out}")
}

#[test]
fn members_answer_together_as_one_file() {
    let place = Place::new();
    let data = images(&place, 600, |sample| (sample % 10) as u8);
    let (coarse, fine) = (net(&place, "coarse", 7, 24, TEN), net(&place, "fine", 4, 16, TEN));
    let members = [
        trained(&place, &data, &coarse, "1", "1"),
        trained(&place, &data, &fine, "2", "1"),
        trained(&place, &data, &coarse, "3", "2"),
    ];
    let out = place.text("all");
    let [first, second, third] = &members;
    let base = ["ensemble", "--member", first, "--member", second, "--member", third, "--data", &data];
    let found = json(&[&base[..], &["--out", &out]].concat());
    assert_eq!(names(&place.path("all")), ["ensemble-f32.samara", "ensemble.model", "ensemble.samara"]);

    let accuracy = |way: &str| found[way]["validation_accuracy"].as_f64().unwrap();
    assert!(accuracy("weighted") >= accuracy("mean"), "{found}");
    let weights: Vec<f64> =
        found["members"].as_array().unwrap().iter().map(|member| member["weight"].as_f64().unwrap()).collect();
    assert!(weights.iter().all(|weight| *weight >= 0.0) && (weights.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{weights:?}");
    let named: Vec<&str> = found["members"].as_array().unwrap().iter().map(|member| member["name"].as_str().unwrap()).collect();
    assert_eq!(named, ["coarse", "fine", "coarse_1"]);
    assert_eq!(found["pairs"].as_array().unwrap().len(), 3);
    let warnings = found["warnings"].as_array().unwrap();
    let alike = "coarse and coarse_1 are nets of one kind, which differ by their training alone, such as its seed: unlike nets help each other more";
    assert!(warnings.iter().any(|warning| warning == alike), "{found}");

    // The files say what was measured, and the f32 file gives the weighted mean of the members' own.
    let file = place.text("all/ensemble.samara");
    assert_eq!(json(&["evaluate", &file, "--data", &data])["accuracy"], found["int8_accuracy"]);
    let f32_accuracy = json(&["evaluate", &place.text("all/ensemble-f32.samara"), "--data", &data])["accuracy"].clone();
    assert_eq!(f32_accuracy, found["weighted"]["test_accuracy"]);
    let samples = Tensor::from_samples([28, 28, 1], (0..20 * 784).map(|i| (i * 31 % 257) as f32 / 257.0).collect()).unwrap();
    let said = |path: &str| {
        let file = DeviceModel::new(&std::fs::read(place.path(path)).unwrap()).unwrap();
        file.predict(std::slice::from_ref(&samples)).unwrap()[0].values().to_vec()
    };
    let each = ["1", "2", "3"].map(|directory| said(&format!("{directory}/model-f32.samara")));
    for (place, together) in said("all/ensemble-f32.samara").iter().enumerate() {
        let expected: f64 = each.iter().zip(&weights).map(|(values, weight)| weight * f64::from(values[place])).sum();
        assert!((f64::from(*together) - expected).abs() < 1e-5, "{place}: {together}, expected {expected}");
    }

    // An ensemble is a member like others, and other ways to combine are files, too.
    let whole = place.text("all/ensemble.model");
    let stacked = json(&[
        "ensemble",
        "--member",
        &whole,
        "--member",
        first,
        "--data",
        &data,
        "--combine",
        "stacked",
        "--out",
        &place.text("more"),
    ]);
    assert_eq!(stacked["members"][0]["test_accuracy"], found["weighted"]["test_accuracy"]);
    let measured = json(&["evaluate", &place.text("more/ensemble.samara"), "--data", &data]);
    assert_eq!(measured["accuracy"], stacked["int8_accuracy"]);
    // A small net learns from all.
    let student = net(&place, "student", 7, 4, TEN);
    let teach = |more: &[&str], out: &str| {
        let base = ["train", "--model", &student, "--data", &data, "--epochs", "2", "--batch", "20", "--out", out];
        json(&[&base[..], more].concat())
    };
    let alone = teach(&[], &place.text("alone"));
    let taught = teach(&["--teacher", &whole, "--alpha", "0.75", "--temperature", "2"], &place.text("taught"));
    assert_eq!(taught["teacher"], serde_json::json!({ "file": whole, "temperature": 2.0, "alpha": 0.75 }));
    assert!(alone["teacher"].is_null() && alone["f32_loss"] != taught["f32_loss"], "{taught}");
    let measured = json(&["evaluate", &place.text("taught/weights.bin"), "--model", &student, "--data", &data]);
    assert_eq!((&measured["accuracy"], &measured["loss"]), (&taught["f32_accuracy"], &taught["f32_loss"]));

    // Nothing is written without a place for it, and the table is for people.
    let table = success(&[&base[..], &["--combine", "mean"]].concat());
    assert!(table.contains("all: weighted") && table.contains("correlation of errors"), "{table}");
}

#[test]
fn one_net_gives_several_members() {
    let place = Place::new();
    let data = images(&place, 300, |sample| (sample % 10) as u8);
    let model = net(&place, "net", 7, 12, TEN);
    let train = |more: &[&str], out: &str| {
        let base = ["train", "--model", &model, "--data", &data, "--batch", "20", "--learning-rate", "0.01", "--out", out];
        json(&[&base[..], more].concat())
    };
    let rounds = place.text("rounds");
    assert_eq!(train(&["--epochs", "4", "--snapshots", "2"], &rounds)["schedule"], "cosine-restarts:first=2,growth=1");
    let snapshots = [2, 4].map(|epoch| place.text(&format!("rounds/snapshot-{epoch:02}.model")));
    assert_eq!(names(&place.path("rounds")).iter().filter(|name| name.starts_with("snapshot")).count(), 2);
    let folds = ["1/2", "2/2"].map(|fold| {
        let out = place.text(&fold.replace('/', "of"));
        train(&["--epochs", "2", "--fold", fold], &out);
        format!("{model}={out}")
    });
    let [first, second] = &snapshots;
    let [third, fourth] = &folds;
    let all =
        json(&["ensemble", "--member", first, "--member", second, "--member", third, "--member", fourth, "--data", &data]);
    let accuracies: Vec<_> = all["members"].as_array().unwrap().iter().map(|member| member["name"].as_str().unwrap()).collect();
    assert_eq!(accuracies, ["net", "net_1", "net_2", "net_3"]);
    let warning = all["warnings"].to_string();
    assert!(warning.contains("net and net_1, net_2, net_3 are nets of one kind"), "{warning}");
    // The last snapshot is the net that the training ended with.
    let measured = json(&["evaluate", &place.text("rounds/weights.bin"), "--model", &model, "--data", &data]);
    assert_eq!(all["members"][1]["test_accuracy"], measured["accuracy"]);

    let base = ["train", "--model", &model, "--data", &data, "--out", &rounds, "--epochs", "5"];
    let error = refusal(1, &[&base[..], &["--snapshots", "2"]].concat());
    assert_eq!(error, "--snapshots 2 makes no rounds of whole epochs of --epochs 5: say a multiple of 2");
    let error = refusal(2, &[&base[..], &["--fold", "3/2"]].concat());
    assert!(error.contains("expected a part and how many there are, two or more, such as 1/5"), "{error}");
}

#[test]
fn what_keeps_members_from_answering_together_is_said() {
    let place = Place::new();
    let data = images(&place, 300, |sample| (sample % 10) as u8);
    let model = net(&place, "net", 7, 8, TEN);
    let member = trained(&place, &data, &model, "net", "1");
    let out = place.text("out");
    let refused = |code: i32, more: &[&str], expected: &str| {
        let error = refusal(code, &[&["ensemble", "--member", &member, "--data", &data, "--out", &out], more].concat());
        assert!(error.contains(expected), "{error}");
        assert!(!place.path("out").exists());
    };
    refused(1, &[], "an ensemble has two members or more, but --member names ");
    refused(1, &["--member", "fashion-mlp=nowhere"], "nowhere cannot be read");
    refused(2, &["--member", "fashion-mpl=nowhere"], "there is no model \"fashion-mpl\"");
    refused(2, &["--member", "fashion-mlp="], "behind fashion-mlp= a directory or file of weights is missing");
    refused(1, &["--member", &place.text("net")], "names a model that is not of the zoo, say --member MODEL=");
    refused(1, &["--member", &place.write("junk.bin", b"junk")], "junk.bin");
    let saved = |name: &str, shape: &[usize], end: Dense| {
        let x = input(shape);
        let built = Model::new(name, &x, end.apply(Flatten::new().apply(&x))).unwrap();
        built.save(place.path(name)).unwrap();
        place.text(name)
    };
    let softmax = |classes: usize| Dense::new(classes).activation(Activation::Softmax);
    let small = saved("small", &[5], softmax(10));
    refused(1, &["--member", &small], "member 'small' takes [5], but 'net' takes [28, 28, 1]: members share their input");
    let few = saved("few", &[28, 28, 1], softmax(3));
    refused(1, &["--member", &few], "member 'few' tells 3 classes apart, but 'net' tells 10");
    let open = saved("open", &[28, 28, 1], Dense::new(10));
    refused(1, &["--member", &open], "which are no probabilities: its last layer has to end in a softmax");
    refused(1, &["--member", &format!("{model}={open}")], "the file has a whole model, which needs none before it");
    refused(1, &["--member", &member, "--folds", "1"], "samples make no 1 folds");

    let unteachable = |code: i32, more: &[&str], expected: &str| {
        let base = ["train", "--model", &model, "--data", &data, "--epochs", "1", "--out", &place.text("pupil")];
        let error = refusal(code, &[&base[..], more].concat());
        assert!(error.contains(expected), "{error}");
        assert!(!place.path("pupil/weights.bin").exists());
    };
    unteachable(1, &["--teacher", "nowhere"], "nowhere cannot be read");
    unteachable(1, &["--teacher", &few], "few gives [3], but net gives [10]: a teacher tells the same classes apart");
    unteachable(1, &["--teacher", &open], "which are no probabilities: its last layer has to end in a softmax");
    unteachable(1, &["--teacher", &member, "--temperature", "0.5"], "the temperature is 0.5, but must be a number from 1 on");
    unteachable(1, &["--teacher", &member, "--alpha", "1.5"], "alpha is 1.5, but must be from 0 to 1");
    unteachable(2, &["--alpha", "0.5"], "the following required arguments were not provided");
}
