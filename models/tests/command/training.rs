//! From training to files for the device, also if it is killed on the way.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use samara_trainer::data::Random;
use samara_trainer::prelude::*;
use serde_json::Value;

use crate::common::{Place, images, json, length, names, refusal, success, train};

#[test]
fn from_training_to_samples_for_the_device() {
    let place = Place::new();
    let (data, out) = (images(&place, 300, |sample| (sample % 10) as u8), place.text("out"));
    let mut arguments = train(&data, &out);
    arguments.extend(["--learning-rate", "0.01", "--batch", "10"]);
    let summary = json(&arguments);
    assert_eq!(names(&place.path("out")), ["model-f32.samara", "model.samara", "training.state", "weights.bin"]);
    assert_eq!(summary["parameters"], 19_082);
    let file = |name: &str| place.text(&format!("out/{name}"));
    assert_eq!(summary["model_bytes"], length(&file("model.samara")));
    for (key, expected) in [("optimizer", "adam"), ("schedule", "constant"), ("weights", &file("weights.bin"))] {
        assert_eq!(summary[key], expected);
    }
    assert_eq!((&summary["learning_rate"], &summary["batch"], &summary["epochs"]), (&0.01.into(), &10.into(), &1.into()));
    assert_eq!(summary["history"].as_array().unwrap().len(), 1);

    // The same accuracy, whoever asks: the trainer and the device's own code in f32, and the int8 file.
    let evaluate = |name: &str| {
        let measured = json(&["evaluate", &file(name), "--data", &data]);
        assert_eq!((&measured["samples"], &measured["model"]), (&20.into(), &"fashion-separable".into()));
        measured["accuracy"].clone()
    };
    assert_eq!(evaluate("weights.bin"), summary["f32_accuracy"]);
    assert_eq!(evaluate("model-f32.samara"), summary["f32_accuracy"]);
    assert_eq!(evaluate("model.samara"), summary["int8_accuracy"]);

    // Quantizing again in the same way gives the same bytes, in another way others.
    let again = |calibration: &str| {
        let (to, name) = (place.text("again.samara"), "fashion-separable");
        success(&["quantize", "--model", name, "--weights", &out, "--data", &data, "--out", &to, "--calibration", calibration]);
        fs::read(to).unwrap()
    };
    assert_eq!(again("minmax"), fs::read(file("model.samara")).unwrap());
    assert_ne!(again("percentile=0.99"), fs::read(file("model.samara")).unwrap());
    // Weights go through another format and back, and mean the same there.
    let [other, back] = ["w.safetensors", "w.bin"].map(|name| place.text(name));
    success(&["weights", &out, "--out", &other]);
    success(&["weights", &other, "--out", &back]);
    assert!(fs::read(&back).unwrap() == sorted_by_name(&file("weights.bin")));
    let measured = json(&["evaluate", &other, "--data", &data]);
    assert_eq!(measured["accuracy"], summary["f32_accuracy"]);
    let [array, back] = ["w.npz", "again.bin"].map(|name| place.text(name));
    success(&["weights", &other, "--out", &array]);
    success(&["weights", &array, "--out", &back]);
    assert_eq!(Weights::load(&back).unwrap().parameters, Weights::load(&other).unwrap().parameters);
    let measured = json(&["evaluate", &array, "--model", "fashion-separable", "--data", &data]);
    assert_eq!(measured["accuracy"], summary["f32_accuracy"]);
    assert!(
        refusal(1, &["weights", &out, "--out", "w.txt"]).ends_with("expected a file that ends in .bin, .safetensors or .npz")
    );
    let wrong = ["quantize", "--model", "fashion-mlp", "--weights", &out, "--data", &data, "--out", &place.text("x")];
    assert!(refusal(1, &wrong).contains("the weights do not fit the model fashion-mlp"));

    let (inputs, outputs, labels) = (place.text("s.inputs"), place.text("s.outputs"), place.text("s.labels"));
    let model = file("model.samara");
    let mut arguments = vec!["export-samples", "--model", &model, "--data", &data, "--out", &inputs];
    arguments.extend(["--expected", &outputs, "--labels", &labels, "--count"]);
    success(&[&arguments[..], &["7"]].concat());
    assert_eq!([&inputs, &outputs, &labels].map(|path| length(path)), [7 * 784, 7 * 10, 7]);
    assert_eq!(fs::read(&labels).unwrap(), [0, 1, 2, 3, 4, 5, 6]);
    assert!(refusal(1, &[&arguments[..], &["21"]].concat()).ends_with("has 20 test samples, --count asks for 21"));
}

/// A file of weights with its parameters in the order of their names, as safetensors has them.
fn sorted_by_name(path: &str) -> Vec<u8> {
    let mut weights = Weights::load(path).unwrap();
    weights.parameters.sort_by(|a, b| a.name.cmp(&b.name));
    weights.to_bytes()
}

