//! How a generation is cut into items, and these into pages: once to know how many pages it takes, once to write it.

use core::marker::PhantomData;

use embedded_storage::nor_flash::NorFlash;

use super::{
    page::Pages,
    record::{CHUNK_HEADER, ITEM_BYTES, Manifest},
};

/// A chunk is not cut shorter than this to fill a page: its record would be most of it.
const LEAST_CHUNK: usize = 64;

/// What goes next, and whether it begins a page.
pub(super) struct Piece {
    pub new_page: bool,
    /// Index of the part, offset and bytes of the chunk; none for the manifest, which comes last.
    pub chunk: Option<(u8, u32, usize)>,
}

/// The pieces of a generation, in order.
pub(super) struct Pieces<'a, F> {
    manifest: &'a Manifest,
    part: usize,
    offset: u32,
    /// Bytes left of the page.
    room: usize,
    ended: bool,
    flash: PhantomData<F>,
}

impl<'a, F: NorFlash> Pieces<'a, F> {
    pub fn of(manifest: &'a Manifest) -> Self {
        Self { manifest, part: 0, offset: 0, room: 0, ended: false, flash: PhantomData }
    }

    /// Takes room for an item: all bytes that are wanted, or as many as the page has if these are `least` or more. Returns its
    /// bytes, and whether it begins a page.
    fn place(&mut self, wanted: usize, least: usize) -> (usize, bool) {
        let wanted = wanted.min(ITEM_BYTES - ITEM_BYTES % Pages::<F>::WORD_BYTES);
        let new_page = Pages::<F>::longest_item(self.room) < least.min(wanted);
        if new_page {
            self.room = Pages::<F>::CAPACITY;
        }
        let bytes = wanted.min(Pages::<F>::longest_item(self.room));
        self.room = self.room.saturating_sub(Pages::<F>::item_bytes(bytes));
        (bytes, new_page)
    }
}

impl<F: NorFlash> Iterator for Pieces<'_, F> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        while let Some(entry) = self.manifest.entries().get(self.part) {
            let left = (entry.length - self.offset) as usize;
            if left > 0 {
                let (bytes, new_page) = self.place(left.saturating_add(CHUNK_HEADER), CHUNK_HEADER + LEAST_CHUNK);
                let size = bytes - CHUNK_HEADER;
                let chunk = Some((self.part as u8, self.offset, size));
                self.offset += size as u32;
                return Some(Piece { new_page, chunk });
            }
            (self.part, self.offset) = (self.part + 1, 0);
        }
        if core::mem::replace(&mut self.ended, true) {
            return None;
        }
        let bytes = self.manifest.bytes();
        let (_, new_page) = self.place(bytes, bytes);
        Some(Piece { new_page, chunk: None })
    }
}
