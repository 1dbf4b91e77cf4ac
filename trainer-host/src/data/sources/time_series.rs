//! Time series in pairs of files, `NAME_TRAIN.ts` and `NAME_TEST.ts`; BasicMotions and JapaneseVowels of the UEA archive.

use std::path::{Path, PathBuf};

use super::{SourceError, Splits, folder, places, ts::TsFile};
use crate::data::Dataset;
use crate::graph::Shape;

/// A data set of the UEA archive.
#[derive(Debug)]
pub(super) struct TimeSeries {
    pub name: &'static str,
    /// What the files' names begin with.
    stem: &'static str,
}

/// Accelerometer and gyroscope of a smart watch in four activities: 40 + 40 series of 100 steps of 6 channels.
pub(super) const BASIC_MOTIONS: TimeSeries = TimeSeries { name: "basic-motions", stem: "BasicMotions" };

/// Two vowels of nine speakers: 270 + 370 series of 7 to 29 steps of 12 coefficients of linear prediction.
///
/// Source: M. Kudo, J. Toyama, M. Shimbo, *Multidimensional curve classification using passing-through regions*, 1999.
pub(super) const JAPANESE_VOWELS: TimeSeries = TimeSeries { name: "japanese-vowels", stem: "JapaneseVowels" };

const TRAIN: &str = "_TRAIN.ts";
const TEST: &str = "_TEST.ts";

impl TimeSeries {
    /// The directory on this machine that holds the data set.
    pub fn locate(&self) -> Option<PathBuf> {
        places::of(self.name).into_iter().find(|directory| directory.join(format!("{}{TRAIN}", self.stem)).is_file())
    }

    /// Finds the data set on this machine.
    pub fn fetch(&self) -> Result<PathBuf, SourceError> {
        let files = format!("{}{TRAIN} and {}{TEST} of the UEA archive of time series", self.stem, self.stem);
        self.locate().ok_or_else(|| places::not_here(self.name, files))
    }

    pub fn load(&self, shape: Option<&Shape>) -> Result<Splits, SourceError> {
        read(&self.fetch()?, self.stem, shape)
    }
}

/// What the names of a pair of files in a directory begin with, if there is one.
pub(super) fn stem(directory: &Path) -> Option<String> {
    let paths = folder::sorted(directory).ok()?;
    let names = paths.iter().filter_map(|path| path.file_name()?.to_str());
    names.filter_map(|name| name.strip_suffix(TRAIN)).next().map(str::to_owned)
}

/// Reads a pair of files. Shorter series are followed by zeros, up to the longest of all, or up to the steps of `shape`. The
/// training series are brought into a random order, always the same, since they often lie by class.
pub(super) fn read(directory: &Path, stem: &str, shape: Option<&Shape>) -> Result<Splits, SourceError> {
    let paths = [TRAIN, TEST].map(|ending| directory.join(format!("{stem}{ending}")));
    let [train, test] = [TsFile::read(&paths[0])?, TsFile::read(&paths[1])?];
    if train.class_names != test.class_names {
        let (found, expected) = (test.class_names.join(", "), train.class_names.join(", "));
        return Err(SourceError::malformed(
            &paths[1],
            format!("its classes are {found}, those of the training are {expected}"),
        ));
    }
    let steps = match shape.map(|shape| &shape[..]) {
        Some(&[steps, channels]) if channels == train.channels => steps,
        _ => train.longest().max(test.longest()),
    };
    let class_names = train.class_names.clone();
    let dataset = |(file, path): (TsFile, &PathBuf)| {
        let data = file.padded(steps).and_then(|inputs| Dataset::new(inputs, file.targets()));
        data.map_err(|error| SourceError::malformed(path, error.to_string()))
    };
    let (train, test) = (dataset((train, &paths[0]))?, dataset((test, &paths[1]))?);
    Ok(Splits::shuffled(&directory.join(stem).display().to_string(), &train, test)?.with_class_names(class_names))
}

#[cfg(test)]
mod tests {
    use super::super::ts::tests::SAMPLE;
    use super::*;

    #[test]
    fn a_pair_of_files_becomes_splits() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert_eq!(stem(path), None);
        std::fs::write(path.join("Two_TRAIN.ts"), SAMPLE).unwrap();
        std::fs::write(path.join("Two_TEST.ts"), SAMPLE.replace("1,2,3:-1,-2,-3", "1,2,3,4:5,6,7,8")).unwrap();
        assert_eq!(stem(path).as_deref(), Some("Two"));
        let splits = read(path, "Two", None).unwrap();
        assert_eq!(splits.train.inputs()[0].sample_shape()[..], [4, 2], "the longest of all counts");
        assert_eq!(
            (&splits.class_names[..], splits.test.targets()[0].values()),
            (&["up".into(), "down".into()][..], &[0.0, 1.0][..])
        );
        let splits =
            super::super::load_with(path.to_str().unwrap(), super::super::Targets::Classes, Some(&[6, 2].into())).unwrap();
        assert_eq!(
            splits.test.inputs()[0].sample(0).unwrap()[..],
            [1.0, 5.0, 2.0, 6.0, 3.0, 7.0, 4.0, 8.0, 0.0, 0.0, 0.0, 0.0]
        );
        let message = read(path, "Two", Some(&[3, 2].into())).unwrap_err().to_string();
        assert!(message.contains("Two_TEST.ts: the length of a series is 4 steps, in series 0"), "{message}");
        std::fs::write(path.join("Two_TEST.ts"), SAMPLE.replace("up", "over")).unwrap();
        let message = read(path, "Two", None).unwrap_err().to_string();
        assert!(message.ends_with("its classes are over, down, those of the training are up, down"), "{message}");
    }
}
