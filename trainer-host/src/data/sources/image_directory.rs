//! Grey images and labels in a directory of IDX files named like MNIST's, plain or with `.gz`.

use std::path::Path;

use super::{
    SourceError, Splits,
    idx::{self, IdxFile},
};
use crate::data::Tensor;

pub(super) const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
pub(super) const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
pub(super) const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
pub(super) const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

/// Reads `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`:
/// images `[H, W, 1]` of values from 0 to 1.
///
/// # Errors
/// If a file is missing or damaged, or images and labels do not fit together.
pub fn load(directory: &Path) -> Result<Splits, SourceError> {
    let train = read(directory, TRAIN_IMAGES, TRAIN_LABELS)?;
    let test = read(directory, TEST_IMAGES, TEST_LABELS)?;
    Splits::new(&directory.display().to_string(), train, test)
}

fn read(directory: &Path, images: &'static str, labels: &'static str) -> Result<(Tensor, Tensor), SourceError> {
    let (image_path, label_path) = (idx::find(directory, images)?, idx::find(directory, labels)?);
    let (images, labels) = (IdxFile::read(&image_path, 3)?, IdxFile::read(&label_path, 1)?);
    if images.dimensions[0] != labels.dimensions[0] {
        let (found, expected) = (labels.dimensions[0], images.dimensions[0]);
        let reason = format!("it has {found} labels, but {} has {expected} images", image_path.display());
        return Err(SourceError::malformed(&label_path, reason));
    }
    let shape = [&images.dimensions[..], &[1]].concat();
    let images = Tensor::from_bytes(shape, images.elements, 255.0)
        .map_err(|error| SourceError::malformed(&image_path, error.to_string()))?;
    Ok((images, Tensor::from_labels(&labels.elements)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn write(directory: &Path, name: &str, dimensions: &[u32], elements: &[u8]) {
        let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
        dimensions.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
        bytes.extend(elements);
        fs::write(directory.join(name), bytes).unwrap();
    }

    #[test]
    fn a_directory_becomes_splits_and_its_faults_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        write(path, TRAIN_IMAGES, &[3, 1, 2], &[0, 51, 255, 0, 0, 0]);
        write(path, TRAIN_LABELS, &[3], &[0, 1, 2]);
        write(path, TEST_IMAGES, &[1, 1, 2], &[255, 0]);
        let message = load(path).unwrap_err().to_string();
        assert!(message.ends_with("has neither t10k-labels-idx1-ubyte nor t10k-labels-idx1-ubyte.gz"), "{message}");
        write(path, TEST_LABELS, &[2], &[1, 0]);
        let message = load(path).unwrap_err().to_string();
        assert!(message.contains("t10k-labels-idx1-ubyte: it has 2 labels, but"), "{message}");
        write(path, TEST_LABELS, &[1], &[1]);
        let splits = load(path).unwrap();
        assert_eq!(splits.classes(), 3);
        assert_eq!(splits.validation.inputs()[0].values(), [0.0, 0.2]);
        assert_eq!(splits.train.inputs()[0].values(), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(splits.train.inputs()[0].sample_shape()[..], [1, 2, 1]);
        assert_eq!(splits.test.targets()[0].values(), [1.0]);
    }
}
