//! Model files on this machine, run by the device's own code.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use samara_runtime::{Tensor as DeviceTensor, format::writer::ModelFile};
use samara_trainer::data::Dataset;
use samara_trainer::device::run::{DeviceModel, write_sample};
use samara_trainer::graph::Shape;
use samara_trainer::losses::{Loss, LossPass, TargetFault};
use samara_trainer::metrics::MetricPass;

use crate::{files, losses::Measured};

/// Reads and checks a model file with one input and one output.
///
/// # Errors
/// If it cannot be read, is no model, or has more inputs or outputs.
pub fn load(path: &Path) -> Result<DeviceModel> {
    let model = DeviceModel::new(&files::read(path)?).with_context(|| path.display().to_string())?;
    check_ports(&model, path)?;
    Ok(model)
}

/// Checks that a model has one input and one output.
///
/// # Errors
/// If not.
pub fn check_ports(model: &DeviceModel, path: &Path) -> Result<()> {
    let parsed = model.model()?;
    if parsed.input(0).is_none() || parsed.input(1).is_some() || parsed.output(0).is_none() || parsed.output(1).is_some() {
        bail!("{}: this command takes models with one input and one output", path.display());
    }
    Ok(())
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

/// Checks that samples fit the model's input in this number of runs, and targets its output and the loss.
///
/// # Errors
/// If not, with the sample.
pub fn check(model: &DeviceModel, data: &Dataset, runs: usize, loss: &dyn Loss) -> Result<()> {
    let (input, output) = ports(model)?;
    let shape = data.inputs()[0].sample_shape();
    if shape.size() != runs * input.elements() {
        bail!("the samples have the shape {shape}, the model takes {:?}", input.shape());
    }
    // Which values are those of a step follows from the shape, and a sequence of several lengths is whole in its run.
    if input.length_group > 0 && (runs > 1 || *shape != shape_of(&input)) {
        bail!(
            "the samples have the shape {shape} and {runs} runs each, the model takes sequences of up to {:?}, each in one run",
            input.shape()
        );
    }
    let (shape, targets) = (shape_of(&output), &data.targets()[0]);
    let expected =
        loss.target_shape(&shape).map_err(|reason| anyhow!("{} for outputs of shape {shape}: {reason}", loss.name()))?;
    if targets.sample_shape().size() != expected.size() {
        bail!("the targets have the shape {}, but {expected} is expected", targets.sample_shape());
    }
    let parsed = model.model()?;
    for (sample, values) in targets.values().chunks_exact(expected.size()).enumerate() {
        // What stands behind the last step does not count, as in training.
        let steps = shape.first().copied().unwrap_or(1);
        let values = match length_of(&parsed, output.length_group, data.inputs()[0].length(sample)) {
            Some(length) if length < steps && values.len().is_multiple_of(steps) => &values[..values.len() / steps * length],
            _ => values,
        };
        match loss.target_fault(values, &shape) {
            None => {}
            Some(TargetFault::Label { label, classes }) => {
                bail!("test sample {sample} has the label {label}, but the model has {classes} classes, 0 to {}", classes - 1)
            }
            Some(TargetFault::Range { value, wanted }) => {
                bail!("test sample {sample} has the target {value}, but {} expects {wanted}", loss.name())
            }
        }
    }
    Ok(())
}

/// The length of a group for an input of so many steps; `None` for no group, or if none are left.
fn length_of(model: &samara_runtime::Model<'_>, group: u8, own: usize) -> Option<usize> {
    let group = model.length_group(group.into())?;
    if group.source == 0 {
        return Some(own);
    }
    let source = length_of(model, u8::try_from(group.source).ok()?, own)?;
    Some(group.derived(u32::try_from(source).ok()?)? as usize)
}

/// The shape of the model's input.
///
/// # Errors
/// If it has none.
pub fn input_shape(model: &DeviceModel) -> Result<Shape> {
    Ok(shape_of(&ports(model)?.0))
}

/// A tensor's shape, as the trainer has it.
fn shape_of(tensor: &DeviceTensor) -> Shape {
    tensor.shape().iter().map(|&size| size as usize).collect::<Vec<_>>().into()
}

/// What a model makes of a sample.
pub struct Answer {
    /// Its output, as numbers.
    pub output: Vec<f32>,
    /// What it should be.
    pub target: Vec<f32>,
    pub loss: f64,
    /// 1 if it is right, 0 if not, where that can be said.
    pub right: Option<f64>,
}

/// The outputs for all samples as numbers, with their losses, and what goes with the loss.
///
/// # Errors
/// If the data does not fit the model.
pub fn answers(model: &DeviceModel, data: &Dataset, loss: &dyn Loss) -> Result<Vec<Answer>> {
    check(model, data, 1, loss)?;
    let shape = shape_of(&ports(model)?.1);
    let (samples, targets, metric) = (&data.inputs()[0], &data.targets()[0], loss.default_metric());
    Ok(model.run_each(
        data.samples(),
        |session, sample| write_sample(session, 0, samples, sample),
        |session, sample| {
            let output: Vec<f32> = session.output_f32(0).map(Iterator::collect).unwrap_or_default();
            // Of a sequence that is shorter than others, the output may have fewer steps than there are targets.
            let shape = &session.output(0).map_or_else(|| shape.clone(), |(tensor, _)| shape_of(&tensor));
            let targets = targets.sample(sample).unwrap_or_default();
            let targets = &targets[..loss.target_shape(shape).map_or(targets.len(), |shape| shape.size())];
            let right = metric.as_ref().map(|metric| metric.value(&MetricPass { samples: 1, shape, output: &output, targets }));
            let mut pass =
                LossPass { samples: 1, shape, output: &output, before_activation: None, targets, gradient: None, scale: 1.0 };
            let loss = loss.evaluate(&mut pass);
            Answer { target: targets.to_vec(), output, loss, right }
        },
    )?)
}

/// The loss, and the accuracy if it goes with the loss, of the outputs as numbers.
///
/// # Errors
/// If the data does not fit the model.
pub fn measure(model: &DeviceModel, data: &Dataset, loss: &dyn Loss) -> Result<Measured> {
    let answers = answers(model, data, loss)?;
    let count = answers.len() as f64;
    let right: Option<f64> = answers.iter().map(|answer| answer.right).sum();
    Ok(Measured {
        loss: answers.iter().map(|answer| answer.loss).sum::<f64>() / count,
        accuracy: right.map(|right| right / count),
    })
}
