//! `samara train`: from data to model files.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use samara_runtime::format::writer::ModelFile;
use samara_trainer::callbacks::Callback;
use samara_trainer::data::sources::{Columns, Splits, Targets};
use samara_trainer::data::{Dataset, Source, Tensor};
use samara_trainer::quantize::Options;
use samara_trainer::{EpochLog, Error, Fit, History, Model, TrainingState};
use serde_json::{Map, Value, json};

use crate::augment::{self, Changes};
use crate::folds::MembersArguments;
use crate::head::{self, Added, HeadArguments, HeadName};
use crate::interrupt::{self, Interrupted};
use crate::losses::{LossName, Measured};
use crate::names::ModelName;
use crate::optimizers::OptimizerArguments;
use crate::room::RoomArguments;
use crate::schedule::{self, ScheduleArgument};
use crate::task::{ClassArguments, TableArguments, Task, TestData};
use crate::teaching::TeachingArguments;
use crate::tensorboard::TensorBoardArguments;
use crate::watching::WatchArguments;
use crate::{aware, convert, device, files, names, output, report, task};

/// Name of the file with the weights in f32.
pub const WEIGHTS: &str = "weights.bin";
/// Name of the file with the training's state.
pub const STATE: &str = "training.state";
/// Name of the f32 model file.
pub const F32_MODEL: &str = "model-f32.samara";
/// Name of the int8 model file.
pub const INT8_MODEL: &str = "model.samara";
/// Training samples that int8 ranges are taken from.
pub const CALIBRATION_SAMPLES: usize = 500;
/// Training samples that the untrained net is planned with.
const PLANNING_SAMPLES: usize = 16;

/// Arguments of `samara train`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Model of the zoo, or a text file (docs/model-files.md); none for a CSV file, for which a net of dense layers is made to fit
    #[arg(long, value_name = "NAME|FILE.toml", value_parser = names::ModelParser)]
    model: Option<ModelName>,
    /// Data set by name (see `samara data list`), or a path: a directory of IDX files named like MNIST's, of NAME_TRAIN.ts and
    /// NAME_TEST.ts, or of pictures or sounds with a sub-folder for each class; x_train, y_train, x_test, y_test in an NPZ archive
    /// or as NPY files in a directory; or a CSV file with a header, of whose rows a fifth is held out to test
    #[arg(long, value_name = "NAME|PATH")]
    data: String,
    #[command(flatten)]
    table: TableArguments,
    /// What training makes small, which also says what y_train and y_test of an archive are [default:
    /// sparse-categorical-crossentropy, and mean-squared-error where the target of a CSV file is a number]
    #[arg(long, value_enum)]
    loss: Option<LossName>,
    /// How many times to go through the training samples
    #[arg(long, default_value = "10", value_parser = names::count)]
    epochs: usize,
    /// Samples per step
    #[arg(long, default_value = "32", value_parser = names::count)]
    batch: usize,
    #[command(flatten)]
    optimizer: OptimizerArguments,
    #[arg(long, value_name = "SCHEDULE", default_value = "constant", value_parser = ScheduleArgument::parse, help = schedule::HELP)]
    schedule: ScheduleArgument,
    #[command(flatten)]
    teaching: TeachingArguments,
    #[command(flatten)]
    members: MembersArguments,
    #[arg(long, value_name = "CHANGES", value_parser = Changes::parse, help = augment::HELP)]
    augment: Option<Changes>,
    /// Where random numbers come from: the same seed gives the same model
    #[arg(long, default_value = "1")]
    seed: u64,
    /// Directory for model.samara (int8), model-f32.samara, weights.bin and, after every epoch, training.state
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Write a page of HTML with all that is known of the int8 model, as `samara report` does
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    golden: convert::Golden,
    #[command(flatten)]
    classes: ClassArguments,
    /// What a device goes on learning with, in the int8 file, as `samara head` adds it; once for each
    #[arg(long = "head", value_enum)]
    heads: Vec<HeadName>,
    /// Go on from DIR/training.state, with the options that the training began with; --epochs may be larger, and --aware where rounded
    /// epochs have begun. Where there is none, the training begins
    #[arg(long)]
    resume: bool,
    /// Print one line of JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "What watches the training")]
    watch: WatchArguments,
    #[command(flatten, next_help_heading = "How the int8 file is made")]
    quantizing: convert::Quantizing,
    #[command(flatten)]
    aware: AwareArguments,
    #[command(flatten, next_help_heading = "Room on the device")]
    room: RoomArguments,
    #[command(flatten, next_help_heading = "Options of the head")]
    head_options: HeadArguments,
    #[command(flatten, next_help_heading = "Options of TensorBoard")]
    tensorboard: TensorBoardArguments,
}

