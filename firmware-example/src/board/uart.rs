//! The serial line to the host.

use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write};

use super::architecture::Registers;

/// The board's first UART. The emulator asks for no speed; on hardware, `Registers::new` has to set it.
#[derive(Debug)]
pub struct Uart {
    registers: Option<Registers>,
    /// A byte that was received and not yet read.
    waiting: Option<u8>,
}

impl Uart {
    pub(super) fn new() -> Self {
        Self { registers: Registers::new(), waiting: None }
    }

    fn registers(&mut self) -> Result<&mut Registers, ErrorKind> {
        self.registers.as_mut().ok_or(ErrorKind::Unsupported)
    }

    fn receive(&mut self) -> Result<Option<u8>, ErrorKind> {
        match self.waiting.take() {
            Some(byte) => Ok(Some(byte)),
            None => Ok(self.registers()?.receive()),
        }
    }
}

impl ErrorType for Uart {
    /// [`ErrorKind::Unsupported`]: the board has no UART that this crate knows.
    type Error = ErrorKind;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        self.waiting = self.receive()?;
        Ok(self.waiting.is_some())
    }
}

impl Read for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        let mut count = 0;
        for slot in buffer {
            *slot = loop {
                match self.receive()? {
                    Some(byte) => break byte,
                    None if count > 0 => return Ok(count),
                    None => core::hint::spin_loop(),
                }
            };
            count += 1;
        }
        Ok(count)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let registers = self.registers()?;
        for &byte in bytes {
            while !registers.send(byte) {
                core::hint::spin_loop();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}
