//! `samara head`: adds to an int8 file what a device goes on learning with.

use std::path::PathBuf;

use anyhow::{Context, Result};
use samara_runtime::arena::AlignedBuffer;
use samara_runtime::format::writer::ModelFile;
use samara_runtime::train::record::MOST_CLASSES;
use samara_runtime::train::{
    BlockHead, ClosedFormHead, GradientHead, GradientOptions, HeadKind, Strangeness, block_bytes, closed_form_bytes,
    gradient_bytes, solve_bytes,
};
use samara_trainer::data::Dataset;
use samara_trainer::data::sources::Splits;
use samara_trainer::device::block_head::{add_block_head, block_weights};
use samara_trainer::device::dense_head::{DenseHeadOptions, add_dense_head, dense_weights};
use samara_trainer::device::heads::{ClosedFormOptions, Unknown, add_closed_form_head, features_at, features_of};
use samara_trainer::device::run::DeviceModel;
use serde_json::{Value, json};

use crate::task::{self, ClassArguments};
use crate::{device, files, names, output};

/// Samples of a batch, where the memory of a dense head is told.
pub const BATCH: usize = 16;
/// Classes that there is room for, beyond those that a head knows.
pub const MORE_CLASSES: usize = 4;

/// A kind of head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum HeadName {
    /// Solved from exact sums
    ClosedForm,
    /// Trained by gradients, from the weights of the last dense layer on
    Dense,
    /// The last block, trained by gradients: the dense layer, the dense layer or pointwise convolution before it, and a depthwise one before that
    Block,
}

impl HeadName {
    /// Of a kind; none for one that this command does not know.
    pub const fn of(kind: HeadKind) -> Option<Self> {
        match kind {
            HeadKind::ClosedForm => Some(Self::ClosedForm),
            HeadKind::Dense => Some(Self::Dense),
            HeadKind::Block => Some(Self::Block),
            _ => None,
        }
    }

    /// Bytes of memory of head `number` of a file; of a dense one for batches of [`BATCH`] (a block's are those of any).
    pub const fn memory_bytes(self, model: &[u8], number: usize) -> usize {
        match self {
            Self::ClosedForm => closed_form_bytes(model, number),
            Self::Dense => gradient_bytes(model, number, BATCH),
            Self::Block => block_bytes(model, number),
        }
    }
}

/// Arguments that say what a head is to be like.
#[derive(Debug, Clone, clap::Args)]
pub struct HeadArguments {
    /// Classes that a device has room for [default: those that the head knows, and 4 more; of a block those that it knows]
    #[arg(long, value_name = "N", value_parser = names::count)]
    capacity: Option<usize>,
    /// What is added to the covariance's diagonal, as a share of its mean
    #[arg(long, value_name = "SHARE", default_value = "0.01", value_parser = names::positive)]
    shrinkage: f32,
    /// What tells a sample of no class that the head knows
    #[arg(long, value_enum, default_value = "distance")]
    unknown: UnknownName,
    /// Share of samples of known classes that may be taken for unknown; a tenth of the training samples is held back to find the
    /// limit
    #[arg(long, value_name = "SHARE", default_value = "0.05", value_parser = names::positive)]
    error_rate: f32,
}

/// A score of the unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum UnknownName {
    /// Mahalanobis distance from the class that is found
    Distance,
    /// How little the best class is ahead of the second
    Margin,
    /// Every sample is answered with a class
    None,
}

impl HeadArguments {
    fn options(&self) -> ClosedFormOptions {
        let strangeness = match self.unknown {
            UnknownName::Distance => Some(Strangeness::Distance),
            UnknownName::Margin => Some(Strangeness::Margin),
            UnknownName::None => None,
        };
        let unknown = strangeness.map(|strangeness| Unknown { strangeness, error_rate: self.error_rate });
        ClosedFormOptions { output: 0, capacity: self.capacity, shrinkage: self.shrinkage, unknown }
    }

