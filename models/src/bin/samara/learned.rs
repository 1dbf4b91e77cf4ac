//! What a device learns, on this machine: `samara learn` does what a device does, by the same code, and `samara evaluate --head` measures
//! what one has learned.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use samara_runtime::arena::AlignedBuffer;
use samara_runtime::format::writer::ModelFile;
use samara_runtime::train::{ClosedFormHead, closed_form_bytes, solve_bytes};
use samara_trainer::data::Dataset;
use samara_trainer::data::sources::Splits;
use samara_trainer::device::heads::features_of;
use samara_trainer::device::run::DeviceModel;
use samara_trainer::link::HeadFile;
use serde_json::{Value, json};

use crate::learning_curve::LearningCurve;
use crate::{device, files, names, output, task};

/// Arguments of `samara learn`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A model file with a closed-form head, as `samara head` writes it
    model: PathBuf,
    /// Data set by name or path, as for `samara train`: its training samples are learned
    #[arg(long, value_name = "NAME|PATH")]
    data: String,
    /// Class to learn; once for each
    #[arg(long = "class", value_name = "CLASS", required = true)]
    classes: Vec<usize>,
    /// How many samples of each class, from the first one on [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = names::count)]
    count: Option<usize>,
    /// File that `samara device import-head` and `merge` take, and `samara evaluate --head`
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// SVG file to draw test accuracy by number of samples in; the classes then come sample by sample in turn
    #[arg(long, value_name = "FILE")]
    curve: Option<PathBuf>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Learns, and writes the head.
///
/// # Errors
/// If the file has no closed-form head, or the data does not fit.
pub fn run(arguments: &Arguments) -> Result<()> {
    let (model, splits) = load(&arguments.model, &arguments.data)?;
    let file = ModelFile::from_bytes(model.bytes())?;
    let mut learned = Vec::new();
    let mut curve = None;
    with_head(&model, &arguments.model, |head| {
        let output = head.record().output.into();
        let mut samples = Vec::new();
        for &class in &arguments.classes {
            let all = splits.train.of_classes(|label| label == class);
            let all = all.with_context(|| format!("{} has no training sample of class {class}", arguments.data))?;
            let count = arguments.count.unwrap_or(usize::MAX).min(all.samples());
            let taken = if arguments.curve.is_some() { all } else { all.slice(0..count)? };
            samples.push((class, features_of(&file, output, taken.inputs())?));
            learned.push(count);
        }
        let counts = || learned.iter().copied();
        if arguments.curve.is_some() {
            let test = features_of(&file, output, splits.test.inputs())?;
            let scratch = solve_bytes(model.bytes(), 0);
            curve = Some(LearningCurve::measure(head, &samples, counts(), scratch, |head| judge(head, &test, &splits.test))?);
            head.reset();
        }
        for ((class, rows), count) in samples.iter().zip(counts()) {
            rows[..count].iter().try_for_each(|row| head.add(row, *class))?;
        }
        let head_file = HeadFile { model: model.model()?.hash(), head: head.sums().to_vec() };
        files::write(&arguments.out, &head_file.to_bytes())
    })?;
    let mut object = json!({"file": arguments.out, "classes": arguments.classes, "learned": learned});
    if let (Some(curve), Some(path)) = (&curve, &arguments.curve) {
        files::write(path, curve.draw(&arguments.data).as_bytes())?;
        object["curve"] = curve.to_json();
    }
    if arguments.json {
        return output::print_json(&object);
    }
    let total = output::thousands(learned.iter().sum::<usize>() as u64);
    output::print(&format!("{total} samples of {} classes learned, written to {}", learned.len(), arguments.out.display()))
}

/// How well a head does.
pub struct MeasuredHead {
    /// Of each class that has test samples, its number and the share of them that is found.
    classes: Vec<(usize, f64)>,
    accuracy: f64,
    unknown: f64,
    samples: usize,
}

impl MeasuredHead {
    fn mean(&self) -> f64 {
        self.mean_of(|_| true)
    }

    /// The mean of the shares of the classes that `is_meant`; 0 where there is none.
    pub fn mean_of(&self, is_meant: impl Fn(usize) -> bool) -> f64 {
        let shares: Vec<f64> = self.classes.iter().filter(|(class, _)| is_meant(*class)).map(|(_, share)| *share).collect();
        shares.iter().sum::<f64>() / shares.len().max(1) as f64
    }

