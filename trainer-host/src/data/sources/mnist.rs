//! MNIST: 70,000 grey images `[28, 28, 1]` of handwritten digits, the last 10,000 of them for testing.
//!
//! Source: Y. LeCun, C. Cortes, C. J. C. Burges, *The MNIST database of handwritten digits*.

use std::path::PathBuf;

use super::{SourceError, Splits, idx_set::IdxSet, image_directory};

/// The data set's name.
pub const NAME: &str = "mnist";

pub(super) const SET: IdxSet = IdxSet {
    name: NAME,
    system_directory: None,
    // Files of the same names may be Fashion-MNIST's.
    may_be_given: false,
    address: "http://ossci-datasets.s3.amazonaws.com/mnist",
    files: [
        (image_directory::TRAIN_IMAGES, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        (image_directory::TRAIN_LABELS, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        (image_directory::TEST_IMAGES, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        (image_directory::TEST_LABELS, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ],
};

/// The directory on this machine that holds the data set: `mnist` in `$SAMARA_DATA`, or the user's cache.
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
    SET.load()
}
