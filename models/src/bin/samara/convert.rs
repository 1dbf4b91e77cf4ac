//! From a trained model to files for the device.

use anyhow::{Result, bail};
use samara_runtime::format::writer::ModelFile;
use samara_trainer::Model;
use samara_trainer::data::Tensor;
use samara_trainer::device::golden::{add_golden_samples, usual_count};
use samara_trainer::device::run::DeviceModel;
use samara_trainer::device::stream::{Start, stream};
use samara_trainer::quantize::{Calibration, Equalization, Options, Selection};

use crate::{names, output};

/// How many golden samples a file gets.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Golden {
    /// Golden samples in each file, inputs whose outputs a device can compare: 0 for none [default: 1, and up to 4
    /// in at most a sixteenth of the file]
    #[arg(long = "golden", value_name = "N")]
    pub count: Option<usize>,
}

/// How a net is quantized.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
pub struct Quantizing {
    /// How ranges are taken: minmax, or percentile=P, which clips outliers
    #[arg(long, default_value = "minmax", value_parser = names::calibration)]
    pub calibration: Calibration,
    /// Where channels of a tensor are evened out: nowhere; where that is free; before all layers, by the root of what they differ by; or whole
    #[arg(long, default_value = "free", value_enum)]
    pub equalize: EqualizeName,
    /// Let biases take up what rounded weights move means by
    #[arg(long)]
    pub correct_bias: bool,
    /// Node that stays in f32, as `samara doctor` lists them; once for each
    #[arg(long, value_name = "NODE")]
    pub keep_f32: Vec<String>,
    /// Node whose activations are int16, its weights int8; once for each, or `all` for every node that has kernels for it
    #[arg(long, value_name = "NODE|all")]
    pub int16: Vec<String>,
    /// Node whose weights have 4 bits in the file, once for each, or `all` for dense and convolution layers, depthwise ones excepted
    #[arg(long, value_name = "NODE|all")]
    pub int4: Vec<String>,
}

/// What stands for all nodes.
const ALL: &str = "all";

/// Where channels are evened out, by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum EqualizeName {
    /// Nowhere: a net that was trained to be rounded keeps its numbers.
    Off,
    /// Before depthwise convolutions and batch-norms.
    #[default]
    Free,
    /// Before all layers, by the root of the factors.
    Balanced,
    /// Before all layers, by the factors.
    Full,
}

impl Quantizing {
    /// The same with int16 activations everywhere.
    pub fn all_int16(self) -> Self {
        Self { int16: vec![ALL.to_owned()], ..self }
    }

    /// The same with weights of 4 bits wherever there may be some.
    pub fn all_int4(self) -> Self {
        Self { int4: vec![ALL.to_owned()], ..self }
    }

    /// For the library.
    pub fn options(&self) -> Options<'_> {
        let equalization = match self.equalize {
            EqualizeName::Off => Equalization::Off,
            EqualizeName::Free => Equalization::Free,
            EqualizeName::Balanced => Equalization::Balanced,
            EqualizeName::Full => Equalization::Full,
        };
        let (calibration, bias_correction, keep_f32) = (self.calibration, self.correct_bias, &self.keep_f32[..]);
        let [int16, int4] = [&self.int16, &self.int4].map(|names| match &names[..] {
            [] => Selection::None,
            names if names.iter().any(|name| name == ALL) => Selection::All,
            names => Selection::Named(names),
        });
        Options { calibration, equalization, bias_correction, keep_f32, int16, int4, ..Options::default() }
    }

    /// As arguments; nothing for what is usual.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if let Calibration::Percentile(part) = self.calibration {
            arguments.push(format!("--calibration percentile={part}"));
        }
        if self.equalize != EqualizeName::default() {
            arguments.push(format!("--equalize {}", names::shown(self.equalize)));
        }
        if self.correct_bias {
            arguments.push("--correct-bias".to_owned());
        }
        arguments.extend(self.int16.iter().map(|node| format!("--int16 {node}")));
        arguments.extend(self.keep_f32.iter().map(|node| format!("--keep-f32 {node}")));
        arguments.extend(self.int4.iter().map(|node| format!("--int4 {node}")));
        arguments
    }
}

/// How much of a sequence a file takes at a time.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Pace {
    /// Write a file through which a stream runs: so many rows (steps, frames) of each input in a run
    #[arg(long, value_name = "ROWS", value_parser = names::count)]
    hop: Option<usize>,
}

impl Pace {
    /// The run, counted from 1, that gives the output of a whole sequence; none if the output is a sequence, too.
    pub fn runs(self, model: &Model) -> Result<Option<usize>> {
        let Some(hop) = self.hop else { return Ok(Some(1)) };
        Ok(match stream(&model.device_graph()?, hop)?.outputs[..] {
            [Start::Run(run), ..] => Some(run + 1),
            _ => None,
        })
    }

