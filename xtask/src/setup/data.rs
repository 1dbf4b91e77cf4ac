//! Fashion-MNIST: where the trainer looks for it, else unpacked into the user's cache, else downloaded by `samara`.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result, bail};

use super::{
    cache::{self, Cache},
    debian,
};
use crate::process;

/// The name of the data set, and of its directory in the cache.
const NAME: &str = "fashion-mnist";
/// Debian's package, and where it puts the files.
const PACKAGE: &str = "dataset-fashion-mnist";
const DIRECTORY_OF_PACKAGE: &str = "usr/share/datasets/fashion-mnist";
/// The files, plain or with `.gz`.
const FILES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// Where Fashion-MNIST lies, if it is on the machine: `$SAMARA_DATA`, the system's package, the user's cache.
fn locate() -> Option<PathBuf> {
    let given = env::var_os("SAMARA_DATA").filter(|value| !value.is_empty()).map(PathBuf::from);
    let of_package = PathBuf::from("/").join(DIRECTORY_OF_PACKAGE);
    let cached = cache::directory().map(|directory| directory.join(NAME));
    let candidates = [given.as_ref().map(|given| given.join(NAME)), given, Some(of_package), cached];
    let is_whole = |directory: &PathBuf| {
        FILES.iter().all(|file| directory.join(file).exists() || directory.join(format!("{file}.gz")).exists())
    };
    candidates.into_iter().flatten().find(is_whole)
}

/// Checks for Fashion-MNIST, and unpacks it into the user's cache, or downloads it there, if it is missing.
///
/// # Errors
/// If it is missing, and neither works.
pub fn set_up() -> Result<()> {
    if locate().is_none() {
        if debian::is_here() {
            println!("Fashion-MNIST: not on this machine, unpacking Debian's package into the user's cache");
            match unpack() {
                Ok(()) => {}
                Err(error) => println!("  {error:#}"),
            }
        }
        if locate().is_none() {
            println!("Fashion-MNIST: downloading it from its authors");
            let fetch = ["run", "--release", "--package", "samara-models", "--bin", "samara", "--", "data", "fetch", NAME];
            process::run(&mut process::cargo(&fetch)).context(
                "Fashion-MNIST: neither found nor downloaded; put its four files into a directory, and its path into SAMARA_DATA",
            )?;
        }
    }
    match locate() {
        Some(directory) => println!("Fashion-MNIST: {}", directory.display()),
        None => bail!("Fashion-MNIST: `samara data fetch` left it incomplete"),
    }
    Ok(())
}

fn unpack() -> Result<()> {
    let cache = Cache::lock()?;
    // What another process has just unpacked is there now.
    if locate().is_some() {
        return Ok(());
    }
    let tree = debian::unpack(&cache, &[PACKAGE])?;
    let new = cache.directory.join("fashion-mnist.new");
    cache::empty_directory(&new)?;
    for file in FILES.map(|file| format!("{file}.gz")) {
        let unpacked = tree.join(DIRECTORY_OF_PACKAGE).join(&file);
        fs::rename(&unpacked, new.join(&file)).with_context(|| format!("the package {PACKAGE} holds no {file}"))?;
    }
    cache.replace(&new, NAME)?;
    debian::forget(&cache)
}
