//! A user's own data in the arrays `x_train`, `y_train`, `x_test` and `y_test`: in one NPZ archive, or each in an NPY file.

use std::path::{Path, PathBuf};

use super::{NpyArray, NpzFile, SourceError, Splits, Targets};
use crate::data::Tensor;

/// The file that tells a directory of NPY files.
pub const FIRST_FILE: &str = "x_train.npy";

/// Reads an archive. `x` are samples, one along the first axis: unsigned bytes are divided by 255, other numbers are taken
/// as they are. `y` are class numbers, one for each sample; or values, taken as they are, of any shape behind the first axis.
///
/// # Errors
/// If an array is missing or damaged, a value is NaN or infinite, a label is no whole number from 0 on, or the arrays do not
/// fit together.
pub fn load_archive(path: &Path, targets: Targets) -> Result<Splits, SourceError> {
    let archive = NpzFile::open(path)?;
    load(path, targets, |name| Ok((path.to_owned(), archive.array(name)?)))
}

/// Reads a directory of `x_train.npy` and so on, as [`load_archive`].
///
/// # Errors
/// As [`load_archive`].
pub fn load_directory(directory: &Path, targets: Targets) -> Result<Splits, SourceError> {
    load(directory, targets, |name| {
        let path = directory.join(format!("{name}.npy"));
        let array = NpyArray::read(&path)?;
        Ok((path, array))
    })
}

fn load(
    origin: &Path,
    targets: Targets,
    array: impl Fn(&str) -> Result<(PathBuf, NpyArray), SourceError>,
) -> Result<Splits, SourceError> {
    let read = |x: &str, y: &str| {
        let (path, values) = array(x)?;
        let samples = samples(&path, x, values)?;
        let (path, values) = array(y)?;
        let targets = match targets {
            Targets::Classes => labels(&path, y, values)?,
            Targets::Values => tensor(&path, y, values, 1.0)?,
        };
        Ok((samples, targets))
    };
    Splits::new(&origin.display().to_string(), read("x_train", "y_train")?, read("x_test", "y_test")?)
}

fn samples(path: &Path, name: &str, array: NpyArray) -> Result<Tensor, SourceError> {
    if array.shape.len() < 2 {
        let reason = format!(
            "array {name} has the shape {:?}, expected samples along the first axis and values along others",
            array.shape
        );
        return Err(SourceError::malformed(path, reason));
    }
    tensor(path, name, array, 255.0)
}

/// The array, its bytes over `divisor`.
fn tensor(path: &Path, name: &str, array: NpyArray, divisor: f32) -> Result<Tensor, SourceError> {
    array.into_tensor(divisor).map_err(|error| SourceError::malformed(path, format!("array {name}: {error}")))
}

