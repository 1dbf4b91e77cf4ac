//! Builds firmware, and reads its size and symbols.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SectionKind, SymbolKind, elf};

use crate::{boards::Board, paths, process};

/// Built firmware.
#[derive(Debug)]
pub struct Elf {
    /// Name of the program: `infer`, `selftest` or `minimal`.
    pub program: &'static str,
    /// The file.
    pub path: PathBuf,
}

/// What the firmware embeds.
#[derive(Debug, Clone, Copy)]
pub enum Embed<'a> {
    /// One model, for `infer` and `minimal`.
    Model(&'a Path),
    /// Packed models, for `selftest`.
    Bundle(&'a Path),
}

/// Builds one program for one board.
///
/// # Errors
/// If the build fails; a model that is too big for the board fails in the linker.
pub fn build(board: &Board, program: &'static str, embed: Embed<'_>) -> Result<Elf> {
    let (variable, file) = match embed {
        Embed::Model(file) => ("SAMARA_MODEL", file),
        Embed::Bundle(file) => ("SAMARA_BUNDLE", file),
    };
    let file = fs::canonicalize(file).with_context(|| format!("{} cannot be read", paths::shown(file)))?;
    let target_directory = paths::artifacts("firmware").join(board.name);
    let mut command = cargo(board, "build", &target_directory);
    command.args(["--release", "--bin", program]).env(variable, file);
    if program != "minimal" {
        command.args(["--features", "log"]);
    }
    process::run(&mut command).with_context(|| format!("the firmware {program} for {} does not build", board.name))?;
    // Each model gets a copy of its own, since the next build overwrites cargo's.
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
        .env("DEFMT_LOG", env::var("DEFMT_LOG").unwrap_or_else(|_| "info".into()));
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

/// Checks that the firmware holds no code to panic, to format text, to allocate, or to emulate floating point.
///
/// # Errors
/// A sentence with the symbols found.
pub fn check_symbols(firmware: &Elf) -> Result<()> {
    let image = fs::read(&firmware.path)?;
    let file = object::File::parse(&*image).with_context(|| format!("{} is no ELF file", paths::shown(&firmware.path)))?;
    let functions: Vec<String> = file
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text)
        .filter_map(|symbol| Some(format!("{:#}", rustc_demangle::demangle(symbol.name().ok()?))))
        .collect();
    if functions.len() < 3 {
        bail!("{} has no symbols to check: is it stripped?", paths::shown(&firmware.path));
    }
    let found: Vec<String> = functions.iter().filter_map(|name| Some(format!("{name} ({})", forbidden(name)?))).collect();
    if !found.is_empty() {
        bail!("{} holds code that integer firmware must not need: {}", paths::shown(&firmware.path), found.join(", "));
    }
    Ok(())
}

/// What is wrong with a function of that name, if anything.
fn forbidden(name: &str) -> Option<&'static str> {
    let contains = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if contains(&["panicking", "panic_fmt", "rust_begin_unwind", "panic_bounds_check", "unwrap_failed", "slice_index_fail"]) {
        return Some("it panics");
    }
    if contains(&["core::fmt", "core::num::fmt", "::fmt::num::", "defmt"]) {
        return Some("it formats text");
    }
    if contains(&["__rust_alloc", "__rust_realloc", "__rustc::__rust", "alloc::alloc", "alloc::raw_vec"]) {
        return Some("it allocates");
    }
    soft_float(name).then_some("it emulates floating point")
}

/// `true` for the functions of the compiler's run-time library that compute with floating point.
fn soft_float(name: &str) -> bool {
    let name = name.rsplit("::").next().unwrap_or(name);
    if let Some(arm) = name.strip_prefix("__aeabi_") {
        let converts = arm.split_once('2').is_some_and(|(from, to)| {
            let floating = |part: &str| part.starts_with(['f', 'd']);
            from.len() <= 2 && to.len() <= 3 && (floating(from) || floating(to))
        });
        let computes =
            |rest: &str| ["add", "sub", "rsub", "mul", "div", "neg", "cmp"].iter().any(|operation| rest.starts_with(operation));
        let operates = arm.strip_prefix(['f', 'd', 'c']).is_some_and(computes) && !arm.starts_with("idiv");
        return converts || operates;
    }
    let Some(general) = name.strip_prefix("__") else { return false };
    let endings = ["sf2", "df2", "sf3", "df3", "sfsi", "dfsi", "sfdi", "dfdi", "sisf", "sidf", "disf", "didf"];
    endings.iter().any(|ending| general.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_that_integer_firmware_must_not_have() {
        for (name, reason) in [
            ("core::panicking::panic_bounds_check", "it panics"),
            ("rust_begin_unwind", "it panics"),
            ("core::option::unwrap_failed", "it panics"),
            ("<core::fmt::Formatter>::pad", "it formats text"),
            ("defmt::export::istr", "it formats text"),
            ("__rustc::__rust_alloc", "it allocates"),
            ("__aeabi_fadd", "it emulates floating point"),
            ("__aeabi_dmul", "it emulates floating point"),
            ("__aeabi_fcmplt", "it emulates floating point"),
            ("__aeabi_i2f", "it emulates floating point"),
            ("__aeabi_ui2d", "it emulates floating point"),
            ("__aeabi_f2iz", "it emulates floating point"),
            ("__aeabi_f2d", "it emulates floating point"),
            ("__mulsf3", "it emulates floating point"),
            ("__unordsf2", "it emulates floating point"),
            ("compiler_builtins::float::add::__addsf3", "it emulates floating point"),
            ("__floatunsisf", "it emulates floating point"),
            ("__fixdfsi", "it emulates floating point"),
        ] {
            assert_eq!(forbidden(name), Some(reason), "{name}");
        }
    }

    #[test]
    fn symbols_that_integer_firmware_may_have() {
        for name in [
            "main",
            "memcpy",
            "__aeabi_memcpy4",
            "__aeabi_uidiv",
            "__aeabi_idivmod",
            "__aeabi_uldivmod",
            "__aeabi_lmul",
            "__aeabi_llsl",
            "__muldi3",
            "__udivdi3",
            "HardFault_",
            "samara_runtime::ops::dense::run_i8",
            "samara_runtime::simd::dsp::multiply",
            "samara_runtime::format::reader::Model::parse",
        ] {
            assert_eq!(forbidden(name), None, "{name}");
        }
    }
}
