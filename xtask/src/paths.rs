//! Where things lie.

use std::path::{Path, PathBuf};

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
