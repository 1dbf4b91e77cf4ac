//! Where data comes from: known data sets by name, and a user's own data by path.

mod arrays;
mod class_folders;
mod columns;
mod csv_file;
mod download;
mod error;
pub mod fashion_mnist;
mod folder;
pub mod fsdd;
mod idx;
mod idx_set;
mod image_directory;
mod image_file;
mod image_folder;
pub mod mnist;
mod npy;
mod npz;
mod places;
mod time_series;
mod ts;
mod wav;
mod wav_folder;

use std::path::{Path, PathBuf};

pub use columns::{Column, ColumnKind, Columns, TableOptions};
pub use csv_file::CsvFile;
pub use error::SourceError;
pub use idx::IdxFile;
pub use image_folder::ImageFolder;
pub use npy::{Elements, NpyArray, NpyFile, NpySource};
pub use npz::NpzFile;
pub use ts::{Series, TsFile};
pub use wav::WavFile;
pub use wav_folder::WavFolder;

use super::{Dataset, Random, Select, Tensor};
use crate::graph::Shape;

/// A data set, split.
#[derive(Debug, Clone)]
pub struct Splits {
    /// To learn from.
    pub train: Dataset,
    /// To choose by: the first tenth of what was given for training, at most 5,000 samples.
    pub validation: Dataset,
    /// To judge by.
    pub test: Dataset,
    /// The names of the classes, by number, if they have any.
    pub class_names: Vec<String>,
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
        let test = Dataset::new(test.0, test.1).map_err(failed(origin, "test"))?;
        let all = Dataset::new(train.0, train.1).map_err(failed(origin, "training"))?;
        Self::of(origin, &all, test)
    }

    /// As [`Splits::new`], of data sets.
    fn of(origin: &str, all: &Dataset, test: Dataset) -> Result<Self, SourceError> {
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
        let slice = |range| all.slice(range).map_err(failed(origin, "training"));
        Ok(Self { train: slice(held_out..samples)?, validation: slice(0..held_out)?, test, class_names: Vec::new() })
    }

    /// As [`Splits::of`], the training samples in a random order, always the same: of samples that lie by class, the first tenth
    /// would be of one class.
    fn shuffled(origin: &str, all: &Dataset, test: Dataset) -> Result<Self, SourceError> {
        let mut numbers: Vec<u32> = (0..all.samples() as u32).collect();
        Random::new(0, 0).shuffle(&mut numbers);
        let all = Select::new(all, numbers).and_then(|all| Dataset::from_source(&all)).map_err(failed(origin, "training"))?;
        Self::of(origin, &all, test)
    }

    fn with_class_names(self, class_names: Vec<String>) -> Self {
        Self { class_names, ..self }
    }

    /// The number of classes, where targets are class numbers: the largest label, plus 1.
    pub fn classes(&self) -> usize {
        let labels = [&self.train, &self.validation, &self.test].map(|part| part.targets()[0].values());
        labels.into_iter().flatten().fold(0, |classes, &label| classes.max((label as usize).saturating_add(1)))
    }
}

fn failed(origin: &str, part: &str) -> impl Fn(crate::error::Error) -> SourceError {
    let origin = format!("{origin}, {part} samples");
    move |error| SourceError::Data { origin: origin.clone(), error: Box::new(error) }
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
    /// Reads it, downloading it if need be; brought to the shape of a model's input, where the data set leaves a choice.
    pub load: fn(Option<&Shape>) -> Result<Splits, SourceError>,
}

