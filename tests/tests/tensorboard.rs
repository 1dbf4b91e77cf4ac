//! What TensorBoard shows of a training, asked of TensorBoard itself: `tests/tensorboard/read.py` starts its server.

use std::path::Path;
use std::process::Command;

use samara_trainer::callbacks::{TensorBoard, UpdateFreq};
use samara_trainer::prelude::*;
use serde_json::Value;

/// Samples, of which every third is of the second class.
const SAMPLES: usize = 30;
const EPOCHS: usize = 3;
/// What the first test asks for.
const KINDS: [&str; 6] = ["scalars", "histograms", "images", "hyperparameters", "embeddings", "graphs"];

fn data() -> Dataset {
    let pixels = (0..SAMPLES * 16).map(|number| ((number * 7) % 11) as f32 / 11.0).collect();
    let tokens = (0..SAMPLES * 2).map(|number| (number % 3) as f32).collect();
    let labels: Vec<u8> = (0..SAMPLES).map(|sample| u8::from(sample % 3 == 0)).collect();
    let price = (0..SAMPLES).map(|sample| (sample % 5) as f32 / 5.0).collect();
    Dataset::builder()
        .input("picture", Tensor::new([SAMPLES, 4, 4, 1], pixels).unwrap())
        .input("words", Tensor::new([SAMPLES, 2], tokens).unwrap())
        .target("kind", Tensor::from_labels(&labels))
        .target("sure", Tensor::new([SAMPLES, 1], price).unwrap())
        .build()
        .unwrap()
}

fn model() -> Model {
    let (picture, words) = (input([4, 4, 1]).named("picture"), input([2]).named("words"));
    let x = Flatten::new().apply(Conv2D::new(2, 3).named("conv").activation(Activation::Relu).apply(&picture));
    let y = Flatten::new().apply(Embedding::new(3, 2).named("tokens").apply(&words));
    let both = Concatenate::new().apply([&x, &y]);
    let kind = Dense::new(2).named("kind").activation(Activation::Softmax).apply(&both);
    let sure = Dense::new(1).named("sure").activation(Activation::Sigmoid).apply(&both);
    let mut model = Model::new("seen", [&picture, &words], [&kind, &sure]).unwrap();
    model
        .compile(
            Sgd::new(0.25),
            [on("kind", SparseCategoricalCrossentropy), on("sure", MeanSquaredError).metric(metrics::MeanAbsoluteError)],
        )
        .unwrap();
    model
}

/// Everything that there is to be shown, in a training that is stopped after the first epoch and resumed.
fn train(directory: &Path, model: &mut Model, data: &Dataset) -> History {
    let callback = || {
        TensorBoard::new(directory)
            .update_freq(UpdateFreq::Batches(2))
            .histogram_freq(1)
            .embeddings_freq(1)
            .embeddings_metadata("tokens", ["no", "yes", "perhaps"].map(str::to_owned).into())
            .write_images(true)
            .samples(data.inputs().to_vec())
            .hyperparameter("optimizer", "sgd")
            .hyperparameter("learning_rate", 0.25)
            .hyperparameter("shuffled", true)
    };
    let fit = |epochs, resume| Fit { epochs, batch: 5, validation: Some(data), verbose: false, resume, ..Fit::default() };
    let state = directory.join("training.state");
    let save = Box::new(callbacks::SaveState::new(&state));
    model.fit(data, Fit { callbacks: vec![save, Box::new(callback())], ..fit(1, None) }).unwrap();
    let resume = Some(TrainingState::load(&state).unwrap());
    model.fit(data, Fit { callbacks: vec![Box::new(callback())], ..fit(EPOCHS, resume) }).unwrap()
}

