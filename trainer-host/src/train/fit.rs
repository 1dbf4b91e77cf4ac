//! `fit`: epochs over a data set.

use std::time::Instant;

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
        self.check(data)?;
        if let Some(validation) = options.validation {
            self.check(validation)?;
        }
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
        in_pool(|| self.run_epochs(data, options))
    }

    fn run_epochs(&mut self, data: &Dataset, options: Fit<'_>) -> Result<History> {
        let Fit { epochs, validation, seed, shuffle, schedule, mut callbacks, .. } = options;
        let samples = data.samples();
        let batch = options.batch.min(samples);
        let mut trainer = self.trainer(batch, seed)?;
        let graph = self.shared_graph();
        let objectives = self.compiled("fit")?.objectives.clone();
        let base_rate = self.compiled("fit")?.optimizer.learning_rate();
        let mut evaluator = validation.map(|data| Evaluator::new(&graph, objectives, batch.min(data.samples())));
        let mut order: Vec<u32> = (0..samples as u32).collect();
        let steps = samples.div_ceil(batch);
        let mut history = History::default();
        let begin = Begin { epochs, steps, samples };
        callbacks.iter_mut().for_each(|callback| callback.begin(&begin));
        for epoch in 1..=epochs {
            let started = Instant::now();
            if shuffle {
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
            if let (Some(evaluator), Some(data)) = (&mut evaluator, validation) {
                measurements.extend_with_prefix("val_", evaluator.measure(&graph, trainer.values(), data));
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
            self.compiled_mut("fit")?.state.clone_from(&trainer.state);
            if !goes_on {
                break;
            }
        }
        callbacks.iter_mut().for_each(|callback| callback.end());
        Ok(history)
    }
}
