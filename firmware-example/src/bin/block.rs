//! Counts what a last block costs: the model's third head.
//!
//! Command line: `block INPUTS OUTPUTS REPORT`; the first two are not used. Makes sense under `-icount shift=0` only. The report has
//! instructions: `block_forward` and `block_add` of a sample; `block_add_open` of one with every unit within its bounds everywhere, the
//! dearest one; `block_step`; and `block_memory`, bytes of RAM; `forward_macs` and `backward_macs` of a sample; `keep_block`, what
//! [`Place::cost`] gives.
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
    Arena, Model, OpDef, op_count,
    ops::linear::ClampF32,
    select_ops,
    selftest::Generator,
    train::{
        BlockHead, GradientOptions, Target, TrainError, block_bytes,
        block_record::MOST_BLOCK_FEATURES,
        record::{MOST_CLASSES, block_sizes},
    },
};
use static_cell::ConstStaticCell;

const MODEL: &[u8] = include!(concat!(env!("OUT_DIR"), "/model.rs"));
/// The block's number in the file.
const NUMBER: usize = 2;
/// Iterations of the loop that checks the counter, of two instructions each.
const LOOP_ITERATIONS: u32 = 500_000;
const PARAMETERS: usize = block_sizes(MODEL, NUMBER).parameters();
/// Bytes of all weights and biases.
const STATE: usize = 4 * PARAMETERS;

static OPS: [&OpDef; op_count(MODEL)] = select_ops(MODEL);
static MEMORY: ConstStaticCell<Arena<{ block_bytes(MODEL, NUMBER) }>> = ConstStaticCell::new(Arena::new());
static ROW: ConstStaticCell<[i8; MOST_BLOCK_FEATURES as usize]> = ConstStaticCell::new([0; MOST_BLOCK_FEATURES as usize]);
static ANSWERS: ConstStaticCell<[f32; MOST_CLASSES as usize]> = ConstStaticCell::new([0.0; MOST_CLASSES as usize]);
static OPEN: ConstStaticCell<[f32; PARAMETERS]> = ConstStaticCell::new([0.0; PARAMETERS]);
static FLASH: ConstStaticCell<[u8; range_bytes(STATE)]> = ConstStaticCell::new([0; range_bytes(STATE)]);
static STORE: ConstStaticCell<[u8; store_bytes(STATE)]> = ConstStaticCell::new([0; store_bytes(STATE)]);
static BUFFER: ConstStaticCell<Arena<STATE>> = ConstStaticCell::new(Arena::new());

samara_firmware::start!(main);

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
        "the block was refused"
    })?;
    if report.finish() { Ok(()) } else { Err("the report could not be written") }
}

fn measure(board: &mut Board, report: &mut Report<HostFile>) -> Result<(), KeepError> {
    let model = Model::parse(MODEL, &OPS).map_err(|_| TrainError::Record)?;
    let taken = TrainError::Record;
    let memory = MEMORY.try_take().ok_or(taken)?;
    let mut head = BlockHead::new(&model, NUMBER, 2, GradientOptions::DEFAULT, memory.as_mut_slice())?;
    let mut generator = Generator::new(1);
    let row = ROW.try_take().ok_or(taken)?;
    row.iter_mut().for_each(|q| *q = (generator.next_u32() >> 24) as i8);
    let row = row.get(..head.record().features).unwrap_or_default();
    let answers = ANSWERS.try_take().ok_or(taken)?.get_mut(..head.record().capacity).unwrap_or_default();
    let mut result = Ok(());
    report.line("block_forward", &[instructions_of(&mut board.counter, || result = head.predict(row, answers))]);
    result?;
    report.line("block_add", &[instructions_of(&mut board.counter, || result = head.add(row, Target::Class(0)))]);
    result?;
    report.line("block_step", &[instructions_of(&mut board.counter, || result = head.step().map(|_| ()))]);
    result?;
    let mut place = Place {
        flash: FLASH.try_take().ok_or(taken)?,
        working: STORE.try_take().ok_or(taken)?,
        buffer: BUFFER.try_take().ok_or(taken)?.as_mut_slice(),
        owner: model.hash(),
    };
    report.line("keep_block", &place.cost(&mut board.counter, &mut head)?);
    // No weights, and biases in the middle of the bounds.
    let open = OPEN.try_take().ok_or(taken)?;
    let sizes = *head.sizes();
    let block = head.record().block.ok_or(taken)?;
    let mut start = 0;
    for (part, count) in sizes.parts().into_iter().enumerate() {
        let bounds = match part {
            1 => block.depthwise,
            3 => block.linear,
            _ => ClampF32 { minimum: 0.0, maximum: 0.0 },
        };
        let places = open.iter_mut().skip(start).take(count);
        places.for_each(|value| *value = 0.5 * (bounds.minimum + bounds.maximum));
        start += count;
    }
    head.restore(open)?;
    report.line("block_add_open", &[instructions_of(&mut board.counter, || result = head.add(row, Target::Class(0)))]);
    result?;
    report.line("block_memory", &[block_bytes(MODEL, NUMBER) as u64]);
    report.line("forward_macs", &[sizes.forward_macs() as u64]);
    report.line("backward_macs", &[sizes.backward_macs() as u64]);
    Ok(())
}
