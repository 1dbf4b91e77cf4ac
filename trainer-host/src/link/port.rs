//! Where a device is to be reached.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use super::LinkError;

/// Carries bytes both ways. A read that finds nothing for a while ends in [`TimedOut`](io::ErrorKind::TimedOut) or
/// [`WouldBlock`](io::ErrorKind::WouldBlock); one of 0 bytes says that the other end has gone.
pub trait Port: Read + Write + std::fmt::Debug {}

impl<T: Read + Write + std::fmt::Debug> Port for T {}

/// How long a read waits.
const WAIT: Duration = Duration::from_millis(50);

/// Opens the port at an address: `tcp:HOST:PORT`; `unix:PATH`; else a serial port, such as `/dev/ttyACM0`, at so many bits a second,
/// 8 data bits without parity, as the system's `stty` sets it.
///
/// # Errors
/// [`LinkError::Open`].
pub fn open(address: &str, bits_per_second: u32) -> Result<Box<dyn Port>, LinkError> {
    let opened = match address.split_once(':') {
        Some(("tcp", address)) => tcp(address),
        #[cfg(unix)]
        Some(("unix", path)) => unix(path),
        _ => serial(address, bits_per_second),
    };
    opened.map_err(|error| LinkError::Open { address: address.to_owned(), reason: error.to_string() })
}

fn tcp(address: &str) -> io::Result<Box<dyn Port>> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

#[cfg(unix)]
fn unix(path: &str) -> io::Result<Box<dyn Port>> {
    let stream = std::os::unix::net::UnixStream::connect(path)?;
    stream.set_read_timeout(Some(WAIT))?;
    Ok(Box::new(stream))
}

/// A serial port, set by `stty`: reads of it return after a tenth of a second.
#[derive(Debug)]
struct Serial(File);

fn serial(path: &str, bits_per_second: u32) -> io::Result<Box<dyn Port>> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let speed = bits_per_second.to_string();
    // Without modem control (clocal), the open port keeps what is set.
    let set = Command::new("stty")
        .args([if cfg!(target_os = "macos") { "-f" } else { "-F" }, path, &speed])
        .args(["raw", "-echo", "clocal", "cs8", "-parenb", "-cstopb", "-crtscts", "min", "0", "time", "1"])
        .output();
    match set {
        Ok(set) if set.status.success() => Ok(Box::new(Serial(file))),
        Ok(set) => Err(io::Error::other(String::from_utf8_lossy(&set.stderr).trim().to_owned())),
        Err(error) => Err(io::Error::other(format!("stty, which sets its speed, cannot be run: {error}"))),
    }
}

impl Read for Serial {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.0.read(bytes)? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            count => Ok(count),
        }
    }
}

impl Write for Serial {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
