//! Data sets: where they are, and those that are damaged or do not fit.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::common::{Place, archive, images, json, names, refusal, train};

/// `cargo xtask setup` puts data sets into the cache, at this path.
#[test]
fn data_sets_in_the_users_cache_are_found() {
    let place = Place::new();
    let directory = place.path("samara/fashion-mnist");
    fs::create_dir_all(&directory).unwrap();
    for file in ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"] {
        fs::write(directory.join(format!("{file}-ubyte.gz")), "").unwrap();
    }
    let of_system = Path::new("/usr/share/datasets/fashion-mnist");
    let expected = if of_system.exists() { of_system } else { &directory };
    let mut list = Command::new(env!("CARGO_BIN_EXE_samara"));
    list.args(["data", "list", "--json"]).env_remove("SAMARA_DATA").env("XDG_CACHE_HOME", place.0.path());
    let sources: Value = serde_json::from_slice(&list.output().unwrap().stdout).unwrap();
    assert_eq!(sources[0]["directory"], expected.display().to_string());
}

#[test]
fn data_sets_are_listed_and_found() {
    let place = Place::new();
    let data = images(&place, 40, |sample| (sample % 10) as u8);
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_samara"));
        let command = command.env("SAMARA_DATA", &data).env("XDG_CACHE_HOME", place.0.path());
        let output = command.args(["data"]).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let parsed = |text: String| serde_json::from_str::<Value>(&text).unwrap();
    assert!(run(&["list"]).lines().nth(1).unwrap().starts_with("fashion-mnist"));
    assert_eq!(run(&["fetch", "fashion-mnist"]), format!("{data}\n"));
    let (list, found) = (parsed(run(&["list", "--json"])), parsed(run(&["fetch", "fashion-mnist", "--json"])));
    assert_eq!((&found["data"], &found["directory"]), (&"fashion-mnist".into(), &data.as_str().into()));
    assert_eq!(list[0], found);
    // MNIST's files have the same names: they are not taken for it.
    assert_eq!((&list[1]["data"], &list[1]["directory"]), (&"mnist".into(), &Value::Null));
}

#[test]
fn data_that_is_not_here_is_told_with_its_place() {
    let place = Place::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_samara"));
    command.args(["data", "fetch", "basic-motions"]).env_remove("SAMARA_DATA").env("XDG_CACHE_HOME", place.0.path());
    let message = String::from_utf8(command.output().unwrap().stderr).unwrap();
    let start = "error: basic-motions is not on this machine, and is not downloaded: put BasicMotions_TRAIN.ts and ";
    assert!(message.starts_with(start), "{message}");
    assert!(message.trim_end().ends_with(&format!("into {}", place.text("samara/basic-motions"))), "{message}");
}

/// Pictures that are bright on the left or on the right, of another size than the net's.
#[test]
fn a_folder_of_pictures_is_brought_to_the_models_shape() {
    let place = Place::new();
    for sample in 0..20u8 {
        let folder = place.path("sides").join(["left", "right"][usize::from(sample % 2)]);
        fs::create_dir_all(&folder).unwrap();
        let mut content = Vec::new();
        let mut encoder = png::Encoder::new(&mut content, 6, 4);
        encoder.set_color(png::ColorType::Rgb);
        let is_bright = |value: u8| (value / 3 % 6 < 3) == (sample % 2 == 0);
        let values: Vec<u8> = (0..72).map(|value| if is_bright(value) { 200 } else { sample }).collect();
        encoder.write_header().unwrap().write_image_data(&values).unwrap();
        fs::write(folder.join(format!("{sample}.png")), content).unwrap();
    }
    let (data, out) = (place.text("sides"), place.text("out"));
    let described = json(&["train", "--model", "fashion-mlp", "--data", &data, "--epochs", "1", "--out", &out]);
    assert_eq!(described["data"], data.as_str());
    for file in [place.text("out/model.samara"), place.text("out/weights.bin")] {
        assert_eq!(json(&["evaluate", &file, "--data", &data])["samples"], 4);
    }
}

#[test]
fn data_files_that_are_missing_or_cut_short() {
    let place = Place::new();
    let (data, out) = (images(&place, 40, |sample| (sample % 10) as u8), place.text("out"));
    let labels = place.path("images/t10k-labels-idx1-ubyte");
    let good = fs::read(&labels).unwrap();
    fs::write(&labels, &good[..good.len() - 1]).unwrap();
    let message = refusal(1, &train(&data, &out));
    assert!(
        message.ends_with("t10k-labels-idx1-ubyte: it holds 19 bytes of elements, expected 20 for its dimensions [20]: it was cut short or damaged"),
        "{message}"
    );
    fs::remove_file(&labels).unwrap();
    let message = refusal(1, &train(&data, &out));
    assert!(message.ends_with("has neither t10k-labels-idx1-ubyte nor t10k-labels-idx1-ubyte.gz"), "{message}");
    assert!(names(&place.path("out")).is_empty());
}

#[test]
fn data_that_does_not_fit_the_model() {
    let place = Place::new();
    let out = place.text("out");
    let data = images(&place, 40, |sample| if sample == 17 { 12 } else { (sample % 10) as u8 });
    let message = refusal(1, &train(&data, &out));
    // As the user's file counts, of whose 40 samples the first 4 are held out.
    assert!(message.contains("the training samples of "), "{message}");
    assert!(message.contains("the label 12 in sample 17, but the model has 10 classes: 0 to 9"), "{message}");
    let data = images(&place, 40, |sample| if sample == 2 { 12 } else { (sample % 10) as u8 });
    let message = refusal(1, &train(&data, &out));
    assert!(message.contains("the validation samples of ") && message.contains("the label 12 in sample 2,"), "{message}");

    let pixels = 784 * 4;
    let mut values = vec![0.5; pixels];
    let good = place.write("good.npz", &archive(("4, 28, 28", &values), ("4,", &[0.0, 1.0, 2.0, 3.0])));
    let message = refusal(1, &["train", "--model", "resnet8", "--data", &good, "--out", &out]);
    assert!(message.contains("[28, 28]") && message.contains("[32, 32, 3]"), "{message}");
    values[784 + 5] = f32::NAN;
    let data = place.write("nan.npz", &archive(("4, 28, 28", &values), ("4,", &[0.0; 4])));
    let message = refusal(1, &train(&data, &out));
    assert!(message.contains("nan.npz") && message.contains("NaN in sample 1, position 5"), "{message}");
    let data = place.write("empty.npz", &archive(("0, 28, 28", &[]), ("0,", &[])));
    let message = refusal(1, &train(&data, &out));
    assert!(message.contains("empty.npz") && message.contains("the data set is empty"), "{message}");
    let data = place.write("negative.npz", &archive(("4, 28, 28", &vec![0.5; pixels]), ("4,", &[0.0, -1.0, 0.0, 0.0])));
    let message = refusal(1, &train(&data, &out));
    assert!(message.contains("array y_train has the label -1 in sample 1"), "{message}");
    assert!(names(&place.path("out")).is_empty(), "nothing was written");
}
