//! A page of the flash: a queue of `sequential-storage` that is one page long, to which items are appended until it is erased.

use core::{
    ops::Range,
    pin::pin,
    task::{Context, Poll, Waker},
};

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use embedded_storage_async::nor_flash as asynchronous;
use sequential_storage::{
    Error,
    cache::{Cache, Uncached},
    queue::{QueueConfig, QueueStorage},
};

use super::{PersistError, record::ITEM_BYTES};

/// The least page that holds every record with something beside it.
const LEAST_PAGE_BYTES: usize = 512;

type UncachedQueue = Cache<Uncached, Uncached, Uncached>;

/// A range of a flash, page by page.
#[derive(Debug)]
pub(super) struct Pages<F> {
    flash: F,
    start: u32,
    count: usize,
}

impl<F: NorFlash> Pages<F> {
    const PAGE_BYTES: u32 = F::ERASE_SIZE as u32;
    pub const WORD_BYTES: usize = if F::WRITE_SIZE > F::READ_SIZE { F::WRITE_SIZE } else { F::READ_SIZE };
    /// Bytes of a page that items share: without the words that say that it is begun, or full.
    pub const CAPACITY: usize = F::ERASE_SIZE - 2 * Self::WORD_BYTES;

    pub fn new(flash: F, range: Range<u32>) -> Result<Self, PersistError> {
        let refused = Err(PersistError::Range { page_bytes: Self::PAGE_BYTES });
        let two_pages = range.start.checked_add(2 * Self::PAGE_BYTES);
        if F::ERASE_SIZE < LEAST_PAGE_BYTES
            || two_pages.is_none_or(|least| range.end < least)
            || range.end as usize > flash.capacity()
            || !range.end.is_multiple_of(Self::PAGE_BYTES)
        {
            return refused;
        }
        // It knows what alignment and words it works with.
        match QueueConfig::<Blocking<'_, F>>::try_new(range.clone()) {
            Ok(_) => {
                let count = ((range.end - range.start) / Self::PAGE_BYTES) as usize;
                Ok(Self { flash, start: range.start, count })
            }
            Err(_) => refused,
        }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    pub fn into_flash(self) -> F {
        self.flash
    }

    /// Bytes of a page that an item takes.
    pub const fn item_bytes(bytes: usize) -> usize {
        Self::overhead() + bytes.next_multiple_of(Self::WORD_BYTES)
    }

    /// The longest item that these bytes of a page hold.
    pub const fn longest_item(room: usize) -> usize {
        let bytes = room.saturating_sub(Self::overhead());
        bytes - bytes % Self::WORD_BYTES
    }

    const fn overhead() -> usize {
        QueueStorage::<Blocking<'_, F>, UncachedQueue>::item_overhead_size() as usize
    }

    pub fn erase(&mut self, page: usize) -> Result<(), PersistError> {
        let range = self.range(page);
        self.flash.erase(range.start, range.end).map_err(|error| PersistError::Flash(error.kind()))
    }

    #[inline(never)] // Several KB, called in several places.
    /// Appends an item; `false` if the page has no room for it.
    pub fn append(&mut self, page: usize, item: &[u8]) -> Result<bool, PersistError> {
        let Some(mut queue) = self.queue(page) else { return Ok(false) };
        match block_on(queue.push(item, false)) {
            Some(Ok(())) => Ok(true),
            Some(Err(Error::Storage { value, .. })) => Err(PersistError::Flash(value.kind())),
            Some(Err(_)) => Ok(false),
            None => Err(PersistError::Flash(NorFlashErrorKind::Other)),
        }
    }

    #[inline(never)] // Several KB, called in several places.
    /// Shows the page's items in order, as far as they can be read: what a power failure or a worn cell left is passed over.
    ///
    /// # Errors
    /// That of the flash, if it cannot be read from somewhere on; words whose writing was cut are such a place on some chips.
    pub fn items(
        &mut self,
        page: usize,
        buffer: &mut [u8; ITEM_BYTES],
        visit: &mut dyn FnMut(&[u8]),
    ) -> Result<(), NorFlashErrorKind> {
        let Some(mut queue) = self.queue(page) else { return Ok(()) };
        let walk = async {
            let mut items = queue.iter().await?;
            while let Some(item) = items.next(buffer).await? {
                visit(&item);
            }
            Ok(())
        };
        match block_on(walk) {
            Some(Err(Error::Storage { value, .. })) => Err(value.kind()),
            // Longer than any item of ours, or what looks like a header and is none: nothing behind it is ours.
            Some(Ok(()) | Err(_)) => Ok(()),
            None => Err(NorFlashErrorKind::Other),
        }
    }

    fn range(&self, page: usize) -> Range<u32> {
        let start = self.start.saturating_add(Self::PAGE_BYTES.saturating_mul(page as u32));
        start..start.saturating_add(Self::PAGE_BYTES)
    }

    fn queue(&mut self, page: usize) -> Option<QueueStorage<Blocking<'_, F>, UncachedQueue>> {
        let config = QueueConfig::try_new(self.range(page)).ok()?;
        Some(QueueStorage::new(Blocking(&mut self.flash), config, Cache::new_uncached()))
    }
}

/// A blocking flash as an asynchronous one that is never pending.
struct Blocking<'a, F>(&'a mut F);

impl<F: ErrorType> ErrorType for Blocking<'_, F> {
    type Error = F::Error;
}

impl<F: ReadNorFlash> asynchronous::ReadNorFlash for Blocking<'_, F> {
    const READ_SIZE: usize = F::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        self.0.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl<F: NorFlash> asynchronous::NorFlash for Blocking<'_, F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), F::Error> {
        self.0.erase(from, to)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), F::Error> {
        self.0.write(offset, bytes)
    }
}

/// Polls once, which is all that a future over a blocking flash takes. None: it is pending, against that rule.
fn block_on<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