/// Channels that differ by far, in a net of the zoo: the doctor says where, and its file is the one that its arguments make.
#[test]
fn the_doctor_finds_what_hurts_and_mends_it() {
    let place = Place::new();
    let (data, out, mended, again) = (
        images(&place, 300, |sample| (sample % 10) as u8),
        place.text("out"),
        place.text("mended.samara"),
        place.text("again.samara"),
    );
    let name = "fashion-separable";
    success(&[&train(&data, &out)[..], &["--learning-rate", "0.01", "--batch", "10"]].concat());
    let model = samara_models::fashion_separable().unwrap();
    model.load_weights(place.path("out/weights.bin")).unwrap();
    let (before, behind) = ("separable_conv2d/depthwise_kernel", "separable_conv2d/pointwise_kernel");
    let factor = |channel: usize| if channel.is_multiple_of(2) { 256.0 } else { 1.0 };
    let scaled = |name: &str, factor: &dyn Fn(usize) -> f32| {
        let values = model.parameter(name).unwrap().into_iter().enumerate().map(|(place, value)| value * factor(place));
        model.set_parameter(name, &values.collect::<Vec<_>>()).unwrap();
    };
    scaled(before, &|place| factor(place % 16));
    scaled(behind, &|place| 1.0 / factor(place / 32));
    model.save_weights(place.path("out/weights.bin")).unwrap();

    let line = ["doctor", "--model", name, "--weights", &out, "--data", &data];
    let found = json(&[&line[..], &["--fix", "--out", &mended]].concat());
    let nodes = found["nodes"].as_array().unwrap();
    let narrow: Vec<&str> = nodes
        .iter()
        .filter(|node| node["worst_steps"].as_f64().unwrap() < 2.0)
        .map(|node| node["name"].as_str().unwrap())
        .collect();
    assert_eq!(narrow[0], "separable_conv2d/depthwise", "{narrow:?}");
    let remedies = found["remedies"].as_array().unwrap();
    assert_eq!(remedies[0]["arguments"], Value::Array(vec![]));
    let chosen = &remedies[found["chosen"].as_u64().unwrap() as usize];
    let arguments: Vec<&str> =
        chosen["arguments"].as_array().unwrap().iter().flat_map(|argument| argument.as_str().unwrap().split(' ')).collect();
    let quantize = ["quantize", "--model", name, "--weights", &out, "--data", &data, "--out", &again];
    let quantized = json(&[&quantize[..], &arguments].concat());
    assert!(fs::read(&mended).unwrap() == fs::read(&again).unwrap());
    assert_eq!((&quantized["int8_accuracy"], &quantized["model_bytes"]), (&found["test_accuracy"], &chosen["bytes"]));
    let text = success(&line);
    assert!(text.contains("\nSmaller: ") && text.contains("; --aware EPOCHS trains for it."), "{text}");
    assert!(
        text.contains("Of what separable_conv2d/depthwise, ")
            && text.contains(" give, a channel uses fewer than 16 of 255 steps"),
        "{text}"
    );
    assert!(refusal(1, &[&quantize[..], &["--keep-f32", "dens"]].concat()).contains("no node is called \"dens\""));
    let remedies: Vec<Value> = remedies.iter().map(|remedy| remedy["arguments"].clone()).collect();
    assert!(remedies.iter().any(|arguments| arguments.to_string().contains("--int16 all")), "{remedies:?}");
    let int4 = remedies.iter().filter(|arguments| arguments.to_string().contains("--int4 all")).count();
    assert_eq!(int4, 1, "an offer that saves bytes: {remedies:?}");
    let smaller = json(&[&line[..], &["--aware", "1", "--smallest", "--within", "100", "--fix", "--out", &mended]].concat());
    let tried = smaller["remedies"].as_array().unwrap();
    assert_eq!(tried.len(), remedies.len() + 2, "training with weights of 8 and of 4 bits is tried, too: {tried:?}");
    let bytes = |place: u64| tried[place as usize]["bytes"].as_u64().unwrap();
    let chosen = smaller["chosen"].as_u64().unwrap();
    assert!((0..tried.len() as u64).all(|place| bytes(chosen) <= bytes(place)), "{chosen} of {tried:?}");
    assert!(tried[chosen as usize]["arguments"].to_string().contains("--int4 all"), "{tried:?}");
    assert_eq!(length(&mended), bytes(chosen));
    success(&[&quantize[..], &["--int16", "all"]].concat());
    let inspected = success(&["inspect", &again]);
    assert!(inspected.contains("depthwise_conv2d_i16") && inspected.contains("int16"), "{inspected}");
    success(&[&quantize[..], &["--int16", "separable_conv2d/depthwise"]].concat());
    let inspected = success(&["inspect", &again]);
    assert!(inspected.contains("rescale_i16") && inspected.contains("dense_i8"), "{inspected}");
    assert!(refusal(1, &[&quantize[..], &["--int16", "dens"]].concat()).contains("no node is called \"dens\""));
    refusal(2, &[&line[..], &["--fix"]].concat());
}