/// What TensorBoard says of these kinds, loaded by itself or by its own fast loader.
fn read(directory: &Path, load_fast: &str, kinds: &[&str]) -> Value {
    let python = std::env::var("SAMARA_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tensorboard/read.py");
    let output = Command::new(&python).arg(script).arg(directory).arg(load_fast).args(kinds).output().unwrap();
    assert!(output.status.success(), "{python}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `[[step, value], ..]` or `[[step, buckets], ..]` of a tag.
fn points(shown: &Value, kind: &str, tag: &str) -> Vec<(usize, Value)> {
    let points = shown[kind][tag].as_array().unwrap_or_else(|| panic!("no {kind} {tag} in {}", shown[kind]));
    points.iter().map(|point| (point[0].as_u64().unwrap() as usize, point[1].clone())).collect()
}

/// The least and the greatest.
fn extremes(values: &[f32]) -> [f32; 2] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    [sorted[0], sorted[sorted.len() - 1]]
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
#[ignore = "needs TensorBoard"]
fn tensorboard_shows_what_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let (data, mut model) = (data(), model());
    let history = train(&directory.path().join("first"), &mut model, &data);
    for load_fast in ["false", "true"] {
        let shown = read(directory.path(), load_fast, &KINDS);
        scalars(&shown, &history);
        histograms(&shown, &model, &data);
        images(&shown, &model);
        hyperparameters(&shown, &history);
        embeddings(&shown, &model);
        graph(&shown);
    }
}

fn scalars(shown: &Value, history: &History) {
    let names = ["loss", "kind_loss", "kind_accuracy", "sure_loss", "sure_mean_absolute_error"];
    for (run, prefix) in [("train", ""), ("validation", "val_")] {
        for name in names {
            let found = points(shown, "scalars", &format!("first/{run}:epoch_{name}"));
            let wanted = history.get(&format!("{prefix}{name}"));
            assert_eq!((found.len(), wanted.len()), (EPOCHS, EPOCHS), "{run} {name}");
            for ((number, (step, value)), wanted) in (1..).zip(found).zip(wanted) {
                assert_eq!(step, number, "{run} {name}");
                assert_eq!(value.as_f64().unwrap() as f32, wanted as f32, "{run} {name}");
            }
        }
    }
    let rates = points(shown, "scalars", "first/train:epoch_learning_rate");
    assert!(rates.iter().all(|(_, rate)| *rate == 0.25) && rates.len() == EPOCHS, "{rates:?}");
    // Six steps in an epoch: at the last, the epoch is whole.
    let steps: Vec<usize> = points(shown, "scalars", "first/train:batch_loss").iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [2, 4, 6, 8, 10, 12, 14, 16, 18]);
    let last = points(shown, "scalars", "first/train:batch_loss")[8].1.as_f64().unwrap();
    assert_eq!(last as f32, history.last("loss").unwrap() as f32);
}

fn histograms(shown: &Value, model: &Model, data: &Dataset) {
    for entry in model.parameters() {
        let values = entry.values();
        let found = points(shown, "histograms", &format!("first/train:{}/histogram", entry.name));
        assert_eq!(found.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [1, 2, 3], "{}", entry.name);
        let buckets: Vec<Vec<f64>> = found[2].1.as_array().unwrap().iter().map(numbers).collect();
        let [least, greatest] = extremes(&values);
        if least < greatest {
            assert_eq!((buckets[0][0], buckets[29][1]), (least.into(), greatest.into()), "{}", entry.name);
        }
        assert_eq!(buckets.iter().map(|bucket| bucket[2]).sum::<f64>(), values.len() as f64, "{}", entry.name);
        assert_eq!(points(shown, "histograms", &format!("first/train:{}/gradient", entry.name)).len(), EPOCHS);
    }
    // The layer before the softmax, of all samples, by the model itself.
    let kind = Model::new("part", model_inputs(model), model.tensor("kind").unwrap()).unwrap();
    let values = kind.predict(data).unwrap();
    let found = points(shown, "histograms", "first/train:kind/softmax/activations");
    let buckets: Vec<Vec<f64>> = found[2].1.as_array().unwrap().iter().map(numbers).collect();
    let [_, greatest] = extremes(values.values());
    assert_eq!(buckets[29][1], f64::from(greatest));
    assert_eq!(buckets.iter().map(|bucket| bucket[2]).sum::<f64>(), 2.0 * SAMPLES as f64);
}

fn model_inputs(model: &Model) -> Vec<SymbolicTensor> {
    model.graph().input_names().iter().map(|name| model.tensor(name).unwrap()).collect()
}

/// The kernel of the first layer after training, two filters of 3 x 3: the least value black, the greatest white, a grey line between.
fn images(shown: &Value, model: &Model) {
    let (width, height, pixels) = picture(&shown["images"]["first/train:conv/kernel/image"]);
    let kernel = model.parameter("conv/kernel").unwrap();
    let [least, greatest] = extremes(&kernel);
    assert_eq!((width, height), (7, 3));
    let grey = |value: f32| ((value - least) / (greatest - least) * 255.0).round() as u8;
    for (y, x, filter) in [(0, 0, 0), (2, 1, 0), (0, 2, 1), (1, 1, 1)] {
        assert_eq!(pixels[y * 7 + filter * 4 + x], grey(kernel[(y * 3 + x) * 2 + filter]), "{y} {x} {filter}");
    }
    assert_eq!(shown["images"]["first/train:conv/kernel/image"]["step"], EPOCHS);
    let (width, height, pixels) = picture(&shown["images"]["first/train:samples/picture"]);
    // The first sample has 0, 7, 3, .. elevenths, from 0 to 10.
    assert_eq!((width, height, &pixels[..3]), (4, 4, &[0, 179, 77][..]));
}

