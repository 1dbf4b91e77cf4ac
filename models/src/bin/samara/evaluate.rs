//! `samara evaluate`: accuracy or loss on the test samples.

use std::path::PathBuf;

use anyhow::{Context, Result};
use samara_trainer::checkpoint::Weights;
use samara_trainer::optimizers::Sgd;
use serde_json::json;

use crate::losses::{LossName, Measured};
use crate::{device, files, names, output, train};

/// Arguments of `samara evaluate`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A model file, run by the device's own code; or a weights.bin, run by the trainer
    file: PathBuf,
    /// Data set by name or path, as for `samara train`
    #[arg(long, value_name = "NAME|PATH")]
    data: String,
    /// The loss of the training
    #[arg(long, value_enum, default_value = "sparse-categorical-crossentropy")]
    loss: LossName,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
///
/// # Errors
/// If the file is neither a model nor weights, or the data does not fit.
pub fn run(arguments: &Arguments) -> Result<()> {
    let are_weights = Weights::are_in(&files::read(&arguments.file)?);
    let (name, measured, samples) = if are_weights {
        let (mut model, saved) = load_weights(arguments)?;
        model.compile(Sgd::new(1.0), arguments.loss.build())?;
        let splits = names::data(&arguments.data, arguments.loss.targets())?;
        train::check(&model, &splits, &arguments.data)?;
        saved.restore(&model).with_context(|| arguments.file.display().to_string())?;
        let measured = Measured::by_trainer(&model.evaluate(&splits.test)?)?;
        (saved.model, measured, splits.test.samples())
    } else {
        let model = device::load(&arguments.file)?;
        let splits = names::data(&arguments.data, arguments.loss.targets())?;
        (device::name(&model)?, device::measure(&model, &splits.test, &*arguments.loss.build())?, splits.test.samples())
    };
    if arguments.json {
        return output::print_json(&json!({
            "file": arguments.file, "model": name, "data": arguments.data, "samples": samples,
            "accuracy": measured.accuracy, "loss": measured.loss,
        }));
    }
    let (what, value) = measured.shown();
    output::print(&format!("{what} {value} on {} test samples", output::thousands(samples as u64)))
}

/// The weights, and the model of the zoo that they name.
fn load_weights(arguments: &Arguments) -> Result<(samara_trainer::Model, Weights)> {
    let shown = arguments.file.display();
    let saved = Weights::from_bytes(&files::read(&arguments.file)?).with_context(|| shown.to_string())?;
    let known =
        names::model(&saved.model).map_err(|reason| anyhow::anyhow!("{shown} names a model of another version: {reason}"))?;
    Ok((known.build()?, saved))
}