/// The arguments that say whether and how the training goes on with the net rounded.
#[derive(Debug, Clone, Copy, clap::Args)]
struct AwareArguments {
    /// Behind the --epochs, or where --early-stopping ends them, train on for so many epochs with weights and values rounded as the int8 file will
    /// have them (fake quantization), which then has the very scales. All that watches the training goes on, patience anew; a --resume
    /// of a training that was finished without begins there. Batch-norms keep their statistics in the last third of them. Then --equalize
    /// free stands for off
    #[arg(long, value_name = "EPOCHS", value_parser = names::count)]
    aware: Option<usize>,
    /// Learning rate of --aware at its beginning; it falls to 0 like a cosine [default: half of --learning-rate]
    #[arg(long, value_name = "NUMBER", value_parser = names::positive, requires = "aware")]
    aware_learning_rate: Option<f32>,
}

/// Trains, quantizes, measures and writes.
///
/// # Errors
/// If the data cannot be had or does not fit the model, training diverges, or a file cannot be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let started = Instant::now();
    let optimizer = arguments.optimizer.build();
    let learning_rate = optimizer.learning_rate();
    files::prepare_directory(&arguments.out)?;
    files::sweep(&arguments.out)?;
    let task = Task::begin(arguments.model.as_ref(), &arguments.data, &arguments.table, arguments.loss)?;
    let Task { mut model, splits, loss, columns } = task;
    if !arguments.heads.is_empty() && loss.targets() != Targets::Classes {
        bail!("--head learns classes, but --loss is {}", names::shown(loss));
    }
    let mut splits = arguments.classes.keep(splits, &arguments.data)?;
    splits.train = arguments.members.keep(splits.train)?;
    let (schedule, snapshots) = arguments.members.rounds(&arguments.schedule, arguments.epochs, &arguments.out)?;
    model.initialize(arguments.seed);
    model.compile_with(optimizer, loss.build())?;
    check(&model, &splits, &arguments.data)?;
    let lessons = arguments.teaching.lessons(&model, &splits, loss, columns.as_ref())?;
    if let Some(lessons) = &lessons {
        model.compile_with(arguments.optimizer.build(), lessons.loss.clone())?;
    }
    let model_name = model.name().to_owned();
    let augmentation = arguments.augment.as_ref().map(|changes| changes.for_model(&model)).transpose()?;
    let options = arguments.quantizing.options();
    let options = if arguments.aware.aware.is_some() { aware::quantized_as_trained(options) } else { options };
    let samples = calibration_samples(&splits.train, CALIBRATION_SAMPLES);
    let some = calibration_samples(&splits.train, arguments.golden.count.unwrap_or(0).max(PLANNING_SAMPLES));
    arguments.room.check(&model, &some, options, arguments.golden)?;

    let state = arguments.out.join(STATE);
    let is_there = state.exists();
    if arguments.resume && !is_there {
        output::note(&format!("there is no {} to resume from: the training begins", state.display()));
    }
    let resume = if arguments.resume && is_there {
        let resumed = TrainingState::load(&state).context("the training cannot be resumed")?;
        if let Some(columns) = &columns
            && *columns != task::columns_in(&arguments.out)?
        {
            bail!("the columns of {} are not those of the training that is to be resumed", arguments.data);
        }
        output::note(&format!("resumed after epoch {}", resumed.epoch()));
        Some(resumed)
    } else {
        // The state of another training is not to be taken for that of this one.
        files::remove(&state)?;
        match &columns {
            Some(columns) => task::save_columns(columns, &arguments.out)?,
            None => files::remove(&arguments.out.join(task::COLUMNS))?,
        }
        None
    };
    // Both parts of a training are watched alike.
    let callbacks = |before: usize| {
        let mut callbacks: Vec<Box<dyn Callback>> = Vec::new();
        if let Some(tensorboard) = arguments.tensorboard.build(&splits) {
            let tensorboard = tensorboard
                .hyperparameter("model", model_name.as_str())
                .hyperparameter("data", arguments.data.as_str())
                .hyperparameter("optimizer", names::shown(arguments.optimizer.name).as_str())
                .hyperparameter("learning_rate", output::decimal(learning_rate))
                .hyperparameter("schedule", schedule.text.as_str())
                .hyperparameter("batch", arguments.batch as f64)
                .hyperparameter("seed", arguments.seed as f64);
            callbacks.push(Box::new(tensorboard));
        }
        callbacks.extend(arguments.watch.build(&state, before));
        callbacks
    };
    let (lessons_to_train, lessons_to_validate) = match &lessons {
        Some(lessons) => (&lessons.train, &lessons.validation),
        None => (&splits.train, &splits.validation),
    };
    let fit = |before: usize, epochs: usize| Fit {
        epochs: before + epochs,
        batch: arguments.batch,
        validation: Some(lessons_to_validate),
        seed: arguments.seed,
        callbacks: callbacks(before),
        ..Fit::default()
    };
    let training = Instant::now();
    output::note(&format!("after every epoch {} is written, from which --resume goes on", state.display()));
    interrupt::handle()?;
    let augmented;
    let train: &dyn Source = match augmentation {
        Some(augmentation) => {
            augmented = lessons_to_train.map(move |sample, random| augmentation.apply(sample.input(0), random));
            &augmented
        }
        None => lessons_to_train,
    };
    let (rounded, resume) = match resume {
        Some(resumed) if resumed.before() > 0 => (Some(resumed), None),
        resume => (None, resume),
    };
    let mut history = match &rounded {
        Some(resumed) => resumed.history().clone(),
        None => {
            let steps = splits.train.samples().div_ceil(arguments.batch);
            let mut fit = Fit { schedule: schedule.build(steps, arguments.epochs)?, resume, ..fit(0, arguments.epochs) };
            fit.callbacks.extend(snapshots.map(|snapshots| Box::new(snapshots) as Box<dyn Callback>));
            uninterrupted(model.fit(train, fit), &state)?
        }
    };
    let mut ranges = None;
    if let Some(more) = arguments.aware.aware {
        if rounded.is_none() {
            // Should the rounded epochs come to nothing, the net in f32 is there.
            model.save_weights(arguments.out.join(WEIGHTS))?;
        }
        let optimizer =
            arguments.optimizer.with_learning_rate(arguments.aware.aware_learning_rate.unwrap_or(0.5 * learning_rate));
        model.compile_with(optimizer.build(), lessons.as_ref().map_or_else(|| loss.build(), |lessons| lessons.loss.clone()))?;
        let before = rounded.as_ref().map_or(history.epochs.len(), TrainingState::before);
        let fit = Fit { follows: history, resume: rounded, ..fit(before, more) };
        let trained = uninterrupted(aware::train(&mut model, train, fit, (&samples, options)), &state)?;
        (history, ranges) = (trained.0, Some(trained.1));
    } else if rounded.is_some() {
        bail!("{} is that of a training with --aware, in its rounded epochs: say --aware to go on", state.display());
    }
    let options = Options { ranges: ranges.as_ref(), ..options };
    let training_seconds = training.elapsed().as_secs_f64();
    // What cost most is safe first.
    model.save_weights(arguments.out.join(WEIGHTS))?;
    if lessons.is_some() {
        // Test samples have no teacher.
        model.compile_with(arguments.optimizer.build(), loss.build())?;
    }
    let f32_test = Measured::by_trainer(&model.evaluate(&splits.test)?)?;

    let f32_file = convert::to_f32(&model, &samples, convert::Pace::default(), arguments.golden)?;
    files::write(&arguments.out.join(F32_MODEL), f32_file.bytes())?;
    let int8_file = convert::to_int8(&model, &samples, options, convert::Pace::default(), arguments.golden)?;
    let (int8_file, heads) = if arguments.heads.is_empty() {
        (int8_file, Vec::new())
    } else {
        head::add(&int8_file, &splits, &arguments.heads, &arguments.head_options)?
    };
    files::write(&arguments.out.join(INT8_MODEL), int8_file.bytes())?;
    let int8_test = device::measure(&int8_file, &splits.test, &*loss.build())?;

    if let Some(report) = &arguments.report {
        let class_names = columns.as_ref().and_then(Columns::classes).unwrap_or(&splits.class_names).to_vec();
        let test = TestData { samples: splits.test.clone(), loss, columns: columns.clone(), class_names };
        report::of_training(&arguments.out.join(INT8_MODEL), &arguments.data, test, report)?;
    }

    let parameters: usize = model.parameters().iter().map(|parameter| parameter.shape.size()).sum();
    let file = ModelFile::from_bytes(int8_file.bytes())?;
    let macs = file.macs();
    let arena_bytes = int8_file.model()?.arena_bytes();
    let model_bytes = int8_file.bytes().len();
    if arguments.json {
        return output::print_json(&json!({
            "model": model.name(),
            "data": arguments.data,
            "epochs": arguments.epochs,
            "epochs_done": history.epochs.len(),
            "aware": arguments.aware.aware,
            "batch": arguments.batch,
            "optimizer": names::shown(arguments.optimizer.name),
            "learning_rate": output::decimal(learning_rate),
            "schedule": schedule.text,
            "seed": arguments.seed,
            "loss_function": names::shown(loss),
            "teacher": arguments.teaching.to_json(),
            "f32_accuracy": f32_test.accuracy,
            "f32_loss": f32_test.loss,
            "int8_accuracy": int8_test.accuracy,
            "int8_loss": int8_test.loss,
            "parameters": parameters,
            "macs": macs,
            "arena_bytes": arena_bytes,
            "model_bytes": model_bytes,
            "golden_samples": file.golden.len(),
            "golden_bytes": file.golden_bytes(),
            "training_seconds": training_seconds,
            "seconds": started.elapsed().as_secs_f64(),
            "history": describe(&history),
            "int8_model": arguments.out.join(INT8_MODEL),
            "f32_model": arguments.out.join(F32_MODEL),
            "weights": arguments.out.join(WEIGHTS),
            "heads": heads.iter().map(Added::to_json).collect::<Vec<_>>(),
            "columns": columns.as_ref().map(|_| arguments.out.join(task::COLUMNS)),
            "classes": columns.as_ref().and_then(Columns::classes),
        }));
    }
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let tested = |kind: &str, measured: Measured| {
        let (what, value) = measured.shown();
        row(&format!("{kind} test {what}"), value)
    };
    let rows = [
        tested("f32", f32_test),
        tested("int8", int8_test),
        row("parameters", output::thousands(parameters as u64)),
        row("multiply-accumulates", output::thousands(macs)),
        row("arena bytes", output::thousands(arena_bytes as u64)),
        row("model bytes", output::thousands(model_bytes as u64)),
        row("golden samples", convert::golden_samples(&file)),
        row("training seconds", format!("{training_seconds:.1}")),
    ];
    output::print(&output::table(&[model.name(), ""], &rows))?;
    heads.iter().try_for_each(Added::print)?;
    let columns = columns.map_or(String::new(), |_| format!(", {}", task::COLUMNS));
    let place = arguments.out.display();
    output::note(&format!("written: {INT8_MODEL}, {F32_MODEL}, {WEIGHTS}{columns} and {STATE} in {place}"));
    Ok(())
}