    /// Its figures.
    pub fn to_json(&self) -> Value {
        let classes: serde_json::Map<_, _> =
            self.classes.iter().map(|(class, share)| (class.to_string(), json!(share))).collect();
        json!({
            "samples": self.samples, "accuracy": self.accuracy, "mean_of_classes": self.mean(), "classes": classes,
            "unknown_share": self.unknown,
        })
    }

    /// Its figures, as a table.
    pub fn shown(&self) -> String {
        let row = |name: String, value: f64| vec![name, format!("{value:.4}")];
        let classes = self.classes.iter().map(|(class, share)| row(format!("class {class}"), *share));
        let all = [
            row("mean of classes".to_owned(), self.mean()),
            row("accuracy".to_owned(), self.accuracy),
            row("taken for unknown".to_owned(), self.unknown),
        ];
        output::table(&["head", "test"], &classes.chain(all).collect::<Vec<_>>())
    }
}

/// Measures a head that a device learned on the test samples; `among` says which classes it may answer, none for all.
///
/// # Errors
/// If the file is another model's, or the data does not fit.
pub fn measure(model: &Path, data: &str, head_file: &Path, among: &[usize]) -> Result<MeasuredHead> {
    let (path, shown) = (model, head_file.display());
    let saved = HeadFile::from_bytes(&files::read(head_file)?).with_context(|| shown.to_string())?;
    let (model, splits) = load(path, data)?;
    let hash = model.model()?.hash();
    if saved.model != hash {
        bail!("{shown} is of model {:016x}, {} is {hash:016x}", saved.model, path.display());
    }
    let file = ModelFile::from_bytes(model.bytes())?;
    with_head(&model, path, |head| {
        head.restore(&saved.head)?;
        for class in (0..head.record().capacity).filter(|class| !among.is_empty() && !among.contains(class)) {
            if head.count(class) > 0 {
                head.forget_class(class)?;
            }
        }
        head.solve(AlignedBuffer::zeros(solve_bytes(model.bytes(), 0)).as_mut_slice())?;
        let test = splits.test.of_classes(|class| among.is_empty() || among.contains(&class))?;
        judge(head, &features_of(&file, head.record().output.into(), test.inputs())?, &test)
    })
}

fn judge(head: &mut ClosedFormHead<'_>, rows: &[Vec<i8>], test: &Dataset) -> Result<MeasuredHead> {
    let labels: Vec<usize> = test.targets()[0].values().iter().map(|&label| label as usize).collect();
    let classes = labels.iter().max().map_or(0, |class| class + 1);
    let (mut right, mut all, mut unknown) = (vec![0; classes], vec![0; classes], 0);
    for (row, &label) in rows.iter().zip(&labels) {
        let answer = head.classify(row)?;
        right[label] += usize::from(answer.class == label);
        all[label] += 1;
        unknown += usize::from(!answer.known);
    }
    let share = |part: usize, whole: usize| part as f64 / whole as f64;
    let of_classes = right.iter().zip(&all).enumerate().filter(|(_, (_, all))| **all > 0);
    Ok(MeasuredHead {
        classes: of_classes.map(|(class, (&right, &all))| (class, share(right, all))).collect(),
        accuracy: share(right.iter().sum(), labels.len()),
        unknown: share(unknown, labels.len()),
        samples: labels.len(),
    })
}

fn load(path: &Path, data: &str) -> Result<(DeviceModel, Splits)> {
    let model = device::load(path)?;
    let splits = task::splits_of(data, path, &device::input_shape(&model)?)?;
    Ok((model, splits))
}

/// Calls `work` with the first head of a model.
fn with_head<T>(model: &DeviceModel, path: &Path, work: impl FnOnce(&mut ClosedFormHead<'_>) -> Result<T>) -> Result<T> {
    let parsed = model.model()?;
    parsed.head(0).with_context(|| path.display().to_string())?;
    let mut memory = AlignedBuffer::zeros(closed_form_bytes(model.bytes(), 0));
    work(&mut ClosedFormHead::new(&parsed, 0, memory.as_mut_slice()).with_context(|| path.display().to_string())?)
}
