//! Why the store refused or failed.

use embedded_storage::nor_flash::NorFlashErrorKind;

/// Why an operation of a [`Store`](super::Store) was refused or failed. What was stored before is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "link", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum PersistError {
    /// The flash reported an error.
    Flash(#[cfg_attr(feature = "link", serde(with = "on_the_wire"))] NorFlashErrorKind),
    /// The range is no whole number of the flash's pages, has fewer than two, lies outside the flash, or its pages are smaller
    /// than 512 bytes or have words above 32.
    Range {
        /// Bytes of a page: what the flash erases at once.
        page_bytes: u32,
    },
    /// A buffer has too few bytes: the store's working buffer, or where a part is to be loaded to.
    BufferTooSmall {
        /// Bytes that are needed.
        required: u32,
        /// Bytes that were given.
        found: u32,
    },
    /// There is no generation: nothing was saved since the flash was new or reset.
    NothingStored,
    /// What is stored belongs to another model. [`Store::factory_reset`](super::Store::factory_reset) discards it.
    AnotherModel {
        /// The hash of the model whose state is stored.
        found: u64,
        /// The hash of the model that asks.
        expected: u64,
    },
    /// A newer version wrote records that this one does not read.
    NewerRecord {
        /// Their version.
        found: u8,
    },
    /// The bytes are not those that were saved: the flash is worn, or was written by others.
    Damaged {
        /// The generation.
        generation: u32,
    },
    /// A generation does not fit beside the current one.
    Full {
        /// Pages that it takes.
        required: u32,
        /// Pages that are not the current generation's.
        available: u32,
    },
    /// No complete generation has that number: it was discarded, or never was.
    UnknownGeneration {
        /// The number asked for.
        generation: u32,
    },
    /// The generation has no part of that kind.
    NoSuchPart {
        /// The kind asked for.
        kind: u8,
    },
    /// More than [`PARTS`](super::PARTS) parts, two of one kind, or one of 4 GiB or more.
    Parts,
}

impl PersistError {
    /// A number for logs and error counters, stable between versions.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Flash(_) => 1,
            Self::Range { .. } => 2,
            Self::BufferTooSmall { .. } => 3,
            Self::NothingStored => 4,
            Self::AnotherModel { .. } => 5,
            Self::NewerRecord { .. } => 6,
            Self::Damaged { .. } => 7,
            Self::Full { .. } => 8,
            Self::UnknownGeneration { .. } => 9,
            Self::NoSuchPart { .. } => 10,
            Self::Parts => 11,
        }
    }
}

#[cfg(feature = "std")]
impl core::fmt::Display for PersistError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Flash(kind) => write!(f, "the flash reports: {kind}"),
            Self::Range { page_bytes } => write!(
                f,
                "the range is no whole number, two or more, of the flash's pages of {page_bytes} bytes, or such pages are not supported"
            ),
            Self::BufferTooSmall { required, found } => write!(f, "{required} bytes of buffer are needed, {found} were given"),
            Self::NothingStored => f.write_str("nothing is stored"),
            Self::AnotherModel { found, expected } => write!(
                f,
                "what is stored belongs to model {found:016x}, and this is model {expected:016x}: flash that model again, or reset the store"
            ),
            Self::NewerRecord { found } => write!(
                f,
                "the flash holds records of version {found}, this runtime reads version {}: update the firmware, or reset the store",
                super::record::VERSION
            ),
            Self::Damaged { generation } => {
                write!(f, "generation {generation} is damaged: roll back to another one, or save again")
            }
            Self::Full { required, available } => {
                write!(f, "a generation of {required} pages does not fit: {available} are there beside the current one")
            }
            Self::UnknownGeneration { generation } => write!(f, "there is no generation {generation}"),
            Self::NoSuchPart { kind } => write!(f, "the generation has no part of kind {kind}"),
            Self::Parts => write!(f, "a generation has at most {} parts, each of its own kind and below 4 GiB", super::PARTS),
        }
    }
}

#[cfg(feature = "std")]
impl core::error::Error for PersistError {}

/// A kind of the flash's error as a number.
#[cfg(feature = "link")]
mod on_the_wire {
    use super::NorFlashErrorKind;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(kind: &NorFlashErrorKind, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(match kind {
            NorFlashErrorKind::NotAligned => 1,
            NorFlashErrorKind::OutOfBounds => 2,
            _ => 0,
        })
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<NorFlashErrorKind, D::Error> {
        Ok(match u8::deserialize(deserializer)? {
            1 => NorFlashErrorKind::NotAligned,
            2 => NorFlashErrorKind::OutOfBounds,
            _ => NorFlashErrorKind::Other,
        })
    }
}
