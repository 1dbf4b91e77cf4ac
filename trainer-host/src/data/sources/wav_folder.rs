//! Folders of sounds, read when they are asked for.

use std::path::{Path, PathBuf};

use super::{SourceError, folder::Files, wav::WavFile};
use crate::data::augment::SoundAugmentation;
use crate::data::{BatchBuffers, Field, LogMel, Random, Source};
use crate::error::{Error, Result};
use crate::graph::Shape;

/// Sounds in WAV files, each with a class or with values to predict, all of one sample rate. They are read batch by batch, so the
/// folder may be larger than memory.
///
/// Each becomes `[samples, 1]` of one length: what is longer is cut at its end, what is shorter is followed by zeros. Several
/// channels become their mean. Nothing is resampled: a file of another rate is refused, by name. [`WavFolder::log_mel`] makes
/// features of them.
///
/// ```no_run
/// use samara_trainer::data::{LogMel, LogMelOptions, validation_split};
/// use samara_trainer::data::sources::WavFolder;
///
/// let words = WavFolder::of_classes("words", 16_000, 16_000)?; // words/yes/*.wav, words/no/*.wav, ..., of a second
/// let words = words.log_mel(LogMel::new(LogMelOptions::at(16_000))?)?.as_images(); // [49, 40, 1]
/// let (train, validation) = validation_split(&words, 0.2, 1)?;
/// # Ok::<(), samara_trainer::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct WavFolder {
    files: Files,
    sample_rate: u32,
    length: usize,
    augmentation: Option<SoundAugmentation>,
    log_mel: Option<LogMel>,
    shape: Shape,
}

impl WavFolder {
    /// The sounds in the sub-folders of a directory, at `sample_rate` samples per second, each brought to `length` samples. Each
    /// sub-folder is a class; classes are numbered by the order of their names. What begins with a dot and files with
    /// another ending than `.wav` are passed over.
    ///
    /// # Errors
    /// If a folder cannot be read, there is no sub-folder, one holds no sound, or `length` is 0.
    pub fn of_classes(directory: impl AsRef<Path>, sample_rate: u32, length: usize) -> Result<Self> {
        Self::new(Files::of_classes(directory.as_ref(), &["wav"])?, sample_rate, length)
    }

    /// The sounds that a table names, below a directory, with the values to predict from each.
    ///
    /// # Errors
    /// If the table is empty, a file is not there, numbers of values differ, or `length` is 0.
    pub fn of_table(
        directory: impl AsRef<Path>,
        table: &[(String, Vec<f32>)],
        sample_rate: u32,
        length: usize,
    ) -> Result<Self> {
        Self::new(Files::of_table(directory.as_ref(), table)?, sample_rate, length)
    }

    pub(super) fn new(files: Files, sample_rate: u32, length: usize) -> Result<Self> {
        if length == 0 {
            let expected = "at least 1 sample".to_owned();
            return Err(Error::Argument { name: "the length of sounds", found: "0".to_owned(), expected });
        }
        Ok(Self { files, sample_rate, length, augmentation: None, log_mel: None, shape: [length, 1].into() })
    }

    /// The same sounds as features `[frames, bands]`.
    ///
    /// # Errors
    /// If the features are for another sample rate, or the sounds are shorter than a frame.
    pub fn log_mel(self, log_mel: LogMel) -> Result<Self> {
        let options = log_mel.options();
        if options.sample_rate != self.sample_rate {
            let (found, expected) = (options.sample_rate.to_string(), format!("{}, that of the sounds", self.sample_rate));
            return Err(Error::Argument { name: "the sample rate of log-mel features", found, expected });
        }
        let frames = log_mel.frames(self.length);
        if frames == 0 {
            let expected = format!("at least {} samples, a frame of the features", options.window);
            return Err(Error::Argument { name: "the length of sounds", found: self.length.to_string(), expected });
        }
        Ok(Self { shape: [frames, options.bands].into(), log_mel: Some(log_mel), ..self })
    }

    /// The same with one more dimension of 1: features `[frames, bands, 1]`, as pictures of one channel.
    pub fn as_images(self) -> Self {
        Self { shape: Shape::new([&self.shape[..], &[1]].concat()), ..self }
    }

    /// The same sounds, changed at random each time they are taken, before features are computed. The random numbers depend on the
    /// seed, the epoch and the sample, and on nothing else.
    pub fn augment(self, augmentation: SoundAugmentation) -> Self {
        Self { augmentation: Some(augmentation), ..self }
    }

    /// The names of the classes, by number; none where targets are values.
    pub fn class_names(&self) -> &[String] {
        &self.files.class_names
    }

