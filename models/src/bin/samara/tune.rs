//! `samara tune`: a net and its training searched for, within the limits of a device.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use samara_search::{Chosen, Direction, Options, Outcome, Pruner, Sampler, State, Storage, Study, Template, Trial};
use samara_trainer::callbacks::Callback;
use samara_trainer::data::Dataset;
use samara_trainer::data::sources::{Splits, Targets};
use samara_trainer::losses::Loss;
use samara_trainer::{Error, Fit, Model, Training};
use serde_json::{Value, json};

use crate::losses::{LossName, Measured};
use crate::optimizers::{OptimizerArguments, OptimizerName};
use crate::schedule::ScheduleArgument;
use crate::{convert, device, export, files, names, output, train};

/// Arguments of `samara tune`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// TOML file with the tables space and train and a net as `samara model` prints it, with "$parameter" where a trial's value
    /// belongs
    file: PathBuf,
    /// Data set by name or path, as for `samara train`
    #[arg(long, value_name = "NAME|PATH")]
    data: String,
    /// What training makes small; accuracy is searched for where it tells classes apart, else the loss itself
    #[arg(long, value_enum, default_value = "sparse-categorical-crossentropy")]
    loss: LossName,
    /// Trials of the study, those of earlier calls included
    #[arg(long, default_value = "20", value_parser = names::count)]
    trials: usize,
    /// Directory for the files of the winner, and for studies.db without --storage
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Where the study is kept: a file, or a PostgreSQL server for many machines, as postgres://USER@HOST:PORT/DATABASE with the password in
    /// PGPASSWORD [default: studies.db in the directory of --out]
    #[arg(long, value_name = "FILE|URL")]
    storage: Option<String>,
    /// Name of the study in the storage [default: the file's, without its ending]
    #[arg(long)]
    study: Option<String>,
    /// What is tried next
    #[arg(long, value_enum, default_value = "tpe")]
    sampler: SamplerName,
    /// Which trials end early
    #[arg(long, value_enum, default_value = "halving")]
    pruner: PrunerName,
    /// Where random numbers come from: the same seed gives the same study
    #[arg(long, default_value = "1")]
    seed: u64,
    /// Try only nets whose arena in int8 is not larger, such as 32k
    #[arg(long, value_name = "BYTES", value_parser = names::bytes)]
    max_ram: Option<usize>,
    /// Try only nets whose int8 file is not larger, such as 64k
    #[arg(long, value_name = "BYTES", value_parser = names::bytes)]
    max_flash: Option<usize>,
    /// Try only nets of at most so many multiply-accumulates
    #[arg(long, value_name = "N")]
    max_macs: Option<u64>,
    /// Train this trial of the study again, to the same bits, and write its files, instead of going on
    #[arg(long, value_name = "NUMBER")]
    retrain: Option<u64>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// [`Sampler`] by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SamplerName {
    /// Without memory
    Random,
    /// All combinations in turn
    Grid,
    /// Tree-structured Parzen estimators
    Tpe,
}

/// [`Pruner`] by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PrunerName {
    /// None
    Off,
    /// Those below the median
    Median,
    /// All but the best third at epochs 1, 3, 9, ... (asynchronous successive halving)
    Halving,
    /// The same in brackets
    Hyperband,
}

/// How a trial is trained: `[train]`, places filled.
struct Recipe {
    optimizer: OptimizerArguments,
    batch: usize,
    epochs: usize,
    schedule: ScheduleArgument,
}

/// What a net takes on a device.
#[derive(Debug, Clone, Copy)]
struct Size {
    arena: usize,
    file: usize,
    macs: u64,
}

/// Data of a search: what is trained on, what trials are compared on, what only the winner is held against, and what nothing but the
/// end of all sees.
struct Data {
    train: Dataset,
    held_out: Dataset,
    splits: Splits,
}

/// A search.
struct Tuning<'a> {
    arguments: &'a Arguments,
    template: Template,
    data: Data,
    loss: Arc<dyn Loss>,
}