    /// Puts a head into a file.
    fn add(&self, file: &mut ModelFile, name: HeadName, train: &Dataset) -> Result<()> {
        let options = self.options();
        match name {
            HeadName::ClosedForm => {
                let features = features_of(file, options.output, train.inputs())?;
                add_closed_form_head(file, &features, &labels(train), options)?;
            }
            HeadName::Dense => {
                let (kernel, bias) = dense_weights(file, options.output)?;
                let usual = (bias.len() + MORE_CLASSES).min(MOST_CLASSES as usize);
                let capacity = Some(self.capacity.unwrap_or(usual));
                add_dense_head(file, DenseHeadOptions { output: options.output, capacity }, &kernel, &bias)?;
            }
            // What a block learns is mostly what it knows, better; and its memory is dear.
            HeadName::Block => {
                let weights = block_weights(file, options.output)?;
                add_block_head(file, DenseHeadOptions { output: options.output, capacity: self.capacity }, &weights)?;
            }
        }
        Ok(())
    }
}

/// Arguments of `samara head`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// An int8 file whose last layer is dense
    model: PathBuf,
    /// What is added; once for each
    #[arg(long = "kind", value_enum, default_value = "closed-form")]
    kinds: Vec<HeadName>,
    /// Data set by name or path, as for `samara train`: a closed-form head learns its training samples, all are measured on its test
    /// samples
    #[arg(long, value_name = "NAME|PATH")]
    data: String,
    #[command(flatten)]
    classes: ClassArguments,
    #[command(flatten)]
    head: HeadArguments,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Adds heads and measures them.
///
/// # Errors
/// If the file has no dense layer at its end or is not int8, or the data does not fit.
pub fn run(arguments: &Arguments) -> Result<()> {
    let model = device::load(&arguments.model)?;
    let splits = task::splits_of(&arguments.data, &arguments.model, &device::input_shape(&model)?)?;
    let splits = arguments.classes.keep(splits, &arguments.data)?;
    let added = add(&model, &splits, &arguments.kinds, &arguments.head);
    let (file, added) = added.with_context(|| arguments.model.display().to_string())?;
    files::write(&arguments.out, file.bytes())?;
    if arguments.json {
        return output::print_json(&json!({
            "file": arguments.out,
            "data": arguments.data,
            "model_bytes": file.bytes().len(),
            "heads": added.iter().map(Added::to_json).collect::<Vec<_>>(),
        }));
    }
    added.iter().try_for_each(Added::print)?;
    output::note(&format!("written: {}", arguments.out.display()));
    Ok(())
}

/// A head that was added, and how good it is.
pub struct Added {
    name: HeadName,
    features: usize,
    classes: usize,
    capacity: usize,
    memory_bytes: usize,
    /// What a closed form is solved in.
    solve_bytes: Option<usize>,
    accuracy: f64,
    /// The stated error rate, and the share of test samples that are taken for unknown.
    unknown: Option<(f32, f64)>,
}

