//! A device that learns after it lands: a net that never saw two of the classes is flashed, learns them over a cable, and goes on
//! where it was when the power fails. Each step is a command that one could type.

use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{
    boards,
    firmware::{self, Embed},
    link::Emulator,
    paths,
    samples::{differing, json_of, samara},
    setup,
    stages::Stopwatch,
    table,
};

const MODEL: &str = "fashion-separable";
const DATA: &str = "fashion-mnist";
const BOARD: &str = "an386";
/// What the device learns: sandal and shirt.
const NEW: [&str; 2] = ["5", "6"];
const EPOCHS: &str = "5";
/// Images of each class that the device learns.
const IMAGES: &str = "50";
/// Images that are learned, and not saved, when the power fails.
const LOST: &str = "25";
/// Images of sandal or shirt of the textbook's transfer: half of each.
const TRANSFER_IMAGES: &str = "100";
/// Test images that the device classifies at the end.
const TESTED: &str = "500";
/// What the head must reach.
const LEAST_MEAN: f64 = 0.83;
const LEAST_TRANSFER: f64 = 0.998;

/// Trains, flashes, lets the device learn, and prints a table. It is also written to `target/samara/learn/result.json`.
///
/// # Errors
/// If a step fails; if the device learns other bits than this machine; if the head does worse than it should.
pub fn run() -> Result<()> {
    let board = boards::find(BOARD)?;
    let watch = Stopwatch::start();
    println!("1. What is needed");
    setup::data()?;
    setup::require(&[board])?;
    let out = paths::artifacts("learn");
    fs::create_dir_all(&out)?;
    let file = |name: &str| paths::shown(&out.join(name));
    let model = file("model.samara");

    println!("\n2. Train {MODEL} on eight of the ten classes of {DATA}, and give it a head that can learn");
    let mut train = samara(&["train", "--model", MODEL, "--data", DATA, "--batch", "128", "--optimizer", "adam", "--json"]);
    train.args(["--schedule", "cosine", "--learning-rate", "0.004", "--seed", "1", "--epochs", EPOCHS]);
    train.args(NEW.iter().flat_map(|class| ["--without-class", *class]));
    let trained = json_of(train.args(["--head", "closed-form", "--capacity", "10", "--out", &paths::shown(&out)]))?;

    println!("\n3. Flash an emulated {} ({BOARD}); it learns sandal and shirt from {IMAGES} images each", board.core);
    let elf = firmware::build(board, "learn", Embed::model(&out.join("model.samara")))?;
    let place = out.join("device");
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).with_context(|| format!("{} cannot be made", paths::shown(&place)))?;
    let learn = |count, class| vec!["learn", "--model", &model, "--data", DATA, "--class", class, "--count", count];
    let mut emulator = Emulator::start(board, &elf, &place, samara)?;
    let start = emulator.ask(&["stats"])?;
    if start["generation"] != Value::Null {
        bail!("a new device has generation {} in its flash", start["generation"]);
    }
    emulator.ask(&learn(IMAGES, NEW[0]))?;
    emulator.ask(&[learn(LOST, NEW[1]), vec!["--no-save"]].concat())?;
    println!("   the power fails after {LOST} images of shirt; the device starts again");
    drop(emulator);
    let mut emulator = Emulator::start(board, &elf, &place, samara)?;
    let woken = emulator.ask(&["stats"])?;
    if woken["generation"] != 1 {
        bail!("after the power failed, generation {} is current, expected 1", woken["generation"]);
    }
    emulator.ask(&learn(IMAGES, NEW[1]))?;
    let [device, host] = ["device.head", "host.head"].map(file);
    emulator.ask(&["export-head", "--out", &device])?;

    println!("\n4. The same on this machine, by the same code");
    let mut here = samara(&["learn", &model, "--data", DATA, "--count", IMAGES, "--out", &host, "--json"]);
    here.args(["--curve", &file("curve.svg")]);
    json_of(here.args(NEW.iter().flat_map(|class| ["--class", *class])))?;
    let read = |name: &str| fs::read(out.join(name)).with_context(|| format!("{name} cannot be read"));
    let differing = differing(&read("device.head")?, &read("host.head")?);
    let joint = file("joint.head");
    let mut all = samara(&["learn", &model, "--data", DATA, "--out", &joint, "--json"]);
    json_of(all.args(NEW.iter().flat_map(|class| ["--class", *class])))?;

    println!("\n5. {TESTED} test images on the device; all 10,000 here, by the head that the device learned");
    let tested = emulator.ask(&["evaluate", "--model", &model, "--data", DATA, "--count", TESTED])?;
    let evaluate = |head: &str| json_of(samara(&["evaluate", &model, "--data", DATA, "--json", "--head"]).arg(head));
    let (learned, joint) = (Learned::read(&evaluate(&device)?)?, Learned::read(&evaluate(&joint)?)?);
    let before = trained["heads"][0]["head_accuracy"].as_f64().context("the training made no head")?;

    println!("\n6. The textbook's transfer: sandal or shirt, from {TRANSFER_IMAGES} images each, on the device");
    emulator.ask(&["reset", "--yes"])?;
    for class in NEW {
        emulator.ask(&learn(TRANSFER_IMAGES, class))?;
    }
    let transferred = file("transfer.head");
    emulator.ask(&["export-head", "--out", &transferred])?;
    let mut among = samara(&["evaluate", &model, "--data", DATA, "--json", "--head", &transferred]);
    let transfer = json_of(among.args(NEW.iter().flat_map(|class| ["--among", *class])))?;
    let transfer = transfer["accuracy"].as_f64().context("no accuracy")?;

    let incremental = json!([{
        "data": DATA, "mean": learned.mean, "joint": joint.mean, "old": learned.old, "old_before": before, "new": learned.new,
    }]);
    let record = json!({
        "core": board.core, "model": MODEL, "transfer_accuracy": transfer, "incremental": incremental, "differing_bytes": differing,
        "differing_outputs": tested["different"], "tested_on_device": tested["samples"], "power_cuts": 1,
    });
    let path = out.join("result.json");
    fs::write(&path, format!("{record:#}\n"))?;
    let row = |what: &str, value: String| vec![what.to_owned(), value];
    let rows = [
        row("eight classes before", format!("{before:.4}")),
        row("ten classes, mean, two of them learned on the device", format!("{:.4}", learned.mean)),
        row("the same from all images", format!("{:.4}", joint.mean)),
        row("the eight classes after", format!("{:.4}", learned.old)),
        row("the two new classes", format!("{:.4}", learned.new)),
        row("sandal or shirt, the textbook's transfer", format!("{transfer:.4}")),
        row("bytes of the head that differ from this machine's", differing.to_string()),
        row("outputs on the device that differ", tested["different"].to_string()),
        row("power cuts", "1".to_owned()),
    ];
    println!("\n{}", table::render(&["test accuracy of the head", board.core], &rows));
    println!(
        "{} written in {}; beside it, curve.svg draws accuracy by number of samples.",
        paths::shown(&path),
        watch.elapsed()
    );
    if differing > 0 {
        bail!("the device's head differs from this machine's in {differing} bytes");
    }
    if learned.mean < LEAST_MEAN || transfer < LEAST_TRANSFER {
        bail!("the head does worse than expected: at least {LEAST_MEAN} of ten classes and {LEAST_TRANSFER} of the transfer");
    }
    Ok(())
}

/// What a head reaches: the mean of the accuracies of all classes, of those that the net was trained on, of the new ones.
struct Learned {
    mean: f64,
    old: f64,
    new: f64,
}

impl Learned {
    fn read(measured: &Value) -> Result<Self> {
        let classes = measured["classes"].as_object().context("`samara evaluate` printed no classes")?;
        let mean_of = |new: bool| {
            let chosen = classes.iter().filter(|(class, _)| NEW.contains(&class.as_str()) == new);
            let shares: Vec<f64> = chosen.filter_map(|(_, share)| share.as_f64()).collect();
            shares.iter().sum::<f64>() / shares.len() as f64
        };
        let mean = measured["mean_of_classes"].as_f64().context("`samara evaluate` printed no mean of classes")?;
        Ok(Self { mean, old: mean_of(false), new: mean_of(true) })
    }
}
