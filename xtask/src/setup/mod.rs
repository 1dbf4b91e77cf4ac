//! What must be on the machine: Rust targets, QEMU, data. What is missing is added to what belongs to this user, rustup's
//! directory and the cache: set-up needs no root, and leaves the system's packages as they are.

mod cache;
mod data;
mod debian;
mod emulators;
mod postgres;
mod python;
mod rust;
mod system;

use std::env;

use anyhow::{Result, bail};

pub use data::set_up as data;
pub use emulators::command as emulator;
pub use postgres::{Programs, postgres};
pub use python::python;
pub use rust::components;

use crate::boards::{self, Board};

/// A board that firmware cannot be built for, or run on, and why.
#[derive(Debug)]
pub struct Unavailable {
    /// The board.
    pub board: &'static Board,
    /// What is missing, and how it may be had: a sentence.
    pub reason: String,
}

/// `true` in continuous integration, where a skip is a failure.
pub fn is_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true")
}

/// Sets up everything.
///
/// # Errors
/// If something is missing and cannot be had; what is, was told before.
pub fn all() -> Result<()> {
    let mut missing = 0;
    let steps: [fn() -> Result<()>; 4] = [components, || rust::targets(&boards::all()), emulators::set_up, data];
    for step in steps {
        if let Err(reason) = step() {
            told(&reason);
            missing += 1;
        }
    }
    if missing > 0 {
        bail!("{missing} of 4 things are missing: see above");
    }
    Ok(())
}

/// Sets up the Rust targets of these boards; returns the boards that firmware cannot be built for.
pub fn targets(boards: &[&'static Board]) -> Vec<Unavailable> {
    let Err(reason) = rust::targets(boards) else { return Vec::new() };
    let reason = told(&reason);
    let missing = boards.iter().filter(|board| !rust::has_target(board.target));
    missing.map(|&board| Unavailable { board, reason: reason.clone() }).collect()
}

/// Sets up the Rust targets and the emulators of these boards; returns the boards that firmware cannot be run on.
pub fn boards(boards: &[&'static Board]) -> Vec<Unavailable> {
    let mut unavailable = targets(boards);
    if let Err(reason) = emulators::set_up() {
        let reason = told(&reason);
        for &board in boards.iter().filter(|board| emulators::find(board.emulator).is_none()) {
            if unavailable.iter().all(|other| other.board.name != board.name) {
                unavailable.push(Unavailable { board, reason: reason.clone() });
            }
        }
    }
    unavailable
}

/// As [`boards()`], for a command that is of no use without them.
///
/// # Errors
/// If firmware cannot be run on one of the boards.
pub fn require(boards: &[&'static Board]) -> Result<()> {
    match self::boards(boards).into_iter().next() {
        Some(Unavailable { board, reason }) => bail!("{} ({}): {reason}", board.core, board.name),
        None => Ok(()),
    }
}

/// Says why something is missing, and returns that sentence.
fn told(reason: &anyhow::Error) -> String {
    let reason = format!("{reason:#}");
    println!("{reason}");
    reason
}
