//! Runs firmware in QEMU, and prints its log as it comes.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use defmt_decoder::{DecodeError, Table};

use crate::{boards::Board, firmware::Elf, paths, process, report::Report, setup};

/// How the emulator keeps time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// As fast as it can.
    Free,
    /// One virtual nanosecond per instruction, so that the firmware's timer counts instructions. Some three times slower.
    CountInstructions,
}

/// Runs `elf` in a fresh directory with the input file `inputs`, and returns that directory.
///
/// The firmware finds its files by the names on its command line: `inputs`, `outputs`, `report`, and then `words`.
///
/// # Errors
/// If QEMU cannot be started, does not end within `limit`, or ends with another code than 0.
pub fn run(board: &Board, elf: &Elf, inputs: &[u8], words: &[&str], clock: Clock, limit: Duration) -> Result<PathBuf> {
    let place = paths::artifacts("run").join(board.name).join(elf.program);
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).with_context(|| format!("{} cannot be made", paths::shown(&place)))?;
    fs::write(place.join("inputs"), inputs)?;

    // The program finds its files by relative names: a command line of semihosting has no quoting that all agree on.
    let mut semihosting = "enable=on,target=native".to_owned();
    for word in [elf.program, "inputs", "outputs", "report"].iter().chain(words) {
        semihosting.push_str(",arg=");
        semihosting.push_str(word);
    }
    let mut command = setup::emulator(board.emulator)?;
    command.current_dir(&place).arg("-M").args(board.machine);
    command.args(["-nographic", "-monitor", "none", "-serial", "none", "-semihosting-config", &semihosting]);
    if clock == Clock::CountInstructions {
        command.args(["-icount", "shift=0"]);
    }
    command.arg("-kernel").arg(&elf.path);

    let image = fs::read(&elf.path)?;
    let table = match Table::parse(&image) {
        Ok(Some(table)) => table,
        Ok(None) => bail!("{} holds no log strings: it was built without the feature `log`", paths::shown(&elf.path)),
        Err(error) => bail!("the log strings of {} cannot be read: {error}", paths::shown(&elf.path)),
    };
    let mut decoder = table.new_stream_decoder();
    let mut damaged = 0;
    let (code, errors) = process::run_limited(&mut command, limit, |bytes| {
        decoder.received(bytes);
        loop {
            match decoder.decode() {
                Ok(frame) => {
                    let level = frame.level().map_or("log", |level| level.as_str());
                    println!("    [{}] {level}: {}", board.name, frame.display_message());
                }
                Err(DecodeError::UnexpectedEof) => break,
                Err(DecodeError::Malformed) => damaged += 1,
            }
        }
    })?;
    if code != 0 {
        let meaning = match code {
            101 => " (it panicked)",
            102 => " (a fault of the processor)",
            _ => "",
        };
        bail!("{} on {} ended with code {code}{meaning}. {}", elf.program, board.name, errors.trim());
    }
    if damaged > 0 {
        bail!("{damaged} log frames of {} on {} were damaged", elf.program, board.name);
    }
    Ok(place)
}

/// Runs `minimal`, which has no log and no files; its exit code says whether its model ran.
///
/// # Errors
/// If it does not end within `limit`, or with another code than 0.
pub fn run_silent(board: &Board, elf: &Elf, limit: Duration) -> Result<()> {
    let mut command = setup::emulator(board.emulator)?;
    command.arg("-M").args(board.machine).args(["-nographic", "-monitor", "none", "-serial", "none"]);
    command.args(["-semihosting-config", "enable=on,target=native", "-kernel"]).arg(&elf.path);
    let (code, errors) = process::run_limited(&mut command, limit, |_| ())?;
    if code != 0 {
        bail!("{} on {} ended with code {code}. {}", elf.program, board.name, errors.trim());
    }
    Ok(())
}

/// What a run of `infer` left behind.
#[derive(Debug)]
pub struct Inferred {
    /// The outputs of every record, one after the other.
    pub outputs: Vec<u8>,
    /// The firmware's report.
    pub report: Report,
}

/// Streams the records in `inputs` through `infer`; the model forgets all before each `sequence` of them, if that is given.
///
/// # Errors
/// As [`run`]; if the firmware did not take all records; if counting, when a loop of known length was not counted right.
pub fn infer(
    board: &Board,
    elf: &Elf,
    inputs: &[u8],
    sequence: Option<usize>,
    clock: Clock,
    limit: Duration,
) -> Result<Inferred> {
    let runs = sequence.map(|runs| runs.to_string());
    let count = (clock == Clock::CountInstructions).then_some("count");
    let words: Vec<&str> = count.into_iter().chain(runs.as_deref()).collect();
    let place = run(board, elf, inputs, &words, clock, limit)?;
    let report = Report::read(&place.join("report"))?;
    let taken = report.number("input_bytes")?;
    if taken != inputs.len() as u64 {
        bail!("infer on {} took {taken} of {} input bytes", board.name, inputs.len());
    }
    if clock == Clock::CountInstructions {
        check_counter(board, &report)?;
    }
    let outputs = read(&place.join("outputs"))?;
    Ok(Inferred { outputs, report })
}

/// Runs the golden samples of the model in `infer`, and returns how many there are. No record is streamed.
///
/// # Errors
/// As [`run`]: with code 1, if a sample gives other outputs on the board.
pub fn golden_samples(board: &Board, elf: &Elf, limit: Duration) -> Result<u64> {
    let place = run(board, elf, &[], &["golden"], Clock::Free, limit)?;
    Report::read(&place.join("report"))?.number("golden_samples")
}

/// The firmware counts a loop of known length first: if that is off by 0.1 percent, no count can be trusted.
///
/// # Errors
/// If it is.
pub fn check_counter(board: &Board, report: &Report) -> Result<()> {
    let (expected, counted) = (report.number("loop_expected")?, report.number("loop_counted")?);
    if expected.abs_diff(counted) * 1000 > expected {
        bail!("the counter of {} is off: it took a loop of {expected} instructions for {counted}", board.name);
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} cannot be read", paths::shown(path)))
}
