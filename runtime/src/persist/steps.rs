//! What the operations of a store are made of: the table of pages, finding, checking and writing generations.

use embedded_storage::nor_flash::NorFlash;

use super::{
    Part, PersistError, Store,
    layout::Pieces,
    record::{self, Manifest, Record},
};
use crate::format::crc::Crc32;

impl<F: NorFlash> Store<'_, F> {
    /// Fills the table, and finds what is current.
    pub(super) fn scan(&mut self) {
        for page in 0..self.pages.count() {
            let (mut number, mut last, mut sequence, mut newer) = (0, 0, 0, None);
            let read = self.pages.items(page, self.item, &mut |bytes| match record::decode(bytes) {
                Ok(Some(item)) => {
                    number = if number == 0 { item.generation } else { number };
                    last = item.generation.max(last);
                    sequence = match item.record {
                        Record::Manifest(manifest) => sequence.max(manifest.sequence),
                        Record::Mark { sequence: found } => sequence.max(found),
                        Record::Chunk { .. } | Record::Other => sequence,
                    };
                }
                Ok(None) => {}
                Err(version) => newer = Some(version),
            });
            // Some chips report words whose writing was cut as errors, and will until they are erased: no reason to give up.
            self.fault = read.err().or(self.fault);
            self.newer = newer.or(self.newer);
            self.last_number = self.last_number.max(last);
            self.last_sequence = self.last_sequence.max(sequence);
            self.set_number(page, number);
        }
        let mut number = 0;
        let mut newest = 0;
        while let Some(next) = self.numbers().filter(|&other| other > number).min() {
            number = next;
            let complete = self.find(number);
            match complete.filter(|manifest| self.verify(number, manifest, &mut |_, _, _| {}).is_ok()) {
                Some(manifest) => {
                    if manifest.sequence > newest || self.current.is_none() {
                        newest = manifest.sequence;
                        self.current = Some(number);
                        self.stranger = Some(manifest.owner).filter(|&owner| owner != self.owner);
                    }
                    let pages = self.ring(manifest.first_page as usize);
                    let last = pages.filter(|&page| self.number_of(page) == number).last();
                    self.next_page = last.map_or(0, |page| page + 1);
                }
                None => self.release(number),
            }
        }
    }

    pub(super) fn check_owner(&self) -> Result<(), PersistError> {
        if let Some(found) = self.newer {
            return Err(PersistError::NewerRecord { found });
        }
        self.stranger.map_or(Ok(()), |found| Err(PersistError::AnotherModel { found, expected: self.owner }))
    }

    /// The numbers that come next. None are left only in a flash that was filled with the last ones on purpose.
    pub(super) fn next_numbers(&self) -> Result<(u32, u32), PersistError> {
        let next = self.last_number.checked_add(1).zip(self.last_sequence.checked_add(1));
        next.ok_or(PersistError::Damaged { generation: self.last_number })
    }

    /// The manifest of a generation, with the sequence of its last mark, if there is one.
    #[inline(never)]
    pub(super) fn find(&mut self, generation: u32) -> Option<Manifest> {
        let mut found: Option<Manifest> = None;
        let mut marked = 0;
        for page in 0..self.pages.count() {
            if self.number_of(page) != generation {
                continue;
            }
            // What cannot be read is missing, which the caller sees.
            let _ = self.pages.items(page, self.item, &mut |bytes| match record::decode(bytes) {
                Ok(Some(item)) if item.generation == generation => match item.record {
                    Record::Manifest(manifest) => found = Some(manifest),
                    Record::Mark { sequence } => marked = sequence.max(marked),
                    Record::Chunk { .. } | Record::Other => {}
                },
                _ => {}
            });
        }
        found.map(|manifest| Manifest { sequence: manifest.sequence.max(marked), ..manifest })
    }

    /// The manifest of a generation that is this model's.
    pub(super) fn find_own(&mut self, generation: u32) -> Result<Manifest, PersistError> {
        let manifest = self.find(generation).ok_or(PersistError::UnknownGeneration { generation })?;
        if manifest.owner == self.owner {
            return Ok(manifest);
        }
        Err(PersistError::AnotherModel { found: manifest.owner, expected: self.owner })
    }

    /// Walks through the chunks of a generation in order, showing each (index of the part, offset, bytes), and checks that they
    /// are what the manifest says.
    #[inline(never)]
    pub(super) fn verify(
        &mut self,
        generation: u32,
        manifest: &Manifest,
        visit: &mut dyn FnMut(usize, u32, &[u8]),
    ) -> Result<(), PersistError> {
        let (mut part, mut offset, mut crc, mut sound) = (0, 0, Crc32::new(), true);
        for page in self.ring(manifest.first_page as usize) {
            if self.number_of(page) != generation {
                continue;
            }
            let read = self.pages.items(page, self.item, &mut |bytes| {
                let Ok(Some(item)) = record::decode(bytes) else { return };
                let Record::Chunk { part: found_part, offset: found_offset, bytes } = item.record else { return };
                while let Some(entry) = manifest.entries().get(part).filter(|entry| entry.length == offset) {
                    sound &= crc.finish() == entry.crc;
                    (part, offset, crc) = (part + 1, 0, Crc32::new());
                }
                sound &= item.generation == generation && (found_part, found_offset) == (part, offset);
                sound &= manifest.entries().get(part).is_some_and(|entry| bytes.len() <= (entry.length - offset) as usize);
                if sound {
                    crc.update(bytes);
                    offset += bytes.len() as u32;
                    visit(part, found_offset, bytes);
                }
            });
            sound &= read.is_ok();
        }
        while let Some(entry) = manifest.entries().get(part).filter(|entry| entry.length == offset) {
            sound &= crc.finish() == entry.crc;
            (part, offset, crc) = (part + 1, 0, Crc32::new());
        }
        if sound && part == manifest.count { Ok(()) } else { Err(PersistError::Damaged { generation }) }
    }

    /// Writes a generation whose pages there is room for.
    pub(super) fn write(&mut self, number: u32, manifest: &mut Manifest, parts: &[Part<'_>]) -> Result<(), PersistError> {
        let plan = *manifest;
        let mut page = None;
        let mut payload = parts.iter().flat_map(|part| part.slices).flat_map(|slice| slice.iter().copied());
        for piece in Pieces::<F>::of(&plan) {
            let place = match page.filter(|_| !piece.new_page) {
                Some(place) => place,
                None => {
                    let place = self.take_page(number)?;
                    if page.is_none() {
                        manifest.first_page = place as u32;
                    }
                    page = Some(place);
                    place
                }
            };
            let bytes = match piece.chunk {
                Some(chunk) => record::encode_chunk(number, chunk, &mut payload, self.item),
                None => {
                    self.verify(number, manifest, &mut |_, _, _| {})?;
                    manifest.encode(number, self.item)
                }
            };
            if !self.append(place, bytes)? {
                return Err(PersistError::Damaged { generation: number });
            }
        }
        self.confirm(number, manifest.sequence)
    }

    /// Makes a generation current by a mark in one of its pages.
    #[inline(never)]
    pub(super) fn mark(&mut self, page: usize, generation: u32, sequence: u32) -> Result<(), PersistError> {
        let bytes = record::encode_mark(generation, sequence, self.item);
        let appended = self.append(page, bytes);
        self.confirm(generation, sequence).map_err(|error| appended.err().unwrap_or(error))?;
        self.current = Some(generation);
        Ok(())
    }

    /// `true` if the page holds more than marks.
    pub(super) fn has_parts(&mut self, page: usize) -> bool {
        let mut found = false;
        let read = self.pages.items(page, self.item, &mut |bytes| {
            found |= !matches!(record::decode(bytes), Ok(Some(item)) if matches!(item.record, Record::Mark { .. }));
        });
        found || read.is_err()
    }

    /// Appends the record in the buffer.
    pub(super) fn append(&mut self, page: usize, bytes: usize) -> Result<bool, PersistError> {
        self.pages.append(page, self.item.get(..bytes).unwrap_or_default())
    }

    /// Looks whether the record that makes a generation current can be read.
    pub(super) fn confirm(&mut self, generation: u32, sequence: u32) -> Result<(), PersistError> {
        let found = self.find(generation).map(|manifest| manifest.sequence);
        if found == Some(sequence) { Ok(()) } else { Err(PersistError::Damaged { generation }) }
    }

    /// Sees to it that so many pages are free, discarding the oldest generations but the current one and `kept`.
    pub(super) fn make_room(&mut self, pages: usize, kept: u32) -> Result<(), PersistError> {
        let current = self.current.unwrap_or(0);
        let bound = |number: u32| number != 0 && (number == current || number == kept);
        let available = self.numbers().filter(|&number| !bound(number)).count();
        if pages > available {
            return Err(PersistError::Full { required: pages as u32, available: available as u32 });
        }
        while self.pages_of(0) < pages {
            let oldest = self.numbers().filter(|&number| number != 0 && !bound(number)).min();
            self.release(oldest.unwrap_or(0));
        }
        Ok(())
    }

    /// Takes the next free page in turn for a generation, and erases it: what is in a free page may be half erased.
    pub(super) fn take_page(&mut self, generation: u32) -> Result<usize, PersistError> {
        let free = self.ring(self.next_page).find(|&page| self.number_of(page) == 0);
        let page = free.ok_or(PersistError::Full { required: 1, available: 0 })?;
        self.set_number(page, generation);
        self.next_page = page + 1;
        self.pages.erase(page)?;
        Ok(page)
    }

    /// All pages, from one on, in turn.
    pub(super) fn ring(&self, first: usize) -> impl Iterator<Item = usize> + use<F> {
        let count = self.pages.count().max(1);
        (0..count).map(move |step| (first % count + step) % count)
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.table.iter().map(|bytes| u32::from_le_bytes(*bytes))
    }

    pub(super) fn number_of(&self, page: usize) -> u32 {
        self.numbers().nth(page).unwrap_or(0)
    }

    pub(super) fn set_number(&mut self, page: usize, number: u32) {
        if let Some(bytes) = self.table.get_mut(page) {
            *bytes = number.to_le_bytes();
        }
    }

    pub(super) fn pages_of(&self, number: u32) -> usize {
        self.numbers().filter(|&other| other == number).count()
    }

    /// Frees the pages of a generation. They are erased when they are taken.
    pub(super) fn release(&mut self, number: u32) {
        for bytes in self.table.iter_mut().filter(|bytes| **bytes == number.to_le_bytes()) {
            *bytes = [0; 4];
        }
    }
}
