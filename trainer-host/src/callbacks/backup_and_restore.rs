//! Saves the state of the training, and goes on from it by itself.

use std::path::PathBuf;

use super::{Callback, SaveState};
use crate::error::Result;
use crate::train::{Training, TrainingState};

/// Saves the state of the training as [`SaveState`] does, goes on from it if there is one when a training begins, and removes it
/// when the training is finished, as Keras's `BackupAndRestore`: a program that is killed and started again needs nothing else.
///
/// ```
/// use samara_trainer::prelude::*;
///
/// let backup = callbacks::BackupAndRestore::new("training.state");
/// let fit = Fit { epochs: 100, callbacks: vec![Box::new(backup)], ..Fit::default() };
/// ```
#[derive(Debug, Clone)]
pub struct BackupAndRestore {
    save: SaveState,
}

impl BackupAndRestore {
    /// Saves to this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { save: SaveState::new(path) }
    }

    /// Saves within epochs, too: whenever an epoch has made so many steps more, at least 1.
    pub fn every_steps(self, steps: usize) -> Self {
        Self { save: self.save.every_steps(steps) }
    }
}

impl Callback for BackupAndRestore {
    fn train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        if training.epoch() == 0 && self.save.path.exists() {
            training.go_on_from(&TrainingState::load(&self.save.path)?)?;
        }
        Ok(())
    }

    fn train_end(&mut self, _training: &mut Training<'_>) -> Result<()> {
        if self.save.path.exists() {
            std::fs::remove_file(&self.save.path)?;
        }
        Ok(())
    }

    fn wants_state(&self, training: &Training<'_>) -> bool {
        self.save.wants_state(training)
    }

    fn take_state(&mut self, state: &TrainingState) -> Result<()> {
        self.save.take_state(state)
    }
}
