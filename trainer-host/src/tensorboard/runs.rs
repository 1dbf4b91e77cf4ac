//! The runs of a training, each begun when something is written to it.

use std::path::PathBuf;

use super::writer::EventWriter;
use crate::error::Result;

/// Event files of a training.
#[derive(Debug)]
pub struct Runs {
    directory: PathBuf,
    goes_on: bool,
    writers: [Option<EventWriter>; 3],
}

/// A directory of event files within that of the training.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// What is measured on what is trained with, and the model itself.
    Train,
    /// What is measured on other samples.
    Validation,
    /// What the hyperparameters are: the directory itself.
    Session,
}

impl Runs {
    /// The runs in a directory, of a training that `goes_on` or of a new one.
    pub fn new(directory: PathBuf, goes_on: bool) -> Self {
        Self { directory, goes_on, writers: [const { None }; 3] }
    }

    /// The writer of a run.
    ///
    /// # Errors
    /// If its file cannot be made.
    pub fn of(&mut self, run: Run) -> Result<&mut EventWriter> {
        let directory = match run {
            Run::Train => self.directory.join("train"),
            Run::Validation => self.directory.join("validation"),
            Run::Session => self.directory.clone(),
        };
        let writer = &mut self.writers[run as usize];
        match writer {
            Some(writer) => Ok(writer),
            None => Ok(writer.insert(EventWriter::begin(&directory, self.goes_on)?)),
        }
    }

    /// Hands all that was written to the system.
    ///
    /// # Errors
    /// If that fails.
    pub fn flush(&mut self) -> Result<()> {
        self.writers.iter_mut().flatten().try_for_each(EventWriter::flush)
    }
}