/// Searches, and writes the winner.
///
/// # Errors
/// If the file, the data or the database cannot be used, no candidate keeps within the limits, or no trial is completed.
pub fn run(arguments: &Arguments) -> Result<()> {
    let shown = arguments.file.display();
    let text = String::from_utf8(files::read(&arguments.file)?).with_context(|| format!("{shown} is no text"))?;
    let template = Template::from_toml(&text).with_context(|| shown.to_string())?;
    let splits = names::data(&arguments.data, arguments.loss.targets(), None)?;
    let held_out = splits.validation.samples().min(splits.train.samples() / 2);
    let cut = splits.train.samples() - held_out;
    let data = Data { train: splits.train.slice(0..cut)?, held_out: splits.train.slice(cut..cut + held_out)?, splits };
    let tuning = Tuning { arguments, template, data, loss: arguments.loss.build() };
    files::prepare_directory(&arguments.out)?;
    let mut study = tuning.open()?;
    if let Some(number) = arguments.retrain {
        let trials = study.trials()?;
        let count = trials.len();
        let found = trials.into_iter().find(|trial| trial.number == number);
        let trial = found.with_context(|| format!("there is no trial {number} in the study, which has {count}"))?;
        return tuning.finish(&mut study, &trial);
    }
    tuning.search(&mut study)?;
    let best = study.best()?.context("no trial of the study was completed: there is nothing to choose from")?;
    tuning.finish(&mut study, &best)
}

