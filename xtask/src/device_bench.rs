//! Instructions, memory and flash of models on emulated boards.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use samara_runtime::{format::writer::ModelFile, selftest::Generator};
use serde_json::{Value, json};

use crate::{
    boards::{self, Board},
    emulator::{self, Clock},
    firmware::{self, Embed},
    host::ModelBytes,
    made::Made,
    paths,
    report::Report,
    setup,
    table::{self, thousands},
};

/// Records of a measurement: what the second takes shows that nothing depends on the first.
const RECORDS: usize = 2;
const EMULATOR_LIMIT: Duration = Duration::from_secs(300);

/// One model on one board.
pub struct Measurement {
    model: String,
    core: &'static str,
    macs: u64,
    /// Bytes of the file.
    pub model_bytes: usize,
    /// Bytes of flash beside it.
    pub code_bytes: usize,
    /// What the firmware said.
    pub report: Report,
}

/// Measures models on boards, prints a table and writes `target/samara/device-bench.json`.
///
/// # Errors
/// If a model is refused; if a build or a run fails; if a board's outputs differ from this machine's.
pub fn run(files: &[PathBuf], board_names: &[String], nodes: bool) -> Result<()> {
    let boards = boards::select(board_names, boards::all)?;
    setup::require(&boards)?;
    let models = if files.is_empty() {
        mlperf_tiny()?
    } else {
        files.iter().map(|file| ModelBytes::read(file)).collect::<Result<_>>()?
    };
    let mut measurements = Vec::new();
    for board in boards {
        for model in &models {
            if model.fits(board) {
                measurements.push(measure(board, model)?);
            } else {
                println!("  {} is too big for {}", model.name, board.name);
            }
        }
    }
    let records = measurements.iter().map(Measurement::to_json).collect::<Result<Vec<_>>>()?;
    let path = paths::artifacts("device-bench.json");
    fs::write(&path, format!("{:#}\n", Value::from(records)))?;
    println!("\n{}", render(&measurements)?);
    if nodes {
        for (measurement, model) in
            measurements.iter().flat_map(|m| models.iter().filter(|model| model.name == m.model).map(move |model| (m, model)))
        {
            println!("{}", render_nodes(measurement, model)?);
        }
    }
    println!("{} written.", paths::shown(&path));
    Ok(())
}

/// Builds firmware with the model in it, and prints its size.
///
/// # Errors
/// If the model is refused or the build fails.
pub fn firmware(board: &Board, model: &Path) -> Result<()> {
    let model = ModelBytes::read(model)?;
    let infer = firmware::build(board, "infer", Embed::model(&model.path))?;
    let minimal = firmware::build(board, "minimal", Embed::model(&model.path))?;
    println!("\n{} for {} ({}):", model.name, board.core, board.name);
    println!(
        "  {} ({} bytes of flash, with logging and the link to the host)",
        paths::shown(&infer.path),
        thousands(firmware::flash_bytes(&infer)? as u64)
    );
    println!("  {}", paths::shown(&minimal.path));
    println!(
        "  flash: {} bytes of code, {} of model",
        thousands(firmware::code_bytes(&minimal, model.bytes.len())? as u64),
        thousands(model.bytes.len() as u64)
    );
    println!("  arena: {} bytes", thousands(model.arena_bytes as u64));
    Ok(())
}

/// MLPerf Tiny's nets in the zoo: what other runtimes are measured with.
const MLPERF_TINY: [&str; 4] = ["anomaly-autoencoder", "ds-cnn", "resnet8", "mobilenet-v1"];

fn mlperf_tiny() -> Result<Vec<ModelBytes>> {
    let made = Made::collect()?;
    let file = |name: &str| {
        let found = made.zoo.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name));
        ModelBytes::read(found.with_context(|| format!("the tests left no file of the net {name}"))?)
    };
    MLPERF_TINY.into_iter().map(file).collect()
}

