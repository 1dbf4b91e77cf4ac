//! A file with an object of JSON for each epoch.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::log_file::LogFile;
use super::{Callback, Kept};
use crate::error::Result;
use crate::train::Training;

/// Writes a line of JSON for each epoch: an object of `epoch`, from 1, `learning_rate` of its last step, and the measurements; what is
/// no finite number is `null`. The file appears whole or not at all, and is the same after a kill and a resume.
#[derive(Debug, Clone)]
pub struct JsonLines {
    file: LogFile,
}

impl JsonLines {
    /// Writes to this file instead of what is there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { file: LogFile::new(path.into()) }
    }

    /// Writes behind what is there.
    pub fn append(self) -> Self {
        Self { file: self.file.append() }
    }
}

impl Callback for JsonLines {
    fn train_begin(&mut self, _training: &mut Training<'_>) -> Result<()> {
        self.file.begin()
    }

    fn epoch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.file.write(training, "", |log| {
            let mut line = Map::new();
            line.insert("epoch".to_owned(), log.epoch.into());
            // The shortest number that stands for this one.
            line.insert(
                "learning_rate".to_owned(),
                log.learning_rate.to_string().parse().map_or(Value::Null, |rate: f64| json!(rate)),
            );
            line.extend(log.measurements.iter().map(|(name, value)| (name.to_owned(), json!(value))));
            format!("{}\n", Value::Object(line))
        })
    }

    fn keeps(&self) -> Option<Kept> {
        Some(self.file.keeps("json_lines"))
    }

    fn restore(&mut self, kept: &Kept, _training: &mut Training<'_>) -> Result<()> {
        self.file.restore(kept)
    }
}
