//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Writes a file beside its place, flushes it to disk, and renames it. Makes its directory.
///
/// # Errors
/// If it cannot be written; what was at `path` is then still there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = beside(path)?;
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| format!("the directory {} cannot be made", directory.display()))?;
    }
    let attempt = || -> std::io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    attempt().map_err(|error| {
        let _ = fs::remove_file(&beside);
        anyhow::anyhow!("{} cannot be written: {error}", path.display())
    })
}

/// A name in the same directory that no other process takes.
fn beside(path: &Path) -> Result<PathBuf> {
    let Some(name) = path.file_name() else { bail!("{} is no name of a file", path.display()) };
    Ok(path.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id())))
}

/// Makes a directory, and tries whether files can be written to it: better now than after an hour of training.
///
/// # Errors
/// If not.
pub fn prepare_directory(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("the directory {} cannot be made", directory.display()))?;
    let probe = beside(&directory.join("probe"))?;
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
    fn files_replace_each_other_and_nothing_else_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.samara");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        write(&directory.path().join("new/model.samara"), b"x").unwrap();
        assert_eq!(fs::read(directory.path().join("new/model.samara")).unwrap(), b"x");
        let message = write(&path.join("model.samara"), b"x").unwrap_err().to_string();
        assert!(message.contains("model.samara cannot be made"), "{message}");
    }

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