    /// The files, by the number of their sample.
    pub fn paths(&self) -> &[PathBuf] {
        &self.files.paths
    }
}

impl Source for WavFolder {
    fn samples(&self) -> usize {
        self.files.paths.len()
    }

    fn inputs(&self) -> Vec<Field> {
        vec![Field { name: None, shape: self.shape.clone() }]
    }

    fn targets(&self) -> Vec<Field> {
        vec![Field { name: None, shape: self.files.target_shape.clone() }]
    }

    fn fill(&self, samples: &[u32], key: u64, batch: &mut BatchBuffers) -> Result<()> {
        for (&sample, values) in samples.iter().zip(batch.input(0).chunks_exact_mut(self.shape.size())) {
            let path = self.files.path(sample)?;
            let WavFile { sample_rate, samples: mut sound, .. } = WavFile::read(path)?;
            if sample_rate != self.sample_rate {
                let reason = format!("it has {sample_rate} samples per second, expected {}: resample it", self.sample_rate);
                return Err(SourceError::malformed(path, reason).into());
            }
            sound.resize(self.length, 0.0);
            if let Some(augmentation) = &self.augmentation {
                augmentation.apply(&mut sound, &mut Random::new(key, u64::from(sample)));
            }
            match &self.log_mel {
                Some(log_mel) => values.copy_from_slice(&log_mel.compute(&sound)),
                None => values.copy_from_slice(&sound),
            }
        }
        self.files.gather_targets(samples, batch.target(0));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::wav::tests::wav;
    use super::*;
    use crate::data::LogMelOptions;
    use crate::data::augment::SoundChange;
    use std::fs;

    #[test]
    fn sounds_are_brought_to_one_length_and_rate() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        for (file, rate, data) in
            [("no/a.wav", 8000, &[192, 64][..]), ("yes/b.wav", 8000, &[0; 5]), ("yes/c.wav", 16_000, &[0])]
        {
            fs::create_dir_all(path.join(file).parent().unwrap()).unwrap();
            fs::write(path.join(file), wav(1, 1, rate, 8, data)).unwrap();
        }
        let folder = WavFolder::of_classes(path, 8000, 3).unwrap();
        let mut batch = BatchBuffers::new(&folder, 2);
        batch.take(&folder, [1, 0].into_iter(), 0).unwrap();
        assert_eq!(batch.input_values(0), [-1.0, -1.0, -1.0, 0.5, -0.5, 0.0]);
        assert_eq!((batch.target_values(0), folder.inputs()[0].shape.to_vec()), (&[1.0, 0.0][..], vec![3, 1]));
        let message = batch.take(&folder, [2].into_iter(), 0).unwrap_err().to_string();
        assert!(message.ends_with("c.wav: it has 16000 samples per second, expected 8000: resample it"), "{message}");

        let louder = SoundAugmentation::new(vec![SoundChange::Gain { decibels: 6.0 }]).unwrap();
        let augmented = folder.clone().augment(louder);
        let mut taken = |samples: &[u32], key: u64| {
            batch.take(&augmented, samples.iter().copied(), key).unwrap();
            batch.input_values(0).to_vec()
        };
        let first = taken(&[0, 1], 5);
        assert_eq!(first[..3], taken(&[1, 0], 5)[3..], "the same in another place");
        assert_ne!(first[..3], taken(&[0], 6)[..], "another in the next epoch");
        assert_eq!((first[0], first[2]), (-first[1], 0.0));

        let log_mel = LogMel::new(LogMelOptions::at(8000)).unwrap();
        let message = folder.clone().log_mel(log_mel.clone()).unwrap_err().to_string();
        assert_eq!(message, "the length of sounds is 3, but must be at least 256 samples, a frame of the features");
        let folder = WavFolder::of_classes(path, 8000, 416).unwrap().log_mel(log_mel.clone()).unwrap().as_images();
        assert_eq!(folder.inputs()[0].shape.to_vec(), [2, 40, 1]);
        let mut batch = BatchBuffers::new(&folder, 1);
        batch.take(&folder, [0].into_iter(), 0).unwrap();
        let sound = [&[0.5, -0.5][..], &[0.0; 414]].concat();
        assert_eq!(batch.input_values(0), log_mel.compute(&sound));
        let message = WavFolder::of_classes(path, 16_000, 500).unwrap().log_mel(log_mel).unwrap_err().to_string();
        assert_eq!(message, "the sample rate of log-mel features is 8000, but must be 16000, that of the sounds");
        assert!(WavFolder::of_classes(path, 8000, 0).unwrap_err().to_string().contains("the length of sounds is 0"));
    }
}
