//! What can go wrong, in sentences.

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
    #[error("{storage}: {what}")]
    Storage {
        /// Its file, or its URL without a password.
        storage: String,
        /// What is wrong.
        what: String,
    },
    /// Something was told of a trial that is not this worker's any more.
    #[error("trial {trial}: it was given to another worker, or has ended")]
    Refused {
        /// The trial's number.
        trial: u64,
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
