//! Samara on a microcontroller.
//!
//! The application does not know the board: it takes an [`OutputPin`](embedded_hal::digital::OutputPin) for the status LED,
//! [`Read`](embedded_io::Read) and [`Write`](embedded_io::Write) for the link to the host, and an
//! [`InstructionCounter`](counter::InstructionCounter). [`board`] has these for each board, and all the `unsafe`.
//!
//! | program | what it does |
//! |---|---|
//! | `infer` | classifies the records that the host streams in, and measures ([`infer`]) |
//! | `selftest` | runs models on known inputs; the host compares checksums ([`selftest`]) |
//! | `learn` | learns, keeps what it learned in flash, and talks to `samara device` over the UART |
//! | `heads`, `block` | count what heads that learn, and last blocks, cost: to learn, and to be kept in flash ([`keep`]) |
//! | `taught` | one model that learns and nothing else: what it has beyond `minimal` is what learning costs in flash |
//! | `minimal` | one model and nothing else: what it holds is what inference costs in flash |
#![no_std]

pub mod board;
pub mod counter;
#[cfg(feature = "log")]
pub mod infer;
#[cfg(feature = "heads")]
pub mod keep;
mod panic;
#[cfg(any(feature = "heads", feature = "taught"))]
pub mod ram_flash;
#[cfg(feature = "log")]
pub mod report;
#[cfg(feature = "log")]
pub mod selftest;

#[cfg(feature = "log")]
use defmt_semihosting as _; // the logger

/// What a program ends with: 0, or 1 with its reason in the log.
#[cfg(feature = "log")]
pub fn exit_code(result: Result<(), &'static str>) -> u8 {
    match result {
        Ok(()) => 0,
        Err(reason) => {
            defmt::error!("{=str}", reason);
            1
        }
    }
}
