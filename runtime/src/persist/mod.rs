//! Keeps what a device learns in NOR flash: generations of bytes that are whole, whenever the power fails.
//!
//! A *generation* is a few parts (a head, sums, samples, counters: the store knows their bytes alone), saved together and
//! current together. Its number counts up from 1 and is not used twice before a factory reset. What is larger than an item of the flash is stored in
//! chunks; one last small item, the manifest, says that all are there, with their lengths and checksums, and makes them current.
//! Until it is written, the generation before is current, so power may fail at any write or erase: after a restart the last
//! complete generation is current, or the one before, never a mixture.
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use samara_runtime::persist::{Part, PersistError, Store, mock::MockFlash, working_bytes};
//!
//! const HEAD: u8 = 1;
//! let mut flash = MockFlash::<4>::new(8); // firmware has its chip's driver here
//! let mut working = [0; working_bytes(8)];
//! let model_hash = 0x1122_3344_5566_7788;
//!
//! let mut store = Store::open(&mut flash, 0..8 * 4096, model_hash, &mut working)?;
//! let first = store.save(&[Part { kind: HEAD, slices: &[b"weights", b"and biases"] }], 850)?;
//! store.save(&[Part { kind: HEAD, slices: &[b"worse weights", b"and biases"] }], 790)?;
//! store.roll_back(first)?;
//!
//! let mut head = [0; 64];
//! let bytes = store.load(HEAD, &mut head)?;
//! assert_eq!(&head[..bytes], b"weightsand biases");
//! # }
//! # Ok::<(), samara_runtime::persist::PersistError>(())
//! ```
//!
//! # How much flash
//!
//! A generation takes whole pages (what the flash erases at once). A chunk of 245 bytes costs 11 bytes of its record and 8 of
//! the item beside it, so parts of `n` bytes take about `1.08 * n` bytes and the manifest's 34 + 9 per part, rounded up to pages.
//! While one is saved, the current one stays, so twice the pages of a generation are the least, and one more lets
//! [`Store::roll_back`] always find a place. Three times keeps the one before, too, and more keep more: the oldest are discarded
//! when their pages are needed, and what power failures left unfinished first. Pages are used in turn, so that all wear alike
//! but those that a generation to which was rolled back holds; each save erases the pages that it takes once.
//!
//! # What it costs
//!
//! Opening reads what is stored three times, loading a part reads its generation twice; a byte that is read passes two checksums, of which
//! that of `sequential-storage` goes bit by bit. The store never allocates, and needs [`working_bytes`] of RAM.
//! It adds 14 KB of code for a Cortex-M4F at `opt-level = "s"`, 23 KB at 3. Unlike the rest of the runtime, this
//! code is not free of panics: `sequential-storage` has checked indices, which no contents of the flash are known to reach.
//!
//! # Versions
//!
//! A record's version stands in each of its items. Firmware that finds a newer one refuses to read or overwrite anything
//! ([`PersistError::NewerRecord`]).

mod error;
mod layout;
#[cfg(feature = "std")]
pub mod mock;
mod page;
mod record;
mod steps;
#[cfg(all(test, feature = "std"))]
mod tests;

use core::ops::Range;

use embedded_storage::nor_flash::{NorFlash, NorFlashErrorKind};

pub use error::PersistError;
use layout::Pieces;
use page::Pages;
use record::{ITEM_BYTES, Manifest};

/// The most parts of a generation.
pub const PARTS: usize = 8;

/// Bytes of the working buffer of a store over a range of so many pages.
pub const fn working_bytes(pages: usize) -> usize {
    ITEM_BYTES + 4 * pages
}

/// A part to be saved.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The caller's number for what it is; no two parts of a generation share it.
    pub kind: u8,
    /// Its bytes, one slice after the other, so that nothing must be copied together.
    pub slices: &'a [&'a [u8]],
}

/// A complete generation, as [`Store::generations`] lists it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "link", derive(serde::Serialize, serde::Deserialize))]
pub struct Generation {
    /// Its number: later ones have higher numbers.
    pub number: u32,
    /// What the caller gave with it, for example an accuracy.
    pub tag: u32,
    /// Bytes of its parts.
    pub bytes: u32,
    /// Pages that it takes.
    pub pages: u32,
    /// `true` for the one that [`Store::load`] reads.
    pub current: bool,
}

