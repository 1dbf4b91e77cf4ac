//! Trials that are worked on: begun, renewed, reported on, ended, given back, taken over.

use super::engine::{Fault, Session, cells};
use super::{Storage, first, set_attribute, written_number};
use crate::{Distribution, Outcome, Result, State, Value};
use serde_json::Value as Json;

/// The right to work on a trial.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lease {
    pub trial: i64,
    pub token: String,
    /// From 1.
    pub attempt: u32,
}

/// A trial that is to be begun.
#[derive(Debug)]
pub(crate) struct Beginning<'a> {
    /// The number that it was drawn for.
    pub number: u64,
    pub parameters: &'a [(&'a str, Value, &'a Distribution)],
    pub user: &'a [(&'a str, Json)],
    pub system: &'a [(&'a str, Json)],
    pub token: &'a str,
    /// Of the lease.
    pub seconds: f64,
}

impl Storage {
    /// A new trial; `None` if another one has its number by now.
    pub(crate) fn begin(&mut self, study: i64, beginning: &Beginning<'_>) -> Result<Option<Lease>> {
        let Beginning { number, parameters, user, system, token, seconds } = *beginning;
        self.write(|session, again| {
            if again && let Some(lease) = lease_of(session, token)? {
                return Ok(Some(lease));
            }
            // As Optuna does: who begins a trial has the study's row.
            session.query("SELECT study_id FROM studies WHERE study_id = ?1 {lock}", cells![study])?;
            let count = session.query("SELECT count(*) FROM trials WHERE study_id = ?1", cells![study])?;
            if first(&count)?.integer(0)? as u64 != number {
                return Ok(None);
            }
            let add = "INSERT INTO trials (number, study_id, state, datetime_start) VALUES (?1, ?2, 'RUNNING', {now})
                RETURNING trial_id";
            let trial = first(&session.query(add, cells![number as i64, study])?)?.integer(0)?;
            for (name, value, distribution) in parameters {
                let add =
                    "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES (?1, ?2, ?3, ?4)";
                let cells = cells![trial, *name, Distribution::number(value), distribution.to_json().to_string()];
                session.execute(add, cells)?;
            }
            for (kind, attributes) in [("user", user), ("system", system)] {
                for (key, value) in attributes {
                    set_attribute(session, "trial", trial, kind, key, value)?;
                }
            }
            session.execute(
                "INSERT INTO samara_leases (trial_id, token, attempt, ends) VALUES (?1, ?2, 1, {clock} + ?3)",
                cells![trial, token, seconds],
            )?;
            Ok(Some(Lease { trial, token: token.to_owned(), attempt: 1 }))
        })
    }

    /// A trial whose lease ended without a result, with a new lease of so many seconds; one that was given out `attempts` times is
    /// failed instead. How many attempts were interrupted is in the trial's notes.
    pub(crate) fn take_over(&mut self, study: i64, token: &str, seconds: f64, attempts: u32) -> Result<Option<Lease>> {
        let ended = "SELECT l.trial_id, l.attempt, l.token FROM samara_leases l JOIN trials t ON t.trial_id = l.trial_id
            WHERE t.study_id = ?1 AND t.state = 'RUNNING' AND l.ends < {clock} ORDER BY l.trial_id";
        // Looked for without holding anything up.
        let is_there = |session: &mut dyn Session| Ok(!session.query(ended, cells![study])?.is_empty());
        if !self.read(is_there)? {
            return Ok(None);
        }
        self.write(|session, again| {
            if again && let Some(lease) = lease_of(session, token)? {
                return Ok(Some(lease));
            }
            for row in session.query(ended, cells![study])? {
                let (trial, attempt, before) = (row.integer(0)?, row.integer(1)? as u32, row.text(2)?);
                // Another worker may have ended it, renewed it or taken it in between.
                let has_ended = "UPDATE samara_leases SET token = ?2, ends = {clock} + ?3
                    WHERE trial_id = ?1 AND token = ?4 AND ends < {clock}";
                if !is_running(session, trial)? || session.execute(has_ended, cells![trial, token, seconds, before])? == 0 {
                    continue;
                }
                // One that was given back, and never begun otherwise, was not interrupted.
                if attempt > 0 {
                    set_attribute(session, "trial", trial, "user", "interrupted", &Json::from(attempt))?;
                }
                if attempt >= attempts {
                    finish(session, trial, State::Fail)?;
                    continue;
                }
                session.execute("UPDATE samara_leases SET attempt = attempt + 1 WHERE trial_id = ?1", cells![trial])?;
                // What the attempt before reported would be told twice.
                session.execute("DELETE FROM trial_intermediate_values WHERE trial_id = ?1", cells![trial])?;
                return Ok(Some(Lease { trial, token: token.to_owned(), attempt: attempt + 1 }));
            }
            Ok(None)
        })
    }

    /// Seconds until the first lease of a running trial ends; `None` if none runs that has one.
    pub(crate) fn soonest(&mut self, study: i64) -> Result<Option<f64>> {
        let soonest = "SELECT l.ends - {clock} FROM samara_leases l JOIN trials t ON t.trial_id = l.trial_id
            WHERE t.study_id = ?1 AND t.state = 'RUNNING' ORDER BY l.ends LIMIT 1";
        self.read(|session| session.query(soonest, cells![study])?.first().map(|row| row.real(0)).transpose())
    }

    /// How often each trial was begun, by its number.
    pub(crate) fn attempts(&mut self, study: i64) -> Result<Vec<(u64, u32)>> {
        let attempts = "SELECT t.number, l.attempt FROM samara_leases l JOIN trials t ON t.trial_id = l.trial_id
            WHERE t.study_id = ?1 ORDER BY t.number";
        self.read(|session| {
            let rows = session.query(attempts, cells![study])?;
            rows.iter().map(|row| Ok((row.integer(0)? as u64, row.integer(1)? as u32))).collect()
        })
    }

