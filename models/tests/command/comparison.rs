//! Comparisons of optimizers.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::common::{Place, images, json, names, refusal, success};

fn compare<'a>(data: &'a str, out: &'a str, optimizers: &[&'a str]) -> Vec<&'a str> {
    let named = optimizers.iter().flat_map(|optimizer| ["--optimizer", optimizer]);
    ["compare", "--model", "fashion-mlp-deep", "--data", data, "--out", out].into_iter().chain(named).collect()
}

/// Every optimizer starts from the same weights and sees the same samples in the same order: only by that is it a comparison.
#[test]
fn optimizers_are_compared_from_the_same_start() {
    let place = Place::new();
    let (data, out) = (images(&place, 100, |sample| (sample % 10) as u8), place.text("new/curves.svg"));
    let few = ["--epochs", "2", "--batch", "10", "--seed", "7"];
    let optimizers = ["sgd", "sgd=0.01", "momentum", "sgd=1e30", "adam=0.01"];
    let compared = json(&[&compare(&data, &out, &optimizers)[..], &few].concat());
    assert_eq!(names(&place.path("new")), ["curves.json", "curves.svg"]);
    let beside: Value = serde_json::from_str(&fs::read_to_string(place.path("new/curves.json")).unwrap()).unwrap();
    assert_eq!(beside, compared);
    for (key, expected) in [("model", "fashion-mlp-deep"), ("data", &data), ("out", &out)] {
        assert_eq!(compared[key], expected);
    }
    let [first, again, momentum, lost, adam] = &compared["optimizers"].as_array().unwrap()[..] else { panic!("{compared}") };
    assert_eq!((&first["optimizer"], &first["learning_rate"]), (&"sgd".into(), &0.01.into()));
    assert_eq!((&first["history"], &first["f32_loss"]), (&again["history"], &again["f32_loss"]));
    assert_ne!(first["history"], momentum["history"]);
    assert_eq!(first["history"].as_array().unwrap().len(), 2);
    assert!(lost["error"].as_str().unwrap().contains("training has diverged") && lost["history"].is_null(), "{lost}");

    // As `samara train` would have done it, to the bit.
    let trained = place.text("trained");
    let line = ["train", "--model", "fashion-mlp-deep", "--data", &data, "--out", &trained, "--learning-rate", "0.01"];
    let alone = json(&[&line[..], &few].concat());
    for key in ["optimizer", "learning_rate", "history", "f32_accuracy", "f32_loss"] {
        assert_eq!(adam[key], alone[key], "{key}");
    }

    let svg = fs::read_to_string(&out).unwrap();
    for label in ["sgd 0.01", "momentum 0.01", "(diverged)", "adam 0.01"] {
        assert!(svg.contains(label), "{label} in {svg}");
    }
    let text = success(&[&compare(&data, &out, &["nadam", "sgd=1e30"])[..], &few].concat());
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let titles = "optimizer learning rate training loss validation accuracy test accuracy seconds";
    assert_eq!(rows[0].join(" "), titles);
    assert_eq!((rows.len(), rows[1].len(), &rows[1][..2]), (3, 6, &["nadam", "0.001"][..]), "{text}");
    assert_eq!(rows[2][2..5], ["diverged"; 3]);
}

/// What a comparison had finished when it was ended is in its files, and these are whole.
#[test]
fn an_interrupted_comparison_keeps_what_is_finished() {
    let place = Place::new();
    let (data, out) = (images(&place, 300, |sample| (sample % 10) as u8), place.text("curves.svg"));
    let arguments = [&compare(&data, &out, &["adam"; 8])[..], &["--epochs", "100"]].concat();
    let mut child = Command::new(env!("CARGO_BIN_EXE_samara")).args(arguments).stderr(Stdio::null()).spawn().unwrap();
    while !place.path("curves.svg").exists() && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(fs::read_to_string(&out).unwrap().ends_with("</svg>\n"));
    let kept: Value = serde_json::from_str(&fs::read_to_string(place.path("curves.json")).unwrap()).unwrap();
    let kept = kept["optimizers"].as_array().unwrap();
    assert!((1..8).contains(&kept.len()), "{} of 8 optimizers", kept.len());
    assert!(kept.iter().all(|outcome| outcome["history"].as_array().unwrap().len() == 100), "{kept:?}");
}

#[test]
fn comparisons_that_make_no_sense() {
    let place = Place::new();
    let (data, out) = (images(&place, 40, |sample| (sample % 10) as u8), place.text("out/curves.svg"));
    let message = refusal(2, &compare(&data, &out, &["adamm"]));
    assert!(message.ends_with("there is no optimizer \"adamm\"; did you mean adam?"), "{message}");
    assert!(refusal(2, &compare(&data, &out, &[])).contains("required arguments"));
    let message = refusal(1, &compare(&data, &place.text("out/curves.png"), &["sgd"]));
    assert!(message.ends_with("curves.png, expected the name of an SVG file, such as curves.svg"), "{message}");
    let message = refusal(1, &compare(&data, &out, &["sgd"; 9]));
    assert_eq!(message, "--optimizer is given 9 times, expected at most 8: there are no more colours");
    assert!(!place.path("out").exists());
}
