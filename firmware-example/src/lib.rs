//! x
#![no_std]
pub mod board;
pub mod counter;
pub mod report;
mod panic;
#[cfg(feature = "log")]
use defmt_semihosting as _;