    /// Writes with a lease, which is renewed; `false` if it is not the trial's any more.
    fn with_lease(
        &mut self,
        lease: &Lease,
        seconds: f64,
        mut work: impl FnMut(&mut dyn Session) -> Result<(), Fault>,
    ) -> Result<bool> {
        self.write(|session, again| {
            if !is_running(session, lease.trial)? {
                // It was ended with this token just before the connection was lost.
                return Ok(again && lease_of(session, &lease.token)?.is_some());
            }
            let renew = "UPDATE samara_leases SET ends = {clock} + ?3 WHERE trial_id = ?1 AND token = ?2";
            if session.execute(renew, cells![lease.trial, lease.token.as_str(), seconds])? == 0 {
                return Ok(false);
            }
            work(session)?;
            Ok(true)
        })
    }

    /// Renews a lease.
    pub(crate) fn renew(&mut self, lease: &Lease, seconds: f64) -> Result<bool> {
        self.with_lease(lease, seconds, |_| Ok(()))
    }

    /// Gives a trial back, to be begun again at once; this attempt does not count.
    pub(crate) fn release(&mut self, lease: &Lease) -> Result<bool> {
        self.with_lease(lease, -1.0, |session| {
            let uncounted = "UPDATE samara_leases SET attempt = attempt - 1, token = '' WHERE trial_id = ?1";
            session.execute(uncounted, cells![lease.trial])?;
            session.notify()
        })
    }

    /// Keeps a value of a step.
    pub(crate) fn report(&mut self, lease: &Lease, seconds: f64, step: u64, value: f64) -> Result<bool> {
        self.with_lease(lease, seconds, |session| {
            let (value, kind) = written_number(value);
            let add =
                "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type) VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT (trial_id, step) DO UPDATE SET intermediate_value = excluded.intermediate_value,
                intermediate_value_type = excluded.intermediate_value_type";
            session.execute(add, cells![lease.trial, step as i64, value, kind]).map(|_| ())
        })
    }

    /// Keeps something that is known of a trial.
    pub(crate) fn note(&mut self, lease: &Lease, seconds: f64, key: &str, value: &Json) -> Result<bool> {
        self.with_lease(lease, seconds, |session| set_attribute(session, "trial", lease.trial, "user", key, value))
    }

    /// Ends a trial.
    pub(crate) fn tell(&mut self, lease: &Lease, outcome: &Outcome, constraints: &[f64]) -> Result<bool> {
        self.with_lease(lease, 0.0, |session| {
            if !constraints.is_empty() {
                set_attribute(session, "trial", lease.trial, "system", "constraints", &Json::from(constraints))?;
            }
            let state = match outcome {
                Outcome::Complete(values) => {
                    for (objective, value) in values.iter().enumerate() {
                        let (value, kind) = written_number(*value);
                        let add = "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?1, ?2, ?3, ?4)";
                        session.execute(add, cells![lease.trial, objective as i64, value, kind])?;
                    }
                    State::Complete
                }
                Outcome::Pruned => State::Pruned,
                Outcome::Failed(reason) => {
                    set_attribute(session, "trial", lease.trial, "user", "error", &Json::from(reason.as_str()))?;
                    State::Fail
                }
            };
            finish(session, lease.trial, state)
        })
    }
}

/// Whether a trial runs; until the transaction ends, nobody else ends it.
fn is_running(session: &mut dyn Session, trial: i64) -> Result<bool, Fault> {
    let found = session.query("SELECT state FROM trials WHERE trial_id = ?1 {lock}", cells![trial])?;
    Ok(found.first().map(|row| row.text(0)).transpose()? == Some(State::Running.name()))
}

/// The lease of a token.
fn lease_of(session: &mut dyn Session, token: &str) -> Result<Option<Lease>, Fault> {
    let found = session.query("SELECT trial_id, attempt FROM samara_leases WHERE token = ?1", cells![token])?;
    let lease =
        |row: &super::Row| Ok(Lease { trial: row.integer(0)?, token: token.to_owned(), attempt: row.integer(1)? as u32 });
    found.first().map(lease).transpose()
}

fn finish(session: &mut dyn Session, trial: i64, state: State) -> Result<(), Fault> {
    let set = "UPDATE trials SET state = ?2, datetime_complete = {now} WHERE trial_id = ?1";
    session.execute(set, cells![trial, state.name()])?;
    session.notify()
}

#[cfg(test)]
impl Storage {
    /// On an engine as a test made it.
    pub(super) fn of_engine(engine: impl super::Engine + 'static) -> Self {
        Self { engine: Box::new(engine) }
    }

    /// So many complete trials of two parameters.
    pub fn fill_for_tests(&mut self, study: i64, trials: usize) {
        let range = Distribution::Float { low: -4.0, high: 4.0, log: false, step: None }.to_json().to_string();
        let fill = |session: &mut dyn Session| {
            for number in 0..trials as i64 {
                let add = "INSERT INTO trials (number, study_id, state) VALUES (?1, ?2, 'COMPLETE') RETURNING trial_id";
                let trial = first(&session.query(add, cells![number, study])?)?.integer(0)?;
                for name in ["x", "y"] {
                    let value = (number as f64 * if name == "x" { 0.37 } else { 0.11 }).sin() * 4.0;
                    let add = "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES (?1, ?2, ?3, ?4)";
                    session.execute(add, cells![trial, name, value, range.as_str()])?;
                }
                let add = "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?1, 0, ?2, 'FINITE')";
                session.execute(add, cells![trial, number as f64 / 100.0])?;
            }
            Ok(())
        };
        self.write(|session, _| fill(session)).unwrap();
    }
}
