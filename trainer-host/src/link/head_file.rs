//! What a device learned, as a file: `SMHD`, version (u32, 1), hash of the model (u64), bytes of the head (u32), CRC-32 of hash and
//! head (u32), the head, sums or weights and biases; little-endian.

use samara_runtime::Crc32;

const MAGIC: &[u8; 4] = b"SMHD";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 24;

/// What a device learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadFile {
    /// Hash of the model whose head it is.
    pub model: u64,
    /// The head: sums, or weights and biases.
    pub head: Vec<u8>,
}

/// Why bytes are not read as a head's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadFileError {
    /// It begins otherwise.
    #[error("it does not start with SMHD: it is no head of a device")]
    Magic,
    /// A version that is not read.
    #[error("it has version {found}, this program reads version 1")]
    Version {
        /// The version.
        found: u32,
    },
    /// Its length or checksum is wrong.
    #[error("it was cut or damaged: its length or checksum is wrong")]
    Damaged,
}

impl HeadFile {
    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = (self.head.len() as u32).to_le_bytes();
        let (version, model) = (VERSION.to_le_bytes(), self.model.to_le_bytes());
        let checksum = checksum(&model, &self.head).to_le_bytes();
        [&MAGIC[..], &version, &model, &length, &checksum, &self.head].concat()
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// [`HeadFileError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HeadFileError> {
        if !bytes.starts_with(MAGIC) {
            return Err(HeadFileError::Magic);
        }
        let (header, head) = bytes.split_at_checked(HEADER_BYTES).ok_or(HeadFileError::Damaged)?;
        let word = |at: usize| header[at..].first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
        if word(4) != VERSION {
            return Err(HeadFileError::Version { found: word(4) });
        }
        if word(16) as usize != head.len() || word(20) != checksum(&header[8..16], head) {
            return Err(HeadFileError::Damaged);
        }
        Ok(Self { model: u64::from(word(12)) << 32 | u64::from(word(8)), head: head.to_vec() })
    }
}

fn checksum(model: &[u8], head: &[u8]) -> u32 {
    Crc32::new().update(model).update(head).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_damaged_byte_is_told() {
        let file = HeadFile { model: 0x0123_4567_89ab_cdef, head: vec![1, 2, 3, 4, 5, 6, 7, 8] };
        let bytes = file.to_bytes();
        assert_eq!(HeadFile::from_bytes(&bytes), Ok(file));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(HeadFile::from_bytes(&damaged).is_err(), "byte {at}");
        }
        for length in 0..bytes.len() {
            assert!(HeadFile::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
        }
    }
}
