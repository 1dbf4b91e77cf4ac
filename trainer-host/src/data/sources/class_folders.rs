//! A user's own folders of pictures or sounds, a sub-folder for each class, read into memory.

use std::path::Path;

use super::{ImageFolder, SourceError, Splits, WavFile, WavFolder, folder, fsdd};
use crate::data::{Dataset, Random, Select, Source};
use crate::error::Result;
use crate::graph::Shape;

/// The part of the samples that is held out to judge by, where the folder does not say.
const TEST_PART: f64 = 0.2;

/// Reads a directory with `train` and `test`, each with a sub-folder for each class; or with the classes alone, of which a fifth,
/// drawn by lot, is held out to judge by. Pictures and sounds are brought to the shape of a model's input: see [`ImageFolder`] and
/// [`WavFolder`]; sounds become log-mel features `[frames, bands]` or `[frames, bands, 1]`, or `[samples, 1]`.
///
/// # Errors
/// If there is no shape, or it is none of pictures or sounds; if a file is damaged, or classes differ.
pub fn load(directory: &Path, shape: Option<&Shape>) -> Result<Splits, SourceError> {
    let Some(shape) = shape else {
        let reason = "it is a folder of files, which are brought to the shape of a model's input, but there is none";
        return Err(SourceError::malformed(directory, reason));
    };
    read(directory, shape).map_err(|error| SourceError::of(directory, error))
}

fn read(directory: &Path, shape: &Shape) -> Result<Splits> {
    let origin = directory.display().to_string();
    let [train, test] = ["train", "test"].map(|part| directory.join(part));
    if train.is_dir() && test.is_dir() {
        let (train, train_classes) = open(&train, shape)?;
        let (data, classes) = open(&test, shape)?;
        if classes != train_classes {
            let (found, expected) = (classes.join(", "), train_classes.join(", "));
            let reason = format!("its classes are {found}, those of the training are {expected}");
            return Err(SourceError::malformed(&test, reason).into());
        }
        let train = Dataset::from_source(&*train)?;
        return Ok(Splits::shuffled(&origin, &train, Dataset::from_source(&*data)?)?.with_class_names(classes));
    }
    let (all, classes) = open(directory, shape)?;
    let mut numbers: Vec<u32> = (0..all.samples() as u32).collect();
    Random::new(0, 0).shuffle(&mut numbers);
    let held_out = ((numbers.len() as f64 * TEST_PART) as usize).max(1);
    let train = numbers.split_off(held_out);
    let dataset = |numbers| Dataset::from_source(&Select::new(&*all, numbers)?);
    Ok(Splits::of(&origin, &dataset(train)?, dataset(numbers)?)?.with_class_names(classes))
}

/// The files of the classes in a directory, brought to a shape, and the names of the classes.
fn open(directory: &Path, shape: &Shape) -> Result<(Box<dyn Source>, Vec<String>)> {
    let is_sound = |path: &Path| folder::has_ending(path, &["wav"]);
    let sound =
        folder::sorted(directory)?.iter().find_map(|class| folder::sorted(class).ok()?.into_iter().find(|path| is_sound(path)));
    let Some(sound) = sound else {
        let images = ImageFolder::of_classes(directory, shape.clone())?;
        let names = images.class_names().to_vec();
        return Ok((Box::new(images), names));
    };
    let rate = WavFile::read(&sound)?.sample_rate;
    let sounds = match shape[..] {
        [length, 1] => WavFolder::of_classes(directory, rate, length)?,
        _ => {
            let (log_mel, length) = fsdd::features(rate, shape)?.ok_or_else(|| fsdd::not_features(shape))?;
            let sounds = WavFolder::of_classes(directory, rate, length)?.log_mel(log_mel)?;
            if shape.len() == 3 { sounds.as_images() } else { sounds }
        }
    };
    let names = sounds.class_names().to_vec();
    Ok((Box::new(sounds), names))
}

#[cfg(test)]
mod tests {
    use super::super::{Targets, image_file::tests::png_file, load_with, wav::tests::wav};
    use super::*;
    use png::{BitDepth::Eight, ColorType::Grayscale};
    use std::fs;

    fn write(path: &Path, content: &[u8]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn read(directory: &Path, shape: Shape) -> Result<Splits, String> {
        load_with(directory.to_str().unwrap(), Targets::Classes, Some(&shape)).map_err(|error| error.to_string())
    }

    #[test]
    fn pictures_are_split_by_lot_or_by_folder() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        for number in 0..10u8 {
            let class = ["cat", "dog"][usize::from(number % 2)];
            write(&path.join(format!("all/{class}/{number}.png")), &png_file(Grayscale, Eight, 1, 1, &[number]));
        }
        let splits = read(&path.join("all"), [2, 2, 1].into()).unwrap();
        let sizes = [&splits.train, &splits.validation, &splits.test].map(Dataset::samples);
        assert_eq!((sizes, splits.class_names.join(" ")), ([7, 1, 2], "cat dog".to_owned()));
        for part in [&splits.train, &splits.validation, &splits.test] {
            for sample in 0..part.samples() {
                let number = part.inputs()[0].sample(sample).unwrap()[3] * 255.0;
                assert_eq!(part.targets()[0].values()[sample], number.round() % 2.0);
            }
        }
        for part in ["train", "test"] {
            for class in ["a", "b"] {
                write(&path.join(format!("split/{part}/{class}/x.png")), &png_file(Grayscale, Eight, 1, 1, &[255]));
            }
        }
        assert_eq!(read(&path.join("split"), [1, 1, 1].into()).unwrap().test.samples(), 2);
        fs::rename(path.join("split/test/a"), path.join("split/test/c")).unwrap();
        let message = read(&path.join("split"), [1, 1, 1].into()).unwrap_err();
        assert!(message.ends_with("test: its classes are b, c, those of the training are a, b"), "{message}");
        write(&path.join("all/dog/3.png"), b"GIF");
        let message = read(&path.join("all"), [1, 1, 1].into()).unwrap_err();
        assert!(message.contains("dog/3.png: it has 47 49 46 at its start"), "{message}");
        let message = load(&path.join("all"), None).unwrap_err().to_string();
        assert!(message.contains("brought to the shape of a model's input"), "{message}");
    }

    #[test]
    fn sounds_become_features_or_samples() {
        let directory = tempfile::tempdir().unwrap();
        for (class, number) in [("no", 1), ("no", 2), ("yes", 3), ("yes", 4)] {
            write(&directory.path().join(format!("{class}/{number}.wav")), &wav(1, 1, 8000, 8, &[192; 3]));
        }
        let splits = read(directory.path(), [5, 20, 1].into()).unwrap();
        assert_eq!((splits.train.samples(), splits.test.inputs()[0].sample_shape().to_vec()), (2, vec![5, 20, 1]));
        let splits = read(directory.path(), [4, 1].into()).unwrap();
        assert_eq!(splits.test.inputs()[0].values(), [0.5, 0.5, 0.5, 0.0]);
        let message = read(directory.path(), [640].into()).unwrap_err();
        assert!(message.contains("the shape of sounds is [640], but must be log-mel features"), "{message}");
    }
}
