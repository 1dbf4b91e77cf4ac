//! As `minimal`, and one thing that learning needs, which the variable `SAMARA_TAUGHT` names at compile time: what the program has beyond
//! `minimal` is what that costs in flash.
//!
//! | `SAMARA_TAUGHT` | what the program does |
//! |---|---|
//! | `sample` | adds a sample to the sums of the first head, a closed form, and classifies it |
//! | `solve` | the same, and solves for the head in between |
//! | `step` | makes a training step of the second head, a dense one, and classifies |
//! | `block` | makes one of the third head, a block, and classifies |
//! | `boot` | opens a store and loads a part |
//! | `save` | saves it before |
#![no_std]
#![no_main]

use core::hint::black_box;

use samara_firmware::{
    board::Board,
    ram_flash::{PAGE_BYTES, RamFlash},
};
use samara_runtime::{
    Arena, Model, OpDef, Session, arena_bytes, op_count,
    persist::{Part, PersistError, Store, working_bytes},
    select_ops,
    train::{
        BlockHead, ClosedFormHead, GradientHead, GradientOptions, Target, TrainError, block_bytes, closed_form_bytes,
        gradient_bytes, solve_bytes,
    },
};
use static_cell::ConstStaticCell;

const MODEL: &[u8] = include!(concat!(env!("OUT_DIR"), "/model.rs"));
const WHAT: &[u8] = match option_env!("SAMARA_TAUGHT") {
    Some(name) => name.as_bytes(),
    None => &[],
};
const SOLVES: bool = matches!(WHAT, b"solve");
const ADDS: bool = SOLVES || matches!(WHAT, b"sample");
const STEPS: bool = matches!(WHAT, b"step");
const BLOCK: bool = matches!(WHAT, b"block");
const SAVES: bool = matches!(WHAT, b"save");
const BOOTS: bool = SAVES || matches!(WHAT, b"boot");
const PAGES: usize = 4;

static OPS: [&OpDef; op_count(MODEL)] = select_ops(MODEL);
static ARENA: ConstStaticCell<Arena<{ arena_bytes(MODEL) }>> = ConstStaticCell::new(Arena::new());
static SUMS: ConstStaticCell<Arena<{ closed_form_bytes(MODEL, 0) }>> = ConstStaticCell::new(Arena::new());
static SCRATCH: ConstStaticCell<Arena<{ solve_bytes(MODEL, 0) }>> = ConstStaticCell::new(Arena::new());
static GRADIENTS: ConstStaticCell<Arena<{ gradient_bytes(MODEL, 1, 1) }>> = ConstStaticCell::new(Arena::new());
static WEIGHTS: ConstStaticCell<Arena<{ block_bytes(MODEL, 2) }>> = ConstStaticCell::new(Arena::new());
static FLASH: ConstStaticCell<[u8; PAGES * PAGE_BYTES]> = ConstStaticCell::new([0; PAGES * PAGE_BYTES]);
static STORE: ConstStaticCell<[u8; working_bytes(PAGES)]> = ConstStaticCell::new([0; working_bytes(PAGES)]);

samara_firmware::start!(main);

/// 0 if all went well, or an error's code; 100 if memory is taken.
fn main(_board: Board) -> u8 {
    let Some(arena) = ARENA.try_take() else {
        return 100;
    };
    let model = match Model::parse(MODEL, &OPS) {
        Ok(model) => model,
        Err(error) => return error.code(),
    };
    let mut session = match Session::new(model, arena.as_mut_slice()) {
        Ok(session) => session,
        Err(error) => return error.code(),
    };
    let mut input = 0;
    while let Ok(bytes) = session.input_bytes_mut(input) {
        bytes.fill(1);
        input += 1;
    }
    session.run();
    if black_box(session.output_bytes(0)).is_none() {
        return 100;
    }
    if let Err(error) = learn(&model, &mut session) {
        return error.code();
    }
    if BOOTS && let Err(error) = keep(model.hash()) {
        return error.code();
    }
    0
}

fn learn(model: &Model<'static>, session: &mut Session<'_>) -> Result<(), TrainError> {
    let taken = TrainError::Record;
    if ADDS {
        let mut head = ClosedFormHead::new(model, 0, SUMS.try_take().ok_or(taken)?.as_mut_slice())?;
        head.add(session.features(head.record()), 0)?;
        if SOLVES {
            head.solve(SCRATCH.try_take().ok_or(taken)?.as_mut_slice())?;
        }
        black_box(head.classify(session.features(head.record()))?);
    }
    if STEPS {
        let memory = GRADIENTS.try_take().ok_or(taken)?.as_mut_slice();
        let mut head = GradientHead::new(model, 1, 1, GradientOptions::DEFAULT, memory)?;
        head.add(session.features(head.record()), Target::Class(0))?;
        black_box(head.step()?);
        black_box(head.classify(session.features(head.record()))?);
    }
    if BLOCK {
        let memory = WEIGHTS.try_take().ok_or(taken)?.as_mut_slice();
        let mut head = BlockHead::new(model, 2, 1, GradientOptions::DEFAULT, memory)?;
        head.add(session.features(head.record()), Target::Class(0))?;
        black_box(head.step()?);
        black_box(head.classify(session.features(head.record()))?);
    }
    Ok(())
}

/// Saves eight bytes and loads them; without saving, there are none.
fn keep(owner: u64) -> Result<(), PersistError> {
    let taken = PersistError::Parts;
    let flash = RamFlash::new(FLASH.try_take().ok_or(taken)?);
    let range = 0..(PAGES * PAGE_BYTES) as u32;
    let mut store = Store::open(flash, range, owner, STORE.try_take().ok_or(taken)?)?;
    if SAVES {
        store.save(&[Part { kind: 1, slices: &[black_box(&[1; 8])] }], 0)?;
    }
    let mut bytes = [0; 8];
    match store.load(1, &mut bytes) {
        Err(PersistError::NothingStored) if !SAVES => Ok(()),
        other => other.map(|_| ()),
    }?;
    black_box(&bytes);
    Ok(())
}
