//! Learning on the device (feature `train`): heads that are solved from exact sums, or trained by gradients.
//!
//! A model file may carry *heads* ([`record::Head`]): what a frozen body computes, its int8 *features*, goes into a small
//! classifier that the device can teach new classes.
//!
//! ```no_run
//! use samara_runtime::{Session, train::{ClosedFormHead, TrainError, Prediction}};
//!
//! fn learn(session: &mut Session<'_>, head: &mut ClosedFormHead<'_>, image: &[i8], class: usize) -> Result<(), TrainError> {
//!     session.write_i8(0, image).map_err(|_| TrainError::Record)?;
//!     head.add(session.features(head.record()), class)?; // exact: in any order, on any device
//!     head.solve(session.scratch()) // when asked; the old head stays if it fails
//! }
//!
//! fn answer(session: &mut Session<'_>, head: &mut ClosedFormHead<'_>, image: &[i8]) -> Result<Prediction, TrainError> {
//!     session.write_i8(0, image).map_err(|_| TrainError::Record)?;
//!     head.classify(session.features(head.record()))
//! }
//! ```
//!
//! A [`GradientHead`] learns from batches, what sums cannot give: numbers, several truths at once. A [`Replay`] keeps samples of each class to
//! learn from again, a [`Guard`] takes back what makes held-out samples worse.
//!
//! How much memory a head takes is a constant of the file ([`record::closed_form_bytes`], [`record::gradient_bytes`]). `docs/learning.md` tells the
//! story: what is learned, what it costs, what can go wrong.

pub mod block;
mod block_depthwise;
mod block_kernels;
pub mod block_record;
pub mod closed_form;
pub mod conformal;
mod discriminant;
pub mod gradient;
pub mod guard;
pub mod loss;
pub mod record;
pub mod replay;
pub mod selftest;

pub use block::BlockHead;
pub use block_record::{BlockRecord, BlockSizes};
pub use closed_form::{ClosedFormHead, Prediction};
pub use conformal::Calibrator;
pub use gradient::{GradientHead, GradientOptions, Step};
pub use guard::{Guard, Verdict};
pub use loss::{Loss, Target};
pub use record::{
    Head, HeadKind, Strangeness, Threshold, block_bytes, closed_form_bytes, gradient_bytes, guard_bytes, solve_bytes,
};
pub use replay::{Replay, replay_bytes};

use crate::{exec::Session, op::as_i8};

/// Why a head was not made, or did not learn. What it knew before is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "link", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum TrainError {
    /// The file has no head of that number and kind.
    NoSuchHead,
    /// The head's record names a node, tensor or constants that the file does not have, or they do not fit together.
    Record,
    /// The memory given has too few bytes.
    MemoryTooSmall {
        /// Bytes that are needed.
        required: u32,
        /// Bytes that were given.
        found: u32,
    },
    /// The memory given does not start at a multiple of 4: use [`Arena`](crate::Arena).
    MemoryMisaligned,
    /// Another number of features.
    FeatureCount {
        /// Features of the head.
        expected: u32,
        /// Features that were given.
        found: u32,
    },
    /// There is no such class.
    NoSuchClass {
        /// Classes that the head has room for.
        capacity: u32,
        /// The class that was given, from 0 on.
        found: u32,
    },
    /// The sums would leave 32 bits: so many samples were added.
    TooManySamples,
    /// What is to be forgotten was never learned.
    NothingToForget,
    /// Sums that were saved, or come from another device, are not those of such a head.
    Sums,
    /// No class has a sample.
    NoSamples,
    /// The features do not vary, or their second moments are not those of samples: there is no solution.
    Singular,
    /// Options of training that make no sense: a rate, decay or weight below 0 or not finite, a momentum of 1 or more, weights of
    /// other than all classes, a softmax over one output.
    Options,
    /// The target does not go with the loss.
    Target,
    /// There is no room for another sample.
    Full {
        /// Samples that there is room for.
        capacity: u32,
    },
    /// Loss or gradient is no finite number.
    NotFinite,
}

