//! What each process of a search does: ask for a trial, train it, tell what it came to.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use samara_search::{Chosen, Error as SearchError, Outcome, State, Study, Trial};
use samara_trainer::callbacks::Callback;
use samara_trainer::data::Source;
use samara_trainer::{Error, Fit, Model, Training};
use serde_json::Value;

use super::Tuning;
use super::cost::{Cost, Size};
use super::recipe::Recipe;
use crate::interrupt::{self, Interrupted};
use crate::{device, output, train};

/// How long news of other workers' trials is waited for at once.
const NEWS: Duration = Duration::from_secs(10);
/// How often a trial's lease is renewed within an epoch.
const RENEWAL: Duration = Duration::from_secs(10);

/// What an attempt came to.
enum Attempt {
    Ended(Outcome),
    /// Ctrl-C.
    Interrupted,
    /// Another worker has it by now.
    Refused,
}

impl Tuning {
    /// Works on trials until the study has as many as it shall have, and none runs any more, and tells of each.
    ///
    /// # Errors
    /// If the database cannot be used, or no candidate keeps within the limits; [`Interrupted`] after Ctrl-C.
    pub(super) fn work(&self, study: &mut Study) -> Result<()> {
        let started = Instant::now();
        interrupt::listen();
        while !interrupt::is_asked() {
            let Some(mut trial) = self.ask(study)? else {
                // Nothing is held here: Ctrl-C may end it at once.
                interrupt::rest();
                let is_open = study.wait(NEWS)?;
                interrupt::listen();
                if is_open {
                    continue;
                }
                interrupt::rest();
                return Ok(());
            };
            let begun = Instant::now();
            let text = match self.attempt(study, &mut trial)? {
                Attempt::Ended(outcome) => match study.tell(&trial, outcome.clone()) {
                    Err(SearchError::Refused { .. }) => REFUSED.to_owned(),
                    told => {
                        told?;
                        self.told(&trial, &outcome)
                    }
                },
                Attempt::Refused => REFUSED.to_owned(),
                Attempt::Interrupted => match study.release(&trial) {
                    Ok(()) | Err(SearchError::Refused { .. }) => break,
                    Err(error) => return Err(error.into()),
                },
            };
            let (seconds, all) = (begun.elapsed().as_secs_f64(), started.elapsed().as_secs_f64());
            let (number, trials) = (trial.number, self.plan.trials);
            output::note(&format!("trial {number} of {trials}: {text}; {seconds:.1} s, {all:.0} s in all"));
        }
        Err(Interrupted::new("interrupted: the trial was given back to the study; the same command goes on with it").into())
    }

    fn ask(&self, study: &mut Study) -> Result<Option<Trial>> {
        let mut why = String::new();
        let fits = |chosen: &Chosen| match self.build(chosen).and_then(|(model, recipe)| self.size(&model, &recipe)) {
            Ok(size) => self.beyond(&size).inspect(|what| why.clone_from(what)).is_none(),
            Err(error) => {
                why = output::sentence(&error);
                false
            }
        };
        study
            .ask_limited(self.plan.trials as u64, fits)
            .with_context(|| if why.is_empty() { "no trial".to_owned() } else { format!("the last candidate: {why}") })
    }

    /// What a trial came to, in words.
    fn told(&self, trial: &Trial, outcome: &Outcome) -> String {
        match outcome {
            Outcome::Complete(values) => self.told_values(trial, values),
            Outcome::Pruned => self.told_pruned(trial),
            Outcome::Failed(why) => format!("failed: {why}"),
        }
    }

    fn told_values(&self, trial: &Trial, values: &[f64]) -> String {
        let value = values.first().copied().unwrap_or(f64::NAN);
        let note = |cost: Cost| trial.notes.get(cost.key()).and_then(Value::as_u64).map_or("?".to_owned(), output::thousands);
        format!("{} {value:.4}, arena {}, file {}", self.objective(), note(Cost::Ram), note(Cost::Flash))
    }

    fn told_pruned(&self, trial: &Trial) -> String {
        let last = trial.intermediate.last().map_or(f64::NAN, |last| last.1);
        format!("ended early with {} {last:.4}", self.objective())
    }

    /// What a trial of the study came to, in words; nothing of one that runs.
    pub(super) fn told_of(&self, trial: &Trial) -> Option<String> {
        match trial.state {
            State::Complete => Some(self.told_values(trial, &trial.values)),
            State::Pruned => Some(self.told_pruned(trial)),
            State::Fail => {
                let why = trial.notes.get("error").and_then(Value::as_str);
                let interrupted = || format!("interrupted {} times", trial.notes.get("interrupted").unwrap_or(&Value::Null));
                Some(format!("failed: {}", why.map_or_else(interrupted, str::to_owned)))
            }
            State::Running | State::Waiting => None,
        }
    }

