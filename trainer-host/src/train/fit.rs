//! `fit`: epochs over a data set.

use std::ops::Range;
use std::time::Instant;

use super::arrange::Arranged;
use super::evaluate::Evaluator;
use super::model::check_batch;
use super::{EpochLog, History, Model, in_pool};
use crate::callbacks::{Begin, Callback, Progress, StepLog};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::numeric::random::Random;
use crate::schedules::Schedule;

/// How to train.
pub struct Fit<'a> {
    /// How many times to go through the data.
    pub epochs: usize,
    /// Samples per step.
    pub batch: usize,
    /// Data to measure on after every epoch.
    pub validation: Option<&'a Dataset>,
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
    pub fn fit(&mut self, data: &Dataset, mut options: Fit<'_>) -> Result<History> {
        check_batch(options.batch)?;
        self.compiled("fit")?;
        let arranged = self.arranged(data)?;
        self.check_classes(&arranged, data.first_sample())?;
        let validation = match options.validation {
            Some(data) => Some((self.arranged(data)?, 0..data.samples())),
            None => None,
        };
        check_split(&options, data.samples())?;
        if u32::try_from(data.samples()).is_err() {
            return Err(Error::Argument {
                name: "the number of samples",
                found: data.samples().to_string(),
                expected: format!("at most {}", u32::MAX),
            });
        }
        if options.verbose {
            options.callbacks.insert(0, Box::new(Progress::new()));
        }
        in_pool(|| self.run_epochs((&arranged, data.samples()), validation, options))
    }

    fn run_epochs(
        &mut self,
        (data, all_samples): (&Arranged<'_>, usize),
        validation: Option<(Arranged<'_>, Range<usize>)>,
        options: Fit<'_>,
    ) -> Result<History> {
        let samples = trained_samples(&options, all_samples);
        let Fit { epochs, seed, shuffle, schedule, mut callbacks, .. } = options;
        let validation = match &validation {
            Some((validation, range)) => Some((validation, range.clone())),
            None => (samples < all_samples).then_some((data, samples..all_samples)),
        };
        let batch = options.batch.min(samples);
        let mut trainer = self.trainer(batch, seed)?;
        let graph = self.shared_graph();
        let objectives = self.compiled("fit")?.objectives.clone();
        let base_rate = self.compiled("fit")?.optimizer.learning_rate();
        let mut validation =
            validation.map(|(data, range)| (Evaluator::new(&graph, objectives, batch.min(range.len())), data, range));
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
            for (number, indices) in order.chunks(batch).enumerate() {
                let step = (epoch - 1) * steps + number;
                factor = schedule.as_ref().map_or(1.0, |schedule| schedule.factor(step, epochs * steps));
                let results = trainer.step(data, indices, factor);
                for (sum, part) in sums.iter_mut().zip(results) {
                    *sum += part;
                }
                done += indices.len();
                let loss = trainer.executor().loss_of(&sums, done);
                if !loss.is_finite() {
                    return Err(Error::Diverged { loss, epoch, step: number + 1 });
                }
                let log = StepLog { epoch, step: number + 1, loss };
                callbacks.iter_mut().for_each(|callback| callback.step(&log));
            }
            let mut measurements = trainer.executor().measurements(&graph, &sums, samples);
            if let Some((evaluator, data, range)) = &mut validation {
                let measured = evaluator.measure(&graph, trainer.values(), data, range.clone());
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
