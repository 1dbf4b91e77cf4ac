//! `samara export-samples`: test samples as bytes that can be streamed to a device, and the bytes that it has to answer. Before a
//! sequence of variable length stands how many steps it has.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use samara_trainer::device::run::write_sample;
use samara_trainer::losses::SparseCategoricalCrossentropy;
use serde_json::json;

use crate::losses::LossName;
use crate::task::TestData;
use crate::{device, files, names, output};

/// Arguments of `samara export-samples`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A model file
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Data set by name or path, as for `samara train`
    #[arg(long, value_name = "NAME|PATH")]
    data: String,
    /// How many test samples, from the first one on
    #[arg(long, default_value = "1000", value_parser = names::count)]
    count: usize,
    /// Runs of a file through which a stream goes that make a sample; it forgets all before each sample
    #[arg(long, default_value = "1", value_parser = names::count)]
    runs: usize,
    /// File for the samples as the model takes them, one after another; where their lengths vary, each with its length before it,
    /// four bytes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// File for the model's outputs, of every run, computed on this machine by the device's own code
    #[arg(long, value_name = "FILE")]
    expected: PathBuf,
    /// File for the labels, a byte each
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Runs the model and writes the files.
///
/// # Errors
/// If the data does not fit the model, or has too few samples.
pub fn run(arguments: &Arguments) -> Result<()> {
    let model = device::load(&arguments.model)?;
    let classes = LossName::SparseCategoricalCrossentropy;
    let mut shape = device::input_shape(&model)?.to_vec();
    if let Some(rows) = shape.first_mut() {
        *rows = rows.saturating_mul(arguments.runs);
    }
    let shape = shape.into();
    let TestData { samples: test, .. } = TestData::of(&arguments.data, &arguments.model, Some(&shape), None, Some(classes))?;
    device::check(&model, &test, arguments.runs, &SparseCategoricalCrossentropy).with_context(|| arguments.data.clone())?;
    let count = arguments.count;
    if count > test.samples() {
        bail!("{} has {} test samples, --count asks for {count}", arguments.data, test.samples());
    }
    let (samples, labels) = (&test.inputs()[0], test.targets()[0].values());
    let label_byte =
        |label: &f32| if *label <= 255.0 { Ok(*label as u8) } else { bail!("label {label} does not fit into a byte") };
    let labels: Vec<u8> = labels[..count].iter().map(label_byte).collect::<Result<_>>()?;

    let (input, _) = device::ports(&model)?;
    let run_size = samples.sample_shape().size() / arguments.runs;
    let work = |session: &mut samara_runtime::Session<'_>, sample: usize| {
        session.reset_state();
        let mut outputs = Vec::new();
        if input.length_group > 0 {
            write_sample(session, 0, samples, sample)?;
            session.run();
            return Ok(session.output_bytes(0).unwrap_or_default().to_vec());
        }
        let values = samples.sample(sample).unwrap_or_default();
        for rows in values.chunks_exact(run_size) {
            session.write_f32(0, rows)?;
            session.run();
            outputs.extend_from_slice(session.output_bytes(0).unwrap_or_default());
        }
        Ok(outputs)
    };
    let quantize = |&value: &f32| match input.element_type {
        samara_runtime::ElementType::I8 => vec![samara_runtime::quant::quantize(value, input.scale, input.zero_point) as u8],
        samara_runtime::ElementType::I16 => samara_runtime::quant::quantize_i16(value, input.scale).to_le_bytes().to_vec(),
        samara_runtime::ElementType::I32 => (value as i32).to_le_bytes().to_vec(),
        samara_runtime::ElementType::F32 => value.to_le_bytes().to_vec(),
    };
    let record = |sample: usize| -> Vec<u8> {
        let values = samples.sample(sample).unwrap_or_default();
        if input.length_group == 0 {
            return values.iter().flat_map(quantize).collect();
        }
        // Its length first, then as many steps.
        let (length, most) = (samples.length(sample), input.dimensions[0] as usize);
        let steps = values[..values.len() / most * length].iter().flat_map(quantize);
        (length as u32).to_le_bytes().into_iter().chain(steps).collect()
    };
    let inputs: Vec<u8> = (0..count).flat_map(record).collect();
    let outputs = model.work_each(count, work)?.concat();

    files::write(&arguments.out, &inputs)?;
    files::write(&arguments.expected, &outputs)?;
    files::write(&arguments.labels, &labels)?;
    if arguments.json {
        return output::print_json(&json!({
            "file": arguments.model, "model": device::name(&model)?, "data": arguments.data, "samples": count,
            "out": arguments.out, "expected": arguments.expected, "labels": arguments.labels,
            "input_bytes": inputs.len(), "output_bytes": outputs.len(),
        }));
    }
    output::note(&format!("{count} samples: {} bytes in, {} bytes out", inputs.len(), outputs.len()));
    Ok(())
}
