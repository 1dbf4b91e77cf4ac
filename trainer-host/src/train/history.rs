//! What was measured, epoch by epoch.

use std::fmt;

/// Named values: `loss`, `accuracy`, `val_loss`, ...
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Measurements(Vec<(String, f64)>);

impl Measurements {
    /// Adds a value.
    pub(crate) fn push(&mut self, name: String, value: f64) {
        self.0.push((name, value));
    }

    /// Takes over all values of `other` under names that begin with `prefix`.
    pub(crate) fn extend_with_prefix(&mut self, prefix: &str, other: Self) {
        self.0.extend(other.0.into_iter().map(|(name, value)| (format!("{prefix}{name}"), value)));
    }

    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(other, _)| other == name).map(|&(_, value)| value)
    }

    /// All names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}

impl fmt::Display for Measurements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (name, value)) in self.0.iter().enumerate() {
            write!(f, "{}{name} {value:.4}", if position > 0 { "  " } else { "" })?;
        }
        Ok(())
    }
}

/// What was measured in one epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochLog {
    /// The epoch, from 1.
    pub epoch: usize,
    /// The learning rate of its last step.
    pub learning_rate: f32,
    /// How long it took, validation included.
    pub seconds: f64,
    /// What was measured: over the epoch's own batches, and on the validation set with the prefix `val_`.
    pub measurements: Measurements,
}

/// All epochs of a training.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// The epochs, in order.
    pub epochs: Vec<EpochLog>,
}

impl History {
    /// One measurement over all epochs; empty if there is none of this name.
    pub fn get(&self, name: &str) -> Vec<f64> {
        self.epochs.iter().filter_map(|epoch| epoch.measurements.get(name)).collect()
    }

    /// One measurement of the last epoch.
    pub fn last(&self, name: &str) -> Option<f64> {
        self.epochs.last().and_then(|epoch| epoch.measurements.get(name))
    }
}