    /// Whether it takes the whole sequence.
    pub const fn is_whole(self) -> bool {
        self.hop.is_none()
    }
}

/// The model as f32 file, its golden samples taken from `samples`, one tensor per input.
///
/// # Errors
/// If a layer has no counterpart on the device, or there are too few samples.
pub fn to_f32(model: &Model, samples: &[Tensor], pace: Pace, golden: Golden) -> Result<DeviceModel> {
    let bytes = match pace.hop {
        Some(hop) => model.export_f32_stream(hop)?,
        None => model.export_f32()?,
    };
    with_golden_samples(&bytes, samples, pace, golden)
}

/// The model as int8 file, calibrated on samples, one tensor per input; golden samples are the first of them.
///
/// # Errors
/// If a layer has no counterpart on the device, or cannot be quantized, or there are too few samples.
pub fn to_int8(model: &Model, samples: &[Tensor], options: Options<'_>, pace: Pace, golden: Golden) -> Result<DeviceModel> {
    let bytes = match pace.hop {
        Some(hop) => model.export_int8_stream(samples, options, hop)?,
        None => model.export_int8(samples, options)?,
    };
    with_golden_samples(&bytes, samples, pace, golden)
}

fn with_golden_samples(bytes: &[u8], samples: &[Tensor], pace: Pace, Golden { count }: Golden) -> Result<DeviceModel> {
    let there = samples.iter().map(Tensor::samples).min().unwrap_or(0);
    if let Some(count) = count
        && count > there
    {
        bail!("--golden asks for {count} golden samples, {there} samples are there to take them from");
    }
    let mut file = ModelFile::from_bytes(bytes)?;
    let count = count.unwrap_or_else(|| usual_count(&file).min(there));
    match pace.hop {
        Some(_) => {
            let shapes = file.inputs.iter().map(|&input| file.tensors[input as usize].shape());
            let hops =
                samples.iter().zip(shapes).map(|(samples, shape)| hops_of(samples, shape)).collect::<Result<Vec<_>>>()?;
            add_golden_samples(&mut file, &hops, Some(count))?;
        }
        None => add_golden_samples(&mut file, samples, Some(count))?,
    }
    Ok(DeviceModel::new(&file.to_bytes())?)
}

/// All samples, cut to what a run takes: some rows of a sequence, or all of an input that is none.
fn hops_of(samples: &Tensor, shape: &[u32]) -> Result<Tensor> {
    let shape: Vec<usize> = shape.iter().map(|&size| size as usize).collect();
    let size = shape.iter().product::<usize>().max(1);
    let values = samples.values();
    Ok(Tensor::from_samples(shape, values[..values.len() / size * size].to_vec())?)
}

/// The golden samples of a file, in words.
pub fn golden_samples(file: &ModelFile) -> String {
    match file.golden.len() {
        0 => {
            let one = output::thousands(samara_trainer::device::golden::sample_bytes(file) as u64);
            format!("none (--golden 1 takes {one} bytes)")
        }
        count => format!("{count} in {} bytes", output::thousands(file.golden_bytes() as u64)),
    }
}

#[cfg(test)]
mod tests {
    use samara_trainer::prelude::*;

    use super::*;
    use crate::inspect;

    #[test]
    fn files_of_streams_test_themselves() {
        let mut model = samara_models::motions().unwrap();
        model.initialize(1);
        let values = (0..2 * 600).map(|number| (number % 37) as f32 / 37.0 - 0.5).collect();
        let samples = [Tensor::from_samples([100, 6], values).unwrap()];
        let pace = Pace { hop: Some(8) };
        let golden = Golden { count: Some(2) };
        for file in [
            to_f32(&model, &samples, pace, golden).unwrap(),
            to_int8(&model, &samples, Options::default(), pace, golden).unwrap(),
        ] {
            assert_eq!(inspect::self_test(&file).unwrap(), Ok(2));
        }
    }

    #[test]
    fn inputs_of_a_stream_that_are_no_sequences_are_whole() {
        let (steps, person) = (input([12, 2]), input([5]));
        let both = Concatenate::new().apply([&Lstm::new(3).apply(&steps), &person]);
        let model = Model::new("both", [&steps, &person], Dense::new(1).apply(&both)).unwrap();
        let samples = [[12, 2].to_vec(), [5].to_vec()].map(|shape| {
            let size: usize = shape.iter().product();
            Tensor::from_samples(shape, vec![0.5; 2 * size]).unwrap()
        });
        let file = to_f32(&model, &samples, Pace { hop: Some(4) }, Golden { count: Some(2) }).unwrap();
        assert_eq!(inspect::self_test(&file).unwrap(), Ok(2));
    }
}
