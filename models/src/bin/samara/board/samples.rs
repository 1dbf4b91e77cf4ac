//! Samples as the device takes them, and what this machine makes of them.

use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use samara_runtime::{ElementType, Session, arena::AlignedBuffer};
use samara_trainer::data::{
    Dataset,
    sources::{Splits, Targets},
};
use samara_trainer::device::run::{DeviceModel, write_sample};

use super::Connected;
use crate::{device, names};

/// What samples a command works on.
#[derive(Debug, clap::Args)]
pub struct Choice {
    /// The model file that the device runs
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Data set by name or path, with classes
    #[arg(long, value_name = "NAME|PATH")]
    pub data: String,
    /// Which samples of the data set
    #[arg(long, value_enum)]
    part: Option<Part>,
    /// How many samples at most, from the first one on
    #[arg(long, value_name = "NUMBER", value_parser = names::count)]
    count: Option<usize>,
}

/// A part of a data set.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Part {
    /// The training samples
    Train,
    /// Those that validate
    Validation,
    /// The test samples
    Test,
}

/// Samples, their classes, and the model on this machine.
pub struct Samples {
    /// Name of the model.
    pub name: String,
    model: DeviceModel,
    splits: Rc<Splits>,
    part: Part,
    /// Which of them, in order.
    chosen: Vec<usize>,
}

impl Samples {
    /// Those that are asked for, of classes that `wanted` lets pass.
    ///
    /// # Errors
    /// If model or data cannot be read, or do not fit the device or each other.
    pub fn of(arguments: &Choice, connected: &Connected, default: Part, wanted: impl Fn(u32) -> bool) -> Result<Self> {
        let model = device::load(&arguments.model)?;
        check_model(&model, &arguments.model, connected)?;
        let shape = device::input_shape(&model)?;
        let splits = names::data(&arguments.data, Targets::Classes, Some(&shape))?;
        let found = splits.train.inputs()[0].sample_shape();
        if found.size() != shape.size() {
            bail!("the samples have the shape {found}, the model takes {shape}");
        }
        let samples =
            Self { name: device::name(&model)?, model, splits: Rc::new(splits), part: Part::Train, chosen: Vec::new() };
        samples.of_part(arguments.part.unwrap_or(default), arguments.count.unwrap_or(usize::MAX), wanted)
    }

    /// At most so many of a part of the same data.
    ///
    /// # Errors
    /// If there is none.
    pub fn of_part(&self, part: Part, count: usize, wanted: impl Fn(u32) -> bool) -> Result<Self> {
        let mut samples = Self {
            name: self.name.clone(),
            model: self.model.clone(),
            splits: Rc::clone(&self.splits),
            part,
            chosen: Vec::new(),
        };
        let all = 0..samples.data().samples();
        samples.chosen = all.filter(|&sample| wanted(samples.label_of(sample))).take(count).collect();
        if samples.chosen.is_empty() {
            bail!("the data has no such sample");
        }
        Ok(samples)
    }

    fn data(&self) -> &Dataset {
        match self.part {
            Part::Train => &self.splits.train,
            Part::Validation => &self.splits.validation,
            Part::Test => &self.splits.test,
        }
    }

    /// One of them.
    pub fn only(mut self, index: usize) -> Self {
        self.chosen = vec![self.chosen[index]];
        self
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.chosen.len()
    }

    /// The class of one.
    pub fn label(&self, index: usize) -> u32 {
        self.label_of(self.chosen[index])
    }

    fn label_of(&self, sample: usize) -> u32 {
        self.data().targets()[0].sample(sample).and_then(|label| label.first().copied()).unwrap_or(0.0) as u32
    }

    /// Hands each sample to `work`, with a session of this machine whose input it is, its bytes and its class, and shows how far it is.
    ///
    /// # Errors
    /// The first of `work`; if a sample does not fit the model.
    pub fn each(&self, mut work: impl FnMut(&mut Session<'_>, &[u8], u32) -> Result<()>) -> Result<()> {
        let bar = progress_bar(self.count());
        let mut arena = AlignedBuffer::zeros(self.model.model()?.arena_bytes());
        let mut session = Session::new(self.model.model()?, arena.as_mut_slice())?;
        for &sample in &self.chosen {
            session.reset_state();
            write_sample(&mut session, 0, &self.data().inputs()[0], sample)?;
            let input = session.input_bytes_mut(0)?.to_vec();
            work(&mut session, &input, self.label_of(sample))?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Element type of the output.
    ///
    /// # Errors
    /// None in practice: the model was accepted before.
    pub fn output_type(&self) -> Result<ElementType> {
        Ok(device::ports(&self.model)?.1.element_type)
    }
}

/// Looks whether a model file is the device's.
///
/// # Errors
/// If not, or if the link does not carry such samples.
pub fn check_model(model: &DeviceModel, path: &std::path::Path, connected: &Connected) -> Result<()> {
    let (found, expected) = (connected.description().model, model.model()?.hash());
    if found != expected {
        bail!(
            "the device runs model {found:016x}, {} is {expected:016x}: give the file that its firmware was built with",
            path.display()
        );
    }
    if device::ports(model)?.0.length_group > 0 {
        bail!("{} takes sequences of several lengths, which the link does not carry", path.display());
    }
    Ok(())
}

/// How far a command is, on standard error.
pub fn progress_bar(count: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(count as u64), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{wide_bar} {pos} of {len}, {per_sec}, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The first of the largest elements.
pub fn class_of(output: &[u8], element_type: ElementType) -> u32 {
    let values: Vec<f32> = match element_type {
        ElementType::I8 => output.iter().map(|&byte| f32::from(byte as i8)).collect(),
        ElementType::I16 => output.as_chunks().0.iter().map(|&bytes| f32::from(i16::from_le_bytes(bytes))).collect(),
        _ => output.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
    };
    let mut largest = 0;
    for (class, value) in values.iter().enumerate() {
        if *value > values[largest] {
            largest = class;
        }
    }
    largest as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_largest_is_the_class() {
        assert_eq!(class_of(&[0x80, 5, 5, 0xff], ElementType::I8), 1);
        let bytes: Vec<u8> = [0.5f32, -1.0, 0.75].iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(class_of(&bytes, ElementType::F32), 2);
        assert_eq!(class_of(&[0xff, 0x00, 0x00, 0x01, 0x00, 0xff], ElementType::I16), 1);
    }
}
