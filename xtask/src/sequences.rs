//! Nets for sequences on a microcontroller, whole and as a stream, on data that exists: each step is a command that one could type.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{
    boards::{self, Board},
    emulator::{self, Clock},
    firmware::{self, Embed},
    host::ModelBytes,
    paths,
    samples::{Samples, differing, json_of, samara},
    setup,
    stages::Stopwatch,
    table::{self, thousands},
};

/// A net with its data, how it is trained, and how fast a stream comes.
struct Task {
    model: &'static str,
    data: &'static str,
    /// All test samples.
    samples: usize,
    training: &'static [&'static str],
    /// Rows of a run of the stream; none for sequences of several lengths, which have no common last run.
    hop: Option<usize>,
}

const TASKS: &[Task] = &[
    Task {
        model: "spoken-digits",
        data: "fsdd",
        samples: 300,
        training: &["--epochs", "30", "--batch", "32", "--learning-rate", "0.002"],
        hop: Some(2),
    },
    Task {
        model: "motions",
        data: "basic-motions",
        samples: 40,
        training: &["--epochs", "40", "--batch", "8", "--learning-rate", "0.002"],
        hop: Some(4),
    },
    Task {
        model: "motions-lstm",
        data: "basic-motions",
        samples: 40,
        training: &["--epochs", "150", "--batch", "8", "--learning-rate", "0.003"],
        hop: Some(4),
    },
    Task {
        model: "vowels",
        data: "japanese-vowels",
        samples: 370,
        training: &["--epochs", "60", "--batch", "16", "--learning-rate", "0.005"],
        hop: None,
    },
];

/// What each net must reach in int8.
const LEAST_ACCURACY: f64 = 0.95;
const EMULATOR_LIMIT: Duration = Duration::from_secs(600);

/// What one file did on the board.
struct Outcome {
    model: &'static str,
    way: String,
    samples: usize,
    accuracy: f64,
    differing_bytes: usize,
    instructions: u64,
    arena_bytes: u64,
    model_bytes: usize,
}

/// Trains each net whose data is there, writes it whole and, where its sequences are of one length, as a stream, classifies all test
/// samples on the board, and prints a table, also written to `target/samara/sequences/result.json`.
///
/// # Errors
/// If a step fails; if the board differs from this machine in a byte; if a net is less accurate than it should be; if the data
/// of no net is on this machine.
pub fn run(board: &str) -> Result<()> {
    let board = boards::find(board)?;
    let watch = Stopwatch::start();
    setup::require(&[board])?;
    let place = paths::artifacts("sequences");
    fs::create_dir_all(&place)?;
    let (mut outcomes, mut left_out) = (Vec::new(), Vec::new());
    for task in TASKS {
        println!("\n{} on {}", task.model, task.data);
        if let Err(error) = json_of(&mut samara(&["data", "fetch", task.data, "--json"])) {
            left_out.push(format!("{}: {error:#}", task.model));
            continue;
        }
        outcomes.extend(task.run(board, &place)?);
    }
    println!("\n{}", render(board, &outcomes));
    left_out.iter().for_each(|reason| println!("left out: {reason}"));
    let path = place.join("result.json");
    let record = json!({
        "core": board.core,
        "files": outcomes.iter().map(Outcome::to_json).collect::<Vec<_>>(),
        "left_out": left_out,
    });
    fs::write(&path, format!("{record:#}\n"))?;
    println!("{} written in {}.", paths::shown(&path), watch.elapsed());
    for outcome in &outcomes {
        let Outcome { model, way, differing_bytes, accuracy, .. } = outcome;
        if *differing_bytes > 0 {
            bail!("{model}, {way}: {} differs from this machine in {differing_bytes} output bytes", board.core);
        }
        if *accuracy < LEAST_ACCURACY {
            bail!("{model}, {way}: the accuracy is {accuracy:.4}, expected at least {LEAST_ACCURACY}");
        }
    }
    if outcomes.is_empty() {
        bail!("no net ran: its data is not on this machine");
    }
    Ok(())
}

impl Task {
    fn run(&self, board: &'static Board, place: &Path) -> Result<Vec<Outcome>> {
        let out = place.join(self.model);
        let mut train = samara(&["train", "--model", self.model, "--data", self.data, "--schedule", "cosine", "--seed", "1"]);
        json_of(train.args(self.training).arg("--json").arg("--out").arg(&out))?;
        let mut outcomes = vec![self.classify(board, &out.join("model.samara"), 1, "whole".to_owned())?];
        if let Some(hop) = self.hop {
            let streaming = out.join("stream.samara");
            let mut quantize = samara(&["quantize", "--model", self.model, "--data", self.data, "--json", "--hop"]);
            quantize.arg(hop.to_string()).arg("--weights").arg(&out).arg("--out").arg(&streaming);
            let runs = json_of(&mut quantize)?["runs"].as_u64().context("the stream gives no output of a whole sequence")?;
            outcomes.push(self.classify(board, &streaming, runs as usize, format!("stream, {hop} rows a run"))?);
        }
        Ok(outcomes)
    }

    fn classify(&self, board: &'static Board, file: &Path, runs: usize, way: String) -> Result<Outcome> {
        let model = ModelBytes::read(file)?;
        let samples = Samples::export(&file.with_extension("samples"), &model, self.data, self.samples, runs)?;
        let elf = firmware::build(board, "infer", Embed::model(file))?;
        let few = model.records(&samples.inputs)?[..2 * runs].concat();
        let counted = emulator::infer(board, &elf, &few, Some(runs), Clock::CountInstructions, EMULATOR_LIMIT)?;
        let all = emulator::infer(board, &elf, &samples.inputs, Some(runs), Clock::Free, EMULATOR_LIMIT)?;
        if !all.outputs.starts_with(&counted.outputs) {
            bail!("{} gives other outputs while instructions are counted", board.core);
        }
        Ok(Outcome {
            model: self.model,
            way,
            samples: samples.count(),
            accuracy: samples.accuracy(&all.outputs)?,
            differing_bytes: differing(&all.outputs, &samples.expected),
            instructions: counted.report.number("inference_instructions")?,
            arena_bytes: counted.report.number("arena_bytes")?,
            model_bytes: model.bytes.len(),
        })
    }
}

impl Outcome {
    fn to_json(&self) -> Value {
        json!({
            "model": self.model,
            "way": self.way,
            "samples": self.samples,
            "accuracy": self.accuracy,
            "differing_bytes": self.differing_bytes,
            "instructions_per_run": self.instructions,
            "arena_bytes": self.arena_bytes,
            "model_bytes": self.model_bytes,
        })
    }
}

fn render(board: &Board, outcomes: &[Outcome]) -> String {
    let titles =
        [board.core, "way", "samples", "int8 accuracy", "bytes differing", "instructions a run", "arena", "flash: model"];
    let row = |outcome: &Outcome| {
        vec![
            outcome.model.to_owned(),
            outcome.way.clone(),
            thousands(outcome.samples as u64),
            format!("{:.4}", outcome.accuracy),
            thousands(outcome.differing_bytes as u64),
            thousands(outcome.instructions),
            thousands(outcome.arena_bytes),
            thousands(outcome.model_bytes as u64),
        ]
    };
    table::render(&titles, &outcomes.iter().map(row).collect::<Vec<_>>())
}