/// Generations in a range of a NOR flash. The [module](self) says how.
#[derive(Debug)]
pub struct Store<'a, F> {
    pages: Pages<F>,
    owner: u64,
    item: &'a mut [u8; ITEM_BYTES],
    /// The complete generation that each page belongs to, little-endian; 0: it is free.
    table: &'a mut [[u8; 4]],
    current: Option<u32>,
    /// The owner of the current generation, if it is another one.
    stranger: Option<u64>,
    newer: Option<u8>,
    /// Why some page could not be read.
    fault: Option<NorFlashErrorKind>,
    last_number: u32,
    last_sequence: u32,
    next_page: usize,
}

impl<'a, F: NorFlash> Store<'a, F> {
    /// Looks through the flash for complete generations.
    ///
    /// `range` are addresses of the flash, whole pages, two or more. `owner` is the hash of the model that the bytes go with.
    /// `working` has [`working_bytes`] bytes or more; flash drivers that copy from RAM by DMA may ask that it be aligned. A
    /// flash that must be got back is lent: `&mut F` is a flash, too.
    ///
    /// That nothing is stored, or another model's state, is no error here: [`Store::current`] tells.
    ///
    /// # Errors
    /// [`PersistError::Range`], [`PersistError::BufferTooSmall`].
    pub fn open(flash: F, range: Range<u32>, owner: u64, working: &'a mut [u8]) -> Result<Self, PersistError> {
        let pages = Pages::new(flash, range)?;
        let required = working_bytes(pages.count());
        let too_small = PersistError::BufferTooSmall { required: required as u32, found: working.len() as u32 };
        let (item, rest) = working.split_first_chunk_mut().ok_or(too_small)?;
        let table = rest.as_chunks_mut().0.get_mut(..pages.count()).ok_or(too_small)?;
        let mut store = Self {
            pages,
            owner,
            item,
            table,
            current: None,
            stranger: None,
            newer: None,
            fault: None,
            last_number: 0,
            last_sequence: 0,
            next_page: 0,
        };
        store.scan();
        Ok(store)
    }

    /// Number of the current generation.
    ///
    /// # Errors
    /// [`PersistError::NothingStored`]; [`PersistError::AnotherModel`] or [`PersistError::NewerRecord`], after which firmware
    /// asks its user and calls [`Store::factory_reset`]; [`PersistError::Flash`] if nothing was found, and pages could not be read.
    pub fn current(&self) -> Result<u32, PersistError> {
        self.check_owner()?;
        let nothing = self.fault.map_or(PersistError::NothingStored, PersistError::Flash);
        self.current.ok_or(nothing)
    }

    /// Loads a part of the current generation; returns its bytes.
    ///
    /// # Errors
    /// Those of [`Store::current`] and [`Store::load_of`].
    pub fn load(&mut self, kind: u8, into: &mut [u8]) -> Result<usize, PersistError> {
        let current = self.current()?;
        self.load_of(current, kind, into)
    }

    /// Loads a part of any complete generation; returns its bytes. `into` may be longer.
    ///
    /// # Errors
    /// [`PersistError::UnknownGeneration`], [`PersistError::NoSuchPart`], [`PersistError::BufferTooSmall`], and
    /// [`PersistError::Damaged`], after which `into` holds no sense.
    pub fn load_of(&mut self, generation: u32, kind: u8, into: &mut [u8]) -> Result<usize, PersistError> {
        self.check_owner()?;
        let manifest = self.find_own(generation)?;
        let found = manifest.entries().iter().enumerate().find(|(_, entry)| entry.kind == kind);
        let (index, entry) = found.ok_or(PersistError::NoSuchPart { kind })?;
        let length = entry.length as usize;
        let found = into.len() as u32;
        let into = into.get_mut(..length).ok_or(PersistError::BufferTooSmall { required: entry.length, found })?;
        self.verify(generation, &manifest, &mut |part, offset, bytes| {
            let place = into.get_mut(offset as usize..).and_then(|rest| rest.get_mut(..bytes.len()));
            if let Some(place) = place.filter(|_| part == index) {
                place.copy_from_slice(bytes);
            }
        })?;
        Ok(length)
    }

