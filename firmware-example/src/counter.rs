//! Counting instructions.

/// Counts instructions, by a timer of an emulator that runs a fixed number of instructions per tick.
pub trait InstructionCounter {
    /// Ticks since the counter was made. Call at least once per 400 million instructions: narrow timers wrap.
    fn ticks(&mut self) -> u64;

    /// The instructions that so many ticks stand for. Apart from [`ticks`](Self::ticks), since it divides, and what
    /// measures should cost little.
    fn instructions(ticks: u64) -> u64;
}

/// Instructions that an action takes.
pub fn instructions_of<C: InstructionCounter>(counter: &mut C, action: impl FnOnce()) -> u64 {
    let start = counter.ticks();
    action();
    C::instructions(counter.ticks() - start)
}

/// Widens a timer of `bits` bits that counts up, by adding up differences.
#[derive(Debug)]
pub struct Widened {
    mask: u32,
    last: u32,
    total: u64,
}

impl Widened {
    /// A count that starts at the timer's present reading. `bits` is 1 to 32.
    pub const fn new(bits: u32, reading: u32) -> Self {
        Self { mask: u32::MAX >> (32 - bits), last: reading, total: 0 }
    }

    /// Ticks since the start, for an up-counting timer that reads `reading`.
    pub fn advance(&mut self, reading: u32) -> u64 {
        self.total += u64::from(reading.wrapping_sub(self.last) & self.mask);
        self.last = reading;
        self.total
    }
}