impl Tuning<'_> {
    fn open(&self) -> Result<Study> {
        let Arguments { file, storage, study, out, sampler, pruner, seed, .. } = self.arguments;
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let name = study.as_deref().unwrap_or(&stem);
        let options = Options {
            sampler: match sampler {
                SamplerName::Random => Sampler::Random,
                SamplerName::Grid => Sampler::Grid,
                SamplerName::Tpe => Sampler::Tpe,
            },
            pruner: match pruner {
                PrunerName::Off => Pruner::Off,
                PrunerName::Median => Pruner::Median,
                PrunerName::Halving => Pruner::Halving,
                PrunerName::Hyperband => Pruner::Hyperband,
            },
            seed: *seed,
            ..Options::default()
        };
        let storage = match storage {
            Some(url) => Storage::open(url)?,
            None => Storage::file(&out.join("studies.db"))?,
        };
        Ok(Study::open_in(storage, name, &[self.direction()], self.template.space().clone(), options)?)
    }

    fn direction(&self) -> Direction {
        if self.arguments.loss.targets() == Targets::Classes { Direction::Maximize } else { Direction::Minimize }
    }

    /// The measurement that is searched for.
    fn objective(&self) -> &'static str {
        if self.direction() == Direction::Maximize { "val_accuracy" } else { "val_loss" }
    }

    /// The net of some values, and how it is trained.
    fn build(&self, chosen: &Chosen) -> Result<(Model, Recipe)> {
        let mut table = self.template.fill(chosen)?;
        let recipe = Recipe::read(table.remove("train"))?;
        let model = Model::from_toml(&table.to_string())?;
        Ok((model, recipe))
    }

    /// What a net of these values takes, from its plan, before any training.
    fn size(&self, model: &Model) -> Result<Size> {
        let samples = export::random_samples(model, 1)?;
        let bytes = model.export_int8(&samples, samara_trainer::quantize::Options::default())?;
        let file = samara_runtime::format::writer::ModelFile::from_bytes(&bytes)?;
        Ok(Size { arena: file.arena_bytes as usize, file: bytes.len(), macs: file.macs() })
    }

    /// What is beyond the limits, in words; nothing if it fits.
    fn beyond(&self, size: Size) -> Option<String> {
        let Arguments { max_ram, max_flash, max_macs, .. } = self.arguments;
        let limits = [
            ("an arena of", size.arena as u64, max_ram.map(|limit| limit as u64), "bytes"),
            ("a file of", size.file as u64, max_flash.map(|limit| limit as u64), "bytes"),
            ("", size.macs, *max_macs, "multiply-accumulates"),
        ];
        let over = limits.into_iter().find(|(_, found, limit, _)| limit.is_some_and(|limit| *found > limit));
        over.map(|(what, found, _, unit)| format!("{what} {} {unit}", output::thousands(found)))
    }

    fn search(&self, study: &mut Study) -> Result<()> {
        let started = Instant::now();
        loop {
            let trials = study.trials()?;
            let open = trials.iter().filter(|trial| trial.state == State::Running).count();
            let mut why = String::new();
            let mut trial = if trials.len() < self.arguments.trials {
                let fits = |chosen: &Chosen| match self.build(chosen).and_then(|(model, _)| self.size(&model)) {
                    Ok(size) => self.beyond(size).inspect(|what| why.clone_from(what)).is_none(),
                    Err(error) => {
                        why = output::sentence(&error);
                        false
                    }
                };
                study.ask_where(fits).with_context(|| {
                    if why.is_empty() { "no trial".to_owned() } else { format!("the last candidate: {why}") }
                })?
            } else if let Some(trial) = study.ask_interrupted()? {
                trial
            } else if open == 0 {
                return Ok(());
            } else {
                // Another worker has them, or had: their leases end.
                std::thread::sleep(Duration::from_secs(1));
                continue;
            };
            let (number, begun) = (trial.number, Instant::now());
            let text = match self.attempt(study, &mut trial) {
                Ok((Outcome::Complete(values), size)) => {
                    study.tell(&trial, Outcome::Complete(values.clone()))?;
                    let (arena, file) = (output::thousands(size.arena as u64), output::thousands(size.file as u64));
                    format!("{} {:.4}, arena {arena}, file {file}", self.objective(), values[0])
                }
                Ok((outcome, _)) => {
                    study.tell(&trial, outcome)?;
                    let last = trial.intermediate.last().map_or(f64::NAN, |last| last.1);
                    format!("ended early with {} {last:.4}", self.objective())
                }
                Err(error) => {
                    let why = output::sentence(&error);
                    study.tell(&trial, Outcome::Failed(why.clone()))?;
                    format!("failed: {why}")
                }
            };
            let (seconds, all) = (begun.elapsed().as_secs_f64(), started.elapsed().as_secs_f64());
            output::note(&format!("trial {number} of {}: {text}; {seconds:.1} s, {all:.0} s in all", self.arguments.trials));
        }
    }

    /// Trains a trial's net.
    fn attempt(&self, study: &mut Study, trial: &mut Trial) -> Result<(Outcome, Size)> {
        let (mut model, recipe) = self.build(&trial.parameters)?;
        let size = self.size(&model)?;
        for (name, value) in [("arena", size.arena as u64), ("file", size.file as u64), ("macs", size.macs)] {
            study.note(trial, name, Value::from(value))?;
        }
        let seed = trial.seed();
        let mut watch =
            Watch { study, trial, objective: self.objective(), pruned: false, last: f64::NAN, renewed: Instant::now() };
        self.fit(&mut model, &recipe, seed, Some(&mut watch))?;
        let outcome = if watch.pruned { Outcome::Pruned } else { Outcome::Complete(vec![watch.last]) };
        Ok((outcome, size))
    }

    fn fit(&self, model: &mut Model, recipe: &Recipe, seed: u64, watch: Option<&mut Watch<'_>>) -> Result<f64> {
        model.initialize(seed);
        model.compile_with(recipe.optimizer.build(), self.loss.clone())?;
        train::check(model, &self.data.splits, &self.arguments.data)?;
        let steps = self.data.train.samples().div_ceil(recipe.batch);
        let fit = Fit {
            epochs: recipe.epochs,
            batch: recipe.batch,
            validation: Some(&self.data.splits.validation),
            seed,
            schedule: recipe.schedule.build(steps, recipe.epochs)?,
            verbose: false,
            callbacks: watch.map(|watch| Box::new(watch) as Box<dyn Callback + '_>).into_iter().collect(),
            ..Fit::default()
        };
        let history = model.fit(&self.data.train, fit)?;
        let last = history.epochs.last().and_then(|log| log.measurements.get(self.objective()));
        last.with_context(|| format!("the training did not measure {}", self.objective()))
    }

    /// Trains a trial again, and writes and says all of it.
    fn finish(&self, study: &mut Study, trial: &Trial) -> Result<()> {
        let (mut model, recipe) = self.build(&trial.parameters)?;
        let again = self.fit(&mut model, &recipe, trial.seed(), None)?;
        let before = trial.values.first().copied();
        if before.is_some_and(|before| before != again) {
            output::note(&format!(
                "trained again, trial {} came to {again}, not to {before:?}: the data or the program is another",
                trial.number
            ));
        }
        let measured = |data: &Dataset| -> Result<Measured> { Measured::by_trainer(&model.evaluate(data)?) };
        let (held_out, test) = (measured(&self.data.held_out)?, measured(&self.data.splits.test)?);
        let samples = train::calibration_samples(&self.data.train, train::CALIBRATION_SAMPLES);
        let golden = convert::Golden::default();
        let file =
            convert::to_int8(&model, &samples, samara_trainer::quantize::Options::default(), convert::Pace::default(), golden)?;
        let int8 = device::measure(&file, &self.data.splits.test, &*self.loss)?;
        let out = |name: &str| self.arguments.out.join(name);
        let mut table = self.template.fill(&trial.parameters)?;
        let recipe_text = table.remove("train").map(|train| train.to_string()).unwrap_or_default();
        files::write(&out("model.toml"), table.to_string().as_bytes())?;
        model.save_weights(out(train::WEIGHTS))?;
        files::write(&out("model.samara"), file.bytes())?;
        let trials = study.trials()?;
        let count = |state: State| trials.iter().filter(|trial| trial.state == state).count();
        let (what, held_out_shown) = held_out.shown();
        let mut parameters: Vec<_> = trial.parameters.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        parameters.sort_by(|a, b| a.0.cmp(&b.0));
        if self.arguments.json {
            return output::print_json(&json!({
                "trial": trial.number, "seed": trial.seed(), "parameters": trial.parameters, "train": recipe_text,
                "objective": self.objective(), "validation": again, "held_out_accuracy": held_out.accuracy, "held_out_loss": held_out.loss,
                "test_accuracy": test.accuracy, "test_loss": test.loss, "int8_accuracy": int8.accuracy, "int8_loss": int8.loss,
                "arena_bytes": file.model()?.arena_bytes(), "model_bytes": file.bytes().len(),
                "trials": trials.len(), "complete": count(State::Complete), "pruned": count(State::Pruned), "failed": count(State::Fail),
            }));
        }
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let mut rows = vec![row("seed", trial.seed().to_string())];
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        rows.extend(parameters.iter().map(|(name, value)| row(name, plain(value))));
        rows.extend([
            row(self.objective(), format!("{again:.4}")),
            row(&format!("held out {what}"), held_out_shown),
            row(&format!("test {what}"), test.shown().1),
            row(&format!("int8 test {what}"), int8.shown().1),
            row("arena bytes", output::thousands(file.model()?.arena_bytes() as u64)),
            row("model bytes", output::thousands(file.bytes().len() as u64)),
        ]);
        output::print(&output::table(&[&format!("trial {}", trial.number), ""], &rows))?;
        let fooled = match (held_out.accuracy, self.direction()) {
            (Some(held_out), Direction::Maximize) => again - f64::from(held_out as f32),
            _ => held_out.loss - again,
        };
        output::note(&format!(
            "{} trials: {} complete, {} ended early, {} failed. By choosing the best, validation looks better than samples that took no part by {fooled:.4}. \
             Written: model.toml, model.samara and {} in {}",
            trials.len(),
            count(State::Complete),
            count(State::Pruned),
            count(State::Fail),
            train::WEIGHTS,
            self.arguments.out.display()
        ));
        Ok(())
    }
}

