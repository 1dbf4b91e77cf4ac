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

/// Registers of the UART, a 16550: bytes at these addresses.
#[cfg(feature = "learn")]
#[derive(Debug)]
pub(super) struct Registers(());

#[cfg(feature = "learn")]
impl Registers {
    const DATA: usize = 0x1000_0000;
    const LINE_STATUS: usize = 0x1000_0005;
    const RECEIVED: u8 = 1;
    const FREE: u8 = 0x20;

    pub(super) fn new() -> Option<Self> {
        Some(Self(()))
    }

    /// A byte that has come, if there is one.
    pub(super) fn receive(&mut self) -> Option<u8> {
        (self.read(Self::LINE_STATUS) & Self::RECEIVED != 0).then(|| self.read(Self::DATA))
    }

    /// Sends a byte; `false` if the last one is still on its way.
    pub(super) fn send(&mut self, byte: u8) -> bool {
        let free = self.read(Self::LINE_STATUS) & Self::FREE != 0;
        if free {
            // SAFETY: the transmitter's register of the machine's UART, which only this type writes.
            unsafe { core::ptr::write_volatile(Self::DATA as *mut u8, byte) };
        }
        free
    }

    fn read(&self, register: usize) -> u8 {
        // SAFETY: a register of the machine's UART, which only this type reads.
        unsafe { core::ptr::read_volatile(register as *const u8) }
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
