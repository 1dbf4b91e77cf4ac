//! `samara tune`: a net and its training searched for, within the limits of a device, by one process or many.

mod cost;
mod nets;
mod picture;
mod plan;
mod recipe;
mod report;
mod winner;
mod work;
mod worker;
mod workers;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{ArgMatches, Args, FromArgMatches, Subcommand};
use samara_search::{Chosen, Direction, Storage, Study, Template};
use samara_trainer::Model;
use samara_trainer::data::Dataset;
use samara_trainer::data::sources::{Columns, Splits, Targets};
use samara_trainer::losses::Loss;
use serde_json::{Value, json};

use crate::losses::LossName;
use crate::{files, interrupt, names, output, task};
use plan::Plan;
use recipe::Recipe;

/// What a study keeps for workers: the file, the plan and the data's name.
const TASK: &str = "samara";

/// Arguments of `samara tune`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    search: Given,
}

/// A search, unless there is a subcommand. (An `Option` of arguments that flatten others is never there: clap 4.)
#[derive(Debug)]
struct Given(Option<Search>);

impl Args for Given {
    fn augment_args(command: clap::Command) -> clap::Command {
        Search::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Search::augment_args_for_update(command)
    }
}

impl FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let is_given = matches.contains_id("file");
        is_given.then(|| Search::from_arg_matches(matches)).transpose().map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Work on the trials of a study that `samara tune` began, until there are no more: on other machines, or beside it
    Worker(worker::Arguments),
}

/// Arguments of a search.
#[derive(Debug, clap::Args)]
struct Search {
    /// TOML file with the tables space and train and a net as `samara model` prints it, with "$parameter" where a trial's value
    /// belongs
    file: PathBuf,
    /// Data set by name or path, as for `samara train`
    #[arg(long, value_name = "NAME|PATH")]
    data: String,
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
    #[command(flatten)]
    plan: Plan,
    /// Let so many processes of this machine work at once; their trials depend on who is faster
    #[arg(long, value_name = "N", value_parser = names::count)]
    workers: Option<usize>,
    /// Begin the study, with the file and all options in it, and leave its trials to `samara tune worker`; the same call without this writes the
    /// winner then
    #[arg(long, conflicts_with_all = ["workers", "retrain"])]
    begin: bool,
    /// Train this trial of the study again, to the same bits, and write its files, instead of going on
    #[arg(long, value_name = "NUMBER", conflicts_with = "workers")]
    retrain: Option<u64>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Data of a search: what is trained on, what trials are compared on, what only the winner is held against, and what nothing but the
/// end of all sees.
struct Data {
    name: String,
    train: Dataset,
    held_out: Dataset,
    splits: Splits,
    /// Of a CSV file.
    columns: Option<Columns>,
}

impl Data {
    /// With the loss that goes with it.
    fn read(name: &str, plan: &Plan) -> Result<(Self, LossName)> {
        let (splits, columns, loss) = if task::is_table(name) {
            let (splits, columns, loss) = plan.table.read(name, plan.loss)?;
            (splits, Some(columns), loss)
        } else {
            let loss = plan.loss.unwrap_or_default();
            if let Some(argument) = plan.table.to_arguments().first() {
                anyhow::bail!("{argument} names a column of a CSV file, but --data is {name}");
            }
            (names::data(name, loss.targets(), None)?, None, loss)
        };
        let held_out = splits.validation.samples().min(splits.train.samples() / 2);
        let cut = splits.train.samples() - held_out;
        let (train, held_out) = (splits.train.slice(0..cut)?, splits.train.slice(cut..cut + held_out)?);
        Ok((Self { name: name.to_owned(), train, held_out, splits, columns }, loss))
    }
}

/// A search, as each of its processes knows it.
struct Tuning {
    plan: Plan,
    template: Template,
    data: Data,
    loss_name: LossName,
    loss: Arc<dyn Loss>,
}

/// Searches, and writes the winner; or works for a search.
///
/// # Errors
/// If the file, the data or the database cannot be used, no candidate keeps within the limits, or no trial is completed.
pub fn run(arguments: &Arguments) -> Result<()> {
    interrupt::handle()?;
    match (&arguments.command, &arguments.search.0) {
        (Some(Command::Worker(arguments)), _) => worker::run(arguments),
        (None, Some(search)) => search.run(),
        (None, None) => {
            anyhow::bail!("there is nothing to search: expected a file and --data and --out, see `samara tune --help`")
        }
    }
}

impl Search {
    fn run(&self) -> Result<()> {
        let shown = self.file.display();
        let text = String::from_utf8(files::read(&self.file)?).with_context(|| format!("{shown} is no text"))?;
        let tuning = Tuning::new(self.plan.clone(), &text, &self.data).with_context(|| shown.to_string())?;
        files::prepare_directory(&self.out)?;
        let stem = self.file.file_stem().unwrap_or_default().to_string_lossy();
        let name = self.study.as_deref().unwrap_or(&stem);
        let url = self.storage.clone().unwrap_or_else(|| self.out.join("studies.db").display().to_string());
        let mut study = tuning.open(Storage::open(&url)?, name)?;
        if let Some(number) = self.retrain {
            let trials = study.trials()?;
            let count = trials.len();
            let found = trials.into_iter().find(|trial| trial.number == number);
            let trial = found.with_context(|| format!("there is no trial {number} in the study, which has {count}"))?;
            return tuning.finish(&mut study, &trial, &self.out, self.json);
        }
        study.describe(TASK, &json!({ "file": text, "plan": self.plan.to_arguments(), "data": self.data }))?;
        if self.begin {
            let storage = Storage::open(&url)?;
            output::note(&format!(
                "the study {name:?} is begun: samara tune worker --storage {} --study {name}",
                storage.shown()
            ));
            return Ok(());
        }
        match self.workers {
            Some(count) => tuning.share(&mut study, &workers::Place { url: &url, study: name, data: &self.data }, count)?,
            None => tuning.work(&mut study)?,
        }
        let best = study.best()?.context("no trial of the study was completed: there is nothing to choose from")?;
        tuning.finish(&mut study, &best, &self.out, self.json)
    }
}

impl Tuning {
    /// Checks the file, and reads the data.
    fn new(plan: Plan, text: &str, data: &str) -> Result<Self> {
        let template = Template::from_toml(text)?;
        Recipe::check(&template)?;
        let (data, loss_name) = Data::read(data, &plan)?;
        Ok(Self { plan, template, data, loss_name, loss: loss_name.build() })
    }

