//! The compiler's targets, its formatter and its linter.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{boards::Board, paths, process};

/// Checks for the formatter and the linter, and adds what is missing.
///
/// # Errors
/// If one is missing and cannot be added.
pub fn components() -> Result<()> {
    for (component, tool) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if !process::starts(&mut process::cargo(&[tool])) {
            println!("Rust: adding the component {component}");
            add("component", &[component])?;
        }
    }
    Ok(())
}

/// Checks for the boards' targets, and adds what is missing.
///
/// # Errors
/// If one is missing and cannot be added.
pub fn targets(boards: &[&Board]) -> Result<()> {
    let mut missing: Vec<&str> = boards.iter().map(|board| board.target).filter(|target| !has_target(target)).collect();
    missing.sort_unstable();
    missing.dedup();
    if !missing.is_empty() {
        println!("Rust: adding the targets {}", missing.join(", "));
        add("target", &missing)?;
    }
    println!("Rust: all targets there");
    Ok(())
}

/// `true` if the compiler has the target's core library.
pub fn has_target(target: &str) -> bool {
    let sysroot = process::output(Command::new("rustc").args(["--print", "sysroot"]).current_dir(paths::root()));
    sysroot.is_ok_and(|sysroot| PathBuf::from(sysroot.trim()).join("lib/rustlib").join(target).join("lib").is_dir())
}

fn add(what: &str, names: &[&str]) -> Result<()> {
    let mut rustup = Command::new("rustup");
    process::run(rustup.args([what, "add"]).args(names).current_dir(paths::root())).with_context(|| {
        format!("Rust: the {what} {} is missing; `rustup {what} add` adds it, see https://rustup.rs", names.join(", "))
    })
}
