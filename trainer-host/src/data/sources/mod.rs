//! Where data comes from: known data sets by name, and a user's own data by path.

mod arrays;
mod columns;
mod csv_file;
mod download;
mod error;
pub mod fashion_mnist;
mod idx;
mod image_directory;
mod npy;
mod npz;
mod places;

use std::path::{Path, PathBuf};

pub use columns::{Column, ColumnKind, Columns, TableOptions};
pub use csv_file::CsvFile;
pub use error::SourceError;
pub use idx::IdxFile;
pub use npy::{Elements, NpyArray, NpyFile, NpySource};
pub use npz::NpzFile;

use super::{Dataset, Tensor};

/// A data set, split.
#[derive(Debug, Clone)]
pub struct Splits {
    /// To learn from.
    pub train: Dataset,
    /// To choose by: the first tenth of what was given for training, at most 5,000 samples.
    pub validation: Dataset,
    /// To judge by.
    pub test: Dataset,
}

/// What the targets of a user's own data are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Targets {
    /// A class number for each sample.
    Classes,
    /// One or more numbers of any kind for each sample.
    Values,
}

/// The largest validation split.
const VALIDATION_SAMPLES: usize = 5_000;

impl Splits {
    /// Splits `(samples, labels)` given for training, and those given for testing. `origin` names them in errors.
    ///
    /// # Errors
    /// If there are none, numbers of samples or shapes differ, or a value is NaN or infinite.
    pub fn new(origin: &str, train: (Tensor, Tensor), test: (Tensor, Tensor)) -> Result<Self, SourceError> {
        let failed = |part: &str| {
            let origin = format!("{origin}, {part} samples");
            move |error| SourceError::Data { origin, error: Box::new(error) }
        };
        let test = Dataset::new(test.0, test.1).map_err(failed("test"))?;
        let all = Dataset::new(train.0, train.1).map_err(failed("training"))?;
        let samples = all.samples();
        let (found, expected) = (test.inputs()[0].sample_shape(), all.inputs()[0].sample_shape());
        let malformed = |reason| SourceError::malformed(Path::new(origin), reason);
        if found != expected {
            return Err(malformed(format!("test samples have the shape {found}, training samples {expected}")));
        }
        if samples < 2 {
            return Err(malformed(
                "it has 1 training sample, expected at least 2: one to learn from, one to validate".to_owned(),
            ));
        }
        let held_out = (samples / 10).clamp(1, VALIDATION_SAMPLES);
        let slice = |range| all.slice(range).map_err(failed("training"));
        Ok(Self { train: slice(held_out..samples)?, validation: slice(0..held_out)?, test })
    }

    /// The number of classes, where targets are class numbers: the largest label, plus 1.
    pub fn classes(&self) -> usize {
        let labels = [&self.train, &self.validation, &self.test].map(|part| part.targets()[0].values());
        labels.into_iter().flatten().fold(0, |classes, &label| classes.max((label as usize).saturating_add(1)))
    }
}

/// A data set that is known by name.
#[derive(Debug, Clone, Copy)]
pub struct KnownData {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a line.
    pub description: &'static str,
    /// Its directory, if it is on this machine.
    pub locate: fn() -> Option<PathBuf>,
    /// Finds or downloads it; its directory.
    pub fetch: fn() -> Result<PathBuf, SourceError>,
    /// Reads it, downloading it if need be.
    pub load: fn() -> Result<Splits, SourceError>,
}

/// All data sets that are known by name.
pub const SOURCES: &[KnownData] = &[KnownData {
    name: fashion_mnist::NAME,
    description: "70,000 grey images, 28 x 28, of clothes in 10 classes",
    locate: fashion_mnist::locate,
    fetch: fashion_mnist::fetch,
    load: fashion_mnist::load,
}];

/// The data set of that name.
///
/// # Errors
/// [`SourceError::Unknown`].
pub fn find(name: &str) -> Result<&'static KnownData, SourceError> {
    SOURCES.iter().find(|source| source.name == name).ok_or_else(|| SourceError::Unknown {
        name: name.to_owned(),
        known: SOURCES.iter().map(|source| source.name).collect::<Vec<_>>().join(", "),
    })
}

/// Reads a data set by name, or a user's own by path: a directory of IDX files named like MNIST's, or the arrays `x_train`,
/// `y_train`, `x_test`, `y_test` (unsigned bytes of `x` are divided by 255) in an NPZ archive or as NPY files in a directory.
///
/// # Errors
/// If there is none, it cannot be had, or it is damaged.
pub fn load(name_or_path: &str) -> Result<Splits, SourceError> {
    load_with(name_or_path, Targets::Classes)
}

/// As [`load`], for arrays whose `y_train` and `y_test` are what is said here.
///
/// # Errors
/// As [`load`].
pub fn load_with(name_or_path: &str, targets: Targets) -> Result<Splits, SourceError> {
    let path = Path::new(name_or_path);
    match find(name_or_path) {
        Ok(source) => (source.load)(),
        Err(_) if path.is_file() && path.extension().is_some_and(|ending| ending == "csv") => {
            let reason =
                "a CSV file is read where its target's column is named: `CsvFile::open`, `samara train --target COLUMN`";
            Err(SourceError::malformed(path, reason))
        }
        Err(_) if path.join(arrays::FIRST_FILE).is_file() => arrays::load_directory(path, targets),
        Err(_) if path.is_dir() => image_directory::load(path),
        Err(_) if path.is_file() => arrays::load_archive(path, targets),
        Err(unknown) => Err(unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_told_with_those_there_are() {
        assert_eq!(
            load("fasion-mnist").unwrap_err().to_string(),
            "there is no data set \"fasion-mnist\", and no directory or .npz file of that name; known data sets: fashion-mnist"
        );
    }

    #[test]
    fn test_samples_have_the_training_samples_shape() {
        let part = |samples: usize, size: usize| {
            (Tensor::new([samples, size], vec![0.5; samples * size]).unwrap(), Tensor::from_labels(&vec![0u8; samples]))
        };
        assert_eq!(
            Splits::new("x", part(4, 2), part(1, 3)).unwrap_err().to_string(),
            "x: test samples have the shape [3], training samples [2]"
        );
        let splits = Splits::new("x", part(40, 2), part(1, 2)).unwrap();
        assert_eq!((splits.train.samples(), splits.validation.samples()), (36, 4));
        // Values that are no labels make no panic.
        let huge = (Tensor::new([1, 2], vec![0.5; 2]).unwrap(), Tensor::new([1], vec![1e20]).unwrap());
        assert_eq!(Splits::new("x", part(40, 2), huge).unwrap().classes(), usize::MAX);
    }
}
