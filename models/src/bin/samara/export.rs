//! `samara export`: a model file with initial weights, to measure size, speed and parity on devices; or the f32 file of a model
//! that was saved whole.

use std::path::PathBuf;

use anyhow::{Context, Result};
use samara_runtime::format::writer::ModelFile;
use samara_runtime::selftest::Generator;
use samara_runtime::train::Strangeness;
use samara_trainer::Model;
use samara_trainer::data::Tensor;
use samara_trainer::device::block_head::{add_block_head, block_weights};
use samara_trainer::device::dense_head::{DenseHeadOptions, add_dense_head};
use samara_trainer::device::heads::{ClosedFormOptions, HeadError, Unknown, add_closed_form_head, dense_of, features_of};
use samara_trainer::device::run::DeviceModel;
use samara_trainer::quantize::Options;
use serde_json::json;

use crate::names::ModelName;
use crate::{convert, files, names, output};

/// Random samples that int8 ranges are taken from.
const SAMPLES: usize = 32;

/// Arguments of `samara export`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Model of the zoo or a text file, with initial weights
    #[arg(long, value_name = "NAME|FILE.toml", value_parser = names::ModelParser, required_unless_present = "saved")]
    model: Option<ModelName>,
    /// A file of the trainer with a whole model (`Model::save`), instead; in f32, as int8 wants samples of real data
    #[arg(long, value_name = "FILE", requires = "as_f32", conflicts_with = "model")]
    saved: Option<PathBuf>,
    /// The model file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write f32 instead of int8
    #[arg(long = "f32")]
    as_f32: bool,
    /// Where weights and calibration samples come from: the same seed gives the same file
    #[arg(long, default_value = "1")]
    seed: u64,
    /// Add a closed-form head and a dense one that learned nothing but noise, and the last block if there is one (`cargo xtask device-bench
    /// --heads`)
    #[arg(long, conflicts_with_all = ["as_f32", "hop"])]
    heads: bool,
    #[command(flatten)]
    pace: convert::Pace,
    #[command(flatten)]
    golden: convert::Golden,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Builds, quantizes on random samples, and writes.
///
/// # Errors
/// If a layer has no counterpart on the device, or the file cannot be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let model = source(arguments)?;
    let samples = random_samples(&model, arguments.seed)?;
    let file = if arguments.as_f32 {
        convert::to_f32(&model, &samples, arguments.pace, arguments.golden)?
    } else {
        convert::to_int8(&model, &samples, Options::default(), arguments.pace, arguments.golden)?
    };
    let file = if arguments.heads { with_heads(&file, &samples)? } else { file };
    files::write(&arguments.out, file.bytes())?;
    let written = ModelFile::from_bytes(file.bytes())?;
    let macs = written.macs();
    let (arena_bytes, model_bytes) = (file.model()?.arena_bytes(), file.bytes().len());
    if arguments.json {
        return output::print_json(&json!({
            "model": model.name(), "out": arguments.out, "seed": arguments.seed, "macs": macs,
            "arena_bytes": arena_bytes, "model_bytes": model_bytes,
            "golden_samples": written.golden.len(), "golden_bytes": written.golden_bytes(),
        }));
    }
    let [model_bytes, arena_bytes, macs] = [model_bytes as u64, arena_bytes as u64, macs].map(output::thousands);
    let to = arguments.out.display();
    let golden = convert::golden_samples(&written);
    output::print(&format!(
        "{model_bytes} bytes written to {to}: arena of {arena_bytes} bytes, {macs} multiply-accumulates, golden samples: {golden}"
    ))
}

/// Classes of the heads that learned noise.
const NOISE_CLASSES: usize = 10;

fn with_heads(model: &DeviceModel, samples: &[Tensor]) -> Result<DeviceModel> {
    let mut file = ModelFile::from_bytes(model.bytes())?;
    let rows = features_of(&file, 0, samples)?;
    let labels: Vec<usize> = (0..rows.len()).map(|sample| sample % NOISE_CLASSES).collect();
    let unknown = Some(Unknown { strangeness: Strangeness::Distance, error_rate: 0.5 });
    let options = ClosedFormOptions { capacity: Some(NOISE_CLASSES), unknown, ..ClosedFormOptions::default() };
    add_closed_form_head(&mut file, &rows, &labels, options)?;
    let (node, features) = dense_of(&file, 0)?;
    let [features, outputs] = [features, file.nodes[usize::from(node)].output].map(|at| file.tensors[at as usize].elements());
    add_dense_head(&mut file, DenseHeadOptions::default(), &vec![0.0; features * outputs], &[])?;
    match block_weights(&file, 0) {
        Ok(weights) => add_block_head(&mut file, DenseHeadOptions::default(), &weights)?,
        Err(HeadError::NoBlock { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(DeviceModel::new(&file.to_bytes())?)
}

/// The model to export.
fn source(arguments: &Arguments) -> Result<Model> {
    let Some(named) = &arguments.model else {
        let path = arguments.saved.as_deref().context("--model or --saved is missing")?;
        return Model::from_bytes(&files::read(path)?, &[]).with_context(|| path.display().to_string());
    };
    let mut model = named.build()?;
    model.initialize(arguments.seed);
    Ok(model)
}

/// A copy of an untrained model with batch-norms that shift, as those of trained ones do: one before a padded convolution is folded only
/// while it shifts nothing, so that plans would be too small.
pub fn as_if_trained(model: &Model) -> Result<Model> {
    let copy = model.duplicate()?;
    let means = copy.parameters().iter().filter(|parameter| parameter.name.ends_with("/moving_mean"));
    let means: Vec<_> = means.map(|parameter| (parameter.name.to_string(), vec![0.25; parameter.shape.size()])).collect();
    means.iter().try_for_each(|(name, values)| copy.set_parameter(name, values))?;
    Ok(copy)
}

/// Values from 0 to 1 for each input of the model.
pub fn random_samples(model: &Model, seed: u64) -> Result<Vec<Tensor>> {
    let mut generator = Generator::new((seed ^ (seed >> 32)) as u32);
    let graph = model.graph();
    let inputs = graph.inputs.iter().map(|&input| {
        let shape = graph.nodes[input].shape.clone();
        let values = (0..SAMPLES * shape.size()).map(|_| (generator.next_u32() >> 8) as f32 / (1 << 24) as f32).collect();
        Ok(Tensor::from_samples(shape, values)?)
    });
    inputs.collect()
}

#[cfg(test)]
mod tests {
    use samara_trainer::prelude::*;

    use super::*;

    /// A norm that shifts is not folded into a convolution whose padding it does not shift.
    #[test]
    fn a_plan_has_the_norms_that_the_trained_net_keeps() {
        let image = input([6, 6, 2]);
        let x = Conv2D::new(4, 3).activation(Activation::Relu).apply(&image);
        let x = BatchNormalization::new().apply(&x);
        let mut model = Model::new("m", &image, Conv2D::new(3, 3).padding(Padding::Same).apply(&x)).unwrap();
        model.initialize(1);
        let bytes = |model: &Model| model.export_f32().unwrap().len();
        let (fresh, planned) = (bytes(&model), bytes(&as_if_trained(&model).unwrap()));
        model.set_parameter("batch_normalization/moving_mean", &[0.1, -0.3, 0.2, 0.5]).unwrap();
        model.set_parameter("batch_normalization/gamma", &[0.9, 1.3, 1.2, 0.7]).unwrap();
        assert_eq!(bytes(&model), planned);
        assert!(planned > fresh, "{planned} bytes, {fresh} if the norm were folded");
    }
}
