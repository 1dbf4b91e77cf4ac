//! What keeps models from answering together, in sentences.

use crate::error::counted;
use crate::graph::Shape;

/// Why there is no ensemble.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnsembleError {
    /// One model is no ensemble.
    #[error("an ensemble has two members or more, but {} given", if *found == 1 { "1 was".to_owned() } else { format!("{found} were") })]
    TooFew {
        /// How many there are.
        found: usize,
    },
    /// A member with several outputs, or one that is no list of classes.
    #[error("member '{member}' gives {found}, but members give the probabilities of two classes or more, as one output")]
    Output {
        /// The member.
        member: String,
        /// What it gives.
        found: String,
    },
    /// Members with inputs of their own.
    #[error("member '{member}' takes {found}, but '{first}' takes {expected}: members share their input")]
    Inputs {
        /// The member.
        member: String,
        /// Its inputs' shapes.
        found: String,
        /// The first member.
        first: String,
        /// Its inputs' shapes.
        expected: String,
    },
    /// Members that tell other classes apart.
    #[error("member '{member}' tells {found} classes apart, but '{first}' tells {expected}: members answer the same question")]
    Classes {
        /// The member.
        member: String,
        /// Its classes.
        found: usize,
        /// The first member.
        first: String,
        /// Its classes.
        expected: usize,
    },
    /// An output that is no probability, as without a softmax.
    #[error(
        "member '{member}' gives {values} for sample {sample}, which are no probabilities: its last layer has to end in a softmax"
    )]
    NoProbabilities {
        /// The member.
        member: String,
        /// The sample.
        sample: usize,
        /// The first of its values.
        values: String,
    },
    /// A target that is no class.
    #[error("sample {sample} has the target {label}, but members tell {classes} classes apart: 0 to {}", classes - 1)]
    Label {
        /// The sample.
        sample: usize,
        /// Its target.
        label: f32,
        /// Number of classes.
        classes: usize,
    },
    /// Numbers that do not belong together.
    #[error("{what}: {}, but {expected} expected", counted(*found, "values"))]
    Count {
        /// Of what.
        what: String,
        /// How many there are.
        found: usize,
        /// How many there have to be.
        expected: String,
    },
    /// Weights that make no mean.
    #[error("the weights of an ensemble are {found}, but must be from 0 on, and 1 together")]
    Weights {
        /// The weights.
        found: String,
    },
    /// A head for other members.
    #[error("the head '{head}' takes {found}, but the members give {expected} probabilities together")]
    Head {
        /// The head.
        head: String,
        /// Its input's shape.
        found: Shape,
        /// Members times classes.
        expected: usize,
    },
    /// Too few samples to learn from and to measure on.
    #[error("{samples} samples make no {folds} folds, of which each has to have one at least; from 2 folds on")]
    Folds {
        /// How many samples there are.
        samples: usize,
        /// How many folds there should be.
        folds: usize,
    },
    /// The search for weights failed.
    #[error("no weights were found: {reason}")]
    Search {
        /// What the search says.
        reason: String,
    },
}
