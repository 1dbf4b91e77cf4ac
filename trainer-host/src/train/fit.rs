//! `fit`: epochs over a data set.

use std::ops::Range;
use std::time::Instant;

use super::evaluate::Evaluator;
use super::feed::{Feed, Purpose};
use super::loader::{Loader, Order};
use super::model::check_batch;
use super::{EpochLog, History, Model, in_pool};
use crate::callbacks::{Begin, Callback, Progress, StepLog};
use crate::data::Source;
use crate::error::{Error, Result};
use crate::numeric::random::{Random, derive};
use crate::schedules::Schedule;

/// How to train.
pub struct Fit<'a> {
    /// How many times to go through the data.
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
    /// Takes the samples in a new order in every epoch.
    pub shuffle: bool,
    /// Changes the learning rate from step to step.
    pub schedule: Option<Box<dyn Schedule>>,
    /// Shows a progress bar, if standard error is a terminal, and a line per epoch.
    pub verbose: bool,
    /// Who else wants to know.
    pub callbacks: Vec<Box<dyn Callback + 'a>>,
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
        }
    }
}

impl Model {
    /// Trains the model. The layers' parameters are up to date after every epoch; if an error ends the training, they
    /// are those of the last epoch that was finished.
    ///
    /// # Errors
    /// Before `compile`; if the data does not fit the model; if the loss becomes NaN or infinite.
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
        let Fit { epochs, seed, shuffle, schedule, mut callbacks, .. } = options;
        let batch = options.batch.min(samples);
        let mut trainer = self.trainer(batch, seed)?;
        let graph = self.shared_graph();
        let base_rate = self.compiled("fit")?.optimizer.learning_rate();
        let mut loader = Loader::new(feed, batch);
        let mut validation = validation.map(|(feed, range)| (Evaluator::new(&graph, feed, range.len()), range));
        let mut order: Vec<u32> = (0..samples as u32).collect();
        let steps = samples.div_ceil(batch);
        let mut history = History::default();
        let begin = Begin { epochs, steps, samples };
        callbacks.iter_mut().for_each(|callback| callback.begin(&begin));
        for epoch in 1..=epochs {
            let started = Instant::now();
            trainer.follow_freezing();
            if shuffle {
                // From the identity on: an epoch's order depends on no other epoch.
                order.iter_mut().zip(0..).for_each(|(sample, number)| *sample = number);
                Random::new(seed, epoch as u64).shuffle(&mut order);
            }
            let mut sums = vec![0.0; trainer.executor().results().len()];
            let (mut done, mut factor) = (0, 1.0);
            let mut number = 0;
            loader.for_each(Order::List(&order), derive(seed ^ AUGMENTATION, epoch as u64), |feed, buffers| {
                let step = (epoch - 1) * steps + number;
                factor = schedule.as_ref().map_or(1.0, |schedule| schedule.factor(step, epochs * steps));
                let results = trainer.step(feed, buffers, factor);
                for (sum, part) in sums.iter_mut().zip(results) {
                    *sum += part;
                }
                done += buffers.samples();
                let loss = trainer.executor().loss_of(&sums, done);
                if !loss.is_finite() {
                    return Err(Error::Diverged { loss, epoch, step: number + 1 });
                }
                let log = StepLog { epoch, step: number + 1, loss };
                callbacks.iter_mut().for_each(|callback| callback.step(&log));
                number += 1;
                Ok(true)
            })?;
            let mut measurements = trainer.executor().measurements(&graph, &sums, samples);
            if let Some((evaluator, range)) = &mut validation {
                let measured = evaluator.measure(&graph, trainer.values(), range.clone())?;
                measurements.extend_with_prefix("val_", measured);
            }
            trainer.store();
            let seconds = started.elapsed().as_secs_f64();
            let log = EpochLog { epoch, learning_rate: base_rate * factor, seconds, measurements };
            // All are told, also behind one that says stop.
            let mut goes_on = true;
            for callback in &mut callbacks {
                goes_on &= callback.epoch(&log);
            }
            history.epochs.push(log);
            self.compiled_mut("fit")?.state.clone_from(trainer.state());
            if !goes_on {
                break;
            }
        }
        callbacks.iter_mut().for_each(|callback| callback.end());
        Ok(history)
    }
}

/// Tells the random numbers of sources from all others of a seed.
const AUGMENTATION: u64 = 0x5eed_da7a;

/// How many samples are trained on: those before the validation split.
fn trained_samples(options: &Fit<'_>, samples: usize) -> usize {
    (samples as f64 * (1.0 - f64::from(options.validation_split)) + SPLIT_ROUNDING).floor() as usize
}

/// 0.2 as an f32 is a little more than a fifth: a split of 100 samples by it leaves 80 all the same.
const SPLIT_ROUNDING: f64 = 1e-3;

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
