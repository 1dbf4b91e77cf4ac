//! PostgreSQL's programs: on the path, else where systems put them, else in the user's cache, else unpacked into it from Debian's packages. No
//! server of the system is touched: tests start their own.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::{
    cache::{self, Cache},
    debian,
};
use crate::process;

/// Debian's package, and its directory in the cache: the tree as it was packed, since the programs look for their files beside themselves.
const PACKAGE: &str = "postgresql";
/// Where systems have a directory with `bin` for each version.
const VERSIONS: &str = "usr/lib/postgresql";
/// What is needed of it.
const PROGRAMS: [&str; 2] = ["initdb", "postgres"];

/// PostgreSQL's programs.
#[derive(Debug)]
pub struct Programs {
    /// Their directory.
    bin: PathBuf,
    /// Where their libraries are, unless the system has them.
    libraries: Option<PathBuf>,
}

impl Programs {
    /// Programs that start, in this directory.
    fn start(bin: PathBuf, libraries: Option<PathBuf>) -> Option<Self> {
        let programs = Self { bin, libraries };
        let starts = |name: &&str| {
            let mut command = Command::new(programs.bin.join(name));
            process::starts(command.envs(programs.libraries.iter().map(|libraries| ("LD_LIBRARY_PATH", libraries))))
        };
        PROGRAMS.iter().all(starts).then_some(programs)
    }

    /// The newest of a tree.
    fn in_tree(root: &Path, libraries: Option<PathBuf>) -> Option<Self> {
        let versions = fs::read_dir(root.join(VERSIONS)).ok()?;
        let mut versions: Vec<PathBuf> = versions.filter_map(|entry| Some(entry.ok()?.path())).collect();
        versions.sort_by_key(|path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()));
        versions.into_iter().rev().find_map(|version| Self::start(version.join("bin"), libraries.clone()))
    }

    fn find() -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let on_path =
            || env::split_paths(&path).find(|bin| bin.join(PROGRAMS[0]).exists()).and_then(|bin| Self::start(bin, None));
        on_path().or_else(|| Self::in_tree(Path::new("/"), None)).or_else(|| Self::unpacked(&cache::directory()?.join(PACKAGE)))
    }

    fn unpacked(root: &Path) -> Option<Self> {
        Self::in_tree(root, Some(root.join("lib")))
    }

    /// Tells tests where they are.
    pub fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("SAMARA_POSTGRES", &self.bin);
        command.envs(self.libraries.iter().map(|libraries| ("SAMARA_POSTGRES_LIBRARIES", libraries)))
    }
}

/// PostgreSQL's programs; unpacks them into the user's cache if they are missing.
///
/// # Errors
/// If they are missing and cannot be unpacked.
pub fn postgres() -> Result<Programs> {
    if let Some(programs) = Programs::find() {
        return Ok(programs);
    }
    let advice = "install PostgreSQL, such as 15, with initdb and postgres on the path";
    if !debian::is_here() {
        bail!("PostgreSQL: it is not on this machine; {advice}");
    }
    println!("PostgreSQL: not on this machine, unpacking Debian's package into the user's cache");
    unpack().with_context(|| format!("PostgreSQL: Debian's package cannot be unpacked; {advice}"))
}

fn unpack() -> Result<Programs> {
    let cache = Cache::lock()?;
    // What another process has just unpacked is there now.
    if let Some(programs) = Programs::find() {
        return Ok(programs);
    }
    let tree = debian::unpack(&cache, &[PACKAGE])?;
    let new = cache.directory.join("postgresql.new");
    cache::empty_directory(&new)?;
    for part in ["usr/lib/postgresql", "usr/share/postgresql"] {
        fs::create_dir_all(new.join(part).parent().unwrap_or(&new))?;
        fs::rename(tree.join(part), new.join(part)).with_context(|| format!("the package {PACKAGE} holds no {part}"))?;
    }
    cache::empty_directory(&new.join("lib"))?;
    libraries(&tree, &new.join("lib"))?;
    cache.replace(&new, PACKAGE)?;
    debian::forget(&cache)?;
    Programs::unpacked(&cache.directory.join(PACKAGE)).context("its programs do not start")
}

/// Moves the libraries of a tree to one directory; those for compiling queries, half of it all, are not needed.
fn libraries(tree: &Path, into: &Path) -> Result<()> {
    for entry in fs::read_dir(tree).with_context(|| format!("{} cannot be read", tree.display()))? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if entry.file_type()?.is_dir() {
            libraries(&path, into)?;
        } else if name.contains(".so") && !name.starts_with("libLLVM") {
            fs::rename(&path, into.join(&name)).with_context(|| format!("{} cannot be moved", path.display()))?;
        }
    }
    Ok(())
}
