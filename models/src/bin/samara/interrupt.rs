//! Ctrl-C while a model trains: the step is finished, the state saved, and how to go on is told. A second one, or one at any other
//! time, ends the program at once; files appear whole or not at all, whenever it is.

use std::fmt;
use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, Result};
use samara_trainer::callbacks::Callback;
use samara_trainer::{Training, TrainingState};

/// Nothing is lost by ending at once.
const IDLE: u8 = 0;
/// A training looks after each step whether it is to end.
const LISTENING: u8 = 1;
/// It is.
const ASKED: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(IDLE);

/// What a program that a signal ended exits with, as shells have it: 128 and SIGINT's number.
pub const EXIT_CODE: u8 = 130;

/// Work that was interrupted: what was kept, and how to go on.
#[derive(Debug)]
pub struct Interrupted(String);

impl Interrupted {
    /// With a sentence that says so.
    pub fn new(sentence: &str) -> Self {
        Self(sentence.to_owned())
    }

    /// Of a training whose state was saved.
    pub fn saved(state: &Path) -> Self {
        let state = state.display();
        Self(format!("interrupted: all steps so far are in {state}; the same command with --resume goes on from there"))
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Interrupted {}

/// Takes care of Ctrl-C, and of the signals that ask a program to end.
///
/// # Errors
/// If the system does not let it.
pub fn handle() -> Result<()> {
    let handler = || {
        if STATE.compare_exchange(LISTENING, ASKED, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            std::process::exit(EXIT_CODE.into());
        }
    };
    ctrlc::set_handler(handler).context("Ctrl-C cannot be handled")
}

/// From now on Ctrl-C does not end the program, but is to be looked for.
pub fn listen() {
    let _ = STATE.compare_exchange(IDLE, LISTENING, Ordering::SeqCst, Ordering::SeqCst);
}

/// From now on Ctrl-C ends the program, unless it was asked before.
pub fn rest() {
    let _ = STATE.compare_exchange(LISTENING, IDLE, Ordering::SeqCst, Ordering::SeqCst);
}

/// Whether Ctrl-C has asked what listens to end.
pub fn is_asked() -> bool {
    STATE.load(Ordering::SeqCst) == ASKED
}

/// As Ctrl-C does, for the first time.
pub fn ask() {
    if STATE.compare_exchange(LISTENING, ASKED, Ordering::SeqCst, Ordering::SeqCst) == Err(IDLE) {
        std::process::exit(EXIT_CODE.into());
    }
}

/// Saves the state of the training and ends it with an error of the kind [`ErrorKind::Interrupted`], if Ctrl-C asks for that.
pub struct Interrupt {
    state: PathBuf,
}

impl Interrupt {
    /// Saves to this file.
    pub fn new(state: &Path) -> Self {
        Self { state: state.to_owned() }
    }
}

impl Callback for Interrupt {
    fn train_begin(&mut self, _training: &mut Training<'_>) -> samara_trainer::Result<()> {
        STATE.store(LISTENING, Ordering::SeqCst);
        Ok(())
    }

    fn wants_state(&self, training: &Training<'_>) -> bool {
        is_asked() && training.loss().is_finite()
    }

    fn take_state(&mut self, state: &TrainingState) -> samara_trainer::Result<()> {
        state.save(&self.state)?;
        Err(IoError::from(ErrorKind::Interrupted).into())
    }

    fn train_end(&mut self, _training: &mut Training<'_>) -> samara_trainer::Result<()> {
        // What follows is made anew from the state.
        rest();
        Ok(())
    }
}
