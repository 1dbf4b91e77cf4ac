//! What a callback keeps from step to step, as named values of the training's state.

use crate::checkpoint::CheckpointError;
use crate::checkpoint::records::{Record, Values};
use crate::error::Result;

/// Named values that a callback needs to go on: counters, the best measurement, averages of weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    pub(crate) callback: String,
    /// Under their own names.
    pub(crate) records: Vec<Record>,
}

impl Kept {
    /// Nothing yet, of a callback of this name, without slashes: `"early_stopping"`. Several of one name are told apart by their order.
    pub fn new(callback: impl Into<String>) -> Self {
        Self { callback: callback.into(), records: Vec::new() }
    }

    fn with(mut self, name: &str, values: Values) -> Self {
        self.records.push(Record::list(name, values));
        self
    }

    /// Adds numbers.
    pub fn with_f64(self, name: &str, values: impl Into<Vec<f64>>) -> Self {
        self.with(name, Values::F64(values.into()))
    }

    /// Adds numbers, such as weights.
    pub fn with_f32(self, name: &str, values: impl Into<Vec<f32>>) -> Self {
        self.with(name, Values::F32(values.into()))
    }

    /// Adds counts.
    pub fn with_u64(self, name: &str, values: impl Into<Vec<u64>>) -> Self {
        self.with(name, Values::U64(values.into()))
    }

    fn find(&self, name: &str) -> Option<&Values> {
        self.records.iter().find(|record| record.name == name).map(|record| &record.values)
    }

    /// The numbers of this name, as many as wanted.
    ///
    /// # Errors
    /// If there are none, or more or less.
    pub fn f64<const N: usize>(&self, name: &str) -> Result<[f64; N]> {
        let Some(Values::F64(values)) = self.find(name) else { return Err(self.wrong(name)) };
        values[..].try_into().map_err(|_| self.wrong(name))
    }

    /// The counts of this name, as many as wanted.
    ///
    /// # Errors
    /// If there are none, or more or less.
    pub fn u64<const N: usize>(&self, name: &str) -> Result<[u64; N]> {
        let Some(Values::U64(values)) = self.find(name) else { return Err(self.wrong(name)) };
        values[..].try_into().map_err(|_| self.wrong(name))
    }

    /// The numbers of this name, none if there is no such name.
    ///
    /// # Errors
    /// If it has no f32 values.
    pub fn f32(&self, name: &str) -> Result<Option<&[f32]>> {
        match self.find(name) {
            None => Ok(None),
            Some(Values::F32(values)) => Ok(Some(values)),
            Some(_) => Err(self.wrong(name)),
        }
    }

    /// What is told of a name that is missing or makes no sense.
    pub fn wrong(&self, name: &str) -> crate::Error {
        let reason = format!("what the callback {} kept as {name} is missing, or makes no sense", self.callback);
        CheckpointError::Damaged { reason }.into()
    }
}
