//! Where things lie.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The repository's top directory.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// `target/samara/` and a path below it: all that the commands leave behind.
pub fn artifacts(below: &str) -> PathBuf {
    root().join("target/samara").join(below)
}

/// A path as messages show it: relative to the repository, where it lies inside.
pub fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Writes a file unless it holds these bytes already: cargo builds again what depends on a file that was touched.
///
/// # Errors
/// If the file cannot be written.
pub fn write_if_changed(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|found| found == bytes) { Ok(()) } else { fs::write(path, bytes) }
}
