//! Test samples of any data set, classified by any model file on an emulated board, and compared with this machine.

use std::{fs, path::Path, time::Duration};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::{
    boards::{self, Board},
    emulator::{self, Clock},
    firmware::{self, Embed},
    host::ModelBytes,
    paths,
    samples::{Samples, differing},
    setup,
    table::{self, thousands},
};

/// Samples of the run that counts instructions: they are the same for each.
const COUNTED_SAMPLES: usize = 2;
/// For ten thousand samples of a net of some million multiply-accumulates, on a machine that has other work, too.
const EMULATOR_LIMIT: Duration = Duration::from_secs(1800);

/// What a file did on a board.
pub struct Classified {
    /// Test samples.
    pub samples: usize,
    /// The share of them that the board got right.
    pub accuracy: f64,
    /// Output bytes that are others than this machine's.
    pub differing_bytes: usize,
    /// Of a run.
    pub instructions: u64,
    /// The arena's bytes.
    pub arena_bytes: u64,
    /// The file's bytes.
    pub model_bytes: usize,
}

/// Classifies the first `count` test samples of a data set on a board, each of `runs` records.
///
/// # Errors
/// If the data cannot be had or does not fit the model; if a build or a run fails.
pub fn on_board(board: &'static Board, file: &Path, data: &str, count: usize, runs: usize) -> Result<Classified> {
    let model = ModelBytes::read(file)?;
    let samples = Samples::export(&file.with_extension("samples"), &model, data, count, runs)?;
    let elf = firmware::build(board, "infer", Embed::model(file))?;
    let records = model.records(&samples.inputs)?;
    let few = records[..records.len().min(COUNTED_SAMPLES * runs)].concat();
    let counted = emulator::infer(board, &elf, &few, Some(runs), Clock::CountInstructions, EMULATOR_LIMIT)?;
    let all = emulator::infer(board, &elf, &samples.inputs, Some(runs), Clock::Free, EMULATOR_LIMIT)?;
    if !all.outputs.starts_with(&counted.outputs) {
        bail!("{} gives other outputs while instructions are counted", board.core);
    }
    Ok(Classified {
        samples: samples.count(),
        accuracy: samples.accuracy(&all.outputs)?,
        differing_bytes: differing(&all.outputs, &samples.expected),
        instructions: counted.report.number("inference_instructions")?,
        arena_bytes: counted.report.number("arena_bytes")?,
        model_bytes: model.bytes.len(),
    })
}

impl Classified {
    /// What was measured, under the names of `target/samara`'s files.
    pub fn to_json(&self) -> Value {
        json!({
            "samples": self.samples,
            "accuracy": self.accuracy,
            "differing_bytes": self.differing_bytes,
            "instructions_per_run": self.instructions,
            "arena_bytes": self.arena_bytes,
            "model_bytes": self.model_bytes,
        })
    }

    /// The cells of a table with [`TITLES`].
    pub fn cells(&self) -> [String; 6] {
        [
            thousands(self.samples as u64),
            format!("{:.4}", self.accuracy),
            thousands(self.differing_bytes as u64),
            thousands(self.instructions),
            thousands(self.arena_bytes),
            thousands(self.model_bytes as u64),
        ]
    }
}

/// What [`Classified::cells`] are.
pub const TITLES: [&str; 6] = ["samples", "int8 accuracy", "bytes differing", "instructions a run", "arena", "flash: model"];

/// Classifies on a board, prints a table and writes `target/samara/classify.json`.
///
/// # Errors
/// As [`on_board`]; if the board differs from this machine in a byte.
pub fn run(board: &str, file: &Path, data: &str, count: usize) -> Result<()> {
    let board = boards::find(board)?;
    setup::require(&[board])?;
    let classified = on_board(board, file, data, count, 1)?;
    let mut record = classified.to_json();
    record["core"] = board.core.into();
    let path = paths::artifacts("classify.json");
    fs::write(&path, format!("{record:#}\n"))?;
    let row = [vec![paths::shown(file)], classified.cells().to_vec()].concat();
    println!("\n{}", table::render(&[&[board.core], &TITLES[..]].concat(), &[row]));
    println!("{} written.", paths::shown(&path));
    if classified.differing_bytes > 0 {
        bail!("{} differs from this machine in {} output bytes", board.core, classified.differing_bytes);
    }
    Ok(())
}
