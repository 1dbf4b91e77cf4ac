//! The command `samara` as a user meets it: every bad input is told in a sentence, with an exit code, and leaves no file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use samara_runtime::format::writer::repair_crc;
use samara_trainer::device::run::DeviceModel;
use samara_trainer::prelude::*;
use serde_json::Value;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.path(name), bytes).unwrap();
        self.text(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

fn samara(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_samara")).args(arguments).output().unwrap()
}

/// The one sentence on standard error, after checking the exit code, and that nothing is printed on standard output.
fn refusal(code: i32, arguments: &[&str]) -> String {
    let output = samara(arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    assert!(!text.contains("panicked"), "{text}");
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{arguments:?}: {text}");
    errors[0]["error: ".len()..].to_owned()
}

fn success(arguments: &[&str]) -> String {
    let output = samara(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The one line on standard output, parsed.
fn json(arguments: &[&str]) -> Value {
    let text = success(&[arguments, &["--json"]].concat());
    assert_eq!((text.lines().count(), text.ends_with('\n')), (1, true), "{arguments:?}: {text}");
    serde_json::from_str(&text).unwrap()
}

fn length(path: &str) -> u64 {
    fs::metadata(path).unwrap().len()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn idx(dimensions: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
    dimensions.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(elements);
    bytes
}

/// A directory of images that are told apart by where they are bright.
fn images(place: &Place, samples: usize, label_of: impl Fn(usize) -> u8) -> String {
    let directory = place.path("images");
    fs::create_dir_all(&directory).unwrap();
    for (part, samples) in [("train", samples), ("t10k", samples.min(20))] {
        let pixel = |sample: usize, pixel: usize| if pixel / 79 == sample % 10 { 200 } else { (pixel * 7 + sample) as u8 % 50 };
        let pixels: Vec<u8> = (0..samples).flat_map(|sample| (0..784).map(move |place| pixel(sample, place))).collect();
        let labels: Vec<u8> = (0..samples).map(&label_of).collect();
        fs::write(directory.join(format!("{part}-images-idx3-ubyte")), idx(&[samples as u32, 28, 28], &pixels)).unwrap();
        fs::write(directory.join(format!("{part}-labels-idx1-ubyte")), idx(&[samples as u32], &labels)).unwrap();
    }
    directory.display().to_string()
}

/// An NPZ archive of stored f32 arrays, each given with its shape, the same ones for training and for testing.
fn archive(x: (&str, &[f32]), y: (&str, &[f32])) -> Vec<u8> {
    let npy = |(shape, values): (&str, &[f32])| {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}\n");
        let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &values].concat()
    };
    let (x, y) = (npy(x), npy(y));
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    let files = [("x_train.npy", &x), ("y_train.npy", &y), ("x_test.npy", &x), ("y_test.npy", &y)];
    for (name, content) in files {
        let sizes = [samara_runtime::crc32(content), content.len() as u32, content.len() as u32];
        let mut fields = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        sizes.iter().for_each(|size| fields.extend(size.to_le_bytes()));
        fields.extend([name.len() as u8, 0, 0, 0]);
        let start = (bytes.len() as u32).to_le_bytes();
        bytes.extend([&b"PK\x03\x04"[..], &fields, name.as_bytes(), content].concat());
        directory.extend([&b"PK\x01\x02\x14\x00"[..], &fields, &[0; 10], &start, name.as_bytes()].concat());
    }
    let (start, length) = ((bytes.len() as u32).to_le_bytes(), (directory.len() as u32).to_le_bytes());
    bytes.extend([&directory[..], b"PK\x05\x06", &[0, 0, 0, 0, 4, 0, 4, 0], &length, &start, &[0, 0]].concat());
    bytes
}

fn train<'a>(data: &'a str, out: &'a str) -> Vec<&'a str> {
    vec!["train", "--model", "fashion-separable", "--epochs", "1", "--data", data, "--out", out]
}

#[test]
fn names_that_are_unknown_come_with_near_ones() {
    let place = Place::new();
    let out = place.text("out");
    let message = refusal(2, &["train", "--model", "fashion-seperable", "--data", "fashion-mnist", "--out", &out]);
    assert!(message.ends_with("there is no model \"fashion-seperable\"; did you mean fashion-separable?"), "{message}");
    let message = refusal(1, &train("fashion-mist", &out));
    assert_eq!(
        message,
        "there is no data set \"fashion-mist\", and no directory or NPZ file of that name; did you mean fashion-mnist?"
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

/// A small int8 model file with an input of 28 x 28.
fn small_model() -> Vec<u8> {
    let model = Sequential::new("small", [28, 28, 1])
        .add(Flatten::new())
        .add(Dense::new(10).activation(Activation::Softmax))
        .build()
        .unwrap();
    let samples = Tensor::new([2, 28, 28, 1], (0..1568u16).map(|i| f32::from(i) / 1568.0).collect()).unwrap();
    model.export_int8(&[samples], Default::default()).unwrap()
}

#[test]
fn model_files_that_are_damaged() {
    let place = Place::new();
    let good = small_model();
    let message = |name: &str, bytes: &[u8]| {
        let path = place.write(name, bytes);
        let message = refusal(1, &["inspect", &path]);
        message.strip_prefix(&format!("{path}: ")).map(str::to_owned).unwrap_or(message)
    };
    assert_eq!(message("text.samara", b"a model"), "the file is shorter than a header (80 bytes)");
    assert_eq!(message("other.samara", &[7; 200]), "the file does not start with SMRA: it is not a Samara model");
    let cut = &good[..good.len() - 16];
    assert!(message("cut.samara", cut).contains(&format!("promises {} bytes, there are {}", good.len(), cut.len())));
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert_eq!(message("flipped.samara", &flipped), "the checksum is wrong: the file was damaged");
    let mut newer = good.clone();
    newer[4] = 9;
    repair_crc(&mut newer);
    assert_eq!(message("newer.samara", &newer), "the file has format version 9, this runtime reads version 1");
    assert!(refusal(1, &["inspect", &place.text("none.samara")]).contains("none.samara cannot be read"));
    assert!(refusal(1, &["evaluate", &place.text("cut.samara"), "--data", "x"]).contains("cut.samara: the header promises"));
}

#[test]
fn inspect_shows_nodes_and_totals() {
    let place = Place::new();
    let path = place.write("small.samara", &small_model());
    let text = success(&["inspect", &path]);
    assert!(text.starts_with("model small\ninput: 28x28x1 int8 "), "{text}");
    assert!(text.contains("dense_i8") && text.contains("softmax_i8") && text.contains("7,840"), "{text}");
    let described = json(&["inspect", &path]);
    assert_eq!((&described["file"], &described["model"]), (&Value::from(path.as_str()), &Value::from("small")));
    assert_eq!(described["macs"], 7840);
    assert_eq!(described["model_bytes"], length(&path));
    assert_eq!(described["outputs"][0]["zero_point"], -128);

    // The arena over time: the image is read while the dense layer writes, and is gone when softmax runs.
    let rows: Vec<&str> = text.lines().skip_while(|line| !line.contains("first byte to last")).collect();
    let [_, flatten, dense, softmax, ..] = rows[..] else { panic!("{text}") };
    assert!(flatten.contains("...###") && dense.contains("~~~#===") && !softmax.contains('='), "{text}");
    let live = |node: usize| described["nodes"][node]["live_bytes"].as_u64().unwrap();
    assert_eq!((live(0), live(2)), (784, 10));
    let scratch = described["nodes"][1]["scratch_bytes"].as_u64().unwrap();
    // Its output lies on the first bytes of its input.
    assert_eq!(live(1), 784 + scratch);
}

#[test]
fn initial_weights_are_exported_and_drawn() {
    let place = Place::new();
    let (out, again, picture) = (place.text("a.samara"), place.text("b.samara"), place.text("a.svg"));
    let summary = json(&["export", "--model", "ds-cnn", "--out", &out]);
    assert_eq!(summary["macs"], 2_656_768);
    assert_eq!(summary["model_bytes"], length(&out));
    success(&["export", "--model", "ds-cnn", "--out", &again]);
    assert_eq!(fs::read(&out).unwrap(), fs::read(&again).unwrap());
    success(&["export", "--model", "ds-cnn", "--out", &again, "--seed", "2"]);
    assert_ne!(fs::read(&out).unwrap(), fs::read(&again).unwrap());
    success(&["export", "--model", "ds-cnn", "--out", &again, "--f32"]);
    assert!(success(&["inspect", &again]).contains("input: 49x10x1 f32"));

    success(&["plot", &out, "--out", &picture]);
    let svg = fs::read_to_string(&picture).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains(">25x5x64 int8<"), "{svg}");
    assert!(refusal(1, &["plot", &picture, "--out", &out]).contains("a.svg: the file does not start with SMRA"));
    assert!(refusal(2, &["export", "--model", "ds-cn", "--out", &out]).ends_with("did you mean ds-cnn?"));
}

#[test]
fn shells_complete_commands_and_models() {
    for shell in ["bash", "zsh", "fish"] {
        let script = success(&["completions", shell]);
        assert!(script.contains("export-samples") && script.contains("mobilenet-v1"), "{shell}");
    }
    assert!(refusal(2, &["completions", "csh"]).contains("'csh'"));
}

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
    assert!(refusal(1, &resumed.iter().map(String::as_str).collect::<Vec<_>>()).contains("there is no training to resume"));
    let mut kills = 0;
    for round in 0..3 {
        let before = saved_epoch();
        let first = arguments(&killed);
        let mut child = command(if round == 0 { &first } else { &resumed }).spawn().unwrap();
        while saved_epoch() == before && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(1));
        }
        // Somewhere within the next epoch, or while its state is written.
        sleep(Duration::from_millis(7 * round));
        kills += usize::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
    }
    assert!(kills > 1 && saved_epoch() >= 3, "{kills} kills, epoch {}", saved_epoch());
    assert!(command(&resumed).status().unwrap().success());
    for name in ["weights.bin", "model.samara", "model-f32.samara"] {
        assert!(
            fs::read(place.path("whole").join(name)).unwrap() == fs::read(place.path("killed").join(name)).unwrap(),
            "{name}"
        );
    }
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
