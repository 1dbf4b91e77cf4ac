//! One model, a constant input, and nothing else: no logging, no link. What is in this program is what inference needs; its
//! size and its symbols are checked.
#![no_std]
#![no_main]

use samara_firmware::board::Board;
use samara_runtime::{Arena, Model, OpDef, Session, arena_bytes, op_count, select_ops};
use static_cell::ConstStaticCell;

const MODEL: &[u8] = include!(concat!(env!("OUT_DIR"), "/model.rs"));
static OPS: [&OpDef; op_count(MODEL)] = select_ops(MODEL);
static ARENA: ConstStaticCell<Arena<{ arena_bytes(MODEL) }>> = ConstStaticCell::new(Arena::new());

samara_firmware::start!(main);

/// 0 if the model ran and gave an output, its load error's code if it was refused, 100 if there is no output.
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
    if core::hint::black_box(session.output_bytes(0)).is_some() { 0 } else { 100 }
}
