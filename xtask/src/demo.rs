//! From training to a microcontroller, with nothing hidden: each step is a command that one could type.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{
    boards::{self, BOARDS, Board},
    emulator::{self, Clock},
    firmware::{self, Embed},
    host::ModelBytes,
    paths,
    samples::{self, Samples, differing, samara},
    setup::{self, Unavailable},
    stages::Stopwatch,
    table::{self, thousands},
};

/// Epochs of training: with a falling learning rate enough for an accuracy of 0.88, and few enough for five minutes. (With
/// a constant rate, batch-norm's moving averages leave the accuracy of such a short training to chance.)
pub const EPOCHS: u32 = 3;
/// What the default training must reach on the whole test set.
const LEAST_F32_ACCURACY: f64 = 0.87;
/// What quantizing may cost.
const MOST_LOST: f64 = 0.005;

const MODEL: &str = "fashion-separable";
const DATA: &str = "fashion-mnist";
/// The boards that it runs on where none is named.
const CORES: [&str; 2] = ["an386", "virt"];
/// Test images that each core classifies.
const IMAGES: usize = 1000;
/// Images of the run that counts instructions: they are the same for each.
const COUNTED_IMAGES: usize = 2;
const EMULATOR_LIMIT: Duration = Duration::from_secs(300);

/// What one core did.
struct CoreResult {
    core: &'static str,
    accuracy: f64,
    differing_bytes: usize,
    instructions: u64,
    arena_bytes: u64,
    code_bytes: usize,
    model_bytes: usize,
}

/// Trains, quantizes, runs on the boards, and prints a table. It is also written to `target/samara/demo/result.json`.
/// Boards that cannot be emulated here are left out, and named with the reason.
///
/// # Errors
/// If the data cannot be had or a step fails; if a core's outputs differ from the host's in a single byte.
pub fn run(epochs: u32, board_names: &[String]) -> Result<()> {
    let boards = boards::select(board_names, || BOARDS.iter().filter(|board| CORES.contains(&board.name)).collect())?;
    let watch = Stopwatch::start();
    println!("1. What is needed");
    setup::data()?;
    let unavailable = setup::boards(&boards);

    println!("\n2. Train {MODEL} on {DATA} for {epochs} epochs, and quantize it to int8");
    let out = paths::artifacts("demo");
    fs::create_dir_all(&out)?;
    let summary = samples::json_of(&mut train(&out, epochs))?;
    let accuracy = |key: &str| summary[key].as_f64().with_context(|| format!("`samara train --json` printed no number {key}"));
    let (f32_accuracy, int8_accuracy) = (accuracy("f32_accuracy")?, accuracy("int8_accuracy")?);
    let model = ModelBytes::read(&out.join("model.samara"))?;

    println!("\n3. Classify the first {IMAGES} test images on this machine, by the kernels that firmware links");
    let samples = Samples::export(&out.join("samples"), &model, DATA, IMAGES, 1)?;
    let host_accuracy = samples.accuracy(&samples.expected)?;

    let mut results = Vec::new();
    let available = boards.iter().filter(|board| unavailable.iter().all(|missing| missing.board.name != board.name));
    for (number, board) in available.enumerate() {
        println!("\n{}. The same images on an emulated {} ({})", number + 4, board.core, board.name);
        results.push(classify(board, &model, &samples)?);
    }

    let record = json!({
        "model": MODEL,
        "f32_accuracy": f32_accuracy,
        "int8_accuracy": int8_accuracy,
        "host_accuracy_on_images": host_accuracy,
        "cores": results.iter().map(CoreResult::to_json).collect::<Vec<_>>(),
        "missing_cores": missing_cores(&unavailable),
    });
    let path = out.join("result.json");
    fs::write(&path, format!("{record:#}\n"))?;
    println!("\n{}", render(f32_accuracy, int8_accuracy, host_accuracy, &results));
    for Unavailable { board, reason } in &unavailable {
        println!("{} was not emulated. {reason}", board.core);
    }
    println!("{} written in {}.", paths::shown(&path), watch.elapsed());
    if let Some(wrong) = results.iter().find(|result| result.differing_bytes > 0) {
        bail!("{} differs from this machine in {} output bytes", wrong.core, wrong.differing_bytes);
    }
    if epochs >= EPOCHS && f32_accuracy < LEAST_F32_ACCURACY {
        bail!("the f32 accuracy is {f32_accuracy:.4}, expected at least {LEAST_F32_ACCURACY}");
    }
    if int8_accuracy < f32_accuracy - MOST_LOST {
        bail!("int8 loses {:.4} of accuracy, expected at most {MOST_LOST}", f32_accuracy - int8_accuracy);
    }
    Ok(())
}

