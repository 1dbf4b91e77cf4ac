//! A study: what was tried, what is tried, what comes next.

mod drawing;
mod summary;

use crate::database::{Beginning, Lease, Record};
use crate::sampler::{Draw, Past};
use crate::space::Chosen;
use crate::{Direction, Distribution, Error, Outcome, Parameter, Pruner, Result, Sampler, Space, State, Storage, Trial, Value};
use crate::{evolution, front};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::time::Duration;

/// Options of a study.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What comes next.
    pub sampler: Sampler,
    /// What ends early.
    pub pruner: Pruner,
    /// Where random numbers come from.
    pub seed: u64,
    /// Seconds after which a trial that nobody reported on is given to another worker.
    pub lease_seconds: f64,
    /// How often an interrupted trial is begun, before it counts as failed.
    pub attempts: u32,
    /// Steps that a trial reports at most.
    pub steps: u64,
    /// Candidates that are drawn for a trial, at most, until one keeps within limits.
    pub candidates: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sampler: Sampler::default(),
            pruner: Pruner::default(),
            seed: 1,
            lease_seconds: 60.0,
            attempts: 3,
            steps: 9,
            candidates: 1000,
        }
    }
}

/// A study in a database.
#[derive(Debug)]
pub struct Study {
    storage: Storage,
    id: i64,
    directions: Vec<Direction>,
    space: Space,
    options: Options,
    /// Trials that ended, by id: they do not change.
    ended: HashMap<i64, Record>,
}

impl Study {
    /// Opens the study of this name in a file, or begins it. Others may work on it at the same time.
    ///
    /// # Errors
    /// If the file is none of a study's, or of another version, or the study has other objectives.
    pub fn open(path: &Path, name: &str, directions: &[Direction], space: Space, options: Options) -> Result<Self> {
        Self::open_in(Storage::file(path)?, name, directions, space, options)
    }

    /// As [`open`](Self::open), in a storage.
    ///
    /// # Errors
    /// If the database cannot be written, or the study has other objectives.
    pub fn open_in(mut storage: Storage, name: &str, directions: &[Direction], space: Space, options: Options) -> Result<Self> {
        let id = storage.study(name, directions)?;
        Ok(Self { storage, id, directions: directions.to_vec(), space, options, ended: HashMap::new() })
    }

    /// What may be chosen.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// All trials, in the order in which they were begun. Those that ended are read once.
    pub(crate) fn records(&mut self) -> Result<Vec<Record>> {
        let states = self.storage.states(self.id)?;
        let unread: Vec<i64> = states.iter().map(|(id, _)| *id).filter(|id| !self.ended.contains_key(id)).collect();
        let mut running = HashMap::new();
        for record in self.storage.records(&unread)? {
            let records = if record.state.is_finished() { &mut self.ended } else { &mut running };
            records.insert(record.id, record);
        }
        Ok(states.iter().filter_map(|(id, _)| self.ended.get(id).or_else(|| running.get(id)).cloned()).collect())
    }

