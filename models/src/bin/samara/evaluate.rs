//! `samara evaluate`: accuracy or loss on the test samples.

use std::path::PathBuf;

use anyhow::{Context, Result};
use samara_models::table_mlp;
use samara_trainer::Model;
use samara_trainer::checkpoint::Weights;
use samara_trainer::graph::Shape;
use samara_trainer::optimizers::Sgd;
use serde_json::json;

use crate::losses::{LossName, Measured};
use crate::names::ModelName;
use crate::task::TestData;
use crate::{device, files, learned, names, output, task, train};

/// Arguments of `samara evaluate`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A model file, run by the device's own code; or a weights.bin, run by the trainer
    file: PathBuf,
    /// The model that the weights of a weights.bin belong to [default: the one of the zoo that the file names]
    #[arg(long, value_name = "NAME|FILE.toml", value_parser = names::ModelParser)]
    model: Option<ModelName>,
    /// Data set by name or path, as for `samara train`; of the CSV file of the training those rows are taken that were held out,
    /// of another one all
    #[arg(long, value_name = "NAME|PATH")]
    data: String,
    /// The column of a CSV file that the net was trained to predict; need not be said
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// The loss of the training [default: as for `samara train`]
    #[arg(long, value_enum)]
    loss: Option<LossName>,
    /// Measure what a device learned instead: a file that `samara device export-head` or `samara learn` wrote, of this model
    #[arg(long, value_name = "FILE", conflicts_with_all = ["target", "loss"])]
    head: Option<PathBuf>,
    /// Class that the head may answer, on samples of such classes [default: all]; once for each
    #[arg(long, value_name = "CLASS", requires = "head")]
    among: Vec<usize>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
///
/// # Errors
/// If the file is neither a model nor weights, or the data does not fit.
pub fn run(arguments: &Arguments) -> Result<()> {
    if let Some(head) = &arguments.head {
        let measured = learned::measure(&arguments.file, &arguments.data, head, &arguments.among)?;
        return if arguments.json { output::print_json(&measured.to_json()) } else { output::print(&measured.shown()) };
    }
    let are_weights = Weights::are_in(&files::read(&arguments.file)?);
    let test_data = |shape: Option<&Shape>| {
        TestData::of(&arguments.data, &arguments.file, shape, arguments.target.as_deref(), arguments.loss)
    };
    let (name, measured, samples) = if are_weights {
        let saved = Weights::load(&arguments.file).with_context(|| arguments.file.display().to_string())?;
        let of_zoo = zoo_model(arguments, &saved);
        let TestData { samples, loss, columns, .. } = test_data(of_zoo.as_ref().ok().and_then(task::input_shape).as_ref())?;
        let mut model = match columns {
            Some(columns) => table_mlp(&columns)?,
            None => of_zoo?,
        };
        model.compile(Sgd::new(1.0), loss.build())?;
        train::check_part(&model, "test", &samples, &arguments.data)?;
        saved.restore(&model).with_context(|| arguments.file.display().to_string())?;
        let measured = Measured::by_trainer(&model.evaluate(&samples)?)?;
        (saved.model, measured, samples.samples())
    } else {
        let model = device::load(&arguments.file)?;
        let TestData { samples, loss, .. } = test_data(Some(&device::input_shape(&model)?))?;
        (device::name(&model)?, device::measure(&model, &samples, &*loss.build())?, samples.samples())
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

/// The model that weights belong to.
fn zoo_model(arguments: &Arguments, saved: &Weights) -> Result<Model> {
    if let Some(model) = &arguments.model {
        return model.build();
    }
    let shown = arguments.file.display();
    let known = names::model(&saved.model)
        .map_err(|reason| anyhow::anyhow!("{shown} names a model that is not of the zoo, say --model: {reason}"))?;
    known.build()
}
