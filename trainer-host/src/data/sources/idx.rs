//! IDX files, the format of MNIST and its kin: `0 0 type rank`, one big-endian u32 for each dimension, then the elements.
//! Only unsigned bytes (type 8) are read. Plain or compressed with gzip, told apart by their content.
//!
//! Source: Y. LeCun, C. Cortes, C. J. C. Burges, *The MNIST database of handwritten digits*, file formats.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::SourceError;

/// Type code of unsigned bytes.
const UNSIGNED_BYTE: u8 = 8;

/// The content of an IDX file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdxFile {
    /// Sizes, the number of samples first.
    pub dimensions: Vec<usize>,
    /// The elements, the last dimension closest in memory.
    pub elements: Vec<u8>,
}

impl IdxFile {
    /// Reads a file of the given rank.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, is not IDX with unsigned bytes, or has another rank or size than it says.
    pub fn read(path: &Path, rank: usize) -> Result<Self, SourceError> {
        let content = content(path)?;
        Self::parse(&content, rank).map_err(|reason| SourceError::malformed(path, reason))
    }

    /// Parses the uncompressed content; an error is the end of a sentence about the file.
    fn parse(content: &[u8], rank: usize) -> Result<Self, String> {
        let Some((&[zero, also_zero, element_type, found_rank], rest)) = content.split_first_chunk::<4>() else {
            return Err(format!("it has {} bytes, expected an IDX file, which starts with at least 4", content.len()));
        };
        if (zero, also_zero) != (0, 0) {
            return Err(format!(
                "it starts with {zero:#04x} {also_zero:#04x}, expected an IDX file, which starts with two zeros"
            ));
        }
        if element_type != UNSIGNED_BYTE {
            return Err(format!("its elements have IDX type {element_type:#04x}, expected unsigned bytes, 0x08"));
        }
        if usize::from(found_rank) != rank {
            return Err(format!("it has {found_rank} dimensions, expected {rank}"));
        }
        let (sizes, elements) = rest
            .split_at_checked(4 * rank)
            .ok_or_else(|| format!("it ends within its header, after {} bytes", content.len()))?;
        let dimensions: Vec<usize> = sizes.as_chunks::<4>().0.iter().map(|&size| u32::from_be_bytes(size) as usize).collect();
        let expected = dimensions.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        if expected != Some(elements.len()) {
            let expected = expected.map_or_else(|| "more than memory holds".to_owned(), |count| count.to_string());
            return Err(format!(
                "it holds {} bytes of elements, expected {expected} for its dimensions {dimensions:?}: it was cut short or damaged",
                elements.len()
            ));
        }
        Ok(Self { dimensions, elements: elements.to_vec() })
    }
}

/// The uncompressed content of a file that may be compressed with gzip.
pub(super) fn content(path: &Path) -> Result<Vec<u8>, SourceError> {
    let raw = fs::read(path).map_err(|error| SourceError::read(path, error))?;
    if !raw.starts_with(&[0x1f, 0x8b]) {
        return Ok(raw);
    }
    let mut content = Vec::new();
    MultiGzDecoder::new(&raw[..]).read_to_end(&mut content).map_err(|error| {
        SourceError::malformed(path, format!("the gzip data cannot be unpacked ({error}): it was cut short or damaged"))
    })?;
    Ok(content)
}

/// `directory/file` or `directory/file.gz`, whichever is there, the plain one first.
pub(super) fn find(directory: &Path, file: &'static str) -> Result<PathBuf, SourceError> {
    [directory.join(file), directory.join(format!("{file}.gz"))]
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| SourceError::Missing { directory: directory.to_owned(), file })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    const GOOD: [u8; 16] = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 7, 0, 255, 1];

    #[test]
    fn reads_big_endian_sizes_and_bytes() {
        let file = IdxFile::parse(&GOOD, 2).unwrap();
        assert_eq!((file.dimensions, file.elements), (vec![2, 2], vec![7, 0, 255, 1]));
    }

    #[test]
    fn every_truncation_is_told() {
        for length in 0..GOOD.len() {
            let reason = IdxFile::parse(&GOOD[..length], 2).unwrap_err();
            assert!(reason.contains(&length.to_string()) || reason.contains("cut short"), "{length}: {reason}");
        }
        assert_eq!(
            IdxFile::parse(&GOOD[..15], 2).unwrap_err(),
            "it holds 3 bytes of elements, expected 4 for its dimensions [2, 2]: it was cut short or damaged"
        );
    }

    #[test]
    fn other_files_are_refused() {
        let reason = |bytes: &[u8]| IdxFile::parse(bytes, 2).unwrap_err();
        assert!(reason(b"PK\x03\x04zip").starts_with("it starts with 0x50 0x4b"));
        assert_eq!(reason(&[0, 0, 13, 2]), "its elements have IDX type 0x0d, expected unsigned bytes, 0x08");
        assert_eq!(reason(&[0, 0, 8, 3, 0, 0]), "it has 3 dimensions, expected 2");
        let huge = [&[0, 0, 8, 2][..], &[255; 8], &[1]].concat();
        assert!(reason(&huge).contains("cut short or damaged"), "sizes whose product is huge allocate nothing");
    }

    #[test]
    fn gzip_is_unpacked_and_its_damage_told() {
        let directory = tempfile::tempdir().unwrap();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&GOOD).unwrap();
        let packed = encoder.finish().unwrap();
        let path = directory.path().join("images.gz");
        fs::write(&path, &packed).unwrap();
        assert_eq!(IdxFile::read(&path, 2).unwrap().elements, [7, 0, 255, 1]);
        fs::write(&path, &packed[..packed.len() - 5]).unwrap();
        let message = IdxFile::read(&path, 2).unwrap_err().to_string();
        assert!(message.contains("images.gz: the gzip data cannot be unpacked"), "{message}");
        let missing = directory.path().join("none");
        assert!(IdxFile::read(&missing, 2).unwrap_err().to_string().contains("none cannot be read"));
    }
}
