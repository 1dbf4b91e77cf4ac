//! How deep the stack went: paint it, run, look where the paint is gone.
#![allow(unsafe_code)]

use super::architecture::{stack_limit, stack_pointer};

const PAINT: u32 = 0x5a5a_a5a5;
/// Bytes painted at most; a stack that went deeper reads as this.
const MOST: usize = 64 * 1024;
/// Distance kept from the painter's own frame.
const CLEARANCE: usize = 256;

/// Measures the stack used since [`StackGauge::paint`].
#[derive(Debug)]
pub struct StackGauge {
    lowest: usize,
    highest: usize,
    start: usize,
}

impl StackGauge {
    /// Paints the free stack below the caller.
    #[inline(never)]
    pub fn paint() -> Self {
        let start = stack_pointer();
        let highest = start.saturating_sub(CLEARANCE) & !3;
        let limit = stack_limit();
        let lowest = if highest.saturating_sub(MOST) > limit { highest - MOST } else { limit };
        let lowest = lowest.next_multiple_of(4);
        let mut address = lowest;
        while address < highest {
            // SAFETY: the words between the end of the statics and 256 bytes below the stack pointer are RAM that no
            // one uses: the stack grows down, interrupts are off, and there is no heap.
            unsafe { core::ptr::write_volatile(address as *mut u32, PAINT) };
            address += 4;
        }
        Self { lowest, highest, start }
    }

    /// Bytes of stack below the caller of [`paint`](Self::paint) that were in use at the deepest point since then.
    #[inline(never)]
    pub fn deepest(&self) -> usize {
        let mut address = self.lowest;
        // SAFETY: as in `paint`: these words are RAM, and this only reads them.
        while address < self.highest && unsafe { core::ptr::read_volatile(address as *const u32) } == PAINT {
            address += 4;
        }
        self.start - address
    }
}
