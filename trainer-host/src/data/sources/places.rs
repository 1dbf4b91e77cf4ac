//! Where data sets lie: `$SAMARA_DATA`, the system's directory of the data set, the user's cache.

use std::env;
use std::path::PathBuf;

use super::SourceError;

fn directory(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// What `$SAMARA_DATA` names.
pub(super) fn given() -> Option<PathBuf> {
    directory("SAMARA_DATA")
}

/// The directory of a data set in the user's cache: in `$XDG_CACHE_HOME`, else in `~/.cache`.
pub(super) fn cache(name: &str) -> Option<PathBuf> {
    let cache = directory("XDG_CACHE_HOME").or_else(|| directory("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("samara").join(name))
}

/// Where the data set of this name may be: below what `$SAMARA_DATA` names, or in the user's cache.
pub(super) fn of(name: &str) -> Vec<PathBuf> {
    given().map(|given| given.join(name)).into_iter().chain(cache(name)).collect()
}

/// A data set that is not downloaded is not here: which files are to be put where.
pub(super) fn not_here(name: &'static str, files: String) -> SourceError {
    match of(name).into_iter().next() {
        Some(directory) => SourceError::NotHere { name, files, directory },
        None => SourceError::NoCache,
    }
}
