//! Saves the state of the training after every epoch.

use std::path::PathBuf;

use super::Callback;
use crate::error::Result;
use crate::train::Training;

/// Writes the state of the training to a file after every epoch, so that one that was interrupted can go on
/// ([`Fit::resume`](crate::Fit::resume)). The file always holds a whole state: the last one, or the one before it.
#[derive(Debug, Clone)]
pub struct SaveState {
    path: PathBuf,
}

impl SaveState {
    /// Saves to this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl Callback for SaveState {
    fn epoch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        training.state().save(&self.path)
    }
}