fn train(out: &Path, epochs: u32) -> Command {
    let mut command = samara(&["train", "--model", MODEL, "--data", DATA, "--batch", "128", "--optimizer", "adam"]);
    command.args(["--schedule", "cosine"]);
    command.args(["--learning-rate", "0.004", "--seed", "1", "--json", "--epochs", &epochs.to_string()]).arg("--out").arg(out);
    command
}

fn classify(board: &'static Board, model: &ModelBytes, samples: &Samples) -> Result<CoreResult> {
    let elf = firmware::build(board, "infer", Embed::model(&model.path))?;
    let few = model.records(&samples.inputs)?[..COUNTED_IMAGES].concat();
    let counted = emulator::infer(board, &elf, &few, None, Clock::CountInstructions, EMULATOR_LIMIT)?;
    let all = emulator::infer(board, &elf, &samples.inputs, None, Clock::Free, EMULATOR_LIMIT)?;
    if !all.outputs.starts_with(&counted.outputs) {
        bail!("{} gives other outputs while instructions are counted", board.core);
    }
    let minimal = firmware::build(board, "minimal", Embed::model(&model.path))?;
    Ok(CoreResult {
        core: board.core,
        accuracy: samples.accuracy(&all.outputs)?,
        differing_bytes: differing(&all.outputs, &samples.expected),
        instructions: counted.report.number("inference_instructions")?,
        arena_bytes: counted.report.number("arena_bytes")?,
        code_bytes: firmware::code_bytes(&minimal, model.bytes.len())?,
        model_bytes: model.bytes.len(),
    })
}

impl CoreResult {
    fn to_json(&self) -> Value {
        json!({
            "core": self.core,
            "images": IMAGES,
            "accuracy": self.accuracy,
            "differing_bytes": self.differing_bytes,
            "instructions_per_inference": self.instructions,
            "arena_bytes": self.arena_bytes,
            "flash_code_bytes": self.code_bytes,
            "model_bytes": self.model_bytes,
        })
    }
}

/// The cores that could not be emulated, and why.
fn missing_cores(unavailable: &[Unavailable]) -> Value {
    unavailable.iter().map(|missing| json!({"core": missing.board.core, "reason": missing.reason})).collect()
}

fn render(f32_accuracy: f64, int8_accuracy: f64, host_accuracy: f64, results: &[CoreResult]) -> String {
    let titles =
        ["core", "images", "accuracy", "host's", "bytes differing", "instructions", "arena", "flash: code", "flash: model"];
    let whole_set =
        format!("{MODEL}, whole test set: f32 accuracy {f32_accuracy:.4}, int8 accuracy {int8_accuracy:.4} on this machine\n");
    if results.is_empty() {
        return format!("{whole_set}First {IMAGES} images: int8 accuracy {host_accuracy:.4} on this machine\n");
    }
    let rows: Vec<Vec<String>> = results
        .iter()
        .map(|result| {
            vec![
                result.core.to_owned(),
                thousands(IMAGES as u64),
                format!("{:.4}", result.accuracy),
                format!("{host_accuracy:.4}"),
                thousands(result.differing_bytes as u64),
                thousands(result.instructions),
                thousands(result.arena_bytes),
                thousands(result.code_bytes as u64),
                thousands(result.model_bytes as u64),
            ]
        })
        .collect();
    format!("{whole_set}\n{}", table::render(&titles, &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_emulator_the_table_is_the_machines_own_and_the_record_says_why() {
        let board = boards::find("an386").unwrap();
        let missing = missing_cores(&[Unavailable { board, reason: "no QEMU".to_owned() }]);
        assert_eq!(missing, json!([{"core": "Cortex-M4F", "reason": "no QEMU"}]));
        let text = render(0.88, 0.879, 0.877, &[]);
        assert!(text.ends_with("First 1000 images: int8 accuracy 0.8770 on this machine\n"), "{text}");
    }
}