fn labels(path: &Path, name: &str, array: NpyArray) -> Result<Tensor, SourceError> {
    let ([samples] | [samples, 1]) = array.shape[..] else {
        let reason = format!("array {name} has the shape {:?}, expected one class number for each sample", array.shape);
        return Err(SourceError::malformed(path, reason));
    };
    let is_class = |value: f32| value >= 0.0 && value.fract() == 0.0 && value < 65_536.0;
    let labels = tensor(path, name, NpyArray { shape: vec![samples], ..array }, 1.0)?;
    if let Some(sample) = labels.values().iter().position(|&value| !is_class(value)) {
        let label = labels.values()[sample];
        let reason = format!("array {name} has the label {label} in sample {sample}, expected a whole number from 0 to 65535");
        return Err(SourceError::malformed(path, reason));
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::super::{npy::tests::npy, npz::tests::zip};
    use super::*;

    fn archive(x_train: &[u8], y_train: &[f32]) -> Result<Splits, String> {
        archive_with(x_train, &format!("({},)", y_train.len()), y_train, Targets::Classes)
    }

    fn archive_with(x_train: &[u8], y_shape: &str, y_train: &[f32], targets: Targets) -> Result<Splits, String> {
        let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let bytes = zip(&[
            ("x_train.npy", npy("|u1", &format!("({}, 2)", x_train.len() / 2), x_train)),
            ("y_train.npy", npy("<f4", y_shape, &floats(y_train))),
            ("x_test.npy", npy("<f4", "(1, 2)", &floats(&[7.5, -1.0]))),
            ("y_test.npy", npy("|u1", "(1, 1)", &[4])),
        ]);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("own.npz");
        std::fs::write(&path, bytes).unwrap();
        load_archive(&path, targets).map_err(|error| error.to_string().replace(&path.display().to_string(), "own.npz"))
    }

    #[test]
    fn bytes_are_scaled_and_floats_are_not() {
        let splits = archive(&[0, 255, 51, 0], &[0.0, 1.0]).unwrap();
        assert_eq!(splits.validation.inputs()[0].values(), [0.0, 1.0]);
        assert_eq!(splits.train.inputs()[0].values(), [0.2, 0.0]);
        assert_eq!(splits.test.inputs()[0].values(), [7.5, -1.0]);
        assert_eq!(splits.classes(), 5, "the largest label of any split counts");
    }

    #[test]
    fn targets_may_be_values_of_any_shape() {
        let y = [-1.5, 2.0, 0.25, 7.0, 0.0, 300.5, 9.0, -3.0];
        let splits = archive_with(&[0; 4], "(2, 2, 2)", &y, Targets::Values).unwrap();
        assert_eq!(splits.train.targets()[0].sample_shape()[..], [2, 2]);
        assert_eq!(splits.validation.targets()[0].values(), [-1.5, 2.0, 0.25, 7.0]);
        assert_eq!(splits.train.targets()[0].values(), [0.0, 300.5, 9.0, -3.0]);
        assert_eq!(splits.test.targets()[0].values(), [4.0], "bytes, too, are taken as they are");
        let message = archive_with(&[0; 4], "(2,)", &[0.5, f32::NAN], Targets::Values).unwrap_err();
        assert!(message.contains("target 0 has the value NaN in sample 1"), "{message}");
        let message = archive_with(&[0; 4], "(2, 2, 2)", &y, Targets::Classes).unwrap_err();
        assert_eq!(message, "own.npz: array y_train has the shape [2, 2, 2], expected one class number for each sample");
    }

    #[test]
    fn faults_name_file_array_and_sample() {
        let message = |x: &[u8], y: &[f32]| archive(x, y).unwrap_err();
        assert_eq!(
            message(&[0; 4], &[0.0, 1.5]),
            "own.npz: array y_train has the label 1.5 in sample 1, expected a whole number from 0 to 65535"
        );
        assert!(message(&[0; 4], &[f32::NAN, 0.0]).contains("the label NaN in sample 0"));
        assert_eq!(message(&[0; 4], &[0.0; 3]), "own.npz, training samples: target 0 has 3 samples, but the first input has 2");
        assert_eq!(message(&[], &[]), "own.npz, training samples: the data set is empty: input 0 has no samples");
        assert!(message(&[0; 2], &[0.0]).contains("1 training sample"));
    }
    #[test]
    fn a_directory_of_npy_files_is_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, content: Vec<u8>| std::fs::write(directory.path().join(name), content).unwrap();
        write(FIRST_FILE, npy("|u1", "(2, 2)", &[0, 255, 51, 0]));
        write("y_train.npy", npy("|u1", "(2,)", &[0, 1]));
        write("x_test.npy", npy("|u1", "(1, 2)", &[255, 0]));
        let path = directory.path().to_str().unwrap();
        let message = super::super::load(path).unwrap_err().to_string();
        assert!(message.contains("y_test.npy cannot be read"), "{message}");
        write("y_test.npy", npy("<i8", "(1,)", &3i64.to_le_bytes()));
        let splits = super::super::load(path).unwrap();
        assert_eq!((splits.classes(), splits.train.inputs()[0].values()), (4, &[0.2, 0.0][..]));
        write("y_test.npy", npy("<f4", "(1,)", &0.5f32.to_le_bytes()));
        let message = super::super::load(path).unwrap_err().to_string();
        assert!(message.contains("y_test.npy: array y_test has the label 0.5 in sample 0"), "{message}");
    }
}
