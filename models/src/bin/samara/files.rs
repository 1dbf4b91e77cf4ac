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

/// Removes what processes that were killed left of files that were not yet whole: `.NAME.PID.part`, where there is no such process; none where
/// the system does not tell which there are. For directories that processes of this machine alone write to.
///
/// # Errors
/// If the directory cannot be read, or a file not be removed.
pub fn sweep(directory: &Path) -> Result<()> {
    let processes = Path::new("/proc");
    if !processes.join("self").exists() {
        return Ok(());
    }
    let shown = || format!("the directory {} cannot be read", directory.display());
    for entry in fs::read_dir(directory).with_context(shown)? {
        let entry = entry.with_context(shown)?;
        let name = entry.file_name();
        let process = name.to_str().and_then(process_of).filter(|process| !processes.join(process.to_string()).exists());
        if process.is_some() && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// The process that was writing the part of a file of this name.
fn process_of(name: &str) -> Option<u32> {
    let (file, process) = name.strip_prefix('.')?.strip_suffix(".part")?.rsplit_once('.')?;
    if file.is_empty() { None } else { process.parse().ok() }
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

    #[cfg(target_os = "linux")]
    #[test]
    fn what_killed_processes_left_goes_away() {
        let directory = tempfile::tempdir().unwrap();
        let own = std::process::id();
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let others = [format!(".x.csv.{own}.part"), "weights.bin".to_owned(), ".part".to_owned(), ".x.y.part".to_owned()];
        let left = [".training.state", ".log.csv"].map(|name| format!("{name}.{}.part", gone.id()));
        for name in others.iter().chain(&left) {
            fs::write(directory.path().join(name), name).unwrap();
        }
        sweep(directory.path()).unwrap();
        let is_there = |name: &String| directory.path().join(name).exists();
        assert_eq!((others.iter().all(is_there), left.iter().any(is_there)), (true, false));
    }
}