impl TrainError {
    /// A number for logs and error counters, stable between versions.
    pub const fn code(&self) -> u8 {
        match self {
            Self::NoSuchHead => 1,
            Self::Record => 2,
            Self::MemoryTooSmall { .. } => 3,
            Self::MemoryMisaligned => 4,
            Self::FeatureCount { .. } => 5,
            Self::NoSuchClass { .. } => 6,
            Self::TooManySamples => 7,
            Self::NothingToForget => 8,
            Self::Sums => 9,
            Self::NoSamples => 10,
            Self::Singular => 11,
            Self::Options => 12,
            Self::Target => 13,
            Self::Full { .. } => 14,
            Self::NotFinite => 15,
        }
    }
}

#[cfg(feature = "std")]
impl core::fmt::Display for TrainError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoSuchHead => f.write_str("the file has no such head: add one with `samara head`"),
            Self::Record => f.write_str("the head's record does not fit the file's nodes, tensors and constants"),
            Self::MemoryTooSmall { required, found } => {
                write!(f, "the head needs {required} bytes of memory, {found} were given")
            }
            Self::MemoryMisaligned => f.write_str("the head's memory does not start at a multiple of 4"),
            Self::FeatureCount { expected, found } => write!(f, "the head takes {expected} features, {found} were given"),
            Self::NoSuchClass { capacity, found } => {
                write!(f, "there is no class {found}: the head has room for {capacity}, numbered from 0 on")
            }
            Self::TooManySamples => f.write_str("so many samples were added that their sums would leave 32 bits"),
            Self::NothingToForget => f.write_str("what is to be forgotten was never learned"),
            Self::Sums => f.write_str("these are not the sums of such a head"),
            Self::NoSamples => f.write_str("no class has a sample: there is nothing to solve"),
            Self::Singular => f.write_str("the features do not vary: there is no solution, the head is as before"),
            Self::Options => f.write_str(
                "options of training make no sense: rate, decay and weights are finite and at least 0, the momentum below 1, weights \
                 as many as classes that there is room for, a softmax has two outputs or more",
            ),
            Self::Target => f.write_str(
                "the target does not go with the loss: a softmax takes a class, sigmoids a class or values from 0 to 1, the squared \
                 error numbers, one for each output",
            ),
            Self::Full { capacity } => write!(f, "there is room for {capacity} samples: make a step, or give it more memory"),
            Self::NotFinite => f.write_str("loss or gradient is no finite number: the head is as before; lower the rate"),
        }
    }
}

#[cfg(feature = "std")]
impl core::error::Error for TrainError {}

/// As many words at the start of the memory that the caller gave.
fn words<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(memory: &mut [u8], count: usize) -> Result<&mut [T], TrainError> {
    let (required, found) = (4 * count, memory.len() as u32);
    let memory = memory.get_mut(..required).ok_or(TrainError::MemoryTooSmall { required: required as u32, found })?;
    bytemuck::try_cast_slice_mut(memory).map_err(|_| TrainError::MemoryMisaligned)
}

fn check_count(features: &[i8], expected: usize) -> Result<(), TrainError> {
    if features.len() == expected {
        Ok(())
    } else {
        Err(TrainError::FeatureCount { expected: expected as u32, found: features.len() as u32 })
    }
}

impl Session<'_> {
    /// Runs the frozen body up to the head's node, and returns the head's features. Write the inputs before; the run ends here.
    /// Who wants the file's outputs too calls [`run_until`](Self::run_until), looks at the [`tensors`](Self::tensors) and goes
    /// on by [`run`](Self::run).
    pub fn features(&mut self, head: &Head<'_>) -> &[i8] {
        self.run_until(head.node);
        self.abandon();
        as_i8(self.tensors().get(head.feature_tensor).1)
    }

    /// The arena without states and lengths, to work in between runs: its contents are lost, a run that is under way is
    /// forgotten.
    pub fn scratch(&mut self) -> &mut [u8] {
        self.forget_tensors()
    }
}
