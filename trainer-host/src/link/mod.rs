//! The host's side of the [link](samara_runtime::link) to a device: over a serial port, a socket of an emulator, or anything else
//! that carries bytes.
//!
//! ```no_run
//! use samara_trainer::link::{self, Device};
//!
//! let mut device = Device::connect(link::open("/dev/ttyACM0", 115_200)?)?;
//! println!("model {:016x}, {} bytes of input", device.description().model, device.description().input_bytes);
//! let inferred = device.infer(&[0; 784])?;
//! println!("{} bytes of output", inferred.outputs.len());
//! # Ok::<(), samara_trainer::link::LinkError>(())
//! ```

mod client;
mod device;
mod error;
mod head_file;
mod port;

pub use client::{Client, Patience};
pub use device::{Device, Inferred};
pub use error::LinkError;
pub use head_file::{HeadFile, HeadFileError};
pub use port::{Port, open};
