//! Writes NPZ archives, as `numpy.savez` does: a ZIP archive of stored NPY files of f32 values.
//!
//! Source: PKWARE's APPNOTE.TXT (central directory, local headers), and NumPy's description of the NPY format, version 1.0.

use std::path::Path;

use super::Tensor;
use crate::checkpoint::{CheckpointError, write_file};

/// Writes tensors to an NPZ archive, each as an array `[samples, ...]` of f32 values under its name. The file appears whole or not at all.
///
/// ```
/// use samara_trainer::data::{Tensor, write_npz};
/// # let directory = std::env::temp_dir().join(format!("samara-npz-{}", std::process::id()));
/// # let path = directory.join("arrays.npz");
///
/// let weights = Tensor::new([2, 3], vec![0.5; 6])?;
/// write_npz(&path, [("weights", &weights)])?; // np.load("arrays.npz")["weights"]
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), samara_trainer::Error>(())
/// ```
///
/// # Errors
/// If the file cannot be written, or would be larger than the format's 4 GiB.
pub fn write_npz<'a>(
    path: impl AsRef<Path>,
    arrays: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
) -> Result<(), CheckpointError> {
    let path = path.as_ref();
    let arrays: Vec<_> = arrays
        .into_iter()
        .map(|(name, tensor)| (name, [&[tensor.samples()], &tensor.sample_shape()[..]].concat(), tensor.values()))
        .collect();
    let bytes = npz_bytes(arrays.iter().map(|(name, shape, values)| (*name, &shape[..], &values[..])));
    let bytes = bytes.ok_or_else(|| CheckpointError::File {
        path: path.display().to_string(),
        done: "written",
        reason: TOO_LARGE.to_owned(),
    })?;
    write_file(path, &bytes)
}

/// What no archive is.
pub(crate) const TOO_LARGE: &str =
    "an archive of more than 4 GiB, a name of more than 65,535 bytes, or more than 65,535 arrays";

/// An archive of arrays: names, shapes and values. Nothing if it would be [`TOO_LARGE`].
pub(crate) fn npz_bytes<'a>(arrays: impl Iterator<Item = (&'a str, &'a [usize], &'a [f32])>) -> Option<Vec<u8>> {
    archive(&arrays.map(|(name, shape, values)| (format!("{name}.npy"), npy(shape, values))).collect::<Vec<_>>())
}

/// An NPY file, whose values begin at a multiple of 64 bytes.
fn npy(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let mut sizes = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    if shape.len() == 1 {
        sizes.push(',');
    }
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sizes}), }}");
    while !(MAGIC.len() + 2 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// Magic and version of NPY files.
const MAGIC: [u8; 8] = *b"\x93NUMPY\x01\x00";
/// The version that a reader must know.
const ZIP_VERSION: u16 = 20;
/// 1 January 1980, as ZIP has dates: the same arrays make the same bytes.
const DATE: u16 = (1 << 5) | 1;

/// A ZIP archive of stored files.
fn archive(files: &[(String, Vec<u8>)]) -> Option<Vec<u8>> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let size = u32::try_from(content.len()).ok()?;
        let start = u32::try_from(bytes.len()).ok()?;
        // What both headers have: version, flags, method, time, date, checksum, sizes, lengths of the name and of nothing more.
        let mut common: Vec<u8> = [ZIP_VERSION, 0, 0, 0, DATE].into_iter().flat_map(u16::to_le_bytes).collect();
        common.extend([samara_runtime::crc32(content), size, size].into_iter().flat_map(u32::to_le_bytes));
        common.extend([u16::try_from(name.len()).ok()?, 0].into_iter().flat_map(u16::to_le_bytes));
        bytes.extend([b"PK\x03\x04", &common[..], name.as_bytes(), content].concat());
        directory.extend(
            [b"PK\x01\x02", &ZIP_VERSION.to_le_bytes()[..], &common, &[0; 10], &start.to_le_bytes(), name.as_bytes()].concat(),
        );
    }
    let (count, start) = (u16::try_from(files.len()).ok()?, u32::try_from(bytes.len()).ok()?);
    let size = u32::try_from(directory.len()).ok()?;
    bytes.extend(directory);
    bytes.extend([&b"PK\x05\x06\0\0\0\0"[..], &count.to_le_bytes(), &count.to_le_bytes()].concat());
    bytes.extend([&size.to_le_bytes()[..], &start.to_le_bytes(), &[0, 0]].concat());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::sources::NpzFile;

    #[test]
    fn arrays_come_back_as_they_were() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/arrays.npz");
        let matrix = Tensor::new([2, 3], vec![0.5, -1.0, f32::MIN_POSITIVE, f32::MAX, 0.1, 7.0]).unwrap();
        let vector = Tensor::new([3], vec![1.0, 2.0, 3.0]).unwrap();
        write_npz(&path, [("a/matrix", &matrix), ("vector", &vector)]).unwrap();
        let file = NpzFile::open(&path).unwrap();
        for (name, tensor) in [("a/matrix", &matrix), ("vector", &vector)] {
            assert_eq!(file.array(name).unwrap().into_tensor(1.0).unwrap(), *tensor, "{name}");
        }
        // Values begin where NumPy has them begin.
        let bytes = npy(&[2, 3], matrix.values());
        assert_eq!((bytes.len() - 24) % 64, 0);
        let message = write_npz(directory.path(), []).unwrap_err().to_string();
        assert!(message.contains("cannot be written"), "{message}");
    }
}
