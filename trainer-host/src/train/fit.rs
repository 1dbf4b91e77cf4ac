//! `fit`: epochs over a data set.

use std::ops::Range;
use std::time::Instant;

use super::evaluate::Evaluator;
use super::feed::{Feed, Purpose};
use super::loader::{Loader, Order};
use super::model::check_batch;
use super::state::TrainingState;
use super::training::Training;
use super::{History, Model, in_pool};
use crate::callbacks::{Callback, Kept, Progress};
use crate::data::Source;
use crate::error::{Error, Result};
use crate::numeric::random::{Random, derive};
use crate::schedules::Schedule;

/// How to train.
pub struct Fit<'a> {
    /// How many times to go through the data, those of trainings that this one [follows](Fit::follows) included.
    pub epochs: usize,
    /// Samples per step.
    pub batch: usize,
    /// Data to measure on after every epoch.
    pub validation: Option<&'a dyn Source>,
    /// The share of the data, from 0 to below 1, to measure on instead of training on it: the last samples, before any
    /// shuffling, as in Keras.
    pub validation_split: f32,
    /// Where shuffling and dropout get their random numbers from: the same seed gives the same model, for any number of
    /// threads.
    pub seed: u64,
    /// Takes the samples in a new order in every epoch. `false` for models with `stateful` layers: there, sample `i` of a batch
    /// continues sample `i` of the batch before.
    pub shuffle: bool,
    /// Changes the learning rate from step to step.
    pub schedule: Option<Box<dyn Schedule>>,
    /// Shows a progress bar, if standard error is a terminal, and a line per epoch.
    pub verbose: bool,
    /// Who else wants to know, and perhaps to act.
    pub callbacks: Vec<Box<dyn Callback + 'a>>,
    /// What a training before this one measured, if this one is to count its epochs and steps on from there, in what is measured and
    /// logged as in names of files. Schedules begin anew with this one, and so does what callbacks keep.
    pub follows: History,
    /// Goes on where a training stood ([`Training::state`]) instead of beginning. Model, optimizer, losses, schedule, data and
    /// options must be those of that training, which is checked but for the data's values and what transforms and constraints do; only
    /// `epochs` may be larger (which a schedule notices). What it [follows](Fit::follows) is in the state.
    pub resume: Option<TrainingState>,
}

impl Default for Fit<'_> {
    /// One epoch in batches of 32, shuffled, with a progress bar.
    fn default() -> Self {
        Self {
            epochs: 1,
            batch: 32,
            validation: None,
            validation_split: 0.0,
            seed: 0,
            shuffle: true,
            schedule: None,
            verbose: true,
            callbacks: Vec::new(),
            follows: History::default(),
            resume: None,
        }
    }
}

impl Model {
    /// Trains the model. The layers' parameters are up to date after every epoch. If the loss becomes NaN or infinite, they
    /// are those of the last epoch that was finished; if a callback fails, those of the last step.
    ///
    /// # Errors
    /// Before `compile`; if the data does not fit the model; if the loss becomes NaN or infinite; if a callback fails; if
    /// the state to go on from is of another training.
    pub fn fit(&mut self, data: &(impl Source + ?Sized), mut options: Fit<'_>) -> Result<History> {
        check_batch(options.batch)?;
        self.compiled("fit")?;
        let feed = self.feed(&data, Purpose::Train)?;
        check_split(&options, data.samples())?;
        let validation = match options.validation {
            Some(data) => Some((self.feed(data, Purpose::Evaluate)?, 0..data.samples())),
            None => {
                let split = trained_samples(&options, data.samples())..data.samples();
                if split.is_empty() { None } else { Some((self.feed(&data, Purpose::Evaluate)?, split)) }
            }
        };
        if options.verbose {
            feed.dropped_lengths().iter().for_each(|warning| eprintln!("warning: {warning}"));
            options.callbacks.insert(0, Box::new(Progress::new()));
        }
        in_pool(|| self.run_epochs(feed, validation, options))
    }

