//! Saves the state of the training.

use std::path::PathBuf;

use super::Callback;
use crate::error::Result;
use crate::train::{Training, TrainingState};

/// Writes the state of the training to a file after every epoch, with all that callbacks keep, so that one that was interrupted
/// can go on ([`Fit::resume`](crate::Fit::resume), or [`BackupAndRestore`](super::BackupAndRestore) by itself). The file always
/// holds a whole state: the last one, or the one before it.
#[derive(Debug, Clone)]
pub struct SaveState {
    pub(super) path: PathBuf,
    every_steps: Option<usize>,
}

impl SaveState {
    /// Saves to this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), every_steps: None }
    }

    /// Saves within epochs, too: whenever an epoch has made so many steps more, at least 1.
    pub fn every_steps(self, steps: usize) -> Self {
        Self { every_steps: Some(if steps == 0 { 1 } else { steps }), ..self }
    }
}

impl Callback for SaveState {
    fn wants_state(&self, training: &Training<'_>) -> bool {
        // An epoch that was stopped halfway is measured, which a resumed training would do again; one that diverged has nothing
        // to go on with.
        let is_due = if training.is_between_epochs() {
            training.step() == training.steps()
        } else {
            self.every_steps.is_some_and(|steps| training.step().is_multiple_of(steps))
        };
        is_due && training.loss().is_finite()
    }

    fn take_state(&mut self, state: &TrainingState) -> Result<()> {
        state.save(&self.path)
    }
}
