//! Numbers that vary inputs: the same on every machine.

/// A linear congruential generator: `x = 1664525 x + 1013904223` modulo 2^32 (Knuth; Numerical Recipes, "quick and
/// dirty"). Its high bits are good enough to vary inputs.
#[derive(Debug, Clone, Copy)]
pub struct Generator(u32);

impl Generator {
    /// A generator that starts after `seed`.
    pub const fn new(seed: u32) -> Self {
        Self(seed)
    }

    /// The next value; use the high bits.
    pub const fn next_u32(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0
    }
}
