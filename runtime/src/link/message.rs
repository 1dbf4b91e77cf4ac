//! What host and device say to each other. On the wire: postcard, so the order of variants and fields is the protocol; new ones
//! go to the end.

use serde::{Deserialize, Serialize};

use crate::{InputError, persist::Generation, persist::PersistError, train::TrainError};

/// Version of the messages; raised when old ones change their meaning.
pub const PROTOCOL: u16 = 1;

/// What the host asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Request<'a> {
    /// What the device is. Answer: [`Response::Description`].
    Describe,
    /// Writes bytes of an area from an offset on. Answer: [`Response::Done`].
    Write {
        /// [`Area::Input`] or [`Area::Head`].
        area: Area,
        /// Of the first byte.
        offset: u32,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Reads an area from an offset on, as much as an answer holds. Answer: [`Response::Bytes`].
    Read {
        /// Any.
        area: Area,
        /// Of the first byte.
        offset: u32,
    },
    /// Runs the model on the input, whose CRC-32 this is. Answer: [`Response::Inferred`].
    Infer {
        /// CRC-32 of the area [`Area::Input`].
        checksum: u32,
    },
    /// Learns the input as a sample of a class. Answer: [`Response::Count`], of that class.
    Learn {
        /// CRC-32 of the area [`Area::Input`].
        checksum: u32,
        /// The class, from 0 on.
        class: u32,
    },
    /// Forgets a sample of a class. Answer: [`Response::Count`], of that class.
    Forget {
        /// CRC-32 of the area [`Area::Input`].
        checksum: u32,
        /// The class, from 0 on.
        class: u32,
    },
    /// Forgets a class. Answer: [`Response::Done`].
    ForgetClass {
        /// The class, from 0 on.
        class: u32,
    },
    /// How many samples of a class were learned. Answer: [`Response::Count`].
    Count {
        /// The class, from 0 on.
        class: u32,
    },
    /// Makes the head of what was learned. Answer: [`Response::Done`].
    Solve,
    /// Saves what was learned as a generation. Answer: [`Response::Number`].
    Save {
        /// For the list of generations.
        tag: u32,
    },
    /// Replaces what was learned by the head that was written. Answer: [`Response::Done`].
    Restore {
        /// CRC-32 of the area [`Area::Head`] as written.
        checksum: u32,
    },
    /// Adds what another device learned, whose head was written. Answer: [`Response::Done`].
    Merge {
        /// CRC-32 of the area [`Area::Head`] as written.
        checksum: u32,
    },
    /// The generation at a place of the list, the newest first. Answer: [`Response::Generation`].
    Generation {
        /// From 0 on, below [`LISTED`].
        index: u32,
    },
    /// Makes a generation current again, and learns on from it. Answer: [`Response::Done`].
    RollBack {
        /// Its number.
        number: u32,
    },
    /// Discards all generations and all that was learned. Answer: [`Response::Done`].
    Reset,
    /// Takes a sample from the device's sensor into the input. Answer: [`Response::Captured`].
    Capture,
    /// What the device counted since it started. Answer: [`Response::Statistics`].
    Statistics,
    /// Holds the input out as a sample of a class, to judge by. Answer: [`Response::Done`].
    Hold {
        /// CRC-32 of the area [`Area::Input`].
        checksum: u32,
        /// The class, from 0 on.
        class: u32,
    },
    /// Judges by what is held out whether the head became better, and takes it back if not. Answer: [`Response::Checked`].
    Check,
}

/// The most generations that are listed.
pub const LISTED: usize = 16;

/// Something that is larger than a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Area {
    /// The bytes of all inputs, one after the other. A run uses them up.
    Input,
    /// The bytes of all outputs of the last run, one after the other.
    Output,
    /// What a head learned, sums or weights and biases: written, a copy that [`Request::Restore`] and [`Request::Merge`] take;
    /// read, the head's own.
    Head,
}