/// Rounded epochs go on from a training that was finished without, end with other weights and an int8 file of 4 bits, and are told where they
/// were asked for no more.
#[test]
fn a_finished_training_goes_on_with_rounded_epochs() {
    let place = Place::new();
    let data = images(&place, 300, |sample| (sample % 10) as u8);
    let (out, log, whole) = (place.text("out"), place.text("log.csv"), place.text("whole"));
    let first = [&train(&data, &out)[..], &["--batch", "10", "--train-samples", "200"]].concat();
    success(&first);
    let before = fs::read(place.path("out/weights.bin")).unwrap();
    let rounded = [&first[..], &["--resume", "--aware", "2", "--int4", "all", "--csv", &log]].concat();
    let found = json(&rounded);
    assert_eq!((&found["epochs"], &found["epochs_done"], &found["aware"]), (&1.into(), &3.into(), &2.into()));
    let state = TrainingState::load(place.path("out/training.state")).unwrap();
    assert_eq!((state.before(), state.epoch(), state.step()), (1, 3, 20));
    let epochs: Vec<String> =
        fs::read_to_string(&log).unwrap().lines().map(|line| line.split(',').next().unwrap().to_owned()).collect();
    assert_eq!(epochs, ["epoch", "1", "2", "3"]);
    assert!(fs::read(place.path("out/weights.bin")).unwrap() != before);
    assert!(success(&["inspect", &place.text("out/model.samara")]).contains("conv2d_i4"));
    let told = refusal(1, &[&first[..], &["--resume"]].concat());
    assert!(told.contains("is that of a training with --aware, in its rounded epochs: say --aware to go on"), "{told}");
    let told = refusal(1, &[&first[..], &["--resume", "--aware", "2"]].concat());
    assert!(told.contains("its quantization (--int4, --int16 and their like) was another"), "{told}");
    let told = refusal(1, &[&train(&data, &whole)[..], &["--train-samples", "271"]].concat());
    assert_eq!(told, "--train-samples is 271, but there are 270 samples to train on");
    // At once, it comes to the same bytes.
    let at_once = [&train(&data, &whole)[..], &["--batch", "10", "--train-samples", "200", "--aware", "2", "--int4", "all"]];
    success(&at_once.concat());
    for name in ["model.samara", "weights.bin"] {
        assert!(fs::read(place.path("whole").join(name)).unwrap() == fs::read(place.path("out").join(name)).unwrap(), "{name}");
    }
}

/// A training that is killed several times and resumed ends with the files of one that is not.
#[test]
fn a_killed_training_goes_on_where_it_stood() {
    let place = Place::new();
    let data = images(&place, 300, |sample| (sample % 10) as u8);
    let (whole, killed) = (place.text("whole"), place.text("killed"));
    let arguments = |out: &str| {
        let mut arguments: Vec<String> = train(&data, out).into_iter().map(str::to_owned).collect();
        arguments[4] = "8".to_owned();
        let more = ["--batch", "10", "--optimizer", "adam", "--schedule", "cosine"];
        arguments.extend(more.map(str::to_owned));
        arguments
    };
    let command = |arguments: &[String]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_samara"));
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    assert!(command(&arguments(&whole)).status().unwrap().success());

    let state = place.path("killed/training.state");
    let saved_epoch = || TrainingState::load(&state).map_or(0, |state| state.epoch());
    let resumed = [arguments(&killed), vec!["--resume".to_owned()]].concat();
    let mut kills = 0;
    let seed = u64::from(std::process::id());
    let mut random = Random::new(seed, 0);
    for round in 0..3 {
        let before = saved_epoch();
        let first = arguments(&killed);
        let mut child = command(if round == 0 { &first } else { &resumed }).spawn().unwrap();
        while saved_epoch() == before && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(1));
        }
        // Somewhere within the next epoch, or while its state is written.
        sleep(Duration::from_micros(random.below(20_000) as u64));
        kills += usize::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
    }
    assert!(kills > 1 && saved_epoch() >= 3, "{kills} kills, epoch {}", saved_epoch());
    // What is said otherwise than at the beginning is told, before a step is made.
    for (argument, value, expected) in [
        ("--learning-rate", "0.5", "its optimizer was Adam { learning_rate: 0.001,"),
        ("--clip-norm", "1", "its optimizer was Adam"),
        ("--schedule", "one-cycle", "its schedule was Cosine"),
        ("--batch", "20", "its batch was 10, but is 20 here"),
    ] {
        let mut other: Vec<&str> = resumed.iter().map(String::as_str).collect();
        match other.iter().position(|given| *given == argument) {
            Some(place) => other[place + 1] = value,
            None => other.extend([argument, value]),
        }
        assert!(refusal(1, &other).contains(&format!("the training cannot be resumed: {expected}")), "{argument}");
    }
    assert!(command(&resumed).status().unwrap().success());
    for name in ["weights.bin", "model.samara", "model-f32.samara"] {
        assert!(
            fs::read(place.path("whole").join(name)).unwrap() == fs::read(place.path("killed").join(name)).unwrap(),
            "{name}, seed {seed}"
        );
    }
}
