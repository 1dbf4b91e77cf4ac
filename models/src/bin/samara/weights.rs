//! `samara weights`: trained weights in another format.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use samara_trainer::Model;
use samara_trainer::checkpoint::Weights;
use samara_trainer::data::Tensor;
use samara_trainer::data::sources::Splits;
use samara_trainer::losses::Loss;
use samara_trainer::optimizers::Sgd;
use serde_json::json;

use crate::losses::LossName;
use crate::names::ModelName;
use crate::task::Task;
use crate::{files, names, output, train};

/// Arguments of `samara weights`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Directory that `samara train` wrote, a weights.bin, a .safetensors file, an NPZ archive; or a .weights.h5 or .keras file of
    /// Keras 3, with --model
    weights: PathBuf,
    /// The model that Keras's weights are for, whose layers are found by name, or by order where Keras made the names up
    #[arg(long, value_name = "NAME|FILE.toml", value_parser = names::ModelParser)]
    model: Option<ModelName>,
    /// The file to write: .bin, .safetensors for other libraries, or .npz for NumPy
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Reads and writes.
///
/// # Errors
/// If the file cannot be read or is damaged, or the ending of the other says no format.
pub fn run(arguments: &Arguments) -> Result<()> {
    let (path, weights) = read(&arguments.weights, arguments.model.as_ref())?;
    let out = arguments.out.display();
    let bytes = match arguments.out.extension().and_then(|extension| extension.to_str()) {
        Some("bin") => weights.to_bytes(),
        Some("safetensors") => weights.to_safetensors()?,
        Some("npz") => weights.to_npz()?,
        _ => bail!("{out}: expected a file that ends in .bin, .safetensors or .npz"),
    };
    files::write(&arguments.out, &bytes)?;
    let values: usize = weights.parameters.iter().map(|parameter| parameter.values.len()).sum();
    if arguments.json {
        return output::print_json(&json!({
            "weights": path, "out": arguments.out, "model": weights.model, "parameters": weights.parameters.len(),
            "values": values, "bytes": bytes.len(),
        }));
    }
    let (parameters, values) = (weights.parameters.len(), output::thousands(values as u64));
    output::print(&format!("{parameters} parameters with {values} values of {}, written to {out}", weights.model))
}

/// A trained net and its data, as arguments.
#[derive(Debug, clap::Args)]
pub struct TrainedArguments {
    /// Model of the zoo or text file that the weights belong to; none for those of a CSV file
    #[arg(long, value_name = "NAME|FILE.toml", value_parser = names::ModelParser)]
    model: Option<ModelName>,
    /// Directory that `samara train` wrote, or a file as `samara weights` takes it
    #[arg(long, value_name = "DIR|FILE")]
    weights: PathBuf,
    /// Data set by name or path, as for `samara train`
    #[arg(long, value_name = "NAME|PATH")]
    pub data: String,
    /// The loss of the training [default: as for `samara train`]
    #[arg(long, value_enum)]
    loss: Option<LossName>,
    /// Training samples that ranges are taken from
    #[arg(long, default_value_t = train::CALIBRATION_SAMPLES, value_parser = names::count)]
    samples: usize,
}

/// A trained net.
pub struct Trained {
    /// Where its weights were.
    pub path: PathBuf,
    /// The net with its weights, compiled with its loss.
    pub model: Model,
    /// Its data.
    pub splits: Splits,
    /// What training made small.
    pub loss: Arc<dyn Loss>,
    /// Training samples to take ranges from, a tensor for each input.
    pub calibration: Vec<Tensor>,
}

impl TrainedArguments {
    /// Reads the weights and the data.
    ///
    /// # Errors
    /// If the weights are damaged or not the model's, or the data does not fit.
    pub fn load(&self) -> Result<Trained> {
        let (path, saved) = read(&self.weights, self.model.as_ref())?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let Task { mut model, splits, loss, .. } = Task::trained(self.model.as_ref(), &self.data, directory, self.loss)?;
        saved.restore(&model).with_context(|| path.display().to_string())?;
        let loss = loss.build();
        model.compile(Sgd::new(1.0), loss.clone())?;
        train::check(&model, &splits, &self.data)?;
        let calibration = train::calibration_samples(&splits.train, self.samples);
        Ok(Trained { path, model, splits, loss, calibration })
    }
}

/// The weights in a file, or in the directory of a training, and where they were. Those of Keras become those of the model, and it is
/// said which layer was taken for which.
///
/// # Errors
/// If they cannot be read, are damaged, or are Keras's and do not fit.
pub fn read(path: &Path, model: Option<&ModelName>) -> Result<(PathBuf, Weights)> {
    let path = if path.is_dir() { path.join(train::WEIGHTS) } else { path.to_owned() };
    let shown = || path.display().to_string();
    let bytes = files::read(&path)?;
    if !Weights::are_of_keras(&bytes) {
        let weights = Weights::from_bytes(&bytes).with_context(shown)?;
        return Ok((path, weights));
    }
    let model = model.with_context(|| format!("{} is a file of Keras: say by --model what its weights are for", shown()))?;
    let (weights, matches) = Weights::from_keras(&bytes, &model.build()?).with_context(shown)?;
    for matched in matches {
        output::note(&matched.to_string());
    }
    Ok((path, weights))
}
