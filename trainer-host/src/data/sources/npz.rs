//! NPZ archives, what `numpy.savez` and `numpy.savez_compressed` write: a ZIP archive of NPY files.
//!
//! Read are the arrays asked for, stored or deflated. Not read: encrypted archives, and archives over 4 GB.
//!
//! Source: PKWARE's APPNOTE.TXT (central directory, local headers).

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::DeflateDecoder;

use super::{NpyArray, SourceError};

/// An archive.
#[derive(Debug)]
pub struct NpzFile {
    path: PathBuf,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// A file of a ZIP archive, from its central directory.
#[derive(Debug)]
struct Entry {
    name: String,
    method: u16,
    crc: u32,
    packed_bytes: usize,
    bytes: usize,
    header: usize,
}

/// First bytes of the records of a ZIP archive.
const END: [u8; 4] = *b"PK\x05\x06";
const DIRECTORY_ENTRY: [u8; 4] = *b"PK\x01\x02";
const LOCAL_HEADER: [u8; 4] = *b"PK\x03\x04";

impl NpzFile {
    /// Reads an archive's directory.
    ///
    /// # Errors
    /// If the file cannot be read or is no ZIP archive.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let bytes = fs::read(path).map_err(|error| SourceError::read(path, error))?;
        Self::parse(path, bytes)
    }

    /// The archive in these bytes; errors name the path.
    pub(crate) fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self, SourceError> {
        let entries = directory(&bytes).map_err(|reason| SourceError::malformed(path, reason))?;
        Ok(Self { path: path.to_owned(), bytes, entries })
    }

    /// Reads the array of that name.
    ///
    /// # Errors
    /// If the archive has none, or it is damaged or of a kind that is not read.
    pub fn array(&self, name: &str) -> Result<NpyArray, SourceError> {
        NpyArray::parse(&self.content(name)?)
            .map_err(|reason| SourceError::malformed(&self.path, format!("array {name}: {reason}")))
    }

    /// The names of the arrays, in their order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.trim_end_matches(".npy"))
    }

    /// The bytes of a file of the archive, or of the array of that name.
    pub(crate) fn content(&self, name: &str) -> Result<Vec<u8>, SourceError> {
        let malformed = |reason| SourceError::malformed(&self.path, reason);
        let Some(entry) = self.entries.iter().find(|entry| entry.name.trim_end_matches(".npy") == name) else {
            let names: Vec<&str> = self.names().collect();
            return Err(malformed(format!("it has no array {name}; it has {}", names.join(", "))));
        };
        unpack(&self.bytes, entry).map_err(|reason| malformed(format!("array {name}: {reason}")))
    }
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// The entries of the archive's central directory, which its last record locates.
fn directory(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let not_zip =
        || "expected an NPZ archive, but it has no ZIP directory at its end: it was cut short, or is something else".to_owned();
    // The last record is followed by a comment of at most 65,535 bytes.
    let tail = bytes.len().saturating_sub(22 + 0xffff);
    let end = bytes[tail..].windows(4).rposition(|window| window == END).ok_or_else(not_zip)? + tail;
    let count = u16_at(bytes, end + 10).filter(|_| bytes.len() >= end + 22).ok_or_else(not_zip)?;
    let mut offset = u32_at(bytes, end + 16).ok_or_else(not_zip)? as usize;
    let mut entries = Vec::new();
    for _ in 0..count {
        let entry = directory_entry(bytes, offset).ok_or("its ZIP directory is damaged")?;
        offset = entry.1;
        entries.push(entry.0);
    }
    Ok(entries)
}

/// An entry, and where the next one starts.
fn directory_entry(bytes: &[u8], offset: usize) -> Option<(Entry, usize)> {
    let record = bytes.get(offset..)?;
    let name_bytes = usize::from(u16_at(record, 28)?);
    let following = usize::from(u16_at(record, 30)?) + usize::from(u16_at(record, 32)?);
    let name = String::from_utf8_lossy(record.get(46..46 + name_bytes)?).into_owned();
    let entry = Entry {
        name,
        method: u16_at(record, 10)?,
        crc: u32_at(record, 16)?,
        packed_bytes: u32_at(record, 20)? as usize,
        bytes: u32_at(record, 24)? as usize,
        header: u32_at(record, 42)? as usize,
    };
    record.starts_with(&DIRECTORY_ENTRY).then_some((entry, offset + 46 + name_bytes + following))
}

