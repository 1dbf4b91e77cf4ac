//! A NOR flash in a file of the host: what is written there stays when the emulator is killed. The emulated boards have none that can be
//! written to; on hardware the chip's driver takes its place.

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write};
use semihosting::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
};

use super::host::with_c_string;

const PAGE_BYTES: usize = 4096;
const WORD_BYTES: usize = 4;

/// A flash of `PAGES` pages of 4,096 bytes, in words of 4.
#[derive(Debug)]
pub struct HostFlash<const PAGES: usize>(File);

impl<const PAGES: usize> HostFlash<PAGES> {
    /// Bytes of the flash.
    pub const BYTES: u32 = (PAGES * PAGE_BYTES) as u32;

    /// Opens the file, or makes one of erased flash. `None` if the host refuses, the file has another size, or the name has 64 bytes or
    /// more.
    pub fn open(name: &str) -> Option<Self> {
        with_c_string(name, |name| {
            if let Ok(file) = File::options().read(true).write(true).open(name) {
                let size = file.metadata().ok()?.len();
                return (size == u64::from(Self::BYTES)).then_some(Self(file));
            }
            let file = File::options().read(true).write(true).create(true).truncate(true).open(name).ok()?;
            let mut flash = Self(file);
            flash.erase(0, Self::BYTES).ok()?;
            Some(flash)
        })
    }

    fn seek(&mut self, offset: u32) -> Result<(), NorFlashErrorKind> {
        self.0.seek(SeekFrom::Start(offset.into())).map(drop).map_err(|_| NorFlashErrorKind::Other)
    }
}

impl<const PAGES: usize> ErrorType for HostFlash<PAGES> {
    type Error = NorFlashErrorKind;
}

impl<const PAGES: usize> ReadNorFlash for HostFlash<PAGES> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        self.seek(offset)?;
        self.0.read_exact(bytes).map_err(|_| NorFlashErrorKind::Other)
    }

    fn capacity(&self) -> usize {
        PAGES * PAGE_BYTES
    }
}

impl<const PAGES: usize> NorFlash for HostFlash<PAGES> {
    const WRITE_SIZE: usize = WORD_BYTES;
    const ERASE_SIZE: usize = PAGE_BYTES;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        self.seek(from)?;
        for _ in from / 64..to / 64 {
            self.0.write_all(&[0xff; 64]).map_err(|_| NorFlashErrorKind::Other)?;
        }
        Ok(())
    }

    /// A word that is not erased is an error, as on chips with error correction.
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        let mut word = [0; WORD_BYTES];
        for at in (offset..).step_by(WORD_BYTES).take(bytes.len() / WORD_BYTES) {
            self.read(at, &mut word)?;
            if word != [0xff; WORD_BYTES] {
                return Err(NorFlashErrorKind::Other);
            }
        }
        self.seek(offset)?;
        self.0.write_all(bytes).map_err(|_| NorFlashErrorKind::Other)
    }
}
