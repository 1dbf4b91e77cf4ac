//! Classifies a stream of records.
//!
//! A record is the bytes of all inputs, one after the other, as the model takes them (int8, or f32 little-endian); they are
//! read straight into the arena. Where inputs are of variable length, the lengths stand before them, in the order of the length groups,
//! four bytes each, and the inputs have as many steps. For each record the bytes of all outputs go out.

use embedded_hal::digital::OutputPin;
use embedded_io::{Read, Write};
use samara_runtime::Session;

use crate::{counter::InstructionCounter, report::Report};

/// Nodes whose instructions are reported one by one.
const NODES_LISTED: usize = 128;

/// Why a stream could not be worked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, defmt::Format)]
pub enum Failure {
    /// The host's file could not be read.
    Read,
    /// The input ends in the middle of a record.
    PartialRecord,
    /// A record has a length that the model does not take.
    Length,
    /// The host's file could not be written.
    Write,
}

/// What `infer` measures with.
#[derive(Debug)]
pub struct Instruments<'a, C, P, S> {
    /// Counts instructions; `None` to run as fast as possible.
    pub counter: Option<&'a mut C>,
    /// On while a record is worked on.
    pub led: &'a mut P,
    /// Does what it is given, and says how deep the stack went meanwhile, in bytes; asked for the first record.
    pub stack: S,
}

/// Works through `inputs` until it ends; the session forgets all before each `sequence` records, if that is given. Reports `input_bytes`, `output_bytes`, `records`, `stack_bytes` and, with a
/// counter, `inference_instructions` (the mean, its own overhead included) and a line `node INDEX INSTRUCTIONS` for each
/// node in the last record. Returns the number of records.
///
/// # Errors
/// [`Failure`].
pub fn run<C: InstructionCounter, P: OutputPin, S: FnMut(&mut dyn FnMut()) -> usize>(
    session: &mut Session<'_>,
    inputs: &mut impl Read,
    outputs: &mut impl Write,
    report: &mut Report<impl Write>,
    sequence: Option<u64>,
    mut instruments: Instruments<'_, C, P, S>,
) -> Result<u64, Failure> {
    let mut records = 0;
    let mut ticks = 0;
    let mut node_ticks = [0u32; NODES_LISTED];
    let mut nodes = 0;
    let mut output_bytes = 0;
    let mut input_bytes = 0;
    loop {
        let read = read_record(session, inputs)?;
        if read == 0 {
            break;
        }
        input_bytes += read as u64;
        if sequence.is_some_and(|sequence| records % sequence == 0) {
            session.reset_state();
        }
        // A pin that cannot be set spoils no result.
        let _ = instruments.led.set_high();
        let counter = &mut instruments.counter;
        let mut work = || match counter {
            Some(counter) => {
                let start = counter.ticks();
                let mut last = start;
                session.run_observed(|node, _| {
                    let now = counter.ticks();
                    if let Some(slot) = node_ticks.get_mut(node) {
                        *slot = (now - last) as u32;
                    }
                    last = now;
                    nodes = node + 1;
                });
                ticks += last - start;
            }
            None => session.run(),
        };
        let deepest = if records == 0 { Some((instruments.stack)(&mut work)) } else { None };
        if deepest.is_none() {
            work();
        }
        let _ = instruments.led.set_low();
        records += 1;
        if let Some(deepest) = deepest {
            report.line("stack_bytes", &[deepest as u64]);
            defmt::info!("the first record is done");
        }
        output_bytes = write_outputs(session, outputs)?;
    }
    report.line("records", &[records]);
    report.line("input_bytes", &[input_bytes]);
    report.line("output_bytes", &[output_bytes as u64]);
    if instruments.counter.is_some() && records > 0 {
        report.line("inference_instructions", &[C::instructions(ticks) / records]);
        for (node, &ticks) in (0u64..).zip(node_ticks.iter().take(nodes)) {
            report.line("node", &[node, C::instructions(u64::from(ticks))]);
        }
    }
    Ok(records)
}

/// Reads one record into the model's inputs. Returns its bytes; 0 at the end of the stream.
fn read_record(session: &mut Session<'_>, source: &mut impl Read) -> Result<usize, Failure> {
    let mut bytes = 0;
    let mut number = 1;
    while let Some(group) = session.model().length_group(number) {
        if group.source == 0 {
            let mut length = [0; 4];
            fill(&mut length, source, &mut bytes)?;
            if bytes == 0 {
                return Ok(0);
            }
            session.set_length(number as u8, u32::from_le_bytes(length)).map_err(|_| Failure::Length)?;
        }
        number += 1;
    }
    let mut input = 0;
    while let Ok(slot) = session.input_bytes_mut(input) {
        fill(slot, source, &mut bytes)?;
        if bytes == 0 {
            return Ok(0);
        }
        input += 1;
    }
    Ok(bytes)
}

/// Reads all of a slot of a record of which so many bytes are read; nothing if the stream ends before the record begins.
fn fill(mut slot: &mut [u8], source: &mut impl Read, bytes: &mut usize) -> Result<(), Failure> {
    while !slot.is_empty() {
        match source.read(slot).map_err(|_| Failure::Read)? {
            0 if *bytes > 0 => return Err(Failure::PartialRecord),
            0 => return Ok(()),
            count => {
                slot = slot.get_mut(count..).unwrap_or_default();
                *bytes += count;
            }
        }
    }
    Ok(())
}

/// Writes all outputs and returns their bytes.
fn write_outputs(session: &Session<'_>, sink: &mut impl Write) -> Result<usize, Failure> {
    let mut output = 0;
    let mut total = 0;
    while let Some(bytes) = session.output_bytes(output) {
        sink.write_all(bytes).map_err(|_| Failure::Write)?;
        total += bytes.len();
        output += 1;
    }
    Ok(total)
}
