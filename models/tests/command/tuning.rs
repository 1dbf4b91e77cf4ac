//! A search, gone on with, within limits, and what is wrong with its file.

use samara_trainer::Model;

use crate::common::{Place, images, json, names, refusal};

pub const SEARCH: &str = r#"
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
    assert_eq!(
        names(&place.path("out")),
        ["model.samara", "model.toml", "nets.json", "report.html", "studies.db", "weights.bin"]
    );
    let second = tune(&["--trials", "12"]);
    assert_eq!(second["trials"], 12);
    assert!(second["validation"].as_f64() >= first["validation"].as_f64(), "more trials are not worse: {second}");
    let number = second["trial"].to_string();
    let again = tune(&["--retrain", &number]);
    assert_eq!(again, second);

    let page = std::fs::read_to_string(place.path("out/report.html")).unwrap();
    let body = page.strip_prefix("<!DOCTYPE html>").unwrap();
    let tree = roxmltree::Document::parse(body).unwrap();
    assert!(!page.contains("http") && !page.contains("NaN") && !page.contains("<script"), "it needs nothing else");
    let drawn = |label: &str, mark: &str| {
        let picture = tree.descendants().find(|node| node.attribute("aria-label") == Some(label)).unwrap();
        picture.descendants().filter(|node| node.has_tag_name(mark)).count()
    };
    let ended = second["complete"].as_u64().unwrap() + second["pruned"].as_u64().unwrap();
    assert_eq!(drawn("val_accuracy over trial", "circle") as u64, ended);
    assert_eq!(drawn("val_accuracy over bytes of the file", "circle") as u64, second["complete"].as_u64().unwrap());
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
    refused(
        &SEARCH.replace("[1e-3, 1e-1], log = true", "[-1.0, 0.1]"),
        &[],
        "[train] learning_rate is -1.0, expected a number above 0",
    );
    refused(
        &SEARCH.replace("epochs = 2", "epochs = 2\nquantize = \"int5\""),
        &[],
        "[train] quantize is \"int5\"; known are int8, int4, int16",
    );
    refused(&SEARCH.replace("MaxPooling2D", "MaxPoling2D"), &[], "MaxPooling2D");
    refused(SEARCH, &["--max-flash", "100"], "the last candidate: a file of");
    refused(SEARCH, &["--max-macs", "10"], "multiply-accumulates");
    refused(SEARCH, &["--max-instructions", "1k"], "the last candidate: about ");
    refused(SEARCH, &["--max-training-ram", "10"], "bytes to learn in");
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

/// Numbers of the file as part of the space: what counts is what the file gives.
#[test]
fn a_search_chooses_numbers_and_augmentation_and_gives_a_front() {
    let place = Place::new();
    let data = images(&place, 300, |sample| (sample % 10) as u8);
    let search = SEARCH
        .replace(
            "[train]",
            "numbers = { choice = [\"int8\", \"int4\", \"int16\"] }\nchange = { choice = [\"none\", \"shift:0.1\"] }\n[train]",
        )
        .replace("epochs = 2", "epochs = 2\nquantize = \"$numbers\"\naugment = \"$change\"");
    let (file, out) = (place.write("small.toml", search.as_bytes()), place.text("out"));
    let tune = |more: &[&str]| {
        json(&[&["tune", &file, "--data", &data, "--out", &out, "--minimize", "flash,instructions"], more].concat())
    };
    let found = tune(&["--trials", "9"]);
    assert_eq!((&found["complete"], &found["failed"]), (&9.into(), &0.into()), "{found}");
    let front: Vec<u64> = found["front"].as_array().unwrap().iter().filter_map(serde_json::Value::as_u64).collect();
    assert_eq!(front[0], found["trial"], "the best comes first");
    let csv = std::fs::read_to_string(place.path("out/front.csv")).unwrap();
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("trial,val_accuracy,flash,instructions,rate,units,layers,numbers,change"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.iter().map(|row| row[0].parse::<u64>().unwrap()).collect::<Vec<_>>(), front);
    let number = |row: &[&str], column: usize| row[column].parse::<f64>().unwrap();
    for (one, other) in rows.iter().flat_map(|one| rows.iter().map(move |other| (one, other))) {
        let beats =
            number(one, 1) >= number(other, 1) && number(one, 2) <= number(other, 2) && number(one, 3) <= number(other, 3);
        assert!(one == other || !beats || one[1..4] == other[1..4], "{csv}");
    }
    // A file for each net of the front, and what was believed of it: what `cargo xtask device-bench --study` takes.
    let listed = |name: &str| -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(place.path("out/nets.json")).unwrap();
        let list: serde_json::Value = serde_json::from_str(&text).unwrap();
        list["nets"].as_array().unwrap().iter().map(|net| net[name].clone()).collect()
    };
    assert_eq!(listed("trial"), front);
    for ((file, planned), row) in listed("file").iter().zip(listed("model_bytes")).zip(&rows) {
        let bytes = std::fs::read(place.path("out").join(file.as_str().unwrap())).unwrap();
        // The winner's has golden samples, which no plan has.
        let is_whole = bytes.len() as u64 == planned.as_u64().unwrap() || file == "model.samara";
        assert!(is_whole && number(row, 2) == planned.as_f64().unwrap(), "{file}: {}, {planned}", bytes.len());
    }
    std::fs::write(place.path("out/front/trial-99.samara"), b"of an earlier front").unwrap();
    std::fs::write(place.path("out/device.json"), b"of other files").unwrap();
    // The same bits again, whatever the numbers are.
    let last = front[front.len() - 1];
    assert_eq!(tune(&["--retrain", &last.to_string()])["failed"], 0);
    assert!(listed("trial").len() == front.len() && listed("trial")[0] == last);
    assert!(!place.path("out/front/trial-99.samara").exists() && !place.path("out/device.json").exists());
}

#[test]
fn a_search_on_a_table_has_other_losses() {
    let place = Place::new();
    let rows: String = (0..240).map(|row| format!("{},{},{}\n", row % 7, row % 5, (row % 7) * 2 - row % 5)).collect();
    let data = place.write("table.csv", format!("a,b,target\n{rows}").as_bytes());
    let search = "name = \"line\"\ninput = [2]\n[space]\nrate = { float = [1e-3, 1e-1], log = true }\n[train]\nlearning_rate = \"$rate\"\nepochs = 3\n\
                  [[layer]]\nkind = \"Dense\"\nunits = 1\n";
    let file = place.write("line.toml", search.as_bytes());
    let out = place.text("out");
    let arguments = ["tune", &file, "--data", &data, "--trials", "4", "--out", &out];
    let missing = refusal(1, &arguments);
    assert!(missing.contains("--target is missing: which column of "), "{missing}");
    let found = json(&[&arguments[..], &["--target", "target"]].concat());
    assert_eq!(
        (&found["objective"], &found["trials"], &found["failed"]),
        (&"val_loss".into(), &4.into(), &0.into()),
        "{found}"
    );
    assert!(place.path("out/columns.json").exists());
    let argument = refusal(1, &["tune", &file, "--data", "fashion-mnist", "--target", "x", "--out", &out]);
    assert!(argument.ends_with("--target names a column of a CSV file, but --data is fashion-mnist"), "{argument}");
}
