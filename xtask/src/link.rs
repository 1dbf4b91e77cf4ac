//! A host and an emulated device at the two ends of a UART.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    boards::Board,
    firmware::{self, Elf, Embed},
    made::Made,
    paths, process, samples, setup,
};

/// How long the emulator may take to begin.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Builds the firmware `learn`, lets it infer and learn by `samara device`, kills the emulator, starts it again, and looks whether it knows
/// what it had saved.
///
/// # Errors
/// If the device gives other bits than this machine, or does not know what it should.
pub fn check(board: &'static Board, made: &Made) -> Result<()> {
    let (model, data) = made.learner();
    let elf = firmware::build(board, "learn", Embed::model(&model))?;
    let place = paths::artifacts("run").join(board.name).join("learn");
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).with_context(|| format!("{} cannot be made", paths::shown(&place)))?;
    let (model, data) = (shown(&model), shown(&data));
    let on_data = |command: &'static str| vec![command, "--model", &model, "--data", &data];

    let mut emulator = Emulator::start(board, &elf, &place)?;
    let evaluated = emulator.ask(&on_data("evaluate"))?;
    let before = evaluated["head_accuracy"].as_f64().context("the device has no head")?;
    let learned = emulator.ask(&[on_data("add-class"), vec!["--label", "3"]].concat())?;
    let learned_again = emulator.ask(&[on_data("learn"), vec!["--class", "0", "--count", "5"]].concat())?;
    if (&learned["generation"], &learned_again["generation"]) != (&Value::from(1), &Value::from(2)) {
        bail!("the generations saved are {} and {}, expected 1 and 2", learned["generation"], learned_again["generation"]);
    }
    let after = emulator.ask(&on_data("evaluate"))?["head_accuracy"].as_f64().unwrap_or(0.0);
    if after < before + 0.15 {
        bail!("with a class more, the head's accuracy went from {before} to {after}: it did not learn");
    }
    let head = shown(&place.join("learned.head"));
    emulator.ask(&["export-head", "--out", &head])?;

    // As if the power failed.
    drop(emulator);
    let mut emulator = Emulator::start(board, &elf, &place)?;
    let woken = emulator.ask(&["stats"])?;
    if woken["generation"] != 2 {
        bail!("after a restart, generation {} is current, expected 2", woken["generation"]);
    }
    let again = emulator.ask(&on_data("evaluate"))?["head_accuracy"].as_f64().unwrap_or(0.0);
    if again != after {
        bail!("after a restart, the head's accuracy is {again}, it was {after}");
    }
    emulator.ask(&["reset", "--yes"])?;
    let reset = emulator.ask(&on_data("evaluate"))?["head_accuracy"].as_f64().unwrap_or(0.0);
    if reset != before {
        bail!("after a reset, the head's accuracy is {reset}, it was {before} at first");
    }
    emulator.ask(&["import-head", &head])?;
    let imported = emulator.ask(&on_data("evaluate"))?["head_accuracy"].as_f64().unwrap_or(0.0);
    if imported != after {
        bail!("with the head that was exported, the accuracy is {imported}, it was {after}");
    }
    println!("  the head's accuracy goes from {before:.4} to {after:.4} by a new class, and outlives a killed emulator");
    Ok(())
}

/// A path as commands at the repository's top take it: a socket's name may have 100 bytes or so.
fn shown(path: &Path) -> String {
    paths::shown(path)
}

/// A device that runs, until this is dropped.
struct Emulator {
    child: Child,
    port: String,
}

impl Emulator {
    fn start(board: &Board, elf: &Elf, place: &Path) -> Result<Self> {
        let socket = place.join("serial");
        let _ = fs::remove_file(&socket);
        let mut command: Command = setup::emulator(board.emulator)?;
        command.current_dir(place).arg("-M").args(board.machine);
        command.args(["-nographic", "-monitor", "none", "-serial", "unix:serial,server,nowait"]);
        command.args(["-semihosting-config", "enable=on,target=native,arg=learn,arg=flash"]);
        command.arg("-kernel").arg(&elf.path).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().with_context(|| format!("`{}` cannot be started", process::shown(&command)))?;
        let mut emulator = Self { child, port: format!("unix:{}", shown(&socket)) };
        let start = Instant::now();
        while !socket.exists() {
            if let Some(status) = emulator.child.try_wait()? {
                bail!("the emulator of {} ended at once ({status})", board.name);
            }
            if start.elapsed() > START_LIMIT {
                bail!("the emulator of {} opens no serial port", board.name);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(emulator)
    }

    /// Runs `samara device` with these arguments; its JSON.
    fn ask(&mut self, arguments: &[&str]) -> Result<Value> {
        let mut command = process::cargo(&["run", "--quiet", "--package", "samara-models", "--bin", "samara", "--", "device"]);
        command.args(["--port", &self.port, "--json"]).args(arguments);
        samples::json_of(&mut command)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It runs until it is killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
