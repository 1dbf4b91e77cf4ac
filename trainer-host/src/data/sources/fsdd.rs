//! The Free Spoken Digit Dataset: 3,000 recordings of the digits 0 to 9 by six speakers, at 8,000 samples per second.
//!
//! The files are `recordings/{digit}_{speaker}_{index}.wav`; indices 0 to 4 are for testing, by the data set's own rule.
//!
//! Source: Z. Jackson and others, *Free Spoken Digit Dataset*. CC BY-SA 4.0.

use std::path::{Path, PathBuf};

use super::{SourceError, Splits, folder, folder::Files, places, wav_folder::WavFolder};
use crate::data::{Dataset, LogMel, LogMelOptions};
use crate::error::Result;
use crate::graph::Shape;

/// The data set's name.
pub const NAME: &str = "fsdd";

/// Samples per second of the recordings.
pub const SAMPLE_RATE: u32 = 8000;

/// The first index for training.
const FIRST_TRAINING_INDEX: u32 = 5;

/// The shape of the features, if none is asked for: nearly a second.
const SHAPE: [usize; 3] = [49, 40, 1];

/// Recordings and digits, split by the data set's own rule.
#[derive(Debug, Clone)]
pub struct Recordings {
    /// 2,700 to learn from.
    pub train: WavFolder,
    /// 300 to judge by.
    pub test: WavFolder,
}

/// The directory on this machine that holds the data set.
pub fn locate() -> Option<PathBuf> {
    places::of(NAME).into_iter().find(|directory| is_directory(directory))
}

/// Finds the data set on this machine; it is not downloaded.
///
/// # Errors
/// If it is not there.
pub fn fetch() -> Result<PathBuf, SourceError> {
    locate().ok_or_else(|| places::not_here(NAME, "the folder recordings of Jakobovski/free-spoken-digit-dataset".to_owned()))
}

/// Reads log-mel features of the data set: see [`load_from`].
///
/// # Errors
/// If it is not on this machine, or as [`load_from`].
pub fn load(shape: Option<&Shape>) -> Result<Splits, SourceError> {
    load_from(&fetch()?, shape)
}

/// Whether a directory, or `recordings` in it, holds such recordings.
pub(super) fn is_directory(directory: &Path) -> bool {
    let holds = |directory: &Path| folder::sorted(directory).is_ok_and(|paths| paths.iter().any(|path| parse(path).is_some()));
    holds(&directory.join("recordings")) || holds(directory)
}

/// Digit and index of a recording, from its file's name.
fn parse(path: &Path) -> Option<(u8, u32)> {
    let mut parts = path.file_name()?.to_str()?.strip_suffix(".wav")?.split('_');
    let (digit, _speaker, index) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?.parse().ok()?);
    (digit <= 9 && parts.next().is_none()).then_some((digit, index))
}

/// The recordings in a directory or in `recordings` below it, each brought to `length` samples.
///
/// # Errors
/// If the directory cannot be read, or lacks recordings to learn from or to judge by.
pub fn recordings(directory: &Path, length: usize) -> Result<Recordings> {
    let below = directory.join("recordings");
    let directory = if below.is_dir() { &below } else { directory };
    let part = |is_part: fn(u32) -> bool, what: &str| {
        let class_names = (0..10).map(|digit| digit.to_string()).collect();
        let mut files = Files { paths: Vec::new(), class_names, target_shape: Shape::default(), targets: Vec::new() };
        for path in folder::sorted(directory)? {
            if let Some((digit, index)) = parse(&path)
                && is_part(index)
            {
                files.paths.push(path);
                files.targets.push(f32::from(digit));
            }
        }
        if files.paths.is_empty() {
            let reason = format!("it has no recordings {what}, expected files such as 0_jackson_7.wav");
            return Err(SourceError::malformed(directory, reason).into());
        }
        WavFolder::new(files, SAMPLE_RATE, length)
    };
    Ok(Recordings {
        train: part(|index| index >= FIRST_TRAINING_INDEX, "to learn from, of index 5 and more")?,
        test: part(|index| index < FIRST_TRAINING_INDEX, "to judge by, of indices 0 to 4")?,
    })
}

