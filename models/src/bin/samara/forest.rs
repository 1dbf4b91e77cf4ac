//! `samara forest`: a random forest, as files for devices and as a member of an ensemble.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use samara_runtime::format::writer::ModelFile;
use samara_trainer::Model;
use samara_trainer::data::sources::{Columns, Splits, Targets};
use samara_trainer::forest::{Growth, Trees, grow};
use samara_trainer::graph::{Apply, input};
use samara_trainer::layers::Forest;
use samara_trainer::optimizers::Sgd;
use serde_json::json;

use crate::convert::{self, Pace};
use crate::losses::{LossName, Measured};
use crate::task::{self, TableArguments};
use crate::{device, files, names, output, train};

/// Name of the file with the whole model, as `Model::save` writes it.
pub const MODEL: &str = "forest.model";

/// Arguments of `samara forest`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Data set by name or path, as for `samara train`; what is to be predicted are classes
    #[arg(long, value_name = "NAME|PATH")]
    data: String,
    #[command(flatten)]
    table: TableArguments,
    /// Number of trees
    #[arg(long, default_value_t = Growth::default().trees, value_parser = names::count)]
    trees: usize,
    /// The most splits one below the other
    #[arg(long, default_value_t = Growth::default().depth, value_parser = names::count)]
    depth: usize,
    /// Features that are tried for each split [default: the square root of all]
    #[arg(long, value_name = "NUMBER", value_parser = names::count)]
    features: Option<usize>,
    /// Training samples that each tree grows on, drawn by lot; what its leaves say comes from all of them
    #[arg(long, default_value_t = Growth::default().samples, value_name = "NUMBER", value_parser = names::count)]
    samples: usize,
    /// Samples that come to each leaf at least, of those that its tree grows on
    #[arg(long, default_value_t = Growth::default().leaf_samples, value_name = "NUMBER", value_parser = names::count)]
    leaf_samples: usize,
    /// Where random numbers come from: the same seed gives the same forest
    #[arg(long, default_value_t = Growth::default().seed)]
    seed: u64,
    /// Name of the model in the files
    #[arg(long, default_value = "forest")]
    name: String,
    /// Directory for model.samara (int8), model-f32.samara and forest.model, which makes it a member of `samara ensemble`
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    quantizing: convert::Quantizing,
    #[command(flatten)]
    golden: convert::Golden,
    /// Print one line of JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Grows, measures and writes.
///
/// # Errors
/// If the data cannot be had or has no classes, trees become too many, or a file cannot be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    files::prepare_directory(&arguments.out)?;
    files::sweep(&arguments.out)?;
    let (splits, columns) = load(arguments)?;
    let classes = columns.as_ref().and_then(Columns::classes).map_or_else(|| splits.classes(), <[String]>::len);
    let growth = Growth {
        trees: arguments.trees,
        depth: arguments.depth,
        features: arguments.features,
        samples: arguments.samples,
        leaf_samples: arguments.leaf_samples,
        seed: arguments.seed,
    };
    let growing = Instant::now();
    let trees = grow(&splits.train, classes, &growth)?;
    let seconds = growing.elapsed().as_secs_f64();
    let model = model_of(&arguments.name, &splits, trees.clone())?;
    train::check(&model, &splits, &arguments.data)?;

    model.save(arguments.out.join(MODEL))?;
    match &columns {
        Some(columns) => task::save_columns(columns, &arguments.out)?,
        None => files::remove(&arguments.out.join(task::COLUMNS))?,
    }
    let [validation, test] = [&splits.validation, &splits.test].map(|part| -> Result<Option<f64>> {
        Ok(if part.samples() == 0 { None } else { Measured::by_trainer(&model.evaluate(part)?)?.accuracy })
    });
    let (validation, test) = (validation?, test?);
    let samples = train::calibration_samples(&splits.train, train::CALIBRATION_SAMPLES);
    let f32_file = convert::to_f32(&model, &samples, Pace::default(), arguments.golden)?;
    files::write(&arguments.out.join(train::F32_MODEL), f32_file.bytes())?;
    let int8_file = convert::to_int8(&model, &samples, arguments.quantizing.options(), Pace::default(), arguments.golden)?;
    files::write(&arguments.out.join(train::INT8_MODEL), int8_file.bytes())?;
    let int8 = device::measure(&int8_file, &splits.test, &*LossName::default().build())?.accuracy;

    let file = ModelFile::from_bytes(int8_file.bytes())?;
    let (arena_bytes, model_bytes) = (int8_file.model()?.arena_bytes(), int8_file.bytes().len());
    let deepest = trees.depths().into_iter().max().unwrap_or(0);
    if arguments.json {
        return output::print_json(&json!({
            "model": model.name(), "data": arguments.data, "seed": arguments.seed,
            "trees": trees.trees(), "splits": trees.splits(), "leaves": trees.leaves(), "depth": deepest,
            "validation_accuracy": validation, "f32_accuracy": test, "int8_accuracy": int8,
            "comparisons": file.macs(), "arena_bytes": arena_bytes, "model_bytes": model_bytes,
            "f32_model_bytes": f32_file.bytes().len(), "seconds": seconds, "out": arguments.out,
        }));
    }
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let accuracy = |value: Option<f64>| value.map_or("none".to_owned(), |value| format!("{value:.4}"));
    let count = |number: usize| output::thousands(number as u64);
    let rows = [
        row("validation accuracy", accuracy(validation)),
        row("f32 test accuracy", accuracy(test)),
        row("int8 test accuracy", accuracy(int8)),
        row("trees", format!("{}, up to {deepest} deep", trees.trees())),
        row("splits", count(trees.splits())),
        row("leaves that differ", count(trees.leaves())),
        row("comparisons and additions, at most", output::thousands(file.macs())),
        row("arena bytes", count(arena_bytes)),
        row("model bytes", count(model_bytes)),
        row("f32 model bytes", count(f32_file.bytes().len())),
        row("growing seconds", format!("{seconds:.1}")),
    ];
    output::print(&output::table(&[model.name(), ""], &rows))?;
    let columns = columns.map_or(String::new(), |_| format!(", {}", task::COLUMNS));
    let place = arguments.out.display();
    output::note(&format!("written: {}, {}{columns} and {MODEL} in {place}", train::INT8_MODEL, train::F32_MODEL));
    Ok(())
}

/// The data, of classes.
fn load(arguments: &Arguments) -> Result<(Splits, Option<Columns>)> {
    if !task::is_table(&arguments.data) {
        arguments.table.refuse(&arguments.data)?;
        return Ok((names::data(&arguments.data, Targets::Classes, None)?, None));
    }
    let (splits, columns, loss) = arguments.table.read(&arguments.data, None)?;
    if loss.targets() != Targets::Classes {
        let name = &columns.target.name;
        bail!(
            "a forest tells classes apart, but the column {name} has numbers: say --category {name}, if they stand for classes"
        );
    }
    Ok((splits, Some(columns)))
}

/// The forest as a model, compiled to be measured.
fn model_of(name: &str, splits: &Splits, trees: Trees) -> Result<Model> {
    let x = input(splits.train.inputs()[0].sample_shape().clone());
    let mut model = Model::new(name, &x, Forest::new(trees).apply(&x))?;
    model.compile(Sgd::new(1.0), samara_trainer::losses::SparseCategoricalCrossentropy)?;
    Ok(model)
}
