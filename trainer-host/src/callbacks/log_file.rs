//! A text file with a line for each epoch, which a training that is killed and resumed leaves as one that is not.

use std::path::PathBuf;

use super::Kept;
use crate::checkpoint::{read_file, write_file};
use crate::error::Result;
use crate::train::{EpochLog, Training};

/// The file is written anew after every epoch, from the history, which is part of the training's state: no line is lost or stands twice.
#[derive(Debug, Clone)]
pub(super) struct LogFile {
    path: PathBuf,
    append: bool,
    /// What stood there when the training began, if it is to stay.
    before: Vec<u8>,
}

impl LogFile {
    pub fn new(path: PathBuf) -> Self {
        Self { path, append: false, before: Vec::new() }
    }

    pub fn append(self) -> Self {
        Self { append: true, ..self }
    }

    /// Reads what is to stay.
    pub fn begin(&mut self) -> Result<()> {
        self.before = if self.append && self.path.exists() { read_file(&self.path)? } else { Vec::new() };
        Ok(())
    }

    /// `true` if nothing stands before the training's lines.
    pub fn is_empty(&self) -> bool {
        self.before.is_empty()
    }

    /// Writes what stood there, a head and a line for each epoch.
    pub fn write(&self, training: &Training<'_>, head: &str, line: impl Fn(&EpochLog) -> String) -> Result<()> {
        let mut bytes = self.before.clone();
        bytes.extend(head.as_bytes());
        for log in &training.history().epochs {
            bytes.extend(line(log).as_bytes());
        }
        Ok(write_file(&self.path, &bytes)?)
    }

    pub fn keeps(&self, callback: &str) -> Kept {
        Kept::new(callback).with_u64("bytes_before", [self.before.len() as u64])
    }

    /// Forgets the lines of this training that stood there already when it was resumed.
    pub fn restore(&mut self, kept: &Kept) -> Result<()> {
        let [length] = kept.u64("bytes_before")?;
        self.before.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(())
    }
}
