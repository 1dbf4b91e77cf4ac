//! Classifies a stream of records.
//!
//! A record is the bytes of all inputs, one after the other, as the model takes them (int8, or f32 little-endian); they are
//! read straight into the arena. For each record the bytes of all outputs go out.

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
    /// Gives the deepest stack so far, in bytes; asked after the first record.
    pub deepest_stack: S,
}

/// Works through `inputs` until it ends; the session forgets all before each `sequence` records, if that is given. Reports `record_bytes`, `output_bytes`, `records`, `stack_bytes` and, with a
/// counter, `inference_instructions` (the mean, its own overhead included) and a line `node INDEX INSTRUCTIONS` for each
/// node in the last record. Returns the number of records.
///
/// # Errors
/// [`Failure`].
pub fn run<C: InstructionCounter, P: OutputPin, S: FnOnce() -> usize>(
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
    let mut deepest_stack = Some(instruments.deepest_stack);
    let mut output_bytes = 0;
    while read_record(session, inputs)? {
        if sequence.is_some_and(|sequence| records % sequence == 0) {
            session.reset_state();
        }
        // A pin that cannot be set spoils no result.
        let _ = instruments.led.set_high();
        match instruments.counter.as_deref_mut() {
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
        }
        let _ = instruments.led.set_low();
        records += 1;
        if let Some(deepest_stack) = deepest_stack.take() {
            report.line("stack_bytes", &[deepest_stack() as u64]);
            defmt::info!("the first record is done");
        }
        output_bytes = write_outputs(session, outputs)?;
    }
    report.line("records", &[records]);
    report.line("record_bytes", &[record_bytes(session) as u64]);
    report.line("output_bytes", &[output_bytes as u64]);
    if instruments.counter.is_some() && records > 0 {
        report.line("inference_instructions", &[C::instructions(ticks) / records]);
        for (node, &ticks) in (0u64..).zip(node_ticks.iter().take(nodes)) {
            report.line("node", &[node, C::instructions(u64::from(ticks))]);
        }
    }
    Ok(records)
}

fn record_bytes(session: &mut Session<'_>) -> usize {
    let mut input = 0;
    let mut bytes = 0;
    while let Ok(slot) = session.input_bytes_mut(input) {
        bytes += slot.len();
        input += 1;
    }
    bytes
}

/// Reads one record into the model's inputs. `false` at the end of the stream.
fn read_record(session: &mut Session<'_>, source: &mut impl Read) -> Result<bool, Failure> {
    let mut input = 0;
    let mut begun = false;
    while let Ok(mut slot) = session.input_bytes_mut(input) {
        while !slot.is_empty() {
            match source.read(slot).map_err(|_| Failure::Read)? {
                0 if begun => return Err(Failure::PartialRecord),
                0 => return Ok(false),
                count => slot = slot.get_mut(count..).unwrap_or_default(),
            }
            begun = true;
        }
        input += 1;
    }
    Ok(begun)
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
