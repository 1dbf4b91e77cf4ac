//! `samara head`: adds to an int8 file what a device goes on learning with.

use std::path::PathBuf;

use anyhow::{Context, Result};
use samara_runtime::arena::AlignedBuffer;
use samara_runtime::format::writer::ModelFile;
use samara_runtime::train::{ClosedFormHead, Strangeness, closed_form_bytes, solve_bytes};
use samara_trainer::data::Dataset;
use samara_trainer::data::sources::Splits;
use samara_trainer::device::heads::{ClosedFormOptions, Unknown, add_closed_form_head, features_of};
use samara_trainer::device::run::DeviceModel;
use serde_json::{Value, json};

use crate::task::{self, ClassArguments};
use crate::{device, files, names, output};

/// Arguments that say what a head is to be like.
#[derive(Debug, Clone, clap::Args)]
pub struct HeadArguments {
    /// Classes that a device has room for [default: those of the data, and 4 more]
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
}

/// Arguments of `samara head`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// An int8 file whose last layer is dense
    model: PathBuf,
    /// Data set by name or path, as for `samara train`: the head learns its training samples
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

/// Adds a head and measures it.
///
/// # Errors
/// If the file has no dense layer at its end or is not int8, or the data does not fit.
pub fn run(arguments: &Arguments) -> Result<()> {
    let model = device::load(&arguments.model)?;
    let splits = task::splits_of(&arguments.data, &arguments.model, &device::input_shape(&model)?)?;
    let splits = arguments.classes.keep(splits, &arguments.data)?;
    let (file, added) = add(&model, &splits, &arguments.head).with_context(|| arguments.model.display().to_string())?;
    files::write(&arguments.out, file.bytes())?;
    if arguments.json {
        let mut object = added.to_json();
        object["file"] = json!(arguments.out);
        object["data"] = json!(arguments.data);
        return output::print_json(&object);
    }
    output::print(&output::table(&["head", ""], &added.rows()))?;
    output::note(&format!("written: {}", arguments.out.display()));
    Ok(())
}

/// A head that was added, and how good it is.
pub struct Added {
    features: usize,
    classes: usize,
    capacity: usize,
    memory_bytes: usize,
    solve_bytes: usize,
    file_bytes: usize,
    accuracy: f64,
    /// The stated error rate, and the share of test samples that are taken for unknown.
    unknown: Option<(f32, f64)>,
}

impl Added {
    /// Its figures.
    pub fn to_json(&self) -> Value {
        json!({
            "features": self.features, "classes": self.classes, "capacity": self.capacity,
            "memory_bytes": self.memory_bytes, "solve_bytes": self.solve_bytes, "model_bytes": self.file_bytes,
            "head_accuracy": self.accuracy,
            "error_rate": self.unknown.map(|(rate, _)| output::decimal(rate)),
            "unknown_share": self.unknown.map(|(_, share)| share),
        })
    }

    /// Its figures, as rows of a table.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let number = |value: usize| output::thousands(value as u64);
        let unknown = self.unknown.map_or("not told".to_owned(), |(rate, share)| format!("{share:.4} (stated: {rate})"));
        let rows = [
            ("features", number(self.features)),
            ("classes, room for", format!("{}, {}", number(self.classes), number(self.capacity))),
            ("bytes of memory, of scratch to solve", format!("{}, {}", number(self.memory_bytes), number(self.solve_bytes))),
            ("model bytes", number(self.file_bytes)),
            ("test accuracy", format!("{:.4}", self.accuracy)),
            ("test samples taken for unknown", unknown),
        ];
        rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect()
    }
}

/// The file with a head that has learned the training samples, and how it does on the test samples.
///
/// # Errors
/// As [`run`].
pub fn add(model: &DeviceModel, splits: &Splits, arguments: &HeadArguments) -> Result<(DeviceModel, Added)> {
    let mut file = ModelFile::from_bytes(model.bytes())?;
    let options = arguments.options();
    let features = |data: &Dataset| features_of(&file, options.output, data.inputs());
    let (train, test) = (features(&splits.train)?, features(&splits.test)?);
    add_closed_form_head(&mut file, &train, &labels(&splits.train), options)?;
    let number = file.heads.len() - 1;
    let model = DeviceModel::new(&file.to_bytes())?;
    let (memory_bytes, scratch_bytes) = (closed_form_bytes(model.bytes(), number), solve_bytes(model.bytes(), number));
    let mut memory = AlignedBuffer::zeros(memory_bytes);
    let parsed = model.model()?;
    let mut head = ClosedFormHead::new(&parsed, number, memory.as_mut_slice())?;
    head.solve(AlignedBuffer::zeros(scratch_bytes).as_mut_slice())?;
    let (mut right, mut unknown) = (0, 0);
    for (row, label) in test.iter().zip(labels(&splits.test)) {
        let answer = head.classify(row)?;
        right += usize::from(answer.class == label);
        unknown += usize::from(!answer.known);
    }
    let share = |count: usize| count as f64 / test.len() as f64;
    let record = head.record();
    let added = Added {
        features: record.features,
        classes: record.classes,
        capacity: record.capacity,
        memory_bytes,
        solve_bytes: scratch_bytes,
        file_bytes: model.bytes().len(),
        accuracy: share(right),
        unknown: record.threshold.map(|threshold| (threshold.error_rate, share(unknown))),
    };
    Ok((model, added))
}

/// Class numbers of all samples.
fn labels(data: &Dataset) -> Vec<usize> {
    data.targets()[0].values().iter().map(|&label| label as usize).collect()
}