    /// What a study keeps for workers: as what `samara tune` was called with.
    fn of_study(storage: &mut Storage, study: &str, data: Option<&str>) -> Result<Self> {
        let Some(task) = storage.attribute(study, TASK)? else {
            let studies = storage.studies()?;
            let there =
                if studies.is_empty() { "there is none".to_owned() } else { format!("there are {}", studies.join(", ")) };
            anyhow::bail!("{}: there is no study {study:?} that `samara tune` began; {there}", storage.shown());
        };
        let text = |key: &str| task[key].as_str().with_context(|| format!("the study {study:?} keeps no {key}"));
        let arguments: Vec<String> =
            task["plan"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        let plan =
            Plan::from_arguments(&arguments).with_context(|| format!("the study {study:?} has another version's plan"))?;
        let data = match data {
            Some(data) => data,
            None => text("data")?,
        };
        Self::new(plan, text("file")?, data).with_context(|| format!("the study {study:?}"))
    }

    fn open(&self, storage: Storage, name: &str) -> Result<Study> {
        let options = self.plan.options(Recipe::most_epochs(&self.template));
        Ok(Study::open_in(storage, name, &self.directions(), self.template.space().clone(), options)?)
    }

    fn direction(&self) -> Direction {
        if self.loss_name.targets() == Targets::Classes { Direction::Maximize } else { Direction::Minimize }
    }

    /// Of the measurement, then of each cost that is to be small, too.
    fn directions(&self) -> Vec<Direction> {
        [self.direction()].into_iter().chain(self.plan.minimize.iter().map(|_| Direction::Minimize)).collect()
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
}

/// A file that must be there already.
fn is_there(url: &str) -> Result<()> {
    if !url.contains("://") && !Path::new(url).exists() {
        anyhow::bail!("{url}: there is no such file, and a worker begins no study");
    }
    Ok(())
}
