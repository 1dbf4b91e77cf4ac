//! Fashion-MNIST: 70,000 grey images `[28, 28, 1]` of clothes in ten classes, the last 10,000 of them for testing.
//!
//! Source: H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
//! Algorithms*, 2017. MIT licence.

use std::path::PathBuf;

use super::{SourceError, Splits, idx_set::IdxSet, image_directory};

/// The data set's name.
pub const NAME: &str = "fashion-mnist";

/// What the images show, by label.
pub const CLASSES: [&str; 10] =
    ["T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

pub(super) const SET: IdxSet = IdxSet {
    name: NAME,
    // Debian's package `dataset-fashion-mnist`.
    system_directory: Some("/usr/share/datasets/fashion-mnist"),
    may_be_given: true,
    address: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    files: [
        (image_directory::TRAIN_IMAGES, "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
        (image_directory::TRAIN_LABELS, "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
        (image_directory::TEST_IMAGES, "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
        (image_directory::TEST_LABELS, "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
    ],
};

/// The directory on this machine that holds the data set.
pub fn locate() -> Option<PathBuf> {
    SET.locate()
}

/// Finds the data set on this machine, or downloads what is missing of it to the user's cache; returns its directory.
///
/// # Errors
/// If a file can neither be found nor downloaded.
pub fn fetch() -> Result<PathBuf, SourceError> {
    SET.fetch()
}

/// Reads the data set, downloading it if this machine does not have it.
///
/// # Errors
/// If it cannot be had, or a file is damaged.
pub fn load() -> Result<Splits, SourceError> {
    Ok(SET.load()?.with_class_names(CLASSES.map(str::to_owned).to_vec()))
}

#[cfg(test)]
mod tests {
    use super::super::idx;
    use super::*;

    #[test]
    #[ignore = "needs Fashion-MNIST"]
    fn the_real_files_have_the_known_content() {
        use sha2::{Digest, Sha256};
        let directory = fetch().unwrap();
        for (file, sha256) in SET.files {
            let content = idx::content(&idx::find(&directory, file).unwrap()).unwrap();
            let found: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(found, sha256, "{file}");
        }
        let splits = image_directory::load(&directory).unwrap();
        let samples = [splits.train.samples(), splits.validation.samples(), splits.test.samples()];
        assert_eq!((samples, splits.classes()), ([55_000, 5_000, 10_000], 10));
        assert_eq!(splits.train.inputs()[0].sample_shape()[..], [28, 28, 1]);
        let labels: Vec<f32> = splits.test.targets()[0].values()[..8].to_vec();
        assert_eq!(labels, [9.0, 2.0, 1.0, 1.0, 6.0, 1.0, 4.0, 6.0]);
    }
}