/// What the device answers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Response<'a> {
    /// It is done.
    Done,
    /// The request was not carried out.
    Refused(Fault),
    /// What the device is.
    Description(Description),
    /// Part of an area.
    Bytes {
        /// Bytes of the whole area.
        length: u32,
        /// Those from the offset on.
        bytes: &'a [u8],
    },
    /// What the model makes of the input.
    Inferred {
        /// What the head says, if there is one that knows a class.
        answer: Option<Answer>,
        /// Bytes of all outputs.
        length: u32,
        /// The first of them.
        bytes: &'a [u8],
    },
    /// Samples of a class.
    Count(u32),
    /// Number of a generation.
    Number(u32),
    /// One of the generations.
    Generation {
        /// How many there are.
        count: u32,
        /// The one at the place asked for, if there is one.
        generation: Option<Generation>,
    },
    /// A sample is in the input.
    Captured {
        /// Its class, if the device knows it.
        label: Option<u32>,
    },
    /// What was counted.
    Statistics(Statistics),
    /// What [`Guard::check`](crate::train::Guard::check) found.
    Checked {
        /// `false`: the head was taken back.
        kept: bool,
        /// The mean loss of what is held out.
        loss: f32,
        /// The least one before.
        best: f32,
    },
}

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// [`PROTOCOL`].
    pub protocol: u16,
    /// Bytes of the longest frame that it takes, encoded.
    pub frame_bytes: u32,
    /// Hash of its model.
    pub model: u64,
    /// Bytes of the area [`Area::Input`].
    pub input_bytes: u32,
    /// Bytes of the area [`Area::Output`].
    pub output_bytes: u32,
    /// Its head, if it can learn.
    pub head: Option<HeadDescription>,
    /// The current generation; or why what is stored is not used.
    pub stored: Result<u32, Fault>,
}

/// What a head is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadDescription {
    /// Features.
    pub features: u32,
    /// Classes that there is room for.
    pub capacity: u32,
    /// Bytes of the area [`Area::Head`].
    pub bytes: u32,
    /// Whether it is trained by gradients; else it is solved from sums.
    pub by_gradients: bool,
}

/// What a head says of a sample: [`Prediction`](crate::train::Prediction).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields of a prediction")]
pub struct Answer {
    pub class: u32,
    pub margin: f32,
    pub strangeness: f32,
    pub known: bool,
}

/// What a device counted since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Statistics {
    /// Runs of the model.
    pub runs: u32,
    /// Samples learned since the head was the file's; kept with the generations.
    pub learned: u32,
    /// Generations saved.
    pub saved: u32,
    /// What the link counted.
    pub frames: Frames,
}

/// What a link counted since the device started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Frames {
    /// Requests that were carried out or refused.
    pub taken: u32,
    /// Requests that were repeated: they got their answer again, and were not carried out twice.
    pub repeated: u32,
    /// Frames whose checksum or encoding was wrong.
    pub damaged: u32,
    /// Frames that were longer than the device's buffer.
    pub oversized: u32,
}

/// Why a request was not carried out. All is as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Fault {
    /// The frame was damaged on its way.
    Damaged,
    /// The frame is longer than the device's buffer.
    Oversized,
    /// The device does not know such a request, or not from this version.
    Unknown,
    /// The area has no byte there, or may not be written.
    Range {
        /// Bytes of the area.
        length: u32,
    },
    /// What was written is not what the request means: the device has restarted, or others wrote to it.
    Checksum,
    /// The model has no head: the device cannot learn.
    NoHead,
    /// The device has no sensor, or it gives nothing.
    NoSample,
    /// The model does not take the input.
    Input(InputError),
    /// The head does not learn it.
    Train(TrainError),
    /// The store does not do it.
    Persist(PersistError),
    /// The head is of the other kind: what is trained by gradients is not merged and forgets no samples, and what is solved from
    /// sums needs no samples to judge by.
    HeadKind,
}

impl From<TrainError> for Fault {
    fn from(error: TrainError) -> Self {
        Self::Train(error)
    }
}

impl From<PersistError> for Fault {
    fn from(error: PersistError) -> Self {
        Self::Persist(error)
    }
}

impl From<InputError> for Fault {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

#[cfg(feature = "std")]
impl core::fmt::Display for Fault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Damaged => f.write_str("the device got a damaged frame"),
            Self::Oversized => f.write_str("the device got a frame that is longer than its buffer"),
            Self::Unknown => f.write_str("the device does not know the request: its firmware is older than this program"),
            Self::Range { length } => write!(f, "the area on the device has {length} bytes, and not all of it can be written"),
            Self::Checksum => f.write_str("the device has other bytes than were sent: it has restarted, or others talk to it"),
            Self::NoHead => f.write_str("the device cannot learn: its model has no head, or its firmware none of that kind"),
            Self::NoSample => f.write_str("the device has no sensor, or it has no more samples"),
            Self::HeadKind => f.write_str(
                "the device's head is of the other kind: heads trained by gradients cannot be merged or forget samples, and those solved from sums are not fine-tuned",
            ),
            Self::Input(error) => error.fmt(f),
            Self::Train(error) => error.fmt(f),
            Self::Persist(error) => error.fmt(f),
        }
    }
}

#[cfg(feature = "std")]
impl core::error::Error for Fault {}
