//! Nets for sequences on a microcontroller, whole and as a stream, on data that exists: each step is a command that one could type.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{
    boards::{self, Board},
    classify::{self, Classified, TITLES},
    paths,
    samples::{json_of, samara},
    setup,
    stages::Stopwatch,
    table,
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

/// What one file did on the board.
struct Outcome {
    model: &'static str,
    way: String,
    classified: Classified,
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
        let Outcome { model, way, classified: Classified { differing_bytes, accuracy, .. } } = outcome;
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
        let classified = classify::on_board(board, file, self.data, self.samples, runs)?;
        Ok(Outcome { model: self.model, way, classified })
    }
}

impl Outcome {
    fn to_json(&self) -> Value {
        let mut record = self.classified.to_json();
        record["model"] = self.model.into();
        record["way"] = self.way.clone().into();
        record
    }
}

fn render(board: &Board, outcomes: &[Outcome]) -> String {
    let titles = [&[board.core, "way"], &TITLES[..]].concat();
    let row = |outcome: &Outcome| {
        let own = [outcome.model.to_owned(), outcome.way.clone()];
        own.into_iter().chain(outcome.classified.cells()).collect()
    };
    table::render(&titles, &outcomes.iter().map(row).collect::<Vec<_>>())
}
