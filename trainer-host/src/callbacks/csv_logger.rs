//! A CSV file with a row for each epoch.

use std::path::PathBuf;

use super::log_file::LogFile;
use super::{Callback, Kept};
use crate::error::{Error, Result};
use crate::train::Training;

/// Writes a row for each epoch, as Keras's `CSVLogger`: the columns are `epoch`, from 1, `learning_rate` of its last step, and the
/// measurements. The file appears whole or not at all, and is the same after a kill and a resume.
#[derive(Debug, Clone)]
pub struct CsvLogger {
    file: LogFile,
    separator: char,
}

impl CsvLogger {
    /// Writes to this file instead of what is there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { file: LogFile::new(path.into()), separator: ',' }
    }

    /// Writes behind what is there, without another head.
    pub fn append(self) -> Self {
        Self { file: self.file.append(), ..self }
    }

    /// Sets what stands between columns: a comma by default.
    pub fn separator(self, separator: char) -> Self {
        Self { separator, ..self }
    }
}

impl Callback for CsvLogger {
    fn train_begin(&mut self, _training: &mut Training<'_>) -> Result<()> {
        let separator = self.separator;
        if separator.is_alphanumeric() || "._-+\"\n\r".contains(separator) {
            let (found, expected) = (format!("{separator:?}"), "no part of a name or a number".to_owned());
            return Err(Error::Argument { name: "the separator", found, expected });
        }
        self.file.begin()
    }

    fn epoch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        let line = |fields: &mut dyn Iterator<Item = String>| {
            fields.collect::<Vec<_>>().join(self.separator.encode_utf8(&mut [0; 4])) + "\n"
        };
        let measured = training.log().into_iter().flat_map(|log| log.measurements.iter());
        let names = ["epoch", "learning_rate"].into_iter().chain(measured.map(|(name, _)| name));
        let head = if self.file.is_empty() { line(&mut names.map(str::to_owned)) } else { String::new() };
        self.file.write(training, &head, |log| {
            let facts = [log.epoch.to_string(), log.learning_rate.to_string()];
            line(&mut facts.into_iter().chain(log.measurements.iter().map(|(_, value)| value.to_string())))
        })
    }

    fn keeps(&self) -> Option<Kept> {
        Some(self.file.keeps("csv_logger"))
    }

    fn restore(&mut self, kept: &Kept, _training: &mut Training<'_>) -> Result<()> {
        self.file.restore(kept)
    }
}
