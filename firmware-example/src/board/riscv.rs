//! RISC-V: QEMU's `virt` machine.
#![allow(unsafe_code)]

use core::{arch::asm, convert::Infallible};

use embedded_hal::digital::{ErrorType, OutputPin};

use crate::counter::{InstructionCounter, Widened};

#[doc(hidden)]
pub use riscv_rt::entry;

/// The low half of `minstret`, which counts retired instructions.
#[derive(Debug)]
pub struct Counter(Widened);

impl Counter {
    pub(super) fn new() -> Self {
        Self(Widened::new(32, retired()))
    }
}

fn retired() -> u32 {
    let count;
    // SAFETY: reads a counter that the core always has in machine mode.
    unsafe { asm!("csrr {}, minstret", out(reg) count, options(nomem, nostack)) };
    count
}

impl InstructionCounter for Counter {
    fn ticks(&mut self) -> u64 {
        self.0.advance(retired())
    }

    fn instructions(ticks: u64) -> u64 {
        ticks
    }
}

/// Runs exactly `2 * iterations` instructions, and a few around them, to check the counter.
#[inline(never)]
pub fn run_counted_loop(iterations: u32) {
    // SAFETY: counts a register down to zero and touches nothing else.
    unsafe { asm!("2:", "addi {0}, {0}, -1", "bnez {0}, 2b", inout(reg) iterations => _, options(nomem, nostack)) };
}

/// The machine has no LED.
#[derive(Debug)]
pub struct Led(());

impl Led {
    pub(super) fn new() -> Self {
        Self(())
    }
}

impl ErrorType for Led {
    type Error = Infallible;
}

impl OutputPin for Led {
    fn set_low(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// The stack pointer of the caller, or a little below.
#[inline(always)]
pub(super) fn stack_pointer() -> usize {
    let pointer;
    // SAFETY: reads a register.
    unsafe { asm!("mv {}, sp", out(reg) pointer, options(nomem, nostack)) };
    pointer
}

/// The lowest address that the stack may reach.
pub(super) fn stack_limit() -> usize {
    unsafe extern "C" {
        static __estack: u32;
    }
    (&raw const __estack) as usize
}

/// Ends the run with code 102 instead of hanging until the host's time limit.
#[cfg(feature = "log")]
// SAFETY: riscv-rt declares this symbol for the program to define, with this signature.
#[unsafe(export_name = "ExceptionHandler")]
extern "C" fn exception(_frame: &riscv_rt::TrapFrame) -> ! {
    defmt::error!(
        "exception {=usize} at {=usize:#010x}",
        riscv::register::mcause::read().code(),
        riscv::register::mepc::read()
    );
    super::exit(102)
}
