//! A NOR flash in memory, for tests: it holds those who write to it to the rules of such a flash, and its power can be cut in the
//! middle of any operation.

use std::{vec, vec::Vec};

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};

/// What an operation leaves when the power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing: it did not begin.
    Before,
    /// The first half of its bytes is written or erased.
    FirstHalf,
    /// The second half of its bytes is written or erased.
    SecondHalf,
    /// All words that it touched hold undefined bits.
    Undefined,
    /// Half of its bytes is written or erased, and the words that it touched give errors when they are read, as flash with
    /// error correction does.
    Unreadable,
}

impl Cut {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Before, Self::FirstHalf, Self::SecondHalf, Self::Undefined, Self::Unreadable];
}

/// Something that changes a flash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Writes bytes at an address.
    Write(u32, Vec<u8>),
    /// Erases the page at an address.
    Erase(u32),
}

/// A NOR flash with words of `WORD` bytes and pages of `PAGE`.
///
/// Writing to a word that was written since its page was erased, and anything that is misaligned or out of bounds, is a
/// panic: it would be a bug of the caller that some chips forgive and others do not.
#[derive(Debug, Clone)]
pub struct MockFlash<const WORD: usize = 4, const PAGE: usize = 4096> {
    /// What it holds.
    pub bytes: Vec<u8>,
    /// How often each page was erased.
    pub erases: Vec<u32>,
    /// All that was done to it.
    pub operations: Vec<Operation>,
    /// The power fails at the operation of this index, in this way, and stays off: every call fails then.
    pub cut: Option<(usize, Cut)>,
    written: Vec<bool>,
    unreadable: Vec<bool>,
    random: u64,
}

/// The power is off, a word cannot be read, or one that is to be written is not blank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MockError;

impl NorFlashError for MockError {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl<const WORD: usize, const PAGE: usize> MockFlash<WORD, PAGE> {
    /// Erased, of so many pages.
    pub fn new(pages: usize) -> Self {
        Self::holding(vec![0xff; pages * PAGE])
    }

    /// With bytes of unknown origin in it. Writing over them is an error, since those who write could not know of them.
    pub fn holding(bytes: Vec<u8>) -> Self {
        let words = bytes.len() / WORD;
        Self {
            erases: vec![0; bytes.len() / PAGE],
            bytes,
            operations: Vec::new(),
            cut: None,
            written: vec![false; words],
            unreadable: vec![false; words],
            random: 1,
        }
    }

    /// The flash after a restart: it is powered again.
    pub fn restarted(&self) -> Self {
        Self { cut: None, operations: Vec::new(), ..self.clone() }
    }

    /// Does what `operation` says, whole or up to a cut.
    pub fn perform(&mut self, operation: &Operation, cut: Option<Cut>) {
        let (start, length) = match operation {
            Operation::Write(address, bytes) => (*address as usize, bytes.len()),
            Operation::Erase(address) => (*address as usize, PAGE),
        };
        let erased = vec![0xff; PAGE];
        let new = match operation {
            Operation::Write(_, bytes) => bytes,
            Operation::Erase(_) => &erased,
        };
        let words = start / WORD..(start + length) / WORD;
        let is_write = matches!(operation, Operation::Write(..));
        let written = self.written.get_mut(words.clone()).unwrap_or_default();
        assert!(!(is_write && written.contains(&true)), "a word at {start} of {length} bytes is written twice");
        if cut == Some(Cut::Before) {
            return;
        }
        // An erase that was cut leaves words that nobody may write to, like a write.
        written.fill(is_write || cut.is_some());
        let unreadable = self.unreadable.get_mut(words).unwrap_or_default();
        unreadable.fill(cut == Some(Cut::Unreadable));
        let page_erases = self.erases.get_mut(start / PAGE).filter(|_| !is_write);
        page_erases.into_iter().for_each(|erases| *erases += 1);
        let place = self.bytes.get_mut(start..start + length).unwrap_or_default();
        let half = length / 2;
        for (at, (byte, &new)) in place.iter_mut().zip(new).enumerate() {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            match cut {
                Some(Cut::FirstHalf | Cut::Unreadable) if at >= half => {}
                Some(Cut::SecondHalf) if at < half => {}
                Some(Cut::Undefined) => *byte = (self.random >> 32) as u8,
                _ => *byte = new,
            }
        }
    }

    fn act(&mut self, operation: Operation) -> Result<(), MockError> {
        let cut = self.cut.filter(|&(at, _)| at <= self.operations.len());
        match cut {
            Some((at, kind)) if at == self.operations.len() => self.perform(&operation, Some(kind)),
            Some(_) => {}
            None => self.perform(&operation, None),
        }
        self.operations.push(operation);
        if cut.is_some() { Err(MockError) } else { Ok(()) }
    }
}

impl<const WORD: usize, const PAGE: usize> ErrorType for MockFlash<WORD, PAGE> {
    type Error = MockError;
}

impl<const WORD: usize, const PAGE: usize> ReadNorFlash for MockFlash<WORD, PAGE> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), MockError> {
        assert_eq!(check_read(self, offset, bytes.len()), Ok(()), "reads {} bytes at {offset}", bytes.len());
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        let words = self.unreadable.get(start / WORD..end.div_ceil(WORD)).unwrap_or_default();
        if words.contains(&true) || self.cut.is_some_and(|(at, _)| at < self.operations.len()) {
            return Err(MockError);
        }
        bytes.copy_from_slice(self.bytes.get(start..end).unwrap_or_default());
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const WORD: usize, const PAGE: usize> NorFlash for MockFlash<WORD, PAGE> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), MockError> {
        assert_eq!(check_erase(self, from, to), Ok(()), "erases from {from} to {to}");
        (from..to).step_by(PAGE).try_for_each(|address| self.act(Operation::Erase(address)))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), MockError> {
        assert_eq!(check_write(self, offset, bytes.len()), Ok(()), "writes {} bytes at {offset}", bytes.len());
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        let written = self.written.get(start / WORD..end / WORD).unwrap_or_default();
        let blank = self.bytes.get(start..end).unwrap_or_default().iter().all(|&byte| byte == 0xff);
        if !blank && written.iter().all(|&written| !written) {
            return Err(MockError);
        }
        self.act(Operation::Write(offset, bytes.to_vec()))
    }
}
