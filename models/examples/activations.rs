//! The textbook's callback that keeps what a net makes of a validation sample: after each epoch, the activations of every layer for the first
//! validation sample are written to an NPZ archive, for NumPy to look at.
//!
//! ```text
//! cargo run --release -p samara-models --example activations
//! cargo run --release -p samara-models --example activations -- DATA EPOCHS DIR   # fashion-mnist, 3, target/samara/activations
//! python -c 'import numpy as np; a = np.load("target/samara/activations/epoch-01.npz"); print({k: a[k].shape for k in a})'
//! ```
//!
//! Source: F. Chollet, *Deep Learning with Python*, second edition, chapter 7.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use samara_models::fashion_separable;
use samara_trainer::data::write_npz;
use samara_trainer::prelude::*;

/// Writes the activations of every layer for a sample after each epoch.
struct ActivationLogger {
    directory: PathBuf,
    /// The sample, one tensor for each input.
    sample: Vec<Tensor>,
}

impl Callback for ActivationLogger {
    fn epoch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        // Layers, not the activations given as their arguments, which `activations` includes.
        let nodes = training.model().graph().nodes.iter().filter(|node| node.layer.is_some() && node.part_of.is_none());
        let names: Vec<&str> = nodes.map(|node| node.name.as_str()).collect();
        let activations: Vec<Tensor> =
            names.iter().map(|name| training.activations(name, &self.sample)).collect::<Result<_>>()?;
        let path = self.directory.join(format!("epoch-{:02}.npz", training.epoch()));
        write_npz(&path, names.iter().copied().zip(&activations))?;
        println!("{}: {} layers", path.display(), names.len());
        Ok(())
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> std::result::Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let data = arguments.next().unwrap_or_else(|| "fashion-mnist".to_owned());
    let epochs = arguments.next().map_or(Ok(3), |epochs| epochs.parse())?;
    let directory = arguments.next().unwrap_or_else(|| "target/samara/activations".to_owned()).into();
    let splits = sources::load(&data)?;
    let sample = splits.validation.inputs().iter().map(|input| input.slice(0..1)).collect();
    let mut model = fashion_separable()?;
    model.compile(Adam::new(0.004), SparseCategoricalCrossentropy)?;
    let logger = ActivationLogger { directory, sample };
    let fit = Fit { epochs, batch: 128, validation: Some(&splits.validation), ..Fit::default() };
    model.fit(&splits.train, Fit { callbacks: vec![Box::new(logger)], ..fit })?;
    Ok(())
}
