//! A device that learns: serves the host over the UART (`samara device`), and keeps what it learned in flash.
//!
//! Command line: `learn FLASH [SAMPLES]`. FLASH is the host's file that stands for the flash; it is made if it is not there. SAMPLES is
//! what the sensor gives: records of all inputs, one after the other, each behind a byte that is its class, or 255. The program runs
//! until the emulator is killed, which it survives at any time.
#![no_std]
#![no_main]

use embedded_hal::digital::OutputPin;
use embedded_io::Read;
use samara_firmware::{
    board::{Arguments, Board, HostFile, HostFlash},
    exit_code,
};
use samara_runtime::{
    Arena, Model, OpDef, Session, arena_bytes,
    link::{Fault, Learner, Sensor, Server, Teacher, work_bytes},
    op_count,
    persist::{Store, working_bytes},
    select_ops,
    train::{
        ClosedFormHead, GradientHead, GradientOptions, Guard, HeadKind, Loss, Replay, TrainError, closed_form_bytes,
        gradient_bytes, guard_bytes,
    },
};
use static_cell::ConstStaticCell;

const MODEL: &[u8] = include!(concat!(env!("OUT_DIR"), "/model.rs"));
/// Pages of the flash that the store has.
const PAGES: usize = 64;
/// Bytes of the longest frame.
const FRAME: usize = 512;

/// Samples of a step of a head that is trained by gradients, one of them new.
const BATCH: usize = 8;
/// Samples of each class that are stored for it.
const STORED: usize = 8;
/// Samples that are held out to judge it by.
const HELD: usize = 50;
/// Memory for them.
const REPLAY_BYTES: usize = 32 * 1024;

static OPS: [&OpDef; op_count(MODEL)] = select_ops(MODEL);
static ARENA: ConstStaticCell<Arena<{ arena_bytes(MODEL) }>> = ConstStaticCell::new(Arena::new());
// A head of either kind: a product knows which one its model has, and needs but that one's memory.
static HEAD: ConstStaticCell<Arena<{ most(closed_form_bytes(MODEL, 0), gradient_bytes(MODEL, 0, BATCH)) }>> =
    ConstStaticCell::new(Arena::new());
static REPLAY: ConstStaticCell<Arena<REPLAY_BYTES>> = ConstStaticCell::new(Arena::new());
static GUARD: ConstStaticCell<Arena<{ guard_bytes(MODEL, 0, Loss::SoftmaxCrossEntropy, HELD) }>> =
    ConstStaticCell::new(Arena::new());
static WORK: ConstStaticCell<Arena<{ most(work_bytes(MODEL, 0), REPLAY_BYTES) }>> = ConstStaticCell::new(Arena::new());
static STORE: ConstStaticCell<[u8; working_bytes(PAGES)]> = ConstStaticCell::new([0; working_bytes(PAGES)]);
static SERVER: ConstStaticCell<Server<FRAME>> = ConstStaticCell::new(Server::new());

samara_firmware::start!(main);

fn main(board: Board) -> u8 {
    exit_code(run(board))
}

fn run(mut board: Board) -> Result<(), &'static str> {
    let arguments = Arguments::new();
    let _program = arguments.next();
    let flash = arguments.next().ok_or("the command line names no file for the flash")?;
    let flash = HostFlash::<PAGES>::open(flash).ok_or("the file for the flash cannot be opened, or has another size")?;
    let samples = Samples(arguments.next().and_then(HostFile::open));
    let taken = "memory is taken";
    let model = Model::parse(MODEL, &OPS).map_err(|error| {
        defmt::error!("load error {=u8}", error.code());
        "the model was refused"
    })?;
    let session = Session::new(model, ARENA.try_take().ok_or(taken)?.as_mut_slice()).map_err(|_| "the arena was refused")?;
    let memory = HEAD.try_take().ok_or(taken)?.as_mut_slice();
    let teacher = teacher(&model, memory).map_err(|error| {
        defmt::error!("{}", error);
        "the head was refused"
    })?;
    let working = STORE.try_take().ok_or(taken)?;
    let store = Store::open(flash, 0..HostFlash::<PAGES>::BYTES, model.hash(), working).map_err(|error| {
        defmt::error!("{}", error);
        "the store was refused"
    })?;
    match store.current() {
        Ok(number) => defmt::info!("generation {=u32} is current", number),
        Err(error) => defmt::info!("the head is the file's: {}", error),
    }
    let work = WORK.try_take().ok_or(taken)?.as_mut_slice();
    let mut learner = Learner::new(session, Some(teacher), store, work, samples);
    let server = SERVER.try_take().ok_or(taken)?;
    loop {
        server.poll(&mut board.uart, &mut learner).map_err(|_| "the board has no serial port")?;
        // A pin that cannot be set spoils no answer.
        let _ = board.led.set_high();
        let _ = board.led.set_low();
    }
}

const fn most(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

/// The head of the model's kind.
fn teacher(model: &Model<'static>, memory: &'static mut [u8]) -> Result<Teacher<'static>, TrainError> {
    let record = model.head(0)?;
    if record.kind == HeadKind::ClosedForm {
        return ClosedFormHead::new(model, 0, memory).map(Teacher::ClosedForm);
    }
    let head = GradientHead::new(model, 0, BATCH, GradientOptions::DEFAULT, memory)?;
    let taken = TrainError::Record;
    let replay = REPLAY.try_take().ok_or(taken)?.as_mut_slice();
    let replay = Replay::new(record.capacity, STORED, record.features, 1, replay)?;
    let guard = Guard::new(&head, HELD, 0.0, GUARD.try_take().ok_or(taken)?.as_mut_slice())?;
    Ok(Teacher::Gradient { head, replay, guard })
}

/// A sensor whose samples come from a file.
struct Samples(Option<HostFile>);

impl Sensor for Samples {
    fn capture(&mut self, session: &mut Session<'_>) -> Result<Option<u32>, Fault> {
        let file = self.0.as_mut().ok_or(Fault::NoSample)?;
        let mut label = [0];
        file.read_exact(&mut label).map_err(|_| Fault::NoSample)?;
        let mut index = 0;
        while let Ok(input) = session.input_bytes_mut(index) {
            file.read_exact(input).map_err(|_| Fault::NoSample)?;
            index += 1;
        }
        let [label] = label;
        Ok((label != u8::MAX).then_some(label.into()))
    }
}
