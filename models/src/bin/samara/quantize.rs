//! `samara quantize`: an int8 file from trained weights.

use std::path::PathBuf;

use anyhow::Result;
use samara_runtime::format::writer::ModelFile;
use samara_trainer::quantize::Options;
use serde_json::json;

use crate::aware::AwareArguments;
use crate::weights::{Trained, TrainedArguments};
use crate::{aware, convert, device, files, output};

/// Arguments of `samara quantize`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    trained: TrainedArguments,
    #[command(flatten)]
    quantizing: convert::Quantizing,
    #[command(flatten, next_help_heading = "Training on")]
    aware: AwareArguments,
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
    let mut trained = arguments.trained.load()?;
    let options = arguments.quantizing.options();
    let options = if arguments.aware.aware.is_some() { aware::quantized_as_trained(options) } else { options };
    let data = (&trained.splits, trained.loss.clone());
    let ranges = arguments.aware.train(&mut trained.model, data, (&trained.calibration, options))?;
    let options = Options { ranges: ranges.as_ref(), ..options };
    let Trained { path, model, splits, loss, calibration } = trained;
    let mut file = convert::to_int8(&model, &calibration, options, convert::Pace::default(), arguments.golden)?;
    let measured = device::measure(&file, &splits.test, &*loss)?;
    if !arguments.pace.is_whole() {
        // A stream gives the bits of whole sequences, which the test samples are.
        file = convert::to_int8(&model, &calibration, options, arguments.pace, arguments.golden)?;
    }
    let written = ModelFile::from_bytes(file.bytes())?;
    files::write(&arguments.out, file.bytes())?;
    if arguments.json {
        return output::print_json(&json!({
            "model": model.name(), "weights": path, "data": arguments.trained.data, "out": arguments.out,
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
