//! Why a data set cannot be had, in sentences that name the file, what was found and what was expected.

use std::io;
use std::path::{Path, PathBuf};

/// An error of the readers of data sets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A file cannot be opened, read or written.
    #[error("{} cannot be {doing}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried: "read", "written".
        doing: &'static str,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// A file is not what its name says: damaged, cut short, or something else.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// A field of a table is not what its column expects.
    #[error("{}, line {line}, column {column}: found {found}, expected {expected}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The line where its row begins, from 1.
        line: u64,
        /// The column's name.
        column: String,
        /// What stands there.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A directory lacks a file of the data set.
    #[error("{} has neither {file} nor {file}.gz", directory.display())]
    Missing {
        /// The directory.
        directory: PathBuf,
        /// The file without `.gz`.
        file: &'static str,
    },
    /// There is no data set of that name, and no file or directory.
    #[error("there is no data set {name:?}, and no directory or .npz file of that name; known data sets: {known}")]
    Unknown {
        /// The name or path.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// A data set that is not downloaded is not on this machine.
    #[error("{name} is not on this machine, and is not downloaded: put {files} into {}", directory.display())]
    NotHere {
        /// The data set.
        name: &'static str,
        /// What it consists of, and where that is to be had.
        files: String,
        /// Where it is looked for first.
        directory: PathBuf,
    },
    /// A file cannot be downloaded.
    #[error("{address} cannot be downloaded: {reason}")]
    Download {
        /// Where from.
        address: String,
        /// Why not.
        reason: String,
    },
    /// The samples do not make a data set.
    #[error("{origin}: {error}")]
    Data {
        /// The data set or file.
        origin: String,
        /// What is wrong.
        #[source]
        error: Box<crate::error::Error>,
    },
    /// No directory to keep downloads in.
    #[error("there is no place for downloads: set SAMARA_DATA to a directory that holds the data, or HOME or XDG_CACHE_HOME")]
    NoCache,
}

impl SourceError {
    pub(in crate::data) fn read(path: &Path, error: io::Error) -> Self {
        Self::File { path: path.to_owned(), doing: "read", error }
    }

    pub(super) fn written(path: &Path, error: io::Error) -> Self {
        Self::File { path: path.to_owned(), doing: "written", error }
    }

    /// An error of the trainer about a directory's samples, as one of the readers.
    pub(super) fn of(directory: &Path, error: crate::error::Error) -> Self {
        match error {
            crate::error::Error::Source(error) => error,
            other => Self::Data { origin: directory.display().to_string(), error: Box::new(other) },
        }
    }

    pub(in crate::data) fn malformed(path: &Path, reason: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), reason: reason.into() }
    }
}
