//! Builds firmware, and reads its size and symbols.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use object::{Object, ObjectSection, SectionFlags, SectionKind, elf};

use crate::{boards::Board, paths, process};

/// Built firmware.
#[derive(Debug)]
pub struct Elf {
    /// Name of the program: `infer`, `learn`, `selftest`, `minimal`, or one that measures.
    pub program: &'static str,
    /// The file.
    pub path: PathBuf,
}

/// Files that the firmware embeds. A build that names both serves `infer` and `selftest` without building twice.
#[derive(Debug, Clone, Copy, Default)]
pub struct Embed<'a> {
    /// The model, for all others than `selftest`.
    pub model: Option<&'a Path>,
    /// Packed models, for `selftest`.
    pub bundle: Option<&'a Path>,
    /// What `taught` does.
    pub taught: Option<&'a str>,
}

impl<'a> Embed<'a> {
    /// Only a model.
    pub fn model(model: &'a Path) -> Self {
        Self { model: Some(model), ..Self::default() }
    }
}

/// Flash that holds every op in all its types, in bytes.
const LARGE_FLASH: usize = 512 << 10;

/// Builds one program for one board.
///
/// # Errors
/// If the build fails; a model that is too big for the board fails in the linker.
pub fn build(board: &Board, program: &'static str, embed: Embed<'_>) -> Result<Elf> {
    let target_directory = paths::artifacts("firmware").join(board.name);
    let mut command = cargo(board, "build", &target_directory);
    command.args(["--release", "--bin", program]);
    for (variable, file) in [("SAMARA_MODEL", embed.model), ("SAMARA_BUNDLE", embed.bundle)] {
        if let Some(file) = file {
            let file = fs::canonicalize(file).with_context(|| format!("{} cannot be read", paths::shown(file)))?;
            command.env(variable, file);
        }
    }
    if let Some(taught) = embed.taught {
        command.env("SAMARA_TAUGHT", taught);
    }
    match program {
        "minimal" => &mut command,
        "learn" | "heads" | "block" | "taught" => command.args(["--features", program]),
        _ => command.args(["--features", "log"]),
    };
    if program == "selftest" && board.flash_bytes < LARGE_FLASH {
        // All ops at opt-level 3 do not fit; and so one board shows the kernels as they are when built for size.
        command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s");
    }
    process::run(&mut command).with_context(|| format!("the firmware {program} for {} does not build", board.name))?;
    let path = target_directory.join(board.target).join("release").join(program);
    Ok(Elf { program, path })
}

/// A cargo command in the firmware's workspace, for one board.
pub fn cargo(board: &Board, what: &str, target_directory: &Path) -> std::process::Command {
    let mut command = process::cargo(&[what, "--quiet", "--target", board.target, "--target-dir"]);
    command
        .arg(target_directory)
        .current_dir(paths::root().join("firmware-example"))
        .env("SAMARA_BOARD", board.hardware)
        .env("RUSTFLAGS", board.rust_flags)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("SAMARA_MODEL")
        .env_remove("SAMARA_BUNDLE")
        .env_remove("SAMARA_TAUGHT")
        .env("DEFMT_LOG", env::var("DEFMT_LOG").unwrap_or_else(|_| "info".into()));
    // As this machine's side has it, or the outputs would differ.
    if cfg!(feature = "micromath") {
        command.args(["--features", "micromath"]);
    }
    command
}

/// Bytes of flash that the firmware takes: vector table, code, constants and the initial values of variables.
///
/// # Errors
/// If the file is no ELF file.
pub fn flash_bytes(firmware: &Elf) -> Result<usize> {
    let image = fs::read(&firmware.path)?;
    let file = object::File::parse(&*image).with_context(|| format!("{} is no ELF file", paths::shown(&firmware.path)))?;
    let loaded = file.sections().filter(|section| {
        let allocated =
            matches!(section.flags(), SectionFlags::Elf { sh_flags, .. } if sh_flags & u64::from(elf::SHF_ALLOC) != 0);
        allocated && !matches!(section.kind(), SectionKind::UninitializedData | SectionKind::UninitializedTls)
    });
    Ok(loaded.map(|section| section.size() as usize).sum())
}

/// Bytes of flash for code: [`flash_bytes`] of `minimal` without the model that it embeds.
///
/// # Errors
/// As [`flash_bytes`]; if the firmware is smaller than the model.
pub fn code_bytes(firmware: &Elf, model_bytes: usize) -> Result<usize> {
    let all = flash_bytes(firmware)?;
    all.checked_sub(model_bytes)
        .with_context(|| format!("{} has {all} bytes, fewer than its model", paths::shown(&firmware.path)))
}
