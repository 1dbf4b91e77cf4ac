//! A trial: what it is made of, what it came to, what has become of it.

use crate::database::{Lease, Record};
use crate::space::Chosen;
use crate::{Error, Result};
use serde_json::Value as Json;
use std::collections::HashMap;

/// Whether small or large is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Small is good.
    Minimize,
    /// Large is good.
    Maximize,
}

impl Direction {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Minimize => "MINIMIZE",
            Self::Maximize => "MAXIMIZE",
        }
    }

    /// The value, small being good.
    pub(crate) fn as_loss(self, value: f64) -> f64 {
        match self {
            Self::Minimize => value,
            Self::Maximize => -value,
        }
    }
}

/// What has become of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Somebody works on it.
    Running,
    /// It has its values.
    Complete,
    /// It was not worth going on with.
    Pruned,
    /// It ended with an error, or was interrupted too often.
    Fail,
    /// Somebody asked for it, nobody has begun.
    Waiting,
}

impl State {
    const ALL: [(Self, &str); 5] = [
        (Self::Running, "RUNNING"),
        (Self::Complete, "COMPLETE"),
        (Self::Pruned, "PRUNED"),
        (Self::Fail, "FAIL"),
        (Self::Waiting, "WAITING"),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, own)| *own == name).map(|(state, _)| *state)
    }

    /// Whether nothing more will become of it.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Complete | Self::Pruned | Self::Fail)
    }
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// With a value for each objective.
    Complete(Vec<f64>),
    /// Before its end: it was not worth it.
    Pruned,
    /// With an error.
    Failed(String),
}

/// A trial to work on, or one that ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// From 0 on.
    pub number: u64,
    /// What has become of it.
    pub state: State,
    /// What was chosen, as people see it; what is not there was not to be chosen.
    pub parameters: Chosen,
    /// A value for each objective, of complete ones.
    pub values: Vec<f64>,
    /// What was reported.
    pub intermediate: Vec<(u64, f64)>,
    /// What else is known of it: its seed, its size, ...
    pub notes: HashMap<String, Json>,
    /// Above 0 where a limit was passed.
    pub constraints: Vec<f64>,
    /// How often it was begun; 0 of ended ones.
    pub attempt: u32,
    pub(crate) lease: Option<Lease>,
}

impl Trial {
    /// Where its random numbers come from: the same for each attempt.
    pub fn seed(&self) -> u64 {
        self.notes.get("seed").and_then(Json::as_u64).unwrap_or(self.number)
    }

    fn parameter(&self, name: &str) -> Result<&Json> {
        let missing = || self.fault(format!("there is no parameter {name} in it"));
        self.parameters.get(name).ok_or_else(missing)
    }

    fn fault(&self, what: String) -> Error {
        Error::Parameter { trial: self.number, what }
    }

    /// A number.
    ///
    /// # Errors
    /// If it is not there, or no number.
    pub fn float(&self, name: &str) -> Result<f64> {
        let value = self.parameter(name)?;
        value.as_f64().ok_or_else(|| self.fault(format!("{name} is {value}, expected a number")))
    }

    /// An integer.
    ///
    /// # Errors
    /// If it is not there, or no integer.
    pub fn integer(&self, name: &str) -> Result<i64> {
        let value = self.parameter(name)?;
        value.as_i64().ok_or_else(|| self.fault(format!("{name} is {value}, expected an integer")))
    }

    /// True or false.
    ///
    /// # Errors
    /// If it is not there, or neither.
    pub fn flag(&self, name: &str) -> Result<bool> {
        let value = self.parameter(name)?;
        value.as_bool().ok_or_else(|| self.fault(format!("{name} is {value}, expected true or false")))
    }

    pub(crate) fn of(record: &Record, lease: Option<Lease>) -> Self {
        let parameters =
            record.parameters.iter().map(|(name, (value, distribution))| (name.clone(), distribution.shown(value)));
        Self {
            number: record.number,
            state: record.state,
            parameters: parameters.collect(),
            values: record.values.clone(),
            intermediate: record.intermediate.clone(),
            notes: record.user.clone(),
            constraints: record.constraints.clone(),
            attempt: lease.as_ref().map_or(0, |lease| lease.attempt),
            lease,
        }
    }
}
