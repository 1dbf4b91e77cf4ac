//! Model files on this machine, run by the device's own code.

use std::path::Path;

use anyhow::{Context, Result, bail};
use samara_runtime::{Tensor as DeviceTensor, format::writer::ModelFile};
use samara_trainer::data::Dataset;
use samara_trainer::export::run::DeviceModel;

use crate::files;

/// Reads and checks a model file with one input and one output.
///
/// # Errors
/// If it cannot be read, is no model, or has more inputs or outputs.
pub fn load(path: &Path) -> Result<DeviceModel> {
    let model = DeviceModel::new(&files::read(path)?).with_context(|| path.display().to_string())?;
    let parsed = model.model()?;
    if parsed.input(0).is_none() || parsed.input(1).is_some() || parsed.output(0).is_none() || parsed.output(1).is_some() {
        bail!("{}: this command takes models with one input and one output", path.display());
    }
    Ok(model)
}

/// The model's name.
///
/// # Errors
/// None in practice: the bytes were accepted before.
pub fn name(model: &DeviceModel) -> Result<String> {
    Ok(ModelFile::from_bytes(model.bytes())?.metadata.name)
}

/// The model's input and output.
///
/// # Errors
/// If it has none.
pub fn ports(model: &DeviceModel) -> Result<(DeviceTensor, DeviceTensor)> {
    let model = model.model()?;
    let (Some(input), Some(output)) = (model.input(0), model.output(0)) else { bail!("the model has no input or no output") };
    Ok((model.tensor(input), model.tensor(output)))
}

/// Checks that samples fit the model's input, and labels its classes.
///
/// # Errors
/// If not, with the sample.
pub fn check(model: &DeviceModel, data: &Dataset) -> Result<()> {
    let (input, output) = ports(model)?;
    let shape = data.inputs()[0].sample_shape();
    if shape.size() != input.elements() {
        bail!("the samples have the shape {shape}, the model takes {:?}", input.shape());
    }
    let classes = output.elements();
    let labels = data.targets()[0].values();
    if let Some(sample) = labels.iter().position(|&label| label >= classes as f32) {
        bail!(
            "test sample {sample} has the label {}, but the model has {classes} classes, 0 to {}",
            labels[sample],
            classes - 1
        );
    }
    Ok(())
}

/// The share of samples whose largest output is the label's; the first of equal outputs counts.
///
/// # Errors
/// If the data does not fit the model.
pub fn accuracy(model: &DeviceModel, data: &Dataset) -> Result<f64> {
    check(model, data)?;
    let (samples, labels) = (&data.inputs()[0], data.targets()[0].values());
    let right = model.run_each(
        data.samples(),
        |session, sample| session.write_f32(0, samples.sample(sample).unwrap_or_default()),
        |session, sample| session.output_f32(0).is_some_and(|outputs| winner(outputs) as f32 == labels[sample]),
    )?;
    Ok(right.iter().filter(|&&right| right).count() as f64 / right.len() as f64)
}

/// Index of the largest value, the first of equals.
fn winner(values: impl Iterator<Item = f32>) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, value) in values.enumerate() {
        if value > best.1 {
            best = (index, value);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_wins() {
        assert_eq!(winner([0.25, 0.5, 0.5, 0.0].into_iter()), 1);
        assert_eq!(winner([-2.0, -3.0].into_iter()), 0);
    }
}
