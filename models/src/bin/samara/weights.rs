//! `samara weights`: trained weights in another format.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use samara_trainer::checkpoint::Weights;
use serde_json::json;

use crate::{files, output, train};

/// Arguments of `samara weights`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Directory that `samara train` wrote, a weights.bin, or a .safetensors file
    weights: PathBuf,
    /// The file to write: .bin, or .safetensors for other libraries
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
    let (path, weights) = read(&arguments.weights)?;
    let out = arguments.out.display();
    let bytes = match arguments.out.extension().and_then(|extension| extension.to_str()) {
        Some("bin") => weights.to_bytes(),
        Some("safetensors") => weights.to_safetensors()?,
        _ => bail!("{out}: expected a file that ends in .bin or .safetensors"),
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

/// The weights in a file, or in the directory of a training, and where they were.
///
/// # Errors
/// If they cannot be read, or are damaged.
pub fn read(path: &Path) -> Result<(PathBuf, Weights)> {
    let path = if path.is_dir() { path.join(train::WEIGHTS) } else { path.to_owned() };
    let weights = Weights::from_bytes(&files::read(&path)?).with_context(|| path.display().to_string())?;
    Ok((path, weights))
}
