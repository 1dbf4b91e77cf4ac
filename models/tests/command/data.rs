//! Data sets: where they are, and those that are damaged or do not fit.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::common::{Place, archive, images, names, refusal, train};

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
        let output = command.env("SAMARA_DATA", &data).args(["data"]).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let parsed = |text: String| serde_json::from_str::<Value>(&text).unwrap();
    assert!(run(&["list"]).lines().nth(1).unwrap().starts_with("fashion-mnist"));
    assert_eq!(run(&["fetch", "fashion-mnist"]), format!("{data}\n"));
    let (list, found) = (parsed(run(&["list", "--json"])), parsed(run(&["fetch", "fashion-mnist", "--json"])));
    assert_eq!((&found["data"], &found["directory"]), (&"fashion-mnist".into(), &data.as_str().into()));
    assert_eq!(list, Value::from(vec![found]));
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
