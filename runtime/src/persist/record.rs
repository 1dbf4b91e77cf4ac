//! The records in the flash's items, little-endian:
//!
//! | bytes | every record | then: a chunk (1) | a manifest (2) | a mark (3) |
//! |---|---|---|---|---|
//! | 0 | version, 1 | 6: index of the part | 6: sequence | 6: sequence |
//! | 1 | what it is | 7: offset, 4 bytes | 10: owner, 8 bytes | |
//! | 2 | generation, 4 bytes | 11: bytes of the part | 18: tag, 4 bytes; 22: first page, 4 bytes; then 9 bytes per part: kind, length, CRC-32 | |

use super::{PARTS, Part, PersistError};
use crate::format::{
    crc::Crc32,
    header::{array, u32_at},
};

/// Raised when older firmware would misread records; new kinds of records leave it.
pub(super) const VERSION: u8 = 1;
/// The largest item: what a buffer must hold.
pub(super) const ITEM_BYTES: usize = 256;
pub(super) const CHUNK_HEADER: usize = 11;
const MANIFEST_HEADER: usize = 26;
const PART_BYTES: usize = 9;
const CHUNK: u8 = 1;
const MANIFEST: u8 = 2;
const MARK: u8 = 3;

/// What an item says.
pub(super) struct Item<'a> {
    pub generation: u32,
    pub record: Record<'a>,
}

pub(super) enum Record<'a> {
    /// Some bytes of a part, at an offset.
    Chunk { part: usize, offset: u32, bytes: &'a [u8] },
    /// The last record of a generation: it is complete, and current until a higher sequence comes.
    Manifest(Manifest),
    /// The generation was made current again.
    Mark { sequence: u32 },
    /// One that a newer version of the same records has added.
    Other,
}

/// What a generation consists of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manifest {
    pub sequence: u32,
    pub owner: u64,
    pub tag: u32,
    pub first_page: u32,
    pub parts: [Entry; PARTS],
    pub count: usize,
}

/// A part as a manifest knows it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    pub kind: u8,
    pub length: u32,
    pub crc: u32,
}

impl Manifest {
    /// Of parts that are to be saved.
    pub fn new(parts: &[Part<'_>], sequence: u32, owner: u64, tag: u32) -> Result<Self, PersistError> {
        let mut manifest = Self { sequence, owner, tag, first_page: 0, parts: [Entry::default(); PARTS], count: parts.len() };
        if parts.len() > PARTS {
            return Err(PersistError::Parts);
        }
        for (index, (part, entry)) in parts.iter().zip(&mut manifest.parts).enumerate() {
            let mut crc = Crc32::new();
            let mut length = 0usize;
            for slice in part.slices {
                crc.update(slice);
                length = length.saturating_add(slice.len());
            }
            let length = u32::try_from(length).map_err(|_| PersistError::Parts)?;
            if parts.iter().take(index).any(|other| other.kind == part.kind) {
                return Err(PersistError::Parts);
            }
            *entry = Entry { kind: part.kind, length, crc: crc.finish() };
        }
        Ok(manifest)
    }

    /// The parts, in order.
    pub fn entries(&self) -> &[Entry] {
        self.parts.get(..self.count).unwrap_or_default()
    }

    /// Bytes of the record.
    pub fn bytes(&self) -> usize {
        MANIFEST_HEADER + PART_BYTES * self.count
    }

    /// Writes the record; returns its bytes.
    pub fn encode(&self, generation: u32, item: &mut [u8; ITEM_BYTES]) -> usize {
        let mut bytes = Bytes::new(item, MANIFEST, generation);
        bytes.put(&self.sequence.to_le_bytes()).put(&self.owner.to_le_bytes());
        bytes.put(&self.tag.to_le_bytes()).put(&self.first_page.to_le_bytes());
        for entry in self.entries() {
            bytes.put(&[entry.kind]).put(&entry.length.to_le_bytes()).put(&entry.crc.to_le_bytes());
        }
        bytes.length
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let listed = bytes.get(MANIFEST_HEADER..)?.as_chunks::<PART_BYTES>();
        let (records, []) = listed else { return None };
        let mut parts = [Entry::default(); PARTS];
        for (at, record) in records.iter().enumerate() {
            let [kind, ..] = *record;
            *parts.get_mut(at)? = Entry { kind, length: u32_at(record, 1), crc: u32_at(record, 5) };
        }
        Some(Self {
            sequence: u32_at(bytes, 6),
            owner: u64::from_le_bytes(array(bytes, 10)),
            tag: u32_at(bytes, 18),
            first_page: u32_at(bytes, 22),
            parts,
            count: records.len(),
        })
    }
}

/// Writes a chunk's record with the first of `payload`, `size` bytes; returns the record's bytes.
pub(super) fn encode_chunk(
    generation: u32,
    (part, offset, size): (u8, u32, usize),
    payload: &mut dyn Iterator<Item = u8>,
    item: &mut [u8; ITEM_BYTES],
) -> usize {
    let mut bytes = Bytes::new(item, CHUNK, generation);
    bytes.put(&[part]).put(&offset.to_le_bytes());
    for byte in payload.take(size) {
        bytes.put(&[byte]);
    }
    bytes.length
}

/// Writes a mark's record; returns its bytes.
pub(super) fn encode_mark(generation: u32, sequence: u32, item: &mut [u8; ITEM_BYTES]) -> usize {
    Bytes::new(item, MARK, generation).put(&sequence.to_le_bytes()).length
}

/// Reads an item. None: it is no record.
///
/// # Errors
/// The version, if it is a newer one.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<Item<'_>>, u8> {
    let [version, what, _, _, _, _, body @ ..] = bytes else { return Ok(None) };
    if *version > VERSION {
        return Err(*version);
    }
    let record = match *what {
        CHUNK => match body {
            [part, _, _, _, _, payload @ ..] => {
                Some(Record::Chunk { part: usize::from(*part), offset: u32_at(body, 1), bytes: payload })
            }
            _ => None,
        },
        MANIFEST => Manifest::decode(bytes).map(Record::Manifest),
        MARK => body.try_into().ok().map(|sequence| Record::Mark { sequence: u32::from_le_bytes(sequence) }),
        _ => Some(Record::Other),
    };
    let generation = u32_at(bytes, 2);
    // 0 says of a page that it is free.
    let valid = *version == VERSION && generation != 0;
    Ok(record.filter(|_| valid).map(|record| Item { generation, record }))
}

/// An item in the making.
struct Bytes<'a> {
    item: &'a mut [u8; ITEM_BYTES],
    length: usize,
}

impl<'a> Bytes<'a> {
    fn new(item: &'a mut [u8; ITEM_BYTES], what: u8, generation: u32) -> Self {
        let mut bytes = Self { item, length: 0 };
        bytes.put(&[VERSION, what]).put(&generation.to_le_bytes());
        bytes
    }

    fn put(&mut self, more: &[u8]) -> &mut Self {
        if let Some(place) = self.item.get_mut(self.length..self.length + more.len()) {
            place.copy_from_slice(more);
            self.length += more.len();
        }
        self
    }
}
