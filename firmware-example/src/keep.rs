//! What it costs to keep in flash what was learned, and to be there again after a start: counted on a flash that is an array in RAM.

use samara_runtime::{
    format::crc::crc32,
    persist::{Part, PersistError, Store, working_bytes},
    train::{BlockHead, ClosedFormHead, GradientHead, Head, TrainError},
};

use crate::{
    counter::{InstructionCounter, instructions_of},
    ram_flash::{Done, PAGE_BYTES, RamFlash},
};

/// The kind of the only part.
const KIND: u8 = 1;

/// Pages of a generation of so many bytes, in one part: a chunk of 245 bytes has 19 more, the manifest 43 and 8.
pub const fn generation_pages(bytes: usize) -> usize {
    (bytes + bytes / 12 + 128).div_ceil(PAGE_BYTES)
}

/// Pages of a range that keeps the generation before, also while one is saved.
pub const fn range_pages(bytes: usize) -> usize {
    3 * generation_pages(bytes) + 1
}

/// Bytes of such a range.
pub const fn range_bytes(bytes: usize) -> usize {
    range_pages(bytes) * PAGE_BYTES
}

/// Bytes that a store over such a range works in.
pub const fn store_bytes(bytes: usize) -> usize {
    working_bytes(range_pages(bytes))
}

/// Why nothing was counted.
#[derive(Debug, defmt::Format)]
pub enum KeepError {
    /// The store refused.
    Store(PersistError),
    /// The head refused what was saved.
    Head(TrainError),
    /// Flash (0), what the store works in (1) or the buffer (2) is too small.
    Room {
        /// Which one.
        memory: u8,
    },
    /// The head is not what was saved.
    Changed,
}

impl From<PersistError> for KeepError {
    fn from(error: PersistError) -> Self {
        Self::Store(error)
    }
}

impl From<TrainError> for KeepError {
    fn from(error: TrainError) -> Self {
        Self::Head(error)
    }
}

/// A head whose state is kept.
pub trait Learned {
    /// What the file says of it.
    fn record(&self) -> &Head<'_>;

    /// The state.
    fn state(&self) -> &[u8];

    /// Forgets what was learned, as a start does.
    fn reset(&mut self);

    /// Takes back a state.
    ///
    /// # Errors
    /// If it is none.
    fn restore(&mut self, state: &[u8]) -> Result<(), TrainError>;
}

impl Learned for ClosedFormHead<'_> {
    fn record(&self) -> &Head<'_> {
        self.record()
    }

    fn state(&self) -> &[u8] {
        self.sums()
    }

    fn reset(&mut self) {
        self.reset();
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), TrainError> {
        self.restore(state)
    }
}

impl Learned for GradientHead<'_> {
    fn record(&self) -> &Head<'_> {
        self.record()
    }

    fn state(&self) -> &[u8] {
        bytemuck::cast_slice(self.solution())
    }

    fn reset(&mut self) {
        self.reset();
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), TrainError> {
        self.restore(bytemuck::try_cast_slice(state).map_err(|_| TrainError::MemoryMisaligned)?)
    }
}

impl Learned for BlockHead<'_> {
    fn record(&self) -> &Head<'_> {
        self.record()
    }

    fn state(&self) -> &[u8] {
        bytemuck::cast_slice(self.solution())
    }

    fn reset(&mut self) {
        self.reset();
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), TrainError> {
        self.restore(bytemuck::try_cast_slice(state).map_err(|_| TrainError::MemoryMisaligned)?)
    }
}

/// Where the state is kept.
#[derive(Debug)]
pub struct Place<'a> {
    /// The flash: [`range_bytes`] or more.
    pub flash: &'a mut [u8],
    /// What the store works in: [`store_bytes`] or more.
    pub working: &'a mut [u8],
    /// What is loaded to, at a multiple of 4 bytes.
    pub buffer: &'a mut [u8],
    /// The model's hash.
    pub owner: u64,
}

impl Place<'_> {
    /// Counts the save of a head in a range that has two generations, and then a start: the store is opened, and the head loaded and restored. Gives
    /// bytes of the head in the model file, and of what is saved; of the save instructions, writes, bytes written and pages erased; of
    /// the start instructions and bytes read; bytes of RAM that the store works in, and of the flash that it has.
    ///
    /// # Errors
    /// If the store or the head refuses, or the head is not again what it was.
    pub fn cost<C: InstructionCounter>(&mut self, counter: &mut C, head: &mut impl Learned) -> Result<[u64; 10], KeepError> {
        let bytes = head.state().len();
        let range = range_bytes(bytes);
        let room = |memory| KeepError::Room { memory };
        let flash = self.flash.get_mut(..range).ok_or(room(0))?;
        let working = self.working.get_mut(..store_bytes(bytes)).ok_or(room(1))?;
        let buffer = self.buffer.get_mut(..bytes).ok_or(room(2))?;
        let (range, owner, learned) = (0..range as u32, self.owner, crc32(head.state()));
        flash.fill(0xff);
        let mut flash = RamFlash::new(flash);
        let mut store = Store::open(&mut flash, range.clone(), owner, working)?;
        for _ in 0..2 {
            store.save(&[Part { kind: KIND, slices: &[head.state()] }], 0)?;
        }
        store.into_flash().done = Done::default();
        let mut store = Store::open(&mut flash, range.clone(), owner, working)?;
        let mut saved = Ok(0);
        let save = instructions_of(counter, || saved = store.save(&[Part { kind: KIND, slices: &[head.state()] }], 0));
        let number = saved?;
        let Done { writes, written, erased, .. } = core::mem::take(&mut store.into_flash().done);
        head.reset();
        let mut started = Ok(0);
        let start = instructions_of(counter, || {
            started = Store::open(&mut flash, range.clone(), owner, working).map_err(KeepError::from).and_then(|mut store| {
                let length = store.load(KIND, buffer)?;
                head.restore(buffer.get(..length).unwrap_or_default())?;
                Ok(store.current()?)
            });
        });
        if started? != number || crc32(head.state()) != learned {
            return Err(KeepError::Changed);
        }
        let in_file = 4 * (head.record().sums().len() + head.record().solution().len());
        let [in_file, bytes, working] = [in_file, bytes, working.len()].map(|bytes| bytes as u64);
        Ok([in_file, bytes, save, writes, written, erased, start, flash.done.read, working, range.end.into()])
    }
}
