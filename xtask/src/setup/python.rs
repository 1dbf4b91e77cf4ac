//! TensorBoard and Optuna in a Python environment of their own, in the user's cache.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::cache::{self, Cache};
use crate::{paths, process};

/// The environment's name in the cache.
const NAME: &str = "python";
/// What is installed, within the repository.
const REQUIREMENTS: &str = "tests/python/requirements.txt";
/// What says which requirements were installed: the last thing that is written.
const DONE: &str = "requirements.txt";

/// A Python that has TensorBoard and Optuna; makes it from the Python and the package index at hand, if it is not there.
///
/// # Errors
/// If there is no Python with `venv`, or the packages cannot be had.
pub fn python() -> Result<PathBuf> {
    let cache = Cache::lock()?;
    let place = cache.directory.join(NAME);
    let python = place.join("bin/python");
    let requirements = paths::root().join(REQUIREMENTS);
    let wanted = fs::read(&requirements).with_context(|| format!("{} cannot be read", requirements.display()))?;
    if fs::read(place.join(DONE)).is_ok_and(|done| done == wanted) {
        return Ok(python);
    }
    println!("  TensorBoard and Optuna are installed into {}", place.display());
    install(&place, &requirements)
        .context("TensorBoard and Optuna cannot be installed: Python 3 with venv and its package index are needed")?;
    fs::write(place.join(DONE), wanted)?;
    Ok(python)
}

fn install(place: &Path, requirements: &Path) -> Result<()> {
    cache::empty_directory(place)?;
    process::output(Command::new("python3").args(["-m", "venv"]).arg(place))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    process::output(Command::new(place.join("bin/python")).args(pip).arg(requirements))?;
    Ok(())
}
