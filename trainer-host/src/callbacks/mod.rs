//! Callbacks: who is told of the steps and epochs of a training. One file each.

mod progress;

pub use progress::Progress;

use crate::train::EpochLog;

/// What a training is going to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begin {
    /// Epochs, at most.
    pub epochs: usize,
    /// Steps per epoch.
    pub steps: usize,
    /// Samples per epoch.
    pub samples: usize,
}

/// A step that was made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepLog {
    /// The epoch, from 1.
    pub epoch: usize,
    /// The step within the epoch, from 1.
    pub step: usize,
    /// The mean loss since the epoch began.
    pub loss: f64,
}

/// Is told what happens in `fit`.
pub trait Callback: Send {
    /// Before the first step.
    fn begin(&mut self, begin: &Begin) {
        let _ = begin;
    }

    /// After every step.
    fn step(&mut self, log: &StepLog) {
        let _ = log;
    }

    /// After every epoch; `false` ends the training.
    fn epoch(&mut self, log: &EpochLog) -> bool {
        let _ = log;
        true
    }

    /// After the last epoch.
    fn end(&mut self) {}
}
