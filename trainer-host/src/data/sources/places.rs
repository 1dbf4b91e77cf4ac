//! Where data sets lie: `$SAMARA_DATA`, the system's directory of the data set, the user's cache.

use std::env;
use std::path::PathBuf;

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
