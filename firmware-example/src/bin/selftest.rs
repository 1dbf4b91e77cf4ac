//! Runs a bundle of models on known inputs, and reports a checksum of each output.
//!
//! Command line: `selftest INPUTS OUTPUTS REPORT`; the first two are not used.
#![no_std]
#![no_main]

use samara_firmware::{
    board::{Arguments, Board, HostFile},
    exit_code,
    report::Report,
    selftest,
};
use samara_runtime::{Arena, selftest::bundle_arena_bytes};
use static_cell::ConstStaticCell;

const BUNDLE: &[u8] = include!(concat!(env!("OUT_DIR"), "/bundle.rs"));
static ARENA: ConstStaticCell<Arena<{ bundle_arena_bytes(BUNDLE) }>> = ConstStaticCell::new(Arena::new());

samara_firmware::start!(main);

fn main(_board: Board) -> u8 {
    exit_code(run())
}

fn run() -> Result<(), &'static str> {
    let arguments = Arguments::new();
    let (_program, _inputs, _outputs) = (arguments.next(), arguments.next(), arguments.next());
    let report = arguments.next().ok_or("the command line names no report file")?;
    let mut report = Report::new(HostFile::create(report).ok_or("the report file cannot be created")?);
    let arena = ARENA.try_take().ok_or("the arena is taken")?;
    selftest::run(BUNDLE, arena.as_mut_slice(), &mut report).map_err(|(case, error)| {
        defmt::error!("model {=usize}: load error {=u8}", case, error.code());
        "a model was refused"
    })?;
    if report.finish() { Ok(()) } else { Err("the report could not be written") }
}
