//! What can go wrong, in sentences.

use std::path::PathBuf;

/// Why a search cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The space's text or meaning.
    #[error("the space: {0}")]
    Space(String),
    /// A parameter that a trial does not have, or has of another kind.
    #[error("trial {trial}: {what}")]
    Parameter {
        /// The trial's number.
        trial: u64,
        /// What is wrong.
        what: String,
    },
    /// The database.
    #[error("{}: {what}", path.display())]
    Storage {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// What was told of a trial.
    #[error("trial {trial}: {what}")]
    Tell {
        /// The trial's number.
        trial: u64,
        /// What is wrong.
        what: String,
    },
}

/// What a search gives, or why it cannot.
pub type Result<T, E = Error> = std::result::Result<T, E>;
