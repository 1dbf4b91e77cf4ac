//! Counts what heads that learn cost: the model's first head is solved from sums, its second one is trained by gradients.
//!
//! Command line: `heads INPUTS OUTPUTS REPORT`; the first two are not used. Makes sense under `-icount shift=0` only. The report has
//! instructions: `add` and `classify` of a sample, `solve`, `forward` of the dense head for a sample, `step` for a batch; and
//! bytes of RAM: `sums_memory`, `solve_scratch`, `gradient_memory`; `batch` and `features`. What [`Place::cost`] gives for the sums is
//! `keep_sums`, for the dense head `keep_dense`.
#![no_std]
#![no_main]

use samara_firmware::{
    board::{Arguments, Board, HostFile, run_counted_loop},
    counter::instructions_of,
    exit_code,
    keep::{KeepError, Place, range_bytes, store_bytes},
    report::Report,
};
use samara_runtime::{
    Arena, Model, OpDef, op_count, select_ops,
    selftest::Generator,
    train::{
        ClosedFormHead, GradientHead, GradientOptions, Target, TrainError, closed_form_bytes, gradient_bytes,
        record::{MOST_FEATURES, sums_bytes},
        solve_bytes,
    },
};
use static_cell::ConstStaticCell;

const MODEL: &[u8] = include!(concat!(env!("OUT_DIR"), "/model.rs"));
/// Samples of a step.
const BATCH: usize = 8;
/// Iterations of the loop that checks the counter, of two instructions each.
const LOOP_ITERATIONS: u32 = 500_000;
/// Bytes that the sums, or the weights of the dense head, have at most.
const STATE: usize = most(sums_bytes(MODEL, 0), gradient_bytes(MODEL, 1, 0) / 2);

static OPS: [&OpDef; op_count(MODEL)] = select_ops(MODEL);
static SUMS: ConstStaticCell<Arena<{ closed_form_bytes(MODEL, 0) }>> = ConstStaticCell::new(Arena::new());
static SCRATCH: ConstStaticCell<Arena<{ solve_bytes(MODEL, 0) }>> = ConstStaticCell::new(Arena::new());
static GRADIENTS: ConstStaticCell<Arena<{ gradient_bytes(MODEL, 1, BATCH) }>> = ConstStaticCell::new(Arena::new());
static ROW: ConstStaticCell<[i8; MOST_FEATURES as usize]> = ConstStaticCell::new([0; MOST_FEATURES as usize]);
static ANSWERS: ConstStaticCell<[f32; MOST_FEATURES as usize]> = ConstStaticCell::new([0.0; MOST_FEATURES as usize]);
static FLASH: ConstStaticCell<[u8; range_bytes(STATE)]> = ConstStaticCell::new([0; range_bytes(STATE)]);
static STORE: ConstStaticCell<[u8; store_bytes(STATE)]> = ConstStaticCell::new([0; store_bytes(STATE)]);
static BUFFER: ConstStaticCell<Arena<STATE>> = ConstStaticCell::new(Arena::new());

samara_firmware::start!(main);

const fn most(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

fn main(mut board: Board) -> u8 {
    exit_code(run(&mut board))
}

fn run(board: &mut Board) -> Result<(), &'static str> {
    let arguments = Arguments::new();
    let (_program, _inputs, _outputs) = (arguments.next(), arguments.next(), arguments.next());
    let report = arguments.next().ok_or("the command line names no report file")?;
    let mut report = Report::new(HostFile::create(report).ok_or("the report file cannot be created")?);
    let counted = instructions_of(&mut board.counter, || run_counted_loop(LOOP_ITERATIONS));
    report.line("loop_expected", &[2 * u64::from(LOOP_ITERATIONS)]);
    report.line("loop_counted", &[counted]);
    measure(board, &mut report).map_err(|error| {
        defmt::error!("{}", error);
        "a head was refused"
    })?;
    if report.finish() { Ok(()) } else { Err("the report could not be written") }
}

fn measure(board: &mut Board, report: &mut Report<HostFile>) -> Result<(), KeepError> {
    let model = Model::parse(MODEL, &OPS).map_err(|_| TrainError::Record)?;
    let taken = TrainError::Record;
    let row = ROW.try_take().ok_or(taken)?;
    let (sums, scratch) = (SUMS.try_take().ok_or(taken)?, SCRATCH.try_take().ok_or(taken)?);
    let mut head = ClosedFormHead::new(&model, 0, sums.as_mut_slice())?;
    let mut generator = Generator::new(1);
    row.iter_mut().for_each(|q| *q = (generator.next_u32() >> 24) as i8);
    let row = row.get(..head.record().features).unwrap_or_default();
    report.line("features", &[row.len() as u64]);
    let mut place = Place {
        flash: FLASH.try_take().ok_or(taken)?,
        working: STORE.try_take().ok_or(taken)?,
        buffer: BUFFER.try_take().ok_or(taken)?.as_mut_slice(),
        owner: model.hash(),
    };
    let mut result = Ok(());
    report.line("add", &[instructions_of(&mut board.counter, || result = head.add(row, 0))]);
    result?;
    report.line("solve", &[instructions_of(&mut board.counter, || result = head.solve(scratch.as_mut_slice()))]);
    result?;
    report.line("classify", &[instructions_of(&mut board.counter, || result = head.classify(row).map(|_| ()))]);
    result?;
    report.line("keep_sums", &place.cost(&mut board.counter, &mut head)?);
    let memory = GRADIENTS.try_take().ok_or(taken)?;
    let mut head = GradientHead::new(&model, 1, BATCH, GradientOptions::DEFAULT, memory.as_mut_slice())?;
    let answers = ANSWERS.try_take().ok_or(taken)?.get_mut(..head.record().capacity).unwrap_or_default();
    report.line("forward", &[instructions_of(&mut board.counter, || result = head.predict(row, answers))]);
    result?;
    for sample in 0..BATCH {
        head.add(row, Target::Class(sample))?;
    }
    report.line("step", &[instructions_of(&mut board.counter, || result = head.step().map(|_| ()))]);
    result?;
    report.line("keep_dense", &place.cost(&mut board.counter, &mut head)?);
    report.line("batch", &[BATCH as u64]);
    report.line("sums_memory", &[closed_form_bytes(MODEL, 0) as u64]);
    report.line("solve_scratch", &[solve_bytes(MODEL, 0) as u64]);
    report.line("gradient_memory", &[gradient_bytes(MODEL, 1, BATCH) as u64]);
    Ok(())
}
