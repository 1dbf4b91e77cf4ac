//! Arguments, and what scripts rely on: names, completions, JSON.

use std::path::Path;

use crate::common::{Place, images, json, length, names, refusal, success, train};

#[test]
fn names_that_are_unknown_come_with_near_ones() {
    let place = Place::new();
    let out = place.text("out");
    let message = refusal(2, &["train", "--model", "fashion-seperable", "--data", "fashion-mnist", "--out", &out]);
    assert!(
        message.ends_with("there is no model \"fashion-seperable\", and no FILE.toml; did you mean fashion-separable?"),
        "{message}"
    );
    let message = refusal(1, &train("fashion-mist", &out));
    assert_eq!(
        message,
        "there is no data set \"fashion-mist\", and no directory, NPZ or CSV file of that name; did you mean fashion-mnist?"
    );
    assert!(refusal(2, &["data", "fetch", "fashion"]).contains("there is no data set \"fashion\""));
    assert!(names(&place.path("out")).is_empty());
}

#[test]
fn arguments_that_make_no_sense() {
    let arguments =
        [("--epochs", "0"), ("--batch", "-3"), ("--learning-rate", "nan"), ("--optimizer", "adamm"), ("--clip-norm", "0")];
    for (name, value) in arguments {
        let argument = format!("{name}={value}");
        let mut arguments = train("fashion-mnist", "unused");
        arguments.retain(|argument| !["--epochs", "1"].contains(argument));
        arguments.push(&argument);
        let message = refusal(2, &arguments);
        assert!(message.contains(&format!("'{value}'")) && message.contains(name), "{message}");
    }
    assert!(!Path::new("unused").exists());
}

#[test]
fn shells_complete_commands_and_models() {
    for shell in ["bash", "zsh", "fish"] {
        let script = success(&["completions", shell]);
        assert!(script.contains("export-samples") && script.contains("mobilenet-v1"), "{shell}");
    }
    assert!(refusal(2, &["completions", "csh"]).contains("'csh'"));
}

/// A new command that forgets `--json` fails here.
#[test]
fn every_command_with_a_result_has_json() {
    let commands = |arguments: &[&str]| {
        let text = success(&[arguments, &["--help"]].concat());
        let lines = text.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        let names: Vec<String> = lines.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect();
        names
    };
    let mut checked = 0;
    for name in commands(&[]).iter().filter(|name| !["help", "completions", "data"].contains(&name.as_str())) {
        assert!(success(&[name, "--help"]).contains("--json"), "{name}");
        checked += 1;
    }
    for name in commands(&["data"]).iter().filter(|name| *name != "help") {
        assert!(success(&["data", name, "--help"]).contains("--json"), "data {name}");
        checked += 1;
    }
    assert!(checked >= 10, "{checked}");
}

/// Whoever writes a script needs no second look: what a field is called, it is called everywhere, and it says what the
/// files hold.
#[test]
fn json_has_the_same_fields_everywhere() {
    let place = Place::new();
    let (data, out) = (images(&place, 100, |sample| (sample % 10) as u8), place.text("out"));
    let trained = json(&train(&data, &out));
    let file = trained["int8_model"].as_str().unwrap();
    let [again, picture, initial] = ["again.samara", "graph.svg", "initial.samara"].map(|name| place.text(name));
    let name = "fashion-separable";
    let quantized = json(&["quantize", "--model", name, "--weights", &out, "--data", &data, "--out", &again]);
    let evaluated = json(&["evaluate", &again, "--data", &data]);
    let inspected = json(&["inspect", &again]);
    let plotted = json(&["plot", &again, "--out", &picture]);
    let exported = json(&["export", "--model", name, "--out", &initial]);
    let [inputs, outputs, labels] = ["inputs", "outputs", "labels"].map(|name| place.text(name));
    let paths = ["--out", &inputs, "--expected", &outputs, "--labels", &labels, "--count", "9"];
    let samples = json(&[&["export-samples", "--model", &again, "--data", &data][..], &paths].concat());

    for summary in [&trained, &quantized, &evaluated, &inspected, &plotted, &exported, &samples] {
        assert_eq!(summary["model"], name, "{summary}");
    }
    for summary in [&trained, &quantized, &inspected, &plotted, &exported] {
        for key in ["macs", "arena_bytes"] {
            assert_eq!(summary[key], inspected[key], "{key} in {summary}");
        }
    }
    for (summary, path) in
        [(&trained, file), (&quantized, &again), (&inspected, &again), (&plotted, &again), (&exported, &initial)]
    {
        assert_eq!(summary["model_bytes"], length(path), "{summary}");
    }
    for summary in [&trained, &quantized, &evaluated, &samples] {
        assert_eq!(summary["data"], data.as_str(), "{summary}");
    }
    for summary in [&evaluated, &inspected, &plotted, &samples] {
        assert_eq!(summary["file"], again.as_str(), "{summary}");
    }
    for (summary, path) in [(&quantized, &again), (&plotted, &picture), (&exported, &initial), (&samples, &inputs)] {
        assert_eq!(summary["out"], path.as_str(), "{summary}");
    }
    assert_eq!(quantized["weights"], trained["weights"]);
    assert_eq!(quantized["int8_accuracy"], trained["int8_accuracy"]);
    assert_eq!((&samples["samples"], &samples["expected"]), (&9.into(), &outputs.as_str().into()));
    assert_eq!((&samples["input_bytes"], &samples["output_bytes"]), (&length(&inputs).into(), &length(&outputs).into()));
}