impl Recipe {
    fn read(table: Option<toml::Value>) -> Result<Self> {
        let table = match table {
            None => toml::Table::new(),
            Some(toml::Value::Table(table)) => table,
            Some(_) => bail!("train is not a table"),
        };
        let known = ["optimizer", "learning_rate", "weight_decay", "clip_norm", "batch", "epochs", "schedule"];
        if let Some(other) = table.keys().find(|key| !known.contains(&key.as_str())) {
            bail!("[train] has {other}; known are {}", known.join(", "));
        }
        let number = |name: &str| -> Result<Option<f32>> {
            let Some(value) = table.get(name) else { return Ok(None) };
            let number =
                value.as_float().or_else(|| value.as_integer().map(|value| value as f64)).filter(|number| *number > 0.0);
            Ok(Some(number.with_context(|| format!("[train] {name} is {value}, expected a number above 0"))? as f32))
        };
        let count = |name: &str, usual: usize| -> Result<usize> {
            let Some(value) = table.get(name) else { return Ok(usual) };
            let number = value.as_integer().and_then(|number| usize::try_from(number).ok()).filter(|number| *number > 0);
            number.with_context(|| format!("[train] {name} is {value}, expected an integer above 0"))
        };
        let text = |name: &str, usual: &'static str| -> Result<String> {
            let Some(value) = table.get(name) else { return Ok(usual.to_owned()) };
            Ok(value.as_str().with_context(|| format!("[train] {name} is {value}, expected text"))?.to_owned())
        };
        let optimizer = text("optimizer", "adam")?;
        let optimizer = OptimizerName::from_str(&optimizer, true).map_err(|_| {
            let names: Vec<String> = OptimizerName::value_variants().iter().map(|name| names::shown(*name)).collect();
            anyhow::anyhow!("[train] optimizer is {optimizer:?}; known are {}", names.join(", "))
        })?;
        let schedule = ScheduleArgument::parse(&text("schedule", "constant")?)
            .map_err(|error| anyhow::anyhow!("[train] schedule: {error}"))?;
        Ok(Self {
            optimizer: OptimizerArguments {
                name: optimizer,
                learning_rate: number("learning_rate")?,
                weight_decay: number("weight_decay")?,
                clip_norm: number("clip_norm")?,
            },
            batch: count("batch", 32)?,
            epochs: count("epochs", 9)?,
            schedule,
        })
    }
}

/// Tells the study what a training comes to.
struct Watch<'a> {
    study: &'a mut Study,
    trial: &'a mut Trial,
    objective: &'static str,
    pruned: bool,
    last: f64,
    renewed: Instant,
}

/// How often a trial's lease is renewed within an epoch.
const RENEWAL: Duration = Duration::from_secs(10);

impl Callback for &mut Watch<'_> {
    fn batch_end(&mut self, _: &mut Training<'_>) -> samara_trainer::Result<()> {
        if self.renewed.elapsed() > RENEWAL {
            self.study.keep(self.trial).map_err(failed)?;
            self.renewed = Instant::now();
        }
        Ok(())
    }

    fn epoch_end(&mut self, training: &mut Training<'_>) -> samara_trainer::Result<()> {
        let Some(value) = training.log().and_then(|log| log.measurements.get(self.objective)) else { return Ok(()) };
        self.last = value;
        let step = training.epoch() as u64;
        let is_last = training.epoch() >= training.epochs();
        if self.study.report(self.trial, step, value).map_err(failed)? && !is_last {
            self.pruned = true;
            training.stop();
        }
        Ok(())
    }
}

fn failed(error: samara_search::Error) -> Error {
    Error::File(std::io::Error::other(error.to_string()))
}
