//! Data sets of grey images in four IDX files named like MNIST's: found on this machine, or downloaded.

use std::path::{Path, PathBuf};

use super::{
    SourceError, Splits,
    download::{Remote, download},
    idx, image_directory, places,
};

/// A data set.
#[derive(Debug)]
pub(super) struct IdxSet {
    pub name: &'static str,
    /// Where a package of the system puts it.
    pub system_directory: Option<&'static str>,
    /// Whether `$SAMARA_DATA` itself may be its directory, and not only one of its name below.
    pub may_be_given: bool,
    /// Where it is downloaded from. Without TLS; the checksums make up for that.
    pub address: &'static str,
    /// The files, and the SHA-256 of what is in them.
    pub files: [(&'static str, &'static str); 4],
}

/// No file of such a data set is larger than this.
const LARGEST_FILE: u64 = 64 << 20;

impl IdxSet {
    /// The directory on this machine that holds the data set.
    pub fn locate(&self) -> Option<PathBuf> {
        let mut candidates = places::of(self.name);
        if self.may_be_given {
            candidates.extend(places::given());
        }
        candidates.extend(self.system_directory.map(PathBuf::from));
        let holds_some = |directory: &PathBuf| self.files.iter().any(|(file, _)| idx::find(directory, file).is_ok());
        // The cache last: it may lack files that are still to be downloaded.
        candidates.sort_by_key(|directory| Some(directory) == places::cache(self.name).as_ref());
        candidates.into_iter().find(holds_some)
    }

    /// Finds the data set on this machine, or downloads what is missing of it to the user's cache; returns its directory.
    pub fn fetch(&self) -> Result<PathBuf, SourceError> {
        let cache = places::cache(self.name);
        match self.locate() {
            Some(directory) if cache.as_ref() != Some(&directory) => Ok(directory),
            _ => self.fetch_to(&cache.ok_or(SourceError::NoCache)?, self.address),
        }
    }

    /// Downloads what `directory` lacks of the data set.
    fn fetch_to(&self, directory: &Path, address: &str) -> Result<PathBuf, SourceError> {
        for (file, content_sha256) in self.files {
            if idx::find(directory, file).is_err() {
                let address = format!("{address}/{file}.gz");
                let remote = Remote { address: &address, content_sha256, limit: LARGEST_FILE };
                download(remote, &directory.join(format!("{file}.gz")))?;
            }
        }
        Ok(directory.to_owned())
    }

    /// Reads the data set, downloading it if this machine does not have it.
    pub fn load(&self) -> Result<Splits, SourceError> {
        image_directory::load(&self.fetch()?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{fashion_mnist, mnist};

    #[test]
    fn a_download_that_fails_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        for set in [&fashion_mnist::SET, &mnist::SET] {
            let message = set.fetch_to(directory.path(), "http://127.0.0.1:1").unwrap_err().to_string();
            assert!(message.starts_with("http://127.0.0.1:1/train-images-idx3-ubyte.gz cannot be downloaded:"), "{message}");
        }
    }
}
