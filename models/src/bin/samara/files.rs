//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use samara_trainer::checkpoint::write_file;

/// Writes a file beside its place, flushes it to disk, and renames it. Makes its directory.
///
/// # Errors
/// If it cannot be written; what was at `path` is then still there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    Ok(write_file(path, bytes)?)
}

/// Removes a file, if there is one.
///
/// # Errors
/// If it cannot be removed.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", path.display()))
        }
        _ => Ok(()),
    }
}

/// Makes a directory, and tries whether files can be written to it: better now than after an hour of training.
///
/// # Errors
/// If not.
pub fn prepare_directory(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("the directory {} cannot be made", directory.display()))?;
    let probe = directory.join(format!(".probe.{}.part", std::process::id()));
    let writable = File::create(&probe).and_then(|_| fs::remove_file(&probe));
    writable.with_context(|| format!("the directory {} cannot be written to", directory.display()))
}

/// Reads a file.
///
/// # Errors
/// If it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_no_directory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        write(&path, b"x").unwrap();
        assert!(prepare_directory(&path).is_err());
        prepare_directory(&directory.path().join("a/b")).unwrap();
        assert_eq!(fs::read_dir(directory.path().join("a/b")).unwrap().count(), 0);
    }
}
