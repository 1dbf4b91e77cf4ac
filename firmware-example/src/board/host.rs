//! Files, arguments and exit of the host, over semihosting.

use core::ffi::CStr;

use embedded_io::{ErrorType, Read, Write};
use semihosting::io::{Read as _, Write as _};

/// Longest command line that the host may give, in bytes.
const COMMAND_LINE_BYTES: usize = 256;
/// Longest file name, with its final zero.
const NAME_BYTES: usize = 64;

/// A file of the host.
#[derive(Debug)]
pub struct HostFile(semihosting::fs::File);

impl HostFile {
    /// Opens a file to read. `None` if the host refuses, or the name has 64 bytes or more.
    pub fn open(name: &str) -> Option<Self> {
        with_c_string(name, |name| semihosting::fs::File::open(name).ok().map(Self))
    }

    /// Creates a file to write. `None` if the host refuses, or the name has 64 bytes or more.
    pub fn create(name: &str) -> Option<Self> {
        with_c_string(name, |name| semihosting::fs::File::create(name).ok().map(Self))
    }
}

pub(super) fn with_c_string<T>(name: &str, action: impl FnOnce(&CStr) -> Option<T>) -> Option<T> {
    let mut buffer = [0; NAME_BYTES];
    let (text, rest) = buffer.split_at_mut_checked(name.len())?;
    text.copy_from_slice(name.as_bytes());
    if rest.is_empty() {
        return None;
    }
    action(CStr::from_bytes_until_nul(&buffer).ok()?)
}

impl ErrorType for HostFile {
    type Error = embedded_io::ErrorKind;
}

impl Read for HostFile {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        self.0.read(buffer).map_err(|_| embedded_io::ErrorKind::Other)
    }
}

impl Write for HostFile {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        self.0.write(bytes).map_err(|_| embedded_io::ErrorKind::Other)
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// The words of the command line that the host gave, the program's name first.
#[derive(Debug)]
pub struct Arguments(Option<semihosting::experimental::env::Args<COMMAND_LINE_BYTES>>);

impl Arguments {
    /// Asks the host. No words if it gives none, or more than 256 bytes.
    pub fn new() -> Self {
        Self(semihosting::experimental::env::args().ok())
    }

    /// The next word.
    pub fn next(&self) -> Option<&str> {
        self.0.as_ref()?.next()?.ok()
    }
}

impl Default for Arguments {
    fn default() -> Self {
        Self::new()
    }
}

/// Ends the emulator with this exit code; 0 is success.
pub fn exit(code: u8) -> ! {
    semihosting::process::exit(i32::from(code))
}
