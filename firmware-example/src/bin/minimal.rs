//! x
#![no_std]
#![no_main]
use samara_firmware::board::*;
samara_firmware::start!(run);
fn run(_board: Board) -> u8 { 3 }