/// Reads log-mel features of frames of 32 ms every 20 ms: `shape` is `[frames, bands]` or `[frames, bands, 1]`, else
/// `[49, 40, 1]`, nearly a second. Longer recordings are cut at their end, shorter ones are followed by silence.
///
/// # Errors
/// If the shape is none of features, or a recording cannot be read or is damaged.
pub fn load_from(directory: &Path, shape: Option<&Shape>) -> Result<Splits, SourceError> {
    let default = Shape::from(SHAPE);
    let shape = shape.unwrap_or(&default);
    let read = || -> Result<_> {
        let Some((log_mel, length)) = features(SAMPLE_RATE, shape)? else {
            return Err(not_features(shape));
        };
        let Recordings { train, test } = recordings(directory, length)?;
        let dataset = |part: WavFolder| {
            let part = part.log_mel(log_mel.clone())?;
            Dataset::from_source(&if shape.len() == 3 { part.as_images() } else { part })
        };
        let class_names = train.class_names().to_vec();
        Ok((dataset(train)?, dataset(test)?, class_names))
    };
    let (train, test, class_names) = read().map_err(|error| SourceError::of(directory, error))?;
    Ok(Splits::shuffled(&directory.display().to_string(), &train, test)?.with_class_names(class_names))
}

/// The features of frames of 32 ms every 20 ms that have a shape `[frames, bands]` or `[frames, bands, 1]`, and the samples that
/// they take; none if it is another one.
pub(super) fn features(sample_rate: u32, shape: &Shape) -> Result<Option<(LogMel, usize)>> {
    let ([frames, bands] | [frames, bands, 1]) = shape[..] else { return Ok(None) };
    let log_mel = LogMel::new(LogMelOptions { bands, ..LogMelOptions::at(sample_rate) })?;
    let length = log_mel.samples(frames);
    Ok(Some((log_mel, length)))
}

/// Sounds become no samples of such a shape.
pub(super) fn not_features(shape: &Shape) -> crate::Error {
    crate::Error::Argument {
        name: "the shape of sounds",
        found: shape.to_string(),
        expected: "log-mel features [frames, bands] or [frames, bands, 1], or samples [samples, 1]".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::wav::tests::wav;
    use super::*;

    #[test]
    fn the_split_is_the_data_sets_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert!(!is_directory(path));
        std::fs::create_dir(path.join("recordings")).unwrap();
        for (digit, index) in [(3, 0), (3, 4), (3, 5), (7, 10), (9, 49), (0, 5)] {
            let content = wav(1, 1, 8000, 8, &[128; 100]);
            std::fs::write(path.join(format!("recordings/{digit}_anna_{index}.wav")), content).unwrap();
        }
        std::fs::write(path.join("recordings/12_anna_9.wav"), "").unwrap();
        assert!(is_directory(path) && is_directory(&path.join("recordings")));
        let Recordings { train, test } = recordings(path, 300).unwrap();
        let names = |part: &WavFolder| -> Vec<String> {
            part.paths().iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(&train), ["0_anna_5.wav", "3_anna_5.wav", "7_anna_10.wav", "9_anna_49.wav"]);
        assert_eq!(names(&test), ["3_anna_0.wav", "3_anna_4.wav"]);
        let splits = load_from(path, Some(&[3, 20].into())).unwrap();
        assert_eq!(splits.train.inputs()[0].sample_shape()[..], [3, 20]);
        assert_eq!((splits.train.samples(), splits.validation.samples()), (3, 1));
        assert_eq!((splits.test.targets()[0].values(), splits.class_names.len()), (&[3.0, 3.0][..], 10));
        assert_eq!(load_from(path, None).unwrap().test.inputs()[0].sample_shape()[..], [49, 40, 1]);
        let message = load_from(path, Some(&[28, 28, 3].into())).unwrap_err().to_string();
        assert!(message.contains("the shape of sounds is [28, 28, 3], but must be log-mel features"), "{message}");
        std::fs::write(path.join("recordings/3_anna_4.wav"), wav(1, 1, 8000, 8, &[128; 9])).unwrap();
        std::fs::write(path.join("recordings/3_anna_4.wav"), "RIFF").unwrap();
        let message = load_from(path, None).unwrap_err().to_string();
        assert!(message.contains("3_anna_4.wav: it does not start as a WAV file does"), "{message}");
    }
}
