//! Checkpoints: weights, whole models and the states of trainings as files, by name. docs/checkpoints.md has the format.

mod architecture;
mod file;
mod keras;
mod model;
mod npz;
pub(crate) mod records;
mod safetensors;
mod weights;

pub(crate) use architecture::Architecture;
pub use file::write_file;
pub use keras::KerasMatch;
pub use weights::{SavedParameter, Weights};

/// Why a file is no checkpoint, or not one of a model or a training.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The bytes do not start with the magic.
    #[error("the file does not start with {expected}: it is no such checkpoint")]
    Magic {
        /// The magic wanted.
        expected: String,
    },
    /// A version that is not read.
    #[error("the checkpoint has the format version {found}, this version reads {expected}")]
    Version {
        /// The file's.
        found: u16,
        /// The one that is read.
        expected: u16,
    },
    /// Cut short or changed.
    #[error("the file is damaged: {reason}")]
    Damaged {
        /// What shows it.
        reason: String,
    },
    /// The values are not the model's.
    #[error("the weights do not fit the model {model}: {reason}")]
    Parameters {
        /// The model's name.
        model: String,
        /// What differs.
        reason: String,
    },
    /// A layer of a kind that is not known here, or that says nothing of what is set of it.
    #[error("layer '{layer}' of kind {kind} cannot be {done}: {reason}")]
    Layer {
        /// The layer's name.
        layer: String,
        /// Its kind.
        kind: String,
        /// "saved" or "loaded".
        done: &'static str,
        /// Why not.
        reason: String,
    },
    /// The state is not of this training.
    #[error("the training cannot be resumed: its {what} was {found}, but is {expected} here")]
    Training {
        /// What differs.
        what: String,
        /// What the state says.
        found: String,
        /// What this training has.
        expected: String,
    },
    /// A file was not read or written.
    #[error("{path} cannot be {done}: {reason}")]
    File {
        /// The file.
        path: String,
        /// "read" or "written".
        done: &'static str,
        /// The system's reason.
        reason: String,
    },
}

pub(crate) use file::{file_error, read_file};
pub(crate) use weights::PREFIX as WEIGHTS_PREFIX;
