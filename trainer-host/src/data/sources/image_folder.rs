//! Folders of pictures, decoded when they are asked for.

use std::path::{Path, PathBuf};

use super::{SourceError, folder::Files, image_file::Image};
use crate::data::{BatchBuffers, Field, Source};
use crate::error::Result;
use crate::graph::Shape;

/// Endings of the files that are read.
const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];

/// Pictures in PNG and JPEG files (`.png`, `.jpg`, `.jpeg`), each with a class or with values to predict. They are decoded batch
/// by batch, so the folder may be larger than memory.
///
/// Each is resized to one shape `[height, width, channels]`, with 1 channel for grey or 3 for red, green and blue, of values from
/// 0 to 1: bilinear, with half-pixel centres and without smoothing, as `image_dataset_from_directory` of Keras. Grey is
/// `0.299 R + 0.587 G + 0.114 B`; opacity is left out.
///
/// ```no_run
/// use samara_trainer::data::{Random, validation_split};
/// use samara_trainer::data::sources::ImageFolder;
/// use samara_trainer::prelude::*;
///
/// let flowers = ImageFolder::of_classes("flowers", [96, 96, 3])?; // flowers/rose/*.jpg, flowers/tulip/*.jpg, ...
/// let (train, validation) = validation_split(&flowers, 0.2, 1)?;
/// let mirrored = train.map(|sample: &mut samara_trainer::data::Sample, random: &mut Random| {
///     if random.uniform() < 0.5 {
///         sample.input(0).chunks_exact_mut(96 * 3).for_each(|row| row.reverse());
///     }
/// });
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ImageFolder {
    files: Files,
    shape: Shape,
}

impl ImageFolder {
    /// The pictures in the sub-folders of a directory. Each sub-folder is a class; classes are numbered by the order of their
    /// names. What begins with a dot and files with other endings are passed over.
    ///
    /// # Errors
    /// If a folder cannot be read, there is no sub-folder, one holds no picture, or the shape is none of pictures.
    pub fn of_classes(directory: impl AsRef<Path>, shape: impl Into<Shape>) -> Result<Self> {
        Self::new(Files::of_classes(directory.as_ref(), &ENDINGS)?, shape.into())
    }

    /// The pictures that a table names, below a directory, with the values to predict from each.
    ///
    /// # Errors
    /// If the table is empty, a file is not there, numbers of values differ, or the shape is none of pictures.
    pub fn of_table(directory: impl AsRef<Path>, table: &[(String, Vec<f32>)], shape: impl Into<Shape>) -> Result<Self> {
        Self::new(Files::of_table(directory.as_ref(), table)?, shape.into())
    }

    fn new(files: Files, shape: Shape) -> Result<Self> {
        match shape.as_image() {
            Some((_, _, 1 | 3)) if shape.fault().is_none() => Ok(Self { files, shape }),
            _ => Err(crate::Error::Argument {
                name: "the shape of pictures",
                found: shape.to_string(),
                expected: "[height, width, channels] with 1 channel for grey or 3 for red, green and blue".to_owned(),
            }),
        }
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

impl Source for ImageFolder {
    fn samples(&self) -> usize {
        self.files.paths.len()
    }

    fn inputs(&self) -> Vec<Field> {
        vec![Field { name: None, shape: self.shape.clone() }]
    }

    fn targets(&self) -> Vec<Field> {
        vec![Field { name: None, shape: self.files.target_shape.clone() }]
    }

    fn fill(&self, samples: &[u32], _key: u64, batch: &mut BatchBuffers) -> Result<()> {
        let Some((height, width, channels)) = self.shape.as_image() else { return Ok(()) };
        for (&sample, values) in samples.iter().zip(batch.input(0).chunks_exact_mut(self.shape.size())) {
            let image: Result<Image, SourceError> = Image::read(self.files.path(sample)?);
            image?.resize_to(height, width, channels, values);
        }
        self.files.gather_targets(samples, batch.target(0));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::image_file::tests::png_file;
    use super::*;
    use png::{BitDepth::Eight, ColorType::Grayscale};
    use std::fs;

    #[test]
    fn pictures_are_decoded_when_they_are_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        for (file, grey) in [("dog/a.png", 51), ("cat/b.png", 102), ("cat/c.PNG", 255)] {
            fs::create_dir_all(path.join(file).parent().unwrap()).unwrap();
            fs::write(path.join(file), png_file(Grayscale, Eight, 2, 2, &[grey; 4])).unwrap();
        }
        fs::write(path.join("dog/z.jpg"), "no picture").unwrap();
        let folder = ImageFolder::of_classes(path, [1, 2, 1]).unwrap();
        assert_eq!((folder.class_names(), folder.samples()), (&["cat".to_owned(), "dog".to_owned()][..], 4));
        let mut batch = BatchBuffers::new(&folder, 2);
        batch.take(&folder, [2, 1].into_iter(), 0).unwrap();
        assert_eq!((batch.input_values(0), batch.target_values(0)), (&[0.2, 0.2, 1.0, 1.0][..], &[1.0, 0.0][..]));
        let message = batch.take(&folder, [3].into_iter(), 0).unwrap_err().to_string();
        assert!(message.contains("dog/z.jpg: it has 6e 6f 20 70 at its start, expected a PNG file"), "{message}");

        let table = [("cat/b.png".to_owned(), vec![1.5, -2.0]), ("dog/a.png".to_owned(), vec![0.5, 7.0])];
        let priced = ImageFolder::of_table(path, &table, [1, 1, 3]).unwrap();
        let mut batch = BatchBuffers::new(&priced, 1);
        batch.take(&priced, [1].into_iter(), 0).unwrap();
        assert_eq!((batch.input_values(0), batch.target_values(0)), (&[0.2; 3][..], &[0.5, 7.0][..]));
        assert!(priced.class_names().is_empty());

        let message = ImageFolder::of_classes(path, [8, 8, 2]).unwrap_err().to_string();
        assert!(message.starts_with("the shape of pictures is [8, 8, 2], but must be [height, width, channels]"), "{message}");
        assert!(ImageFolder::of_classes(path, [0, 8, 1]).is_err());
    }
}