    /// Trains a trial's net.
    ///
    /// # Errors
    /// If the database cannot be used; what is wrong with the trial is its outcome.
    fn attempt(&self, study: &mut Study, trial: &mut Trial) -> Result<Attempt> {
        let mut watch = Watch {
            study,
            trial,
            objective: self.objective(),
            pruned: false,
            last: f64::NAN,
            renewed: Instant::now(),
            fault: None,
        };
        let done = self.train(&mut watch);
        match (watch.fault, done) {
            (Some(SearchError::Refused { .. }), _) => Ok(Attempt::Refused),
            (Some(fault), _) => Err(fault.into()),
            (None, _) if interrupt::is_asked() => Ok(Attempt::Interrupted),
            (None, Ok(outcome)) => Ok(Attempt::Ended(outcome)),
            (None, Err(error)) => Ok(Attempt::Ended(Outcome::Failed(output::sentence(&error)))),
        }
    }

    fn train(&self, watch: &mut Watch<'_>) -> Result<Outcome> {
        let (mut model, recipe) = self.build(&watch.trial.parameters)?;
        let size = self.size(&model, &recipe)?;
        for (cost, value) in size.costs() {
            watch.note(cost.key(), Value::from(*value))?;
        }
        let seed = watch.trial.seed();
        self.fit(&mut model, &recipe, seed, Some(&mut *watch))?;
        if watch.pruned {
            return Ok(Outcome::Pruned);
        }
        let mut value = watch.last;
        if recipe.is_measured_as_file {
            watch.note("f32", Value::from(value))?;
            value = self.value_of_file(&model, &recipe)?;
        }
        let costs = self.plan.minimize.iter().map(|cost| self.cost_value(&size, *cost));
        Ok(Outcome::Complete([Ok(value)].into_iter().chain(costs).collect::<Result<_>>()?))
    }

    fn cost_value(&self, size: &Size, cost: Cost) -> Result<f64> {
        Ok(size.of(cost).with_context(|| format!("{} is not known", cost.key()))? as f64)
    }

    /// What the file of a net gives on the validation samples.
    pub(super) fn value_of_file(&self, model: &Model, recipe: &Recipe) -> Result<f64> {
        let samples = train::calibration_samples(&self.data.train, train::CALIBRATION_SAMPLES);
        let file = samara_trainer::device::run::DeviceModel::new(&recipe.numbers.export(model, &samples)?)?;
        let measured = device::measure(&file, &self.data.splits.validation, &*self.loss)?;
        Ok(if self.objective() == "val_accuracy" { measured.accuracy.unwrap_or(0.0) } else { measured.loss })
    }

    /// Trains a net; the last value of the objective, in f32.
    pub(super) fn fit(&self, model: &mut Model, recipe: &Recipe, seed: u64, watch: Option<&mut Watch<'_>>) -> Result<f64> {
        model.initialize(seed);
        model.compile_with(recipe.optimizer.build(), self.loss.clone())?;
        train::check(model, &self.data.splits, &self.data.name)?;
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
        let augmentation = recipe.augment.as_ref().map(|changes| changes.for_model(model)).transpose()?;
        let augmented;
        let source: &dyn Source = match augmentation {
            Some(augmentation) => {
                augmented = (&self.data.train).map(move |sample, random| augmentation.apply(sample.input(0), random));
                &augmented
            }
            None => &self.data.train,
        };
        let history = model.fit(source, fit)?;
        let last = history.epochs.last().and_then(|log| log.measurements.get(self.objective()));
        last.with_context(|| format!("the training did not measure {}", self.objective()))
    }
}

/// Of a trial whose lease ended, as while a machine slept.
const REFUSED: &str = "its lease had ended, and another worker has it";

/// Tells the study what a training comes to.
pub(super) struct Watch<'a> {
    study: &'a mut Study,
    trial: &'a mut Trial,
    objective: &'static str,
    pruned: bool,
    last: f64,
    renewed: Instant,
    /// Why the study could not be told.
    fault: Option<SearchError>,
}

impl Watch<'_> {
    /// Ends the training where the study cannot be told.
    fn told<T>(&mut self, told: samara_search::Result<T>) -> samara_trainer::Result<T> {
        told.map_err(|error| {
            let stopped = std::io::Error::other(error.to_string());
            self.fault = Some(error);
            Error::File(stopped)
        })
    }

    fn note(&mut self, key: &str, value: Value) -> samara_trainer::Result<()> {
        let told = self.study.note(self.trial, key, value);
        self.told(told)
    }
}

impl Callback for &mut Watch<'_> {
    fn batch_end(&mut self, training: &mut Training<'_>) -> samara_trainer::Result<()> {
        if interrupt::is_asked() {
            training.stop();
        }
        if self.renewed.elapsed() > RENEWAL {
            let told = self.study.keep(self.trial);
            self.told(told)?;
            self.renewed = Instant::now();
        }
        Ok(())
    }

    fn epoch_end(&mut self, training: &mut Training<'_>) -> samara_trainer::Result<()> {
        if interrupt::is_asked() {
            training.stop();
            return Ok(());
        }
        let Some(value) = training.log().and_then(|log| log.measurements.get(self.objective)) else { return Ok(()) };
        self.last = value;
        let step = training.epoch() as u64;
        let is_last = training.epoch() >= training.epochs();
        let told = self.study.report(self.trial, step, value);
        if self.told(told)? && !is_last {
            self.pruned = true;
            training.stop();
        }
        Ok(())
    }
}