impl Added {
    /// Runs head `number` of a file on features and their labels.
    fn measure(model: &DeviceModel, number: usize, name: HeadName, test: &Dataset) -> Result<Self> {
        let (parsed, bytes) = (model.model()?, model.bytes());
        let record = parsed.head(number)?;
        let file = ModelFile::from_bytes(bytes)?;
        let (features, labels) = (features_at(&file, record.node, record.feature_tensor, test.inputs())?, labels(test));
        let memory_bytes = name.memory_bytes(bytes, number);
        let mut memory = AlignedBuffer::zeros(memory_bytes);
        let solve_bytes = (name == HeadName::ClosedForm).then(|| solve_bytes(bytes, number));
        // The class that the head finds, and whether it knows the sample.
        let mut answers = Vec::with_capacity(features.len());
        match name {
            HeadName::ClosedForm => {
                let mut head = ClosedFormHead::new(&parsed, number, memory.as_mut_slice())?;
                head.solve(AlignedBuffer::zeros(solve_bytes.unwrap_or(0)).as_mut_slice())?;
                for row in &features {
                    let answer = head.classify(row)?;
                    answers.push((answer.class, answer.known));
                }
            }
            HeadName::Dense => {
                let head = GradientHead::new(&parsed, number, BATCH, GradientOptions::DEFAULT, memory.as_mut_slice())?;
                for row in &features {
                    answers.push((head.classify(row)?, true));
                }
            }
            HeadName::Block => {
                let mut head = BlockHead::new(&parsed, number, BATCH, GradientOptions::DEFAULT, memory.as_mut_slice())?;
                for row in &features {
                    answers.push((head.classify(row)?, true));
                }
            }
        }
        let share = |count: usize| count as f64 / answers.len() as f64;
        let right = answers.iter().zip(&labels).filter(|((class, _), label)| class == *label).count();
        let unknown = answers.iter().filter(|(_, known)| !known).count();
        Ok(Self {
            name,
            features: record.features,
            classes: record.classes,
            capacity: record.capacity,
            memory_bytes,
            solve_bytes,
            accuracy: share(right),
            unknown: record.threshold.map(|threshold| (threshold.error_rate, share(unknown))),
        })
    }

    /// Its figures.
    pub fn to_json(&self) -> Value {
        json!({
            "kind": names::shown(self.name),
            "features": self.features, "classes": self.classes, "capacity": self.capacity,
            "memory_bytes": self.memory_bytes, "solve_bytes": self.solve_bytes,
            "head_accuracy": self.accuracy,
            "error_rate": self.unknown.map(|(rate, _)| output::decimal(rate)),
            "unknown_share": self.unknown.map(|(_, share)| share),
        })
    }

    /// Prints its figures as a table.
    pub fn print(&self) -> Result<()> {
        let number = |value: usize| output::thousands(value as u64);
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let mut rows = vec![
            row("features", number(self.features)),
            row("classes, room for", format!("{}, {}", number(self.classes), number(self.capacity))),
        ];
        rows.push(match self.solve_bytes {
            Some(scratch) => {
                row("bytes of memory, of scratch to solve", format!("{}, {}", number(self.memory_bytes), number(scratch)))
            }
            None if self.name == HeadName::Block => row("bytes of memory", number(self.memory_bytes)),
            None => row(&format!("bytes of memory, in batches of {BATCH}"), number(self.memory_bytes)),
        });
        rows.push(row("test accuracy", format!("{:.4}", self.accuracy)));
        let unknown = self.unknown.map_or("not told".to_owned(), |(rate, share)| format!("{share:.4} (stated: {rate})"));
        rows.push(row("test samples taken for unknown", unknown));
        output::print(&output::table(&[&format!("{} head", names::shown(self.name)), ""], &rows))
    }
}

/// The file with heads of these kinds, and how they do on the test samples. A closed form has learned the training samples.
///
/// # Errors
/// As [`run`].
pub fn add(
    model: &DeviceModel,
    splits: &Splits,
    kinds: &[HeadName],
    arguments: &HeadArguments,
) -> Result<(DeviceModel, Vec<Added>)> {
    let mut file = ModelFile::from_bytes(model.bytes())?;
    let before = file.heads.len();
    kinds.iter().try_for_each(|&name| arguments.add(&mut file, name, &splits.train))?;
    let model = DeviceModel::new(&file.to_bytes())?;
    let added = kinds.iter().zip(before..).map(|(&name, number)| Added::measure(&model, number, name, &splits.test));
    let added = added.collect::<Result<_>>()?;
    Ok((model, added))
}

/// Class numbers of all samples.
fn labels(data: &Dataset) -> Vec<usize> {
    data.targets()[0].values().iter().map(|&label| label as usize).collect()
}