/// What a training gave; an interruption says how to go on.
fn uninterrupted<T>(result: samara_trainer::Result<T>, state: &Path) -> Result<T> {
    match result {
        Err(Error::File(cause)) if cause.kind() == ErrorKind::Interrupted => Err(Interrupted::saved(state).into()),
        result => Ok(result?),
    }
}

/// What was measured in each epoch: a list of objects.
pub fn describe(history: &History) -> Value {
    let epoch = |log: &EpochLog| log.measurements.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    history.epochs.iter().map(epoch).collect::<Vec<Map<_, _>>>().into()
}

/// The first training samples, at most `count`, one tensor per input.
pub fn calibration_samples(data: &Dataset, count: usize) -> Vec<Tensor> {
    data.inputs().iter().map(|tensor| tensor.slice(0..count)).collect()
}

/// Checks all splits before the first step, so that nothing is learned for nothing.
pub fn check(model: &Model, splits: &Splits, data: &str) -> Result<()> {
    let parts = [("training", &splits.train), ("validation", &splits.validation), ("test", &splits.test)];
    parts.into_iter().try_for_each(|(part, samples)| check_part(model, part, samples, data))
}

/// Checks the samples of one split.
pub fn check_part(model: &Model, part: &str, samples: &Dataset, data: &str) -> Result<()> {
    if let Err(error) = model.check(samples) {
        bail!("the {part} samples of {data} do not fit the model {}: {error}", model.name());
    }
    Ok(())
}
