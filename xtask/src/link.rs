//! A host and an emulated device at the two ends of a UART.

use std::{
    fs,
    path::{Path, PathBuf},
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

/// Builds the firmware `learn` for heads of both kinds, lets them learn by `samara device`, kills the emulator, starts it again, and looks
/// whether they know what they had saved.
///
/// # Errors
/// If the device gives other bits than this machine, or does not know what it should.
pub fn check(board: &'static Board, made: &Made) -> Result<()> {
    sums(&Lesson::prepare(board, made, "learner")?)?;
    gradients(&Lesson::prepare(board, made, "dense")?)
}

/// A device with a head that is solved from sums.
fn sums(lesson: &Lesson) -> Result<()> {
    let mut emulator = lesson.start()?;
    let before = lesson.accuracy(&mut emulator)?;
    let learned = emulator.ask(&[lesson.on_data("add-class"), vec!["--label", "3"]].concat())?;
    let learned_again = emulator.ask(&[lesson.on_data("learn"), vec!["--class", "0", "--count", "5"]].concat())?;
    if (&learned["generation"], &learned_again["generation"]) != (&Value::from(1), &Value::from(2)) {
        bail!("the generations saved are {} and {}, expected 1 and 2", learned["generation"], learned_again["generation"]);
    }
    let after = lesson.accuracy(&mut emulator)?;
    if after < before + 0.15 {
        bail!("with a class more, the head's accuracy went from {before} to {after}: it did not learn");
    }
    let head = paths::shown(&lesson.place.join("learned.head"));
    emulator.ask(&["export-head", "--out", &head])?;

    let mut emulator = lesson.restart(emulator, 2, after)?;
    emulator.ask(&["reset", "--yes"])?;
    let reset = lesson.accuracy(&mut emulator)?;
    if reset != before {
        bail!("after a reset, the head's accuracy is {reset}, it was {before} at first");
    }
    emulator.ask(&["import-head", &head])?;
    let imported = lesson.accuracy(&mut emulator)?;
    if imported != after {
        bail!("with the head that was exported, the accuracy is {imported}, it was {after}");
    }
    println!("  the head's accuracy goes from {before:.4} to {after:.4} by a new class, and outlives a killed emulator");
    Ok(())
}

/// A device with a head that is trained by gradients.
fn gradients(lesson: &Lesson) -> Result<()> {
    let mut emulator = lesson.start()?;
    let before = lesson.accuracy(&mut emulator)?;
    let tuned = emulator.ask(&[lesson.on_data("fine-tune"), vec!["--epochs", "2", "--count", "100"]].concat())?;
    let after = lesson.accuracy(&mut emulator)?;
    if tuned["generation"] != 1 || after < before + 0.3 {
        bail!("by {tuned}, the head's accuracy went from {before} to {after}: it did not learn");
    }
    lesson.restart(emulator, 1, after)?;
    println!("  by gradients, the head's accuracy goes from {before:.4} to {after:.4}, and outlives a killed emulator");
    Ok(())
}

/// Firmware with a model that learns, and samples for it.
struct Lesson {
    board: &'static Board,
    elf: Elf,
    place: PathBuf,
    model: String,
    data: String,
}

impl Lesson {
    fn prepare(board: &'static Board, made: &Made, name: &str) -> Result<Self> {
        let model = made.link().join(name).with_extension("samara");
        let elf = firmware::build(board, "learn", Embed::model(&model))?;
        let place = paths::artifacts("run").join(board.name).join("learn");
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(&place).with_context(|| format!("{} cannot be made", paths::shown(&place)))?;
        Ok(Self { board, elf, place, model: paths::shown(&model), data: paths::shown(&made.link().join("data")) })
    }

    fn start(&self) -> Result<Emulator> {
        Emulator::start(self.board, &self.elf, &self.place, as_tests_have_it)
    }

    /// Kills the emulator, as if the power failed, and starts it again: its head is that of a generation, as good as before.
    fn restart(&self, emulator: Emulator, generation: u32, accuracy: f64) -> Result<Emulator> {
        drop(emulator);
        let mut emulator = self.start()?;
        let woken = emulator.ask(&["stats"])?;
        if woken["generation"] != generation {
            bail!("after a restart, generation {} is current, expected {generation}", woken["generation"]);
        }
        let found = self.accuracy(&mut emulator)?;
        if found != accuracy {
            bail!("after a restart, the head's accuracy is {found}, it was {accuracy}");
        }
        Ok(emulator)
    }

    /// A command on the data.
    fn on_data<'a>(&'a self, command: &'a str) -> Vec<&'a str> {
        vec![command, "--model", &self.model, "--data", &self.data]
    }

    /// The head's accuracy; the outputs of the model are this machine's, or it is an error.
    fn accuracy(&self, emulator: &mut Emulator) -> Result<f64> {
        let evaluated = emulator.ask(&self.on_data("evaluate"))?;
        evaluated["head_accuracy"].as_f64().context("the device has no head")
    }
}

/// The command `samara` of the profile that tests have built.
fn as_tests_have_it(arguments: &[&str]) -> Command {
    // Of the whole workspace: a package alone has other features, and all would be built again.
    let mut command = process::cargo(&["run", "--quiet", "--bin", "samara", "--"]);
    command.args(arguments);
    command
}

/// A device that runs, until this is dropped.
pub struct Emulator {
    child: Child,
    port: String,
    /// The command `samara` with some arguments.
    samara: fn(&[&str]) -> Command,
}

impl Emulator {
    /// Starts the firmware `learn` in a directory, where its flash is a file; `samara` is the command that talks to it.
    ///
    /// # Errors
    /// If the emulator does not start, or opens no serial port.
    pub fn start(board: &Board, elf: &Elf, place: &Path, samara: fn(&[&str]) -> Command) -> Result<Self> {
        // Relative, since a socket's name may have 100 bytes or so.
        let socket = place.join("serial");
        let _ = fs::remove_file(&socket);
        let mut command: Command = setup::emulator(board.emulator)?;
        command.current_dir(place).arg("-M").args(board.machine);
        command.args(["-nographic", "-monitor", "none", "-serial", "unix:serial,server,nowait"]);
        command.args(["-semihosting-config", "enable=on,target=native,arg=learn,arg=flash"]);
        command.arg("-kernel").arg(&elf.path).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().with_context(|| format!("`{}` cannot be started", process::shown(&command)))?;
        let mut emulator = Self { child, port: format!("unix:{}", paths::shown(&socket)), samara };
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
    ///
    /// # Errors
    /// If the command fails.
    pub fn ask(&mut self, arguments: &[&str]) -> Result<Value> {
        let mut command = (self.samara)(&["device", "--port", &self.port, "--json"]);
        samples::json_of(command.args(arguments))
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It runs until it is killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
