//! The only part that knows the hardware, and the only one with `unsafe`.
//!
//! Each architecture offers the same items: `Counter`, `Led`, `Registers` of a UART, the entry point, `stack_pointer` and
//! `stack_limit`. What both share, semihosting and painting the stack, is beside them.

#[cfg(target_arch = "arm")]
mod cortex_m;
#[cfg(target_arch = "arm")]
use cortex_m as architecture;

#[cfg(target_arch = "riscv32")]
mod riscv;
#[cfg(target_arch = "riscv32")]
use riscv as architecture;

#[cfg(feature = "learn")]
mod flash;
mod host;
mod stack;
#[cfg(feature = "learn")]
mod uart;

pub use architecture::{Counter, Led, run_counted_loop};
#[cfg(feature = "learn")]
pub use flash::HostFlash;
pub use host::{Arguments, HostFile, exit};
pub use stack::StackGauge;
#[cfg(feature = "learn")]
pub use uart::Uart;

#[doc(hidden)]
pub use architecture::entry;

/// What a board has.
#[derive(Debug)]
pub struct Board {
    /// Counts instructions.
    pub counter: Counter,
    /// The status LED; on boards without one, a pin that does nothing.
    pub led: Led,
    /// The serial line to the host; on boards without one, errors.
    #[cfg(feature = "learn")]
    pub uart: Uart,
}

impl Board {
    /// Sets the board up.
    pub fn new() -> Self {
        Self {
            counter: Counter::new(),
            led: Led::new(),
            #[cfg(feature = "learn")]
            uart: Uart::new(),
        }
    }
}

impl Default for Board {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes `fn main(board: Board) -> u8` the program's start; what it returns is the emulator's exit code.
#[macro_export]
macro_rules! start {
    ($main:path) => {
        // SAFETY: the attribute exports `main`, which nothing else defines.
        #[allow(unsafe_code, missing_docs)]
        #[$crate::board::entry]
        fn start() -> ! {
            $crate::board::exit($main($crate::board::Board::new()))
        }
    };
}