    fn run_epochs(
        &mut self,
        feed: Feed<'_>,
        validation: Option<(Feed<'_>, Range<usize>)>,
        options: Fit<'_>,
    ) -> Result<History> {
        let samples = trained_samples(&options, feed.source().samples());
        let Fit { epochs, seed, shuffle, schedule, mut callbacks, follows, resume, .. } = options;
        let batch = options.batch.min(samples);
        let graph = self.shared_graph();
        let mut loader = Loader::new(feed, batch);
        let mut training = Training::new(self, batch, samples, seed, epochs, shuffle)?;
        if let Some((node, _)) = graph.carrying().next() {
            let carried = &training.trainer.values().carried;
            carried.check(&graph, batch, samples)?;
            validation.iter().try_for_each(|(_, range)| carried.check(&graph, batch, range.len()))?;
            if shuffle {
                let expected = format!(
                    "false: row i of a batch goes on with the states of row i of the one before in the `stateful` layer '{}', which \
                     shuffling would tear apart; or train the layer without `stateful`, and apply `layer.clone().stateful()`, which \
                     shares its weights, in a model for streams",
                    graph.nodes[node].name
                );
                return Err(Error::Argument { name: "shuffle", found: "true".to_owned(), expected });
            }
        }
        let validation_batch = if graph.is_stateful() { batch } else { usize::MAX };
        let mut validation =
            validation.map(|(feed, range)| (Evaluator::new(&graph, feed, validation_batch.min(range.len())), range));
        if let Some(schedule) = &schedule {
            check_schedule(&**schedule, &training)?;
        }
        training.schedule = schedule.as_ref().map_or("none".to_owned(), |schedule| format!("{schedule:?}"));
        match resume {
            Some(state) => state.restore(&mut training)?,
            None => training.follow(follows),
        }
        let mut order: Vec<u32> = (0..samples as u32).collect();
        let mut run = || {
            tell(&mut callbacks, &mut training, Callback::train_begin)?;
            restore(&mut callbacks, &mut training)?;
            while !training.is_stopped() && (training.epoch() < epochs || !training.is_between_epochs()) {
                let started = Instant::now();
                training.begin_epoch();
                if shuffle {
                    // From the identity on: an epoch's order depends on no other epoch.
                    order.iter_mut().zip(0..).for_each(|(sample, number)| *sample = number);
                    Random::new(seed, training.epoch() as u64).shuffle(&mut order);
                }
                tell(&mut callbacks, &mut training, Callback::epoch_begin)?;
                if training.is_stopped() {
                    break;
                }
                let rest = &order[(training.step() * batch).min(samples)..];
                let key = derive(seed ^ AUGMENTATION, training.epoch() as u64);
                loader.for_each(Order::List(rest), key, |feed, buffers| {
                    tell(&mut callbacks, &mut training, Callback::batch_begin)?;
                    if training.is_stopped() {
                        return Ok(false);
                    }
                    let step = (training.epoch() - 1 - training.before()) * training.steps() + training.step();
                    let all = epochs.saturating_sub(training.before()) * training.steps();
                    let factor = schedule.as_ref().map_or(1.0, |schedule| schedule.factor(step, all));
                    let momentum = schedule.as_ref().and_then(|schedule| schedule.momentum(step, all));
                    training.make_step(factor, |trainer, rate| trainer.step(feed, buffers, rate, momentum))?;
                    tell(&mut callbacks, &mut training, Callback::batch_end)?;
                    hand_out_state(&mut callbacks, &mut training)?;
                    Ok(!training.is_stopped())
                })?;
                let measured = match &mut validation {
                    Some((evaluator, range)) => {
                        tell(&mut callbacks, &mut training, Callback::test_begin)?;
                        let measured = evaluator.measure(&graph, training.trainer.values_mut(), range.clone())?;
                        tell(&mut callbacks, &mut training, Callback::test_end)?;
                        Some(measured)
                    }
                    None => None,
                };
                training.end_epoch(started, measured);
                tell(&mut callbacks, &mut training, Callback::epoch_end)?;
                training.keep_changes();
                hand_out_state(&mut callbacks, &mut training)?;
            }
            tell(&mut callbacks, &mut training, Callback::train_end)?;
            training.keep_changes();
            Ok(())
        };
        let result = run();
        let Training { kept, history, .. } = training;
        self.compiled_mut("fit")?.state = kept;
        result.map(|()| history)
    }
}

/// Tells the random numbers of sources from all others of a seed.
const AUGMENTATION: u64 = 0x5eed_da7a;

/// Calls one method of all callbacks, up to one that fails. The layers' parameters are then up to date: nothing is lost.
fn tell<'a>(
    callbacks: &mut [Box<dyn Callback + 'a>],
    training: &mut Training<'_>,
    method: impl Fn(&mut (dyn Callback + 'a), &mut Training<'_>) -> Result<()>,
) -> Result<()> {
    let result = callbacks.iter_mut().try_for_each(|callback| method(&mut **callback, training));
    if result.is_err() {
        training.keep();
    }
    result
}

/// What callbacks keep, those of one name numbered.
fn kept_by(callbacks: &[Box<dyn Callback + '_>]) -> Vec<(usize, Kept)> {
    let mut all: Vec<(usize, Kept)> = Vec::new();
    for (place, callback) in callbacks.iter().enumerate() {
        let Some(mut kept) = callback.keeps() else { continue };
        let name = kept.callback.clone();
        let mut number = 0;
        while all.iter().any(|(_, other)| other.callback == kept.callback) {
            number += 1;
            kept.callback = format!("{name}_{number}");
        }
        all.push((place, kept));
    }
    all
}

/// Gives callbacks back what they kept, if the training goes on from a state. One that was not there then begins anew.
fn restore(callbacks: &mut [Box<dyn Callback + '_>], training: &mut Training<'_>) -> Result<()> {
    let saved = std::mem::take(&mut training.kept_by_callbacks);
    if saved.is_empty() {
        return Ok(());
    }
    for (place, own) in kept_by(callbacks) {
        if let Some(kept) = saved.iter().find(|kept| kept.callback == own.callback) {
            callbacks[place].restore(kept, training)?;
        }
    }
    Ok(())
}

/// Gives the state of the training to the callbacks that want it. The layers' parameters are up to date if one fails.
fn hand_out_state(callbacks: &mut [Box<dyn Callback + '_>], training: &mut Training<'_>) -> Result<()> {
    if !callbacks.iter().any(|callback| callback.wants_state(training)) {
        return Ok(());
    }
    let mut state = training.state();
    state.callbacks = kept_by(callbacks).into_iter().map(|(_, kept)| kept).collect();
    tell(
        callbacks,
        training,
        |callback, training| {
            if callback.wants_state(training) { callback.take_state(&state) } else { Ok(()) }
        },
    )
}

/// How many samples are trained on: those before the validation split.
fn trained_samples(options: &Fit<'_>, samples: usize) -> usize {
    (samples as f64 * (1.0 - f64::from(options.validation_split)) + SPLIT_ROUNDING).floor() as usize
}

/// 0.2 as an f32 is a little more than a fifth: a split of 100 samples by it leaves 80 all the same.
const SPLIT_ROUNDING: f64 = 1e-3;

fn check_schedule(schedule: &dyn Schedule, training: &Training<'_>) -> Result<()> {
    schedule.check()?;
    if schedule.momentum(0, 1).is_some() && !training.trainer.has_momentum() {
        let found = format!("for the optimizer {}", training.trainer.optimizer_name());
        let expected = "for one that has a momentum, such as Sgd::new(0.1).momentum(0.9)".to_owned();
        return Err(Error::Argument { name: "the momentum of the schedule", found, expected });
    }
    Ok(())
}

fn check_split(options: &Fit<'_>, samples: usize) -> Result<()> {
    let split = options.validation_split;
    let found = || split.to_string();
    if !(0.0..1.0).contains(&split) {
        let expected = "at least 0 and below 1".to_owned();
        return Err(Error::Argument { name: "validation_split", found: found(), expected });
    }
    if split > 0.0 && options.validation.is_some() {
        let expected = "0 where `validation` is given too".to_owned();
        return Err(Error::Argument { name: "validation_split", found: found(), expected });
    }
    let trained = trained_samples(options, samples);
    if split > 0.0 && (trained == 0 || trained == samples) {
        let expected = format!("such that of {samples} samples some are trained on and some validated on");
        return Err(Error::Argument { name: "validation_split", found: found(), expected });
    }
    Ok(())
}
