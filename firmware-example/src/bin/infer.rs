//! Classifies the records in the host's file `inputs`, writes `outputs`, and reports what it took.
//!
//! Command line: `infer INPUTS OUTPUTS REPORT [golden] [count] [RUNS]`. With `golden` it first runs the model's golden samples, and
//! stops if their outputs are not those of the machine that exported the model; their number is reported as `golden_samples`. With
//! `count` it counts instructions; that makes sense under `-icount shift=0` only. With a number, so many records are a sequence: the
//! model forgets all before each.
#![no_std]
#![no_main]

use samara_firmware::{
    board::{Arguments, Board, HostFile, StackGauge, run_counted_loop},
    counter::{self, InstructionCounter},
    exit_code,
    infer::{self, Instruments},
    report::Report,
};
use samara_runtime::{Arena, Model, OpDef, Session, arena_bytes, crc32, op_count, select_ops};
use static_cell::ConstStaticCell;

const MODEL: &[u8] = include!(concat!(env!("OUT_DIR"), "/model.rs"));
static OPS: [&OpDef; op_count(MODEL)] = select_ops(MODEL);
static ARENA: ConstStaticCell<Arena<{ arena_bytes(MODEL) }>> = ConstStaticCell::new(Arena::new());

/// Iterations of the loop that checks the counter, of two instructions each.
const LOOP_ITERATIONS: u32 = 500_000;

samara_firmware::start!(main);

fn main(board: Board) -> u8 {
    exit_code(run(board))
}

fn run(mut board: Board) -> Result<(), &'static str> {
    let arguments = Arguments::new();
    let _program = arguments.next();
    let inputs = arguments.next().ok_or("the command line names no input file")?;
    let mut inputs = HostFile::open(inputs).ok_or("the input file cannot be opened")?;
    let outputs = arguments.next().ok_or("the command line names no output file")?;
    let mut outputs = HostFile::create(outputs).ok_or("the output file cannot be created")?;
    let report = arguments.next().ok_or("the command line names no report file")?;
    let mut report = Report::new(HostFile::create(report).ok_or("the report file cannot be created")?);
    let (mut tests, mut counts, mut sequence) = (false, false, None);
    while let Some(option) = arguments.next() {
        match option {
            "golden" => tests = true,
            "count" => counts = true,
            _ => match option.parse() {
                Ok(runs @ 1..) => sequence = Some(runs),
                _ => return Err("the options are golden, count, and the records of a sequence"),
            },
        }
    }

    let arena = ARENA.try_take().ok_or("the arena is taken")?;
    let gauge = StackGauge::paint();
    let start = board.counter.ticks();
    let model = Model::parse(MODEL, &OPS).map_err(|error| {
        defmt::error!("load error {=u8}", error.code());
        "the model was refused"
    })?;
    let mut session = Session::new(model, arena.as_mut_slice()).map_err(|_| "the arena was refused")?;
    let startup = board.counter.ticks() - start;
    let startup_stack = gauge.deepest();

    if tests {
        let samples = session.self_test().map_err(|error| {
            defmt::error!("{}", error);
            "a golden sample gives other outputs here than where the model was exported"
        })?;
        report.line("golden_samples", &[samples as u64]);
    }
    report.line("arena_bytes", &[arena_bytes(MODEL) as u64]);
    report.line("model_bytes", &[MODEL.len() as u64]);
    if counts {
        report.line("startup_instructions", &[instructions_of(&board, startup)]);
        let checksum = counter::instructions_of(&mut board.counter, || {
            core::hint::black_box(crc32(core::hint::black_box(MODEL)));
        });
        report.line("checksum_instructions", &[checksum]);
        let counted = counter::instructions_of(&mut board.counter, || run_counted_loop(LOOP_ITERATIONS));
        report.line("loop_expected", &[2 * u64::from(LOOP_ITERATIONS)]);
        report.line("loop_counted", &[counted]);
    }
    let stack = |work: &mut dyn FnMut()| {
        let gauge = StackGauge::paint();
        work();
        gauge.deepest().max(startup_stack)
    };
    let instruments = Instruments { counter: counts.then_some(&mut board.counter), led: &mut board.led, stack };
    let records =
        infer::run(&mut session, &mut inputs, &mut outputs, &mut report, sequence, instruments).map_err(|failure| {
            defmt::error!("{}", failure);
            "the stream of records could not be worked through"
        })?;
    defmt::info!("{=u64} records done", records);
    if report.finish() { Ok(()) } else { Err("the report could not be written") }
}

/// `ticks` of the board's counter as instructions.
fn instructions_of(board: &Board, ticks: u64) -> u64 {
    fn of<C: InstructionCounter>(_: &C, ticks: u64) -> u64 {
        C::instructions(ticks)
    }
    of(&board.counter, ticks)
}
