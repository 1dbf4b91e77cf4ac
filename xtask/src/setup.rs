//! What must be on the machine: Rust targets, QEMU, data.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{boards::BOARDS, paths, process};

/// Debian's packages with QEMU for Arm and for RISC-V.
const QEMU_PACKAGES: [&str; 2] = ["qemu-system-arm", "qemu-system-misc"];
/// Debian's package with Fashion-MNIST, and where it puts the files.
const DATA_PACKAGE: &str = "dataset-fashion-mnist";
const DATA_OF_PACKAGE: &str = "/usr/share/datasets/fashion-mnist";
const DATA_FILE: &str = "train-images-idx3-ubyte.gz";

/// `true` in continuous integration, where a skip is a failure and a machine may be changed.
pub fn is_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true")
}

/// Checks for everything, and installs what is missing.
///
/// # Errors
/// If something is missing and cannot be installed: a sentence with the command to type.
pub fn all() -> Result<()> {
    rust_targets()?;
    emulators()?;
    data()
}

/// Checks that the compiler has its formatter, its linter and the boards' targets, and adds what it has not.
///
/// # Errors
/// If rustup is not to be had, or cannot add a target.
pub fn rust_targets() -> Result<()> {
    let installed = process::output(Command::new("rustup").args(["target", "list", "--installed"]).current_dir(paths::root()))
        .context("rustup is needed to add the microcontrollers' targets: install it from https://rustup.rs")?;
    let components =
        process::output(Command::new("rustup").args(["component", "list", "--installed"]).current_dir(paths::root()))?;
    for component in ["rustfmt", "clippy"] {
        if !components.lines().any(|line| line.starts_with(component)) {
            println!("Rust component {component}: adding it");
            process::run(Command::new("rustup").args(["component", "add", component]).current_dir(paths::root()))?;
        }
    }
    let mut missing: Vec<&str> =
        BOARDS.iter().map(|board| board.target).filter(|target| !installed.lines().any(|line| line == *target)).collect();
    missing.dedup();
    if missing.is_empty() {
        println!("Rust targets: all there");
        return Ok(());
    }
    println!("Rust targets: adding {}", missing.join(", "));
    process::run(Command::new("rustup").args(["target", "add"]).args(missing).current_dir(paths::root()))
}

/// `true` if QEMU is there for every board.
pub fn has_emulators() -> bool {
    BOARDS.iter().all(|board| starts(board.emulator))
}

/// Checks for QEMU, and installs it if this user may.
///
/// # Errors
/// If it is missing and cannot be installed.
pub fn emulators() -> Result<()> {
    if has_emulators() {
        println!("QEMU: there");
        return Ok(());
    }
    println!("QEMU: missing, installing {}", QEMU_PACKAGES.join(" "));
    // A machine image with a newer qemu-utils from elsewhere blocks the distribution's QEMU.
    let without_utils = ["--no-install-recommends", QEMU_PACKAGES[0], QEMU_PACKAGES[1], "qemu-utils-"];
    match install(&QEMU_PACKAGES) {
        Err(_) if is_ci() => {
            println!("QEMU: the plain installation failed; trying again without the package qemu-utils, which this removes");
            install(&without_utils)?;
        }
        plain => plain.with_context(|| {
            format!("if a newer qemu-utils is in the way, `apt-get install {}` removes it", without_utils.join(" "))
        })?,
    }
    if !has_emulators() {
        bail!("QEMU was installed but does not start: does `{} --version` work?", BOARDS[0].emulator);
    }
    Ok(())
}

/// Where Fashion-MNIST lies, if it is on the machine: `$SAMARA_DATA`, the system's package, the user's cache.
pub fn data_directory() -> Option<PathBuf> {
    let chosen = env::var_os("SAMARA_DATA").map(PathBuf::from);
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .map(|cache| cache.join("samara/fashion-mnist"));
    let candidates =
        [chosen.as_ref().map(|directory| directory.join("fashion-mnist")), chosen, Some(PathBuf::from(DATA_OF_PACKAGE)), cache];
    candidates.into_iter().flatten().find(|directory| directory.join(DATA_FILE).exists())
}

/// Checks for Fashion-MNIST, and installs or downloads it.
///
/// # Errors
/// If it is missing, and neither works.
pub fn data() -> Result<()> {
    if let Some(directory) = data_directory() {
        println!("Fashion-MNIST: {}", directory.display());
        return Ok(());
    }
    println!("Fashion-MNIST: missing, installing the package {DATA_PACKAGE}");
    if let Err(error) = install(&[DATA_PACKAGE]) {
        println!("Fashion-MNIST: {error:#}. Downloading it instead");
        let fetch =
            ["run", "--release", "--package", "samara-models", "--bin", "samara", "--", "data", "fetch", "fashion-mnist"];
        process::run(&mut process::cargo(&fetch))?;
    }
    Ok(())
}

/// `true` if the program can be started.
fn starts(program: &str) -> bool {
    let silent = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    silent.is_ok_and(|status| status.success())
}

/// Installs Debian packages, if this user may: as root, or by a sudo that asks for no password.
fn install(packages: &[&str]) -> Result<()> {
    let command = format!("apt-get install {}", packages.join(" "));
    if !starts("apt-get") {
        bail!("this system has no apt-get: install the equivalent of `{command}`");
    }
    let root = process::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let sudo = !root
        && Command::new("sudo")
            .args(["-n", "true"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
    if !root && !sudo {
        bail!("installing needs root: run `sudo {command}`, then this command again");
    }
    let apt = |arguments: &[&str]| {
        let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
        if sudo {
            command.args(["-n", "apt-get"]);
        }
        process::run(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    // A stale list names versions that the server has no more; if it cannot be refreshed, the old one may still do.
    if let Err(error) = apt(&["update", "-qq"]) {
        eprintln!("  {error:#}; going on with the old list of packages");
    }
    apt(&[&["install", "-y", "-qq"], packages].concat())
}