/// All data sets that are known by name.
pub const SOURCES: &[KnownData] = &[
    KnownData {
        name: fashion_mnist::NAME,
        description: "70,000 grey images, 28 x 28, of clothes in 10 classes",
        locate: fashion_mnist::locate,
        fetch: fashion_mnist::fetch,
        load: |_| fashion_mnist::load(),
    },
    KnownData {
        name: mnist::NAME,
        description: "70,000 grey images, 28 x 28, of handwritten digits",
        locate: mnist::locate,
        fetch: mnist::fetch,
        load: |_| mnist::load(),
    },
    KnownData {
        name: fsdd::NAME,
        description: "3,000 recordings of spoken digits, as log-mel features",
        locate: fsdd::locate,
        fetch: fsdd::fetch,
        load: fsdd::load,
    },
    KnownData {
        name: time_series::BASIC_MOTIONS.name,
        description: "80 series of a smart watch's motions, 100 steps of 6 channels, in 4 classes",
        locate: || time_series::BASIC_MOTIONS.locate(),
        fetch: || time_series::BASIC_MOTIONS.fetch(),
        load: |shape| time_series::BASIC_MOTIONS.load(shape),
    },
    KnownData {
        name: time_series::JAPANESE_VOWELS.name,
        description: "640 series of vowels, 7 to 29 steps of 12 channels, by 9 speakers",
        locate: || time_series::JAPANESE_VOWELS.locate(),
        fetch: || time_series::JAPANESE_VOWELS.fetch(),
        load: |shape| time_series::JAPANESE_VOWELS.load(shape),
    },
];

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

/// Reads a data set by name, or a user's own by path:
///
/// - the arrays `x_train`, `y_train`, `x_test`, `y_test` (unsigned bytes of `x` are divided by 255) in an NPZ archive or as NPY files
///   in a directory;
/// - a directory of IDX files named like MNIST's, or of `NAME_TRAIN.ts` and `NAME_TEST.ts`;
/// - a directory of pictures (PNG, JPEG) or sounds (WAV), a sub-folder for each class, of which a fifth is drawn by lot to judge by;
///   or `train` and `test` with such sub-folders. These need a shape: see [`load_with`].
///
/// # Errors
/// If there is none, it cannot be had, or it is damaged.
pub fn load(name_or_path: &str) -> Result<Splits, SourceError> {
    load_with(name_or_path, Targets::Classes, None)
}

/// As [`load`], for arrays whose `y_train` and `y_test` are what is said here. Where samples can be brought to a shape, it is that of
/// a model's input: pictures are resized, sounds become features, series are padded.
///
/// # Errors
/// As [`load`].
pub fn load_with(name_or_path: &str, targets: Targets, shape: Option<&Shape>) -> Result<Splits, SourceError> {
    let path = Path::new(name_or_path);
    match find(name_or_path) {
        Ok(source) => (source.load)(shape),
        Err(_) if path.is_file() && path.extension().is_some_and(|ending| ending == "csv") => {
            let reason =
                "a CSV file is read where its target's column is named: `CsvFile::open`, `samara train --target COLUMN`";
            Err(SourceError::malformed(path, reason))
        }
        Err(_) if path.is_dir() => load_directory(path, targets, shape),
        Err(_) if path.is_file() => arrays::load_archive(path, targets),
        Err(unknown) => Err(unknown),
    }
}

fn load_directory(directory: &Path, targets: Targets, shape: Option<&Shape>) -> Result<Splits, SourceError> {
    if directory.join(arrays::FIRST_FILE).is_file() {
        return arrays::load_directory(directory, targets);
    }
    if let Some(stem) = time_series::stem(directory) {
        return time_series::read(directory, &stem, shape);
    }
    if fsdd::is_directory(directory) {
        return fsdd::load_from(directory, shape);
    }
    if idx::find(directory, image_directory::TRAIN_IMAGES).is_err() && folder::has_folders(directory) {
        return class_folders::load(directory, shape);
    }
    image_directory::load(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_told_with_those_there_are() {
        assert_eq!(
            load("fasion-mnist").unwrap_err().to_string(),
            "there is no data set \"fasion-mnist\", and no directory or .npz file of that name; known data sets: \
             fashion-mnist, mnist, fsdd, basic-motions, japanese-vowels"
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
