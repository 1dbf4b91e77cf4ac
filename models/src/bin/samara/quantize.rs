//! `samara quantize`: an int8 file from trained weights.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use samara_models::ZooModel;
use samara_runtime::format::writer::ModelFile;
use samara_trainer::optimizers::Sgd;
use serde_json::json;

use crate::losses::LossName;
use crate::task::Task;
use crate::{convert, device, files, names, output, train, weights};

/// Arguments of `samara quantize`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Model of the zoo that the weights belong to; none for those of a CSV file
    #[arg(long, value_name = "NAME", value_parser = names::ModelParser)]
    model: Option<&'static ZooModel>,
    /// Directory that `samara train` wrote, a weights.bin, or a .safetensors file
    #[arg(long, value_name = "DIR|FILE")]
    weights: PathBuf,
    /// Data set by name or path, as for `samara train`
    #[arg(long, value_name = "NAME|PATH")]
    data: String,
    /// The loss of the training [default: as for `samara train`]
    #[arg(long, value_enum)]
    loss: Option<LossName>,
    #[command(flatten)]
    quantizing: convert::Quantizing,
    /// Training samples that ranges are taken from
    #[arg(long, default_value_t = train::CALIBRATION_SAMPLES, value_parser = names::count)]
    samples: usize,
    /// The int8 file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    pace: convert::Pace,
    #[command(flatten)]
    golden: convert::Golden,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Quantizes, measures and writes.
///
/// # Errors
/// If the weights are damaged or not the model's, or the data does not fit.
pub fn run(arguments: &Arguments) -> Result<()> {
    let (path, saved) = weights::read(&arguments.weights)?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let Task { mut model, splits, loss, .. } = Task::trained(arguments.model, &arguments.data, directory, arguments.loss)?;
    saved.restore(&model).with_context(|| path.display().to_string())?;
    model.compile(Sgd::new(1.0), loss.build())?;
    train::check(&model, &splits, &arguments.data)?;
    let samples = train::calibration_samples(&splits.train, arguments.samples);
    let options = arguments.quantizing.options();
    let mut file = convert::to_int8(&model, &samples, options, convert::Pace::default(), arguments.golden)?;
    let measured = device::measure(&file, &splits.test, &*loss.build())?;
    if !arguments.pace.is_whole() {
        // A stream gives the bits of whole sequences, which the test samples are.
        file = convert::to_int8(&model, &samples, options, arguments.pace, arguments.golden)?;
    }
    let written = ModelFile::from_bytes(file.bytes())?;
    files::write(&arguments.out, file.bytes())?;
    if arguments.json {
        return output::print_json(&json!({
            "model": model.name(), "weights": path, "data": arguments.data, "out": arguments.out,
            "int8_accuracy": measured.accuracy, "int8_loss": measured.loss, "macs": written.macs(),
            "arena_bytes": file.model()?.arena_bytes(), "model_bytes": file.bytes().len(),
            "golden_samples": written.golden.len(), "golden_bytes": written.golden_bytes(),
            "runs": arguments.pace.runs(&model)?,
        }));
    }
    let (what, value) = measured.shown();
    let golden = convert::golden_samples(&written);
    output::print(&format!("int8 test {what} {value}, written to {}; golden samples: {golden}", arguments.out.display()))
}
