//! Frames: a message and its sequence number in postcard, their CRC-32, encoded by [COBS](super::cobs), and a zero.

use serde::{Serialize, de::Deserialize};

use super::cobs;
use crate::format::crc::crc32;

/// Bytes of the checksum.
const CRC_BYTES: usize = 4;

/// Bytes of an encoded frame that carry no payload of a [`Write`](super::Request::Write) or a
/// [`Bytes`](super::Response::Bytes): numbers, lengths, checksum, the encoding's own.
const OVERHEAD: usize = 48;

/// The most payload of a message for frames of so many bytes.
pub const fn payload(frame_bytes: usize) -> usize {
    (frame_bytes - frame_bytes / 254).saturating_sub(OVERHEAD)
}

/// Writes number, message and checksum; returns their bytes, or `None` if they do not fit.
pub fn pack(sequence: u32, message: &impl Serialize, into: &mut [u8]) -> Option<usize> {
    let length = postcard::to_slice(&(sequence, message), into).ok()?.len();
    let checksum = crc32(into.get(..length)?);
    into.get_mut(length..length + CRC_BYTES)?.copy_from_slice(&checksum.to_le_bytes());
    Some(length + CRC_BYTES)
}

/// Sends what [`pack`] made as a frame. Hands it to `write` piece by piece.
///
/// # Errors
/// The first of `write`.
pub fn send<E>(packed: &[u8], mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    cobs::encode(packed, &mut write)?;
    write(&[0])
}

/// Decodes, in place, what came before a zero: number and message in postcard, and their checksum. `None` if it was damaged.
pub fn open(encoded: &mut [u8]) -> Option<(&[u8], u32)> {
    let length = cobs::decode(encoded)?;
    let (message, checksum) = encoded.get(..length)?.split_last_chunk::<CRC_BYTES>()?;
    let checksum = u32::from_le_bytes(*checksum);
    (crc32(message) == checksum).then_some((message, checksum))
}

/// Reads number and message. `None` if they are of another version.
pub fn read<'a, M: Deserialize<'a>>(message: &'a [u8]) -> Option<(u32, M)> {
    postcard::from_bytes(message).ok()
}

/// The number of a message that cannot be read; 0 if there is none.
pub fn sequence(message: &[u8]) -> u32 {
    postcard::take_from_bytes(message).map_or(0, |(sequence, _)| sequence)
}
