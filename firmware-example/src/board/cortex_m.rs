//! Cortex-M: the MPS2 and MPS3 FPGA boards and the micro:bit.
#![allow(unsafe_code)]

use core::{arch::asm, convert::Infallible};

use cortex_m::peripheral::{SYST, syst::SystClkSource};
use embedded_hal::digital::{ErrorType, OutputPin};

use crate::counter::{InstructionCounter, Widened};

#[doc(hidden)]
pub use cortex_m_rt::entry;

/// The vector table behind the processor's own exceptions. No interrupt is ever enabled; the linker script wants one entry.
#[unsafe(link_section = ".vector_table.interrupts")]
// SAFETY: the symbol that cortex-m-rt wants from the device's crate, which this is; nothing else defines it.
#[unsafe(no_mangle)]
static __INTERRUPTS: [usize; 1] = [0];

/// SysTick's frequency in kHz. Under `-icount shift=0` an instruction takes one virtual nanosecond, so that a tick is
/// 10^6 / this instructions.
const TICK_KILOHERTZ: u64 = if cfg!(board = "an505") {
    20_000
} else if cfg!(board = "an547") {
    32_000
} else if cfg!(board = "microbit") {
    16_000
} else {
    25_000
};

/// The register with the user LEDs, one bit each.
const LED_REGISTER: Option<usize> = if cfg!(any(board = "an385", board = "an386", board = "an500")) {
    Some(0x4002_8000)
} else if cfg!(board = "an505") {
    Some(0x5030_2000)
} else if cfg!(board = "an547") {
    Some(0x5930_2000)
} else {
    None
};

/// The first UART, a CMSDK one.
#[cfg(feature = "learn")]
const UART: Option<usize> = if cfg!(any(board = "an385", board = "an386", board = "an500")) {
    Some(0x4000_4000)
} else if cfg!(board = "an505") {
    Some(0x5020_0000)
} else if cfg!(board = "an547") {
    Some(0x5930_3000)
} else {
    None
};

/// SysTick, which counts down through 24 bits.
#[derive(Debug)]
pub struct Counter(Widened);

impl Counter {
    /// Starts SysTick, without its interrupt.
    pub(super) fn new() -> Self {
        if let Some(mut peripherals) = cortex_m::Peripherals::take() {
            let timer = &mut peripherals.SYST;
            timer.set_clock_source(SystClkSource::Core);
            timer.set_reload(0x00ff_ffff);
            timer.clear_current();
            timer.enable_counter();
        }
        // A reading right after the start would be 0, not the reload value: wait for the first tick.
        while SYST::get_current() == 0 {}
        Self(Widened::new(24, up_count()))
    }
}

fn up_count() -> u32 {
    0x00ff_ffff - SYST::get_current()
}

impl InstructionCounter for Counter {
    fn ticks(&mut self) -> u64 {
        self.0.advance(up_count())
    }

    fn instructions(ticks: u64) -> u64 {
        ticks * 1_000_000 / TICK_KILOHERTZ
    }
}

/// Runs exactly `2 * iterations` instructions, and a few around them, to check the counter.
#[inline(never)]
pub fn run_counted_loop(iterations: u32) {
    // SAFETY: counts a register down to zero and touches nothing else.
    unsafe { asm!("2:", "subs {0}, {0}, #1", "bne 2b", inout(reg) iterations => _, options(nomem, nostack)) };
}

/// The first user LED.
#[derive(Debug)]
pub struct Led(());

impl Led {
    pub(super) fn new() -> Self {
        Self(())
    }

    fn write(&mut self, value: u32) {
        if let Some(address) = LED_REGISTER {
            // SAFETY: the board's LED register, which only this type writes.
            unsafe { core::ptr::write_volatile(address as *mut u32, value) };
        }
    }
}

impl ErrorType for Led {
    type Error = Infallible;
}

impl OutputPin for Led {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.write(0);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.write(1);
        Ok(())
    }
}

/// Registers of the UART.
#[cfg(feature = "learn")]
#[derive(Debug)]
pub(super) struct Registers {
    base: usize,
}

#[cfg(feature = "learn")]
impl Registers {
    const DATA: usize = 0x00;
    const STATE: usize = 0x04;
    const CONTROL: usize = 0x08;
    const DIVISOR: usize = 0x10;
    const SENDING: u32 = 1;
    const RECEIVED: u32 = 2;

    pub(super) fn new() -> Option<Self> {
        let mut registers = Self { base: UART? };
        // The least divisor that there is: the emulator does not look at more.
        registers.write(Self::DIVISOR, 16);
        registers.write(Self::CONTROL, 3);
        Some(registers)
    }

    /// A byte that has come, if there is one.
    pub(super) fn receive(&mut self) -> Option<u8> {
        (self.read(Self::STATE) & Self::RECEIVED != 0).then(|| self.read(Self::DATA) as u8)
    }

    /// Sends a byte; `false` if the last one is still on its way.
    pub(super) fn send(&mut self, byte: u8) -> bool {
        let free = self.read(Self::STATE) & Self::SENDING == 0;
        if free {
            self.write(Self::DATA, byte.into());
        }
        free
    }

    fn read(&self, register: usize) -> u32 {
        // SAFETY: a register of the board's first UART, which only this type reads.
        unsafe { core::ptr::read_volatile((self.base + register) as *const u32) }
    }

    fn write(&mut self, register: usize, value: u32) {
        // SAFETY: a register of the board's first UART, which only this type writes.
        unsafe { core::ptr::write_volatile((self.base + register) as *mut u32, value) };
    }
}

/// The stack pointer of the caller, or a little below.
#[inline(always)]
pub(super) fn stack_pointer() -> usize {
    let pointer;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

/// The lowest address that the stack may reach.
pub(super) fn stack_limit() -> usize {
    unsafe extern "C" {
        static _stack_end: u32;
    }
    (&raw const _stack_end) as usize
}

/// Ends the run with code 102 instead of hanging until the host's time limit.
#[cfg(feature = "log")]
#[cortex_m_rt::exception]
unsafe fn HardFault(frame: &cortex_m_rt::ExceptionFrame) -> ! {
    defmt::error!("hard fault at {=u32:#010x}", frame.pc());
    super::exit(102)
}
