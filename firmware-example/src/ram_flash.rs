//! A NOR flash that is an array in RAM: for measurements.

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write};

/// Bytes of a page.
pub const PAGE_BYTES: usize = 4096;

/// A NOR flash in RAM, in pages of 4,096 bytes and words of 4, and what was done to it.
#[derive(Debug)]
pub struct RamFlash<'a> {
    bytes: &'a mut [u8],
    /// What was done to it since this was cleared.
    pub done: Done,
}

/// What was done to a flash.
#[derive(Debug, Clone, Copy, Default)]
pub struct Done {
    /// Bytes that were read.
    pub read: u64,
    /// Writes.
    pub writes: u64,
    /// Bytes that were written.
    pub written: u64,
    /// Pages that were erased.
    pub erased: u64,
}

impl<'a> RamFlash<'a> {
    /// As these bytes are, whole pages.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, done: Done::default() }
    }

    fn range(&mut self, offset: u32, length: usize) -> &mut [u8] {
        self.bytes.get_mut(offset as usize..).and_then(|rest| rest.get_mut(..length)).unwrap_or_default()
    }
}

impl ErrorType for RamFlash<'_> {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for RamFlash<'_> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        bytes.copy_from_slice(self.range(offset, bytes.len()));
        self.done.read += bytes.len() as u64;
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for RamFlash<'_> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE_BYTES;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        self.range(from, (to - from) as usize).fill(0xff);
        self.done.erased += u64::from(to - from) / PAGE_BYTES as u64;
        Ok(())
    }

    /// Clears bits, as such flash does: what is written twice is spoiled.
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        self.range(offset, bytes.len()).iter_mut().zip(bytes).for_each(|(to, from)| *to &= from);
        (self.done.writes, self.done.written) = (self.done.writes + 1, self.done.written + bytes.len() as u64);
        Ok(())
    }
}
