//! `samara device capture`: samples of the device's sensor, as a data set.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use samara_runtime::{ElementType, Tensor};
use serde_json::json;

use super::samples::{check_model, progress_bar};
use super::{Connected, report};
use crate::{device, files, names, output};

/// Arguments of `samara device capture`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The model file that the device runs: it says what the input's bytes mean
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// How many samples
    #[arg(long, value_name = "NUMBER", value_parser = names::count)]
    count: usize,
    /// The class of samples whose class the device does not know
    #[arg(long, value_name = "CLASS")]
    label: Option<u32>,
    /// A new directory for x_train.npy, y_train.npy, x_test.npy and y_test.npy, which `--data DIRECTORY` reads; every fifth sample is
    /// for tests
    #[arg(long, value_name = "DIRECTORY")]
    out: PathBuf,
}

/// Captures and writes.
///
/// # Errors
/// If there are fewer samples, one has no class, or files cannot be written.
pub fn run(connected: &mut Connected, arguments: &Arguments, json: bool) -> Result<()> {
    if arguments.out.exists() {
        bail!("{} is there already: captured samples go to a new directory", arguments.out.display());
    }
    let model = device::load(&arguments.model)?;
    check_model(&model, &arguments.model, connected)?;
    let input = device::ports(&model)?.0;
    let bar = progress_bar(arguments.count);
    let mut samples = Vec::new();
    for number in 0..arguments.count {
        let (bytes, label) = connected.capture().with_context(|| format!("sample {number}"))?;
        let label = label
            .or(arguments.label)
            .with_context(|| format!("the device does not know the class of sample {number}: say --label"))?;
        samples.push((values(&bytes, &input), label));
        bar.inc(1);
    }
    bar.finish_and_clear();
    files::prepare_directory(&arguments.out)?;
    let shape: Vec<usize> = input.shape().iter().map(|&size| size as usize).collect();
    for (part, is_test) in [("train", false), ("test", true)] {
        let chosen: Vec<_> = samples.iter().enumerate().filter(|(number, _)| (number % 5 == 4) == is_test).collect();
        let values: Vec<f32> = chosen.iter().flat_map(|(_, (values, _))| values.iter().copied()).collect();
        let labels: Vec<f32> = chosen.iter().map(|(_, (_, label))| *label as f32).collect();
        let shape = [&[chosen.len()], &shape[..]].concat();
        files::write(&arguments.out.join(format!("x_{part}.npy")), &npy(&shape, &values))?;
        files::write(&arguments.out.join(format!("y_{part}.npy")), &npy(&[chosen.len()], &labels))?;
    }
    report(
        json,
        &json!({"samples": samples.len(), "directory": arguments.out, "repeated": connected.repeated()}),
        &format!("{} samples in {}", output::thousands(samples.len() as u64), arguments.out.display()),
    )
}

/// The numbers that an input's bytes stand for.
fn values(bytes: &[u8], input: &Tensor) -> Vec<f32> {
    let zero_point = f32::from(input.zero_point);
    match input.element_type {
        ElementType::I8 => bytes.iter().map(|&byte| input.scale * (f32::from(byte as i8) - zero_point)).collect(),
        ElementType::I16 => bytes.as_chunks().0.iter().map(|&two| input.scale * f32::from(i16::from_le_bytes(two))).collect(),
        ElementType::F32 => bytes.as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect(),
        ElementType::I32 => bytes.as_chunks().0.iter().map(|&word| i32::from_le_bytes(word) as f32).collect(),
    }
}

/// An NPY file of f32, version 1.0.
fn npy(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sizes}), }}");
    // Elements begin at a multiple of 64.
    let padded = (10 + header.len() + 1).next_multiple_of(64) - 10;
    header.extend(std::iter::repeat_n(' ', padded - 1 - header.len()).chain(['\n']));
    let elements = values.iter().flat_map(|value| value.to_le_bytes());
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes()].concat().into_iter().chain(elements).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use samara_trainer::data::sources::{self, Targets};

    #[test]
    fn what_is_written_is_read_as_a_data_set() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, shape: &[usize], values: &[f32]| {
            std::fs::write(directory.path().join(name), npy(shape, values)).unwrap();
        };
        write("x_train.npy", &[3, 1, 2], &[0.5, -1.0, 2.0, 3.0, 4.0, 5.0]);
        write("y_train.npy", &[3], &[0.0, 2.0, 1.0]);
        write("x_test.npy", &[1, 1, 2], &[7.0, 8.0]);
        write("y_test.npy", &[1], &[1.0]);
        let splits = sources::load_with(&directory.path().display().to_string(), Targets::Classes, None).unwrap();
        assert_eq!(splits.validation.inputs()[0].values(), [0.5, -1.0]);
        assert_eq!(splits.train.inputs()[0].values(), [2.0, 3.0, 4.0, 5.0]);
        assert_eq!(splits.train.inputs()[0].sample_shape()[..], [1, 2]);
        assert_eq!(splits.test.targets()[0].values(), [1.0]);
    }
}
