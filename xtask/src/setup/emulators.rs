//! QEMU: on the path, else in the user's cache, else unpacked into it from Debian's packages.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use anyhow::{Context, Result, anyhow, bail};

use super::{
    cache::{self, Cache},
    debian, system,
};
use crate::{boards::BOARDS, process};

/// Name of the directory in the cache, with the programs in `bin` and the libraries that the system lacks in `lib`.
const CACHED: &str = "qemu";

/// A program that was seen to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emulator {
    program: PathBuf,
    /// Where its libraries are, unless the system has them.
    libraries: Option<PathBuf>,
    version: String,
}

impl Emulator {
    /// Starts a program to see its version.
    fn start(program: PathBuf, libraries: Option<PathBuf>) -> Result<Self> {
        let mut emulator = Self { program, libraries, version: String::new() };
        let printed = process::output(emulator.command().arg("--version"))?;
        let version = parse_version(&printed).with_context(|| format!("{} printed no version", emulator.program.display()))?;
        version.clone_into(&mut emulator.version);
        Ok(emulator)
    }

    fn on_path(name: &str) -> Option<Self> {
        Self::start(name.into(), None).ok()
    }

    /// A program in a directory made by [`gather`].
    fn unpacked(directory: &Path, name: &str) -> Result<Self> {
        Self::start(directory.join("bin").join(name), Some(directory.join("lib")))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(libraries) = &self.libraries {
            let mut path = OsString::from(libraries);
            if let Some(others) = env::var_os("LD_LIBRARY_PATH").filter(|others| !others.is_empty()) {
                path.push(":");
                path.push(others);
            }
            command.env("LD_LIBRARY_PATH", path);
        }
        command
    }
}

/// QEMU's programs, which are also the names of packages, in Debian's releases partly virtual ones.
fn programs() -> Vec<&'static str> {
    let mut programs: Vec<_> = BOARDS.iter().map(|board| board.emulator).collect();
    programs.sort_unstable();
    programs.dedup();
    programs
}

/// The program, on the path or in the cache, if it starts.
pub fn find(name: &'static str) -> Option<Emulator> {
    static FOUND: Mutex<Vec<(&str, Emulator)>> = Mutex::new(Vec::new());
    let mut found = FOUND.lock().ok()?;
    if let Some((_, emulator)) = found.iter().find(|(known, _)| *known == name) {
        return Some(emulator.clone());
    }
    let in_cache = || Emulator::unpacked(&cache::directory()?.join(CACHED), name).ok();
    let emulator = Emulator::on_path(name).or_else(in_cache)?;
    found.push((name, emulator.clone()));
    Some(emulator)
}

/// A command that starts the program.
///
/// # Errors
/// If it is missing.
pub fn command(name: &'static str) -> Result<Command> {
    match find(name) {
        Some(emulator) => Ok(emulator.command()),
        None => bail!("{name} is missing: `cargo xtask setup` says how to get it"),
    }
}

/// Checks for QEMU, and unpacks it into the user's cache if it is missing.
///
/// # Errors
/// A sentence that says what to install, if it is missing and cannot be unpacked.
pub fn set_up() -> Result<()> {
    let missing = || programs().into_iter().filter(|program| find(program).is_none()).collect::<Vec<_>>();
    let absent = missing();
    if !absent.is_empty() {
        let sentence = |reason: &str| {
            let verb = if absent.len() == 1 { "is" } else { "are" };
            anyhow!("QEMU: {} {verb} missing{reason}; {}", absent.join(" and "), system::advice())
        };
        if !debian::is_here() {
            return Err(sentence(""));
        }
        println!("QEMU: {} not on the path, unpacking Debian's packages into the user's cache", absent.join(" and "));
        unpack().map_err(|error| sentence(&format!(", and Debian's packages cannot be unpacked ({error:#})")))?;
    }
    for emulator in programs().into_iter().filter_map(find) {
        println!("QEMU: {} {}", emulator.program.display(), emulator.version);
    }
    Ok(())
}

/// Unpacks the programs that are not on the path.
fn unpack() -> Result<()> {
    let cache = Cache::lock()?;
    // What another process has just unpacked is there now.
    if programs().into_iter().all(|program| find(program).is_some()) {
        return Ok(());
    }
    let wanted: Vec<_> = programs().into_iter().filter(|program| Emulator::on_path(program).is_none()).collect();
    let tree = debian::unpack(&cache, &wanted)?;
    let new = cache.directory.join("qemu.new");
    cache::empty_directory(&new)?;
    gather(&tree, &wanted, &new)?;
    for program in wanted {
        Emulator::unpacked(&new, program)?;
    }
    cache.replace(&new, CACHED)?;
    debian::forget(&cache)
}

/// Moves the programs from an unpacked tree to `bin`, and all shared libraries to `lib`: a sixth of what the packages hold.
fn gather(tree: &Path, programs: &[&str], into: &Path) -> Result<()> {
    for directory in ["bin", "lib"] {
        cache::empty_directory(&into.join(directory))?;
    }
    let mut directories = vec![tree.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).with_context(|| format!("{} cannot be read", directory.display()))? {
            let (entry, path) = entry.map(|entry| (entry.file_type(), entry.path()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let place = if entry?.is_dir() {
                directories.push(path);
                continue;
            } else if name.ends_with(".so") || name.contains(".so.") {
                into.join("lib")
            } else if programs.contains(&name.as_ref()) && directory.ends_with("bin") {
                into.join("bin")
            } else {
                continue;
            };
            fs::rename(&path, place.join(&*name)).with_context(|| format!("{} cannot be moved", path.display()))?;
        }
    }
    Ok(())
}

/// The version in `QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg)`.
fn parse_version(printed: &str) -> Option<&str> {
    printed.split_once("version ")?.1.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(parse_version("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright"), Some("7.2.22"));
        assert_eq!(parse_version("QEMU emulator version 10.1.0\n"), Some("10.1.0"));
        assert_eq!(parse_version("command not found"), None);
    }
}