/// Runs a model on a board, and compares its outputs with this machine's.
///
/// # Errors
/// If a build or the run fails, or outputs differ.
pub fn measure(board: &'static Board, model: &ModelBytes) -> Result<Measurement> {
    let elf = firmware::build(board, "infer", Embed::model(&model.path))?;
    // Any bytes will do for int8; as f32 they would be NaNs too, so floats get small numbers.
    let records = random_records(model)?;
    let inferred = emulator::infer(board, &elf, &records, None, Clock::CountInstructions, EMULATOR_LIMIT)?;
    if inferred.outputs != model.infer(&records)? {
        bail!("{} on {} gives other outputs than on this machine", model.name, board.name);
    }
    let minimal = firmware::build(board, "minimal", Embed::model(&model.path))?;
    let code_bytes = firmware::code_bytes(&minimal, model.bytes.len())?;
    let (model_bytes, macs) = (model.bytes.len(), model.macs);
    Ok(Measurement { model: model.name.clone(), core: board.core, macs, model_bytes, code_bytes, report: inferred.report })
}

/// Records of random inputs, the same in every run.
///
/// # Errors
/// If the model is refused.
pub fn random_records(model: &ModelBytes) -> Result<Vec<u8>> {
    let mut generator = Generator::new(1);
    let mut records = Vec::new();
    for _ in 0..RECORDS {
        records.extend(model.lengths()?.into_iter().flat_map(u32::to_le_bytes));
        for element_bytes in model.input_elements()? {
            records.extend(match element_bytes {
                1 => vec![(generator.next_u32() >> 24) as u8],
                _ => (f32::from((generator.next_u32() >> 24) as i8) / 64.0).to_le_bytes().to_vec(),
            });
        }
    }
    Ok(records)
}

impl Measurement {
    /// All that was counted.
    ///
    /// # Errors
    /// If the firmware did not say it.
    pub fn to_json(&self) -> Result<Value> {
        let checksum = self.report.number("checksum_instructions")?;
        Ok(json!({
            "model": self.model,
            "core": self.core,
            "instructions": self.report.number("inference_instructions")?,
            "macs": self.macs,
            "arena_bytes": self.report.number("arena_bytes")?,
            "stack_bytes": self.report.number("stack_bytes")?,
            "flash_code_bytes": self.code_bytes,
            "model_bytes": self.model_bytes,
            "startup_instructions": self.report.number("startup_instructions")?.saturating_sub(checksum),
            "checksum_instructions": checksum,
        }))
    }
}

fn render(measurements: &[Measurement]) -> Result<String> {
    let titles =
        ["model", "core", "instructions", "per MAC", "arena", "stack", "flash: code", "flash: model", "start", "checksum"];
    let mut rows = Vec::new();
    for measurement in measurements {
        let report = &measurement.report;
        let instructions = report.number("inference_instructions")?;
        let checksum = report.number("checksum_instructions")?;
        let per_mac =
            if measurement.macs == 0 { "-".into() } else { format!("{:.2}", instructions as f64 / measurement.macs as f64) };
        rows.push(vec![
            measurement.model.clone(),
            measurement.core.to_owned(),
            thousands(instructions),
            per_mac,
            thousands(report.number("arena_bytes")?),
            thousands(report.number("stack_bytes")?),
            thousands(measurement.code_bytes as u64),
            thousands(measurement.model_bytes as u64),
            thousands(report.number("startup_instructions")?.saturating_sub(checksum)),
            thousands(checksum),
        ]);
    }
    Ok(table::render(&titles, &rows))
}

fn render_nodes(measurement: &Measurement, model: &ModelBytes) -> Result<String> {
    let file = ModelFile::from_bytes(&model.bytes)?;
    let mut rows = Vec::new();
    for (index, words) in measurement.report.all("node").enumerate() {
        let instructions: u64 = words.get(1).context("a line `node` of the report is cut short")?.parse()?;
        let macs = file.nodes.get(index).map_or(0, |node| u64::from(node.macs));
        let name = file.metadata.nodes.get(index).cloned().unwrap_or_default();
        let per_mac = if macs == 0 { "-".into() } else { format!("{:.2}", instructions as f64 / macs as f64) };
        rows.push(vec![name, thousands(macs), thousands(instructions), per_mac]);
    }
    let title = format!("{} on {}", measurement.model, measurement.core);
    Ok(table::render(&[&title, "MACs", "instructions", "per MAC"], &rows))
}