/// The content of an entry, its checksum verified.
fn unpack(archive: &[u8], entry: &Entry) -> Result<Vec<u8>, String> {
    let packed = || {
        let header = archive.get(entry.header..).filter(|header| header.starts_with(&LOCAL_HEADER))?;
        let start = 30 + usize::from(u16_at(header, 26)?) + usize::from(u16_at(header, 28)?);
        header.get(start..)?.get(..entry.packed_bytes)
    };
    let packed = packed().ok_or("it lies outside the archive, which was cut short or damaged")?;
    let mut content = Vec::new();
    let unpacked = match entry.method {
        0 => packed.take(u64::MAX).read_to_end(&mut content),
        8 => DeflateDecoder::new(packed).take(entry.bytes as u64 + 1).read_to_end(&mut content),
        other => return Err(format!("it is packed by ZIP method {other}, expected stored (0) or deflated (8)")),
    };
    unpacked.map_err(|error| format!("it cannot be unpacked ({error}): the archive was damaged"))?;
    let mut crc = flate2::Crc::new();
    crc.update(&content);
    if content.len() != entry.bytes || crc.sum() != entry.crc {
        return Err("its checksum is wrong: the archive was damaged".to_owned());
    }
    Ok(content)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::npy::{Elements, tests::npy};
    use super::*;
    use flate2::{Compression, write::DeflateEncoder};
    use std::io::Write;

    /// A ZIP archive; entries at odd places are deflated.
    pub(crate) fn zip(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let (mut archive, mut directory) = (Vec::new(), Vec::new());
        for (place, (name, content)) in files.iter().enumerate() {
            let method = if place % 2 == 1 { 8u16 } else { 0 };
            let mut packed = content.clone();
            if method == 8 {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(content).unwrap();
                packed = encoder.finish().unwrap();
            }
            let mut crc = flate2::Crc::new();
            crc.update(content);
            let mut fields = vec![20, 0, 0, 0];
            fields.extend(method.to_le_bytes());
            fields.extend([0; 4]);
            for number in [crc.sum(), packed.len() as u32, content.len() as u32] {
                fields.extend(number.to_le_bytes());
            }
            fields.extend((name.len() as u16).to_le_bytes());
            fields.extend([0; 2]);
            let header = archive.len() as u32;
            archive.extend([&LOCAL_HEADER[..], &fields, name.as_bytes(), &packed].concat());
            directory
                .extend([&DIRECTORY_ENTRY[..], &[20, 0], &fields, &[0; 10], &header.to_le_bytes(), name.as_bytes()].concat());
        }
        let start = archive.len() as u32;
        let count = (files.len() as u16).to_le_bytes();
        archive.extend(&directory);
        archive.extend(
            [&END[..], &[0; 4], &count, &count, &(directory.len() as u32).to_le_bytes(), &start.to_le_bytes(), &[0; 2]]
                .concat(),
        );
        archive
    }

    fn open(bytes: &[u8]) -> Result<NpzFile, String> {
        let entries = directory(bytes)?;
        Ok(NpzFile { path: PathBuf::from("x.npz"), bytes: bytes.to_vec(), entries })
    }

    fn sample() -> Vec<u8> {
        let floats: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        zip(&[
            ("x.npy", npy("|u1", "(2, 3)", &[0, 1, 2, 3, 4, 255])),
            ("y.npy", npy("<f4", "(2,)", &floats)),
            ("z.npy", npy("<i8", "(1,)", &(-7i64).to_le_bytes())),
        ])
    }

    #[test]
    fn reads_stored_and_deflated_arrays() {
        let archive = open(&sample()).unwrap();
        let x = archive.array("x").unwrap();
        assert_eq!((x.shape, x.elements), (vec![2, 3], Elements::Bytes(vec![0, 1, 2, 3, 4, 255])));
        let y = archive.array("y").unwrap();
        assert_eq!((y.shape, y.elements), (vec![2], Elements::Numbers(vec![1.5, -2.0])));
        assert_eq!(archive.array("z").unwrap().elements, Elements::Numbers(vec![-7.0]));
        let message = archive.array("x_train").unwrap_err().to_string();
        assert_eq!(message, "x.npz: it has no array x_train; it has x, y, z");
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_an_error_or_harmless() {
        let good = sample();
        for length in 0..good.len() {
            assert!(open(&good[..length]).is_err(), "cut to {length}");
        }
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 0xff;
            if let Ok(archive) = open(&bad) {
                for name in ["x", "y", "z"] {
                    let _ = archive.array(name);
                }
            }
        }
        let mut bad = good.clone();
        let element = bad.windows(6).position(|window| window == [0, 1, 2, 3, 4, 255]).unwrap();
        bad[element] = 9;
        let message = open(&bad).unwrap().array("x").unwrap_err().to_string();
        assert_eq!(message, "x.npz: array x: its checksum is wrong: the archive was damaged");
    }
}