    /// All trials, in the order in which they were begun.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn trials(&mut self) -> Result<Vec<Trial>> {
        Ok(self.records()?.iter().map(|record| Trial::of(record, None)).collect())
    }

    /// The next trial; one that was interrupted comes first.
    ///
    /// # Errors
    /// If the database cannot be written, or a grid has no more.
    pub fn ask(&mut self) -> Result<Trial> {
        self.ask_where(|_| true)
    }

    /// A trial that was interrupted, to be begun again, if there is one.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub fn ask_interrupted(&mut self) -> Result<Option<Trial>> {
        let (seconds, attempts) = (self.options.lease_seconds, self.options.attempts);
        let Some(lease) = self.storage.take_over(self.id, &token(), seconds, attempts)? else { return Ok(None) };
        let record = self.storage.record(lease.trial)?;
        Ok(Some(Trial::of(&record, Some(lease))))
    }

    /// Keeps something that is known of the study; [`Storage::attribute`] finds it.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub fn describe(&mut self, key: &str, value: &Json) -> Result<()> {
        self.storage.describe(self.id, key, value)
    }

    /// How often each trial was begun, by its number; those that others than this crate began are not among them.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn attempts(&mut self) -> Result<Vec<(u64, u32)>> {
        self.storage.attempts(self.id)
    }

    /// Waits until a trial ends, is given back or was interrupted, or for `at_most`; may end before, and is to be called in a loop. `false`
    /// if there is nothing to wait for: no trial runs that has a lease.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn wait(&mut self, at_most: Duration) -> Result<bool> {
        let Some(soonest) = self.storage.soonest(self.id)? else { return Ok(false) };
        // A little later than its end, so that it has ended.
        let soonest = Duration::from_secs_f64(soonest.max(0.0)) + Duration::from_millis(10);
        self.storage.wait(soonest.min(at_most))?;
        Ok(true)
    }

    /// The next trial, of which `fits` is true. How many candidates it was not true of is in the trial's notes as `rejected`.
    ///
    /// # Errors
    /// As [`ask`](Self::ask); if none of [`Options::candidates`] fits.
    pub fn ask_where(&mut self, fits: impl FnMut(&Chosen) -> bool) -> Result<Trial> {
        let none = || Error::Space("a study has no more trials".to_owned());
        self.ask_limited(u64::MAX, fits)?.ok_or_else(none)
    }

    /// As [`ask_where`](Self::ask_where), but begins no trial if the study has so many, whoever began them.
    ///
    /// # Errors
    /// As [`ask_where`](Self::ask_where).
    pub fn ask_limited(&mut self, trials: u64, mut fits: impl FnMut(&Chosen) -> bool) -> Result<Option<Trial>> {
        loop {
            if let Some(trial) = self.ask_interrupted()? {
                return Ok(Some(trial));
            }
            let records = self.records()?;
            if records.len() as u64 >= trials {
                return Ok(None);
            }
            // If another worker was faster, this is drawn again: what it tries now is known, and its number is taken.
            if let Some(lease) = self.begin(&records, &mut fits)? {
                let record = self.storage.record(lease.trial)?;
                return Ok(Some(Trial::of(&record, Some(lease))));
            }
        }
    }

    /// Draws a trial for the number behind `records`, and begins it if nobody else has.
    fn begin(&mut self, records: &[Record], fits: &mut dyn FnMut(&Chosen) -> bool) -> Result<Option<Lease>> {
        let (direction, number) = (self.directions[0], records.len() as u64);
        let ranks = (self.directions.len() > 1).then(|| {
            let losses = |record: &Record| (record.state == State::Complete).then(|| self.losses(record));
            front::ranks(&records.iter().map(losses).collect::<Vec<_>>())
        });
        let past: Vec<Past<'_>> = records
            .iter()
            .enumerate()
            .map(|(place, record)| {
                let last = || record.intermediate.last().map(|last| last.1);
                let value = match record.state {
                    State::Complete => record.values.first().copied(),
                    State::Pruned => last(),
                    _ => None,
                };
                let is_feasible = record.constraints.iter().all(|constraint| *constraint <= 0.0);
                let loss = match &ranks {
                    Some(ranks) => ranks[place],
                    None => value.map(|value| direction.as_loss(value)),
                };
                Past { parameters: &record.parameters, value: loss, is_feasible }
            })
            .collect();
        let rejected_before: u64 = records.iter().filter_map(|record| record.user.get("rejected")?.as_u64()).sum();
        let evolution = self.evolution(records, &past);
        let mut rejected = Rejected::default();
        for candidate in 0..self.options.candidates {
            let draw = Draw { seed: self.options.seed, trial: number, candidate };
            let place = number + rejected_before + candidate;
            let Some((drawn, origin)) = self.draw(draw, place, &rejected.with(&past), evolution.as_ref()) else {
                return Err(Error::Space("the grid has no more combinations".to_owned()));
            };
            let chosen: Chosen = drawn.iter().map(|(place, value)| self.shown(*place, value)).collect();
            if !fits(&chosen) {
                rejected.add(self.space.parameters(), &drawn);
                continue;
            }
            let parameters: Vec<_> = drawn
                .iter()
                .map(|(place, value)| {
                    let parameter = &self.space.parameters()[*place];
                    (parameter.name.as_str(), value.clone(), &parameter.distribution)
                })
                .collect();
            let seed = self.options.seed.wrapping_mul(0x9e37_79b9).wrapping_add(number) & 0xffff_ffff;
            let user = [("seed", Json::from(seed)), ("rejected", Json::from(candidate))];
            let (token, seconds) = (token(), self.options.lease_seconds);
            let system: Vec<_> = origin.iter().map(|origin| (evolution::ATTRIBUTE, origin.to_json())).collect();
            let beginning = Beginning { number, parameters: &parameters, user: &user, system: &system, token: &token, seconds };
            return self.storage.begin(self.id, &beginning);
        }
        Err(Error::Space(format!("none of {} candidates keeps within the limits", self.options.candidates)))
    }

    fn shown(&self, place: usize, value: &Value) -> (String, Json) {
        let parameter = &self.space.parameters()[place];
        (parameter.name.clone(), parameter.shown(value))
    }

    fn held<'a>(&self, trial: &'a Trial) -> Result<&'a Lease> {
        let what = "it was not asked for, but listed".to_owned();
        trial.lease.as_ref().ok_or(Error::Tell { trial: trial.number, what })
    }

    fn checked(trial: &Trial, is_held: bool) -> Result<()> {
        if is_held { Ok(()) } else { Err(Error::Refused { trial: trial.number }) }
    }

    /// Keeps what a trial has come to at a step, and says whether it should end.
    ///
    /// # Errors
    /// If the trial is another worker's by now, or the database cannot be written.
    pub fn report(&mut self, trial: &mut Trial, step: u64, value: f64) -> Result<bool> {
        let lease = self.held(trial)?.clone();
        Self::checked(trial, self.storage.report(&lease, self.options.lease_seconds, step, value)?)?;
        trial.intermediate.retain(|(other, _)| *other != step);
        trial.intermediate.push((step, value));
        if self.options.pruner == Pruner::Off {
            return Ok(false);
        }
        let number = trial.number;
        let others = self.records()?.into_iter().filter(|record| record.number != number && record.state.is_finished());
        let others: Vec<_> =
            others.map(|record| (record.number, record.intermediate)).filter(|(_, values)| !values.is_empty()).collect();
        Ok(self.options.pruner.prunes(self.directions[0], number, &trial.intermediate, &others, self.options.steps))
    }

    /// Says that a trial is still worked on.
    ///
    /// # Errors
    /// As [`report`](Self::report).
    pub fn keep(&mut self, trial: &Trial) -> Result<()> {
        let lease = self.held(trial)?.clone();
        Self::checked(trial, self.storage.renew(&lease, self.options.lease_seconds)?)
    }

    /// Gives a trial back that cannot be gone on with: it is begun again by whoever asks next, and this attempt is not counted.
    ///
    /// # Errors
    /// As [`report`](Self::report).
    pub fn release(&mut self, trial: &Trial) -> Result<()> {
        let lease = self.held(trial)?.clone();
        Self::checked(trial, self.storage.release(&lease)?)
    }

    /// Keeps something that is known of a trial.
    ///
    /// # Errors
    /// As [`report`](Self::report).
    pub fn note(&mut self, trial: &mut Trial, key: &str, value: Json) -> Result<()> {
        let lease = self.held(trial)?.clone();
        Self::checked(trial, self.storage.note(&lease, self.options.lease_seconds, key, &value)?)?;
        trial.notes.insert(key.to_owned(), value);
        Ok(())
    }

    /// Ends a trial.
    ///
    /// # Errors
    /// As [`report`](Self::report); if there is not a value for each objective, or one is NaN.
    pub fn tell(&mut self, trial: &Trial, outcome: Outcome) -> Result<()> {
        self.tell_limited(trial, outcome, &[])
    }

    /// Ends a trial, with what it passed limits by: above 0 where it did.
    ///
    /// # Errors
    /// As [`tell`](Self::tell).
    pub fn tell_limited(&mut self, trial: &Trial, outcome: Outcome, constraints: &[f64]) -> Result<()> {
        if let Outcome::Complete(values) = &outcome {
            let expected = self.directions.len();
            if values.len() != expected || values.iter().any(|value| value.is_nan()) {
                let what = format!("it came to {values:?}, expected {expected} numbers");
                return Err(Error::Tell { trial: trial.number, what });
            }
        }
        let lease = self.held(trial)?.clone();
        Self::checked(trial, self.storage.tell(&lease, &outcome, constraints)?)
    }

    /// A trial's values, small being good.
    fn losses(&self, record: &Record) -> Vec<f64> {
        record.values.iter().zip(&self.directions).map(|(value, direction)| direction.as_loss(*value)).collect()
    }
}

/// Candidates of one trial that did not fit: a sampler with a memory must not come back to them.
#[derive(Default)]
struct Rejected(Vec<HashMap<String, (Value, Distribution)>>);

impl Rejected {
    fn add(&mut self, parameters: &[Parameter], drawn: &[(usize, Value)]) {
        let named = drawn.iter().map(|(place, value)| {
            let parameter = &parameters[*place];
            (parameter.name.clone(), (value.clone(), parameter.distribution.clone()))
        });
        self.0.push(named.collect());
    }

    /// The past, and these as trials beyond limits.
    fn with<'a>(&'a self, past: &[Past<'a>]) -> Vec<Past<'a>> {
        let rejected = self.0.iter().map(|parameters| Past { parameters, value: None, is_feasible: false });
        past.iter().cloned().chain(rejected).collect()
    }
}

/// Random, for each attempt.
fn token() -> String {
    let number = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", number(), number())
}

#[cfg(test)]
#[path = "study_tests.rs"]
mod tests;
