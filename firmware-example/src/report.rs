//! The report that the firmware writes for the host: lines of words, numbers in decimal.
//!
//! Writing needs no formatting machinery, which would be most of the firmware's flash.

use embedded_io::Write;

/// Writes a report. Once a write fails, the rest is dropped, and [`Report::finish`] says so.
#[derive(Debug)]
pub struct Report<W> {
    sink: W,
    failed: bool,
}

impl<W: Write> Report<W> {
    /// A report into `sink`.
    pub fn new(sink: W) -> Self {
        Self { sink, failed: false }
    }

    /// Writes `key` and the numbers as one line.
    pub fn line(&mut self, key: &str, numbers: &[u64]) {
        self.bytes(key.as_bytes());
        for &number in numbers {
            self.bytes(b" ");
            self.decimal(number);
        }
        self.bytes(b"\n");
    }

    /// Writes `key` and a word as one line.
    pub fn word(&mut self, key: &str, word: &str) {
        for part in [key, " ", word, "\n"] {
            self.bytes(part.as_bytes());
        }
    }

    /// `true` if all was written.
    #[must_use]
    pub fn finish(mut self) -> bool {
        !self.failed && self.sink.flush().is_ok()
    }

    fn decimal(&mut self, mut number: u64) {
        let mut digits = [0; 20]; // 2^64 has 20 digits
        let mut used = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            used += 1;
            if number == 0 {
                break;
            }
        }
        let start = digits.len() - used;
        self.bytes(&digits[start..]);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.failed = self.failed || self.sink.write_all(bytes).is_err();
    }
}