    /// Saves a generation and makes it current; returns its number. It is read back before it becomes current. `tag` is for
    /// the list of generations.
    ///
    /// # Errors
    /// [`PersistError::AnotherModel`] and [`PersistError::NewerRecord`], since the old state would be lost in time;
    /// [`PersistError::Parts`]; [`PersistError::Full`]; [`PersistError::Flash`] and [`PersistError::Damaged`] if the flash does
    /// not hold what is written. In each case the generation before is current.
    pub fn save(&mut self, parts: &[Part<'_>], tag: u32) -> Result<u32, PersistError> {
        self.check_owner()?;
        let (number, sequence) = self.next_numbers()?;
        let mut manifest = Manifest::new(parts, sequence, self.owner, tag)?;
        let pages = Pieces::<F>::of(&manifest).filter(|piece| piece.new_page).count();
        self.make_room(pages, 0)?;
        (self.last_number, self.last_sequence) = (number, sequence);
        match self.write(number, &mut manifest, parts) {
            Ok(()) => {
                self.current = Some(number);
                Ok(number)
            }
            Err(error) => {
                self.release(number);
                Err(error)
            }
        }
    }

    /// Lists complete generations, the newest first, as many as `list` holds; returns how many there are.
    ///
    /// # Errors
    /// [`PersistError::AnotherModel`], [`PersistError::NewerRecord`].
    pub fn generations(&mut self, list: &mut [Generation]) -> Result<usize, PersistError> {
        self.check_owner()?;
        let mut count = 0;
        let mut list = list.iter_mut();
        let mut below = u32::MAX;
        while let Some(number) = self.numbers().filter(|&number| number != 0 && number < below).max() {
            below = number;
            let Ok(manifest) = self.find_own(number) else { continue };
            count += 1;
            if let Some(place) = list.next() {
                *place = Generation {
                    number,
                    tag: manifest.tag,
                    bytes: manifest.entries().iter().map(|entry| entry.length).sum(),
                    pages: self.pages_of(number) as u32,
                    current: self.current == Some(number),
                };
            }
        }
        Ok(count)
    }

    /// Makes a complete generation current again. Those after it stay until their pages are needed.
    ///
    /// Costs a small item; where the generation's pages have no room for one more, a page, which must be free or an older
    /// generation's.
    ///
    /// # Errors
    /// [`PersistError::UnknownGeneration`], [`PersistError::Damaged`], [`PersistError::Full`], [`PersistError::Flash`],
    /// [`PersistError::AnotherModel`], [`PersistError::NewerRecord`]. In each case the current generation stays so.
    pub fn roll_back(&mut self, generation: u32) -> Result<(), PersistError> {
        self.check_owner()?;
        let manifest = self.find_own(generation)?;
        self.verify(generation, &manifest, &mut |_, _, _| {})?;
        if self.current == Some(generation) {
            return Ok(());
        }
        let (_, sequence) = self.next_numbers()?;
        self.last_sequence = sequence;
        for page in 0..self.pages.count() {
            if self.number_of(page) == generation && self.mark(page, generation, sequence).is_ok() {
                return Ok(());
            }
        }
        // Pages of the generation that hold marks alone are of no use, since a later one made another generation current.
        for page in 0..self.pages.count() {
            if self.number_of(page) == generation && !self.has_parts(page) {
                self.set_number(page, 0);
            }
        }
        self.make_room(1, generation)?;
        let page = self.take_page(generation)?;
        self.mark(page, generation, sequence)
    }

    /// Erases the range. The current generation goes last: if the power fails, it is still there, or nothing is.
    ///
    /// # Errors
    /// [`PersistError::Flash`].
    pub fn factory_reset(&mut self) -> Result<(), PersistError> {
        let current = self.current.unwrap_or(0);
        for last in [false, true] {
            for page in 0..self.pages.count() {
                let is_last = current != 0 && self.number_of(page) == current;
                if is_last == last {
                    self.pages.erase(page)?;
                    self.set_number(page, 0);
                }
            }
        }
        (self.current, self.stranger, self.newer, self.fault) = (None, None, None, None);
        (self.last_number, self.last_sequence) = (0, 0);
        Ok(())
    }

    /// Gives the flash back.
    pub fn into_flash(self) -> F {
        self.pages.into_flash()
    }
}