/// Width, height and grey pixels.
fn picture(shown: &Value) -> (u32, u32, Vec<u8>) {
    let bytes = base64(shown["png"].as_str().unwrap());
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    (info.width, info.height, pixels)
}

fn base64(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let values = text.bytes().filter_map(|letter| LETTERS.iter().position(|other| *other == letter));
    let bits: Vec<bool> = values.flat_map(|value| (0..6).rev().map(move |bit| value >> bit & 1 == 1)).collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |value, bit| value << 1 | u8::from(*bit))).collect()
}

/// One session, with what was measured at its end.
fn hyperparameters(shown: &Value, history: &History) {
    let [group] = &shown["hyperparameters"].as_array().unwrap()[..] else { panic!("{}", shown["hyperparameters"]) };
    let wanted = serde_json::json!({ "optimizer": "sgd", "learning_rate": 0.25, "shuffled": true });
    assert_eq!(group["hyperparameters"], wanted);
    assert_eq!(group["status"], serde_json::json!(["STATUS_SUCCESS"]));
    for (metric, name) in [("train:epoch_loss", "loss"), ("validation:epoch_kind_accuracy", "val_kind_accuracy")] {
        let found = group["metrics"][metric].as_f64().unwrap_or_else(|| panic!("no {metric} in {group}"));
        assert_eq!(found as f32, history.last(name).unwrap() as f32, "{metric}");
    }
}

fn embeddings(shown: &Value, model: &Model) {
    let found = &shown["embeddings"]["first:tokens/embeddings"];
    assert_eq!(found["shape"], serde_json::json!([3, 2]), "{}", shown["embeddings"]);
    let values: Vec<f32> = numbers(&found["values"]).into_iter().map(|value| value as f32).collect();
    assert_eq!(values, model.parameter("tokens/embeddings").unwrap());
    assert_eq!(found["labels"], "no\nyes\nperhaps\n");
}

fn graph(shown: &Value) {
    let graph = shown["graphs"]["first/train"].as_str().unwrap();
    let node = |name: &str| {
        let start = graph.find(&format!("name: \"{name}\"\n")).unwrap_or_else(|| panic!("no node {name} in {graph}"));
        graph[start..].split("\nnode {").next().unwrap()
    };
    let kind = node("kind");
    for line in ["op: \"Dense\"", "input: \"concatenate\"", "input: \"kind/kernel\"", "size: -1", "size: 2"] {
        assert!(kind.contains(line), "{line} in {kind}");
    }
    assert!(node("kind/softmax").contains("input: \"kind\""), "{graph}");
    assert!(node("picture").contains("op: \"Placeholder\""), "{graph}");
}

/// Probabilities of 0.2, 0.4, 0.6 and 0.8, the second and the last of them true; nothing is learned.
#[test]
#[ignore = "needs TensorBoard"]
fn tensorboard_shows_precision_and_recall() {
    let directory = tempfile::tempdir().unwrap();
    let x = input([1]);
    let mut model = Model::new("given", &x, Dense::new(1).without_bias().apply(&x)).unwrap();
    model.compile(Sgd::new(0.0), MeanSquaredError).unwrap();
    model.set_parameter("dense/kernel", &[1.0]).unwrap();
    let inputs = Tensor::new([4, 1], vec![0.2, 0.4, 0.6, 0.8]).unwrap();
    let data = Dataset::new(inputs, Tensor::new([4, 1], vec![0.0, 1.0, 0.0, 1.0]).unwrap()).unwrap();
    let callback = TensorBoard::new(directory.path()).pr_curves(data.clone(), 2);
    model.fit(&data, Fit { epochs: 2, verbose: false, callbacks: vec![Box::new(callback)], ..Fit::default() }).unwrap();
    let shown = read(directory.path(), "false", &["scalars", "pr_curves"]);
    let curve = &shown["pr_curves"]["validation:dense"];
    assert_eq!(curve["step"], 2, "{}", shown["pr_curves"]);
    let thresholds = numbers(&curve["thresholds"]);
    for (threshold, [true_positives, false_positives, precision, recall]) in [
        (0.1, [2.0, 2.0, 0.5, 1.0]),
        (0.3, [2.0, 1.0, 2.0 / 3.0, 1.0]),
        (0.5, [1.0, 1.0, 0.5, 0.5]),
        (0.7, [1.0, 0.0, 1.0, 0.5]),
    ] {
        let place = thresholds.iter().position(|at| (at - threshold).abs() < 1e-6).unwrap();
        let at = |name: &str| numbers(&curve[name])[place];
        assert_eq!((at("true_positives"), at("false_positives")), (true_positives, false_positives), "{threshold}");
        assert!((at("precision") - precision).abs() < 1e-6 && (at("recall") - recall).abs() < 1e-6, "{threshold}");
    }
}
