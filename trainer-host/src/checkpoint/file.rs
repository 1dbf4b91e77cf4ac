//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::CheckpointError;

/// Writes a file beside its place, flushes it to disk, and renames it. Makes its directory.
///
/// # Errors
/// If it cannot be written; what was at `path` is then still there.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    let Some(name) = path.file_name() else { return Err(file_error(path, "written", &"this is no name of a file")) };
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs::create_dir_all(directory).map_err(|error| file_error(directory, "made", &error))?;
    }
    // In the same directory, under a name that no other process takes.
    let beside = path.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
    let attempt = || -> io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    attempt().map_err(|error| {
        let _ = fs::remove_file(&beside);
        file_error(path, "written", &error)
    })
}

pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    fs::read(path).map_err(|error| file_error(path, "read", &error))
}

/// What went wrong with a file.
pub(crate) fn file_error(path: &Path, done: &'static str, reason: &dyn std::fmt::Display) -> CheckpointError {
    CheckpointError::File { path: path.display().to_string(), done, reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_replace_each_other_and_nothing_else_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("training.state");
        write_file(&path, b"old").unwrap();
        write_file(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        write_file(&directory.path().join("new/training.state"), b"x").unwrap();
        let message = write_file(&path.join("training.state"), b"x").unwrap_err().to_string();
        assert!(message.contains("training.state cannot be made"), "{message}");
        // A directory in the file's place: the file beside it goes away.
        let directory = directory.path().join("new");
        fs::create_dir(directory.join("taken")).unwrap();
        fs::create_dir(directory.join("taken/by")).unwrap();
        assert!(write_file(&directory.join("taken"), b"x").is_err());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
    }
}
