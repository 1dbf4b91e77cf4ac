//! The user's cache: where what was unpacked stays, and how it gets there whole.

use std::{
    env,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Samara's directory in the user's cache: in `$XDG_CACHE_HOME`, else in `~/.cache`. The trainer's data sets are here, too.
pub fn directory() -> Option<PathBuf> {
    let given = |variable| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = given("XDG_CACHE_HOME").or_else(|| given("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("samara"))
}

/// The cache while nobody else writes to it.
#[derive(Debug)]
pub struct Cache {
    /// [`directory`].
    pub directory: PathBuf,
    /// Closing it, also by a sudden end of this process, lets others in.
    _lock: File,
}

impl Cache {
    /// Makes the cache and waits until no other process writes to it.
    ///
    /// # Errors
    /// If there is no such directory, and none can be made.
    pub fn lock() -> Result<Self> {
        let directory = directory().context("there is no place for a cache: HOME and XDG_CACHE_HOME are not set")?;
        fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
        let path = directory.join("setup.lock");
        let lock = File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
        // Some network file systems have no locks: there, this goes on without.
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            println!("  waiting for another process to set up");
            lock.lock().with_context(|| format!("{} cannot be locked", path.display()))?;
        }
        Ok(Self { directory, _lock: lock })
    }

    /// Puts the directory `new` in the place of `name` in the cache.
    ///
    /// # Errors
    /// If that fails.
    pub fn replace(&self, new: &Path, name: &str) -> Result<()> {
        let place = self.directory.join(name);
        remove(&place)?;
        fs::rename(new, &place).with_context(|| format!("{} cannot be made", place.display()))
    }
}

/// An empty directory, whatever was there.
///
/// # Errors
/// If it cannot be made.
pub fn empty_directory(path: &Path) -> Result<()> {
    remove(path)?;
    fs::create_dir_all(path).with_context(|| format!("{} cannot be made", path.display()))
}

/// Removes a directory, if there is one.
///
/// # Errors
/// If it stays.
pub fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if directory.exists() => Err(error).with_context(|| format!("{} cannot be removed", directory.display())),
        _ => Ok(()),
    }
}
