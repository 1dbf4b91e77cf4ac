//! The link between a device and its host, over a serial line or anything else that carries bytes.
//!
//! The host asks, the device answers: postcard in COBS frames with a CRC-32, each with a number. What is larger than a frame is
//! written and read in pieces at offsets, and named by its checksum when it is used. Frames may be lost, cut, repeated or
//! damaged, and the cable pulled at any time: the device answers a repeated request without carrying it out twice, and changes
//! nothing for a request that it refuses. `samara device` is the host's side.
//!
//! Firmware gives a [`Server`] its serial port, which is anything that is [`embedded_io::Read`] and [`embedded_io::Write`], and an
//! [`Application`]; [`Learner`] is the one for a model with a head and a store.
//!
//! ```no_run
//! use samara_runtime::link::{Application, Server};
//!
//! fn serve<P: embedded_io::Read + embedded_io::Write>(port: &mut P, application: &mut impl Application) -> ! {
//!     let mut server = Server::<512>::new();
//!     loop {
//!         // An error of the port, a framing error say, spoils a frame, which the host repeats.
//!         let _ = server.poll(port, application);
//!     }
//! }
//! ```
//!
//! # Frames
//!
//! A message is encoded by `postcard`: its number, a varint, then the [`Request`] or [`Response`]. Its CRC-32 (ISO-HDLC),
//! little-endian, follows. COBS takes the zeros out, and a zero ends the frame; a host begins with a zero, too. A response has
//! its request's number; one of number 0 says that a frame could not be read. The
//! device's buffers hold `N` bytes, which its [`Description`] says; the host keeps to it.

pub mod cobs;
pub mod frame;
pub mod learner;
pub mod message;
mod server;
pub mod teacher;

pub use learner::{Learner, Sensor};
pub use message::{Answer, Area, Description, Fault, Frames, HeadDescription, Request, Response, Statistics};
pub use server::{Application, Server};
pub use teacher::Teacher;

use crate::train::{record::sums_bytes, solve_bytes};

/// Bytes of the working memory of a [`Learner`] with head `number` of the model, solved from sums. Meant for compile time.
///
/// # Panics
/// As [`solve_bytes`].
pub const fn work_bytes(model: &[u8], number: usize) -> usize {
    let (sums, solve) = (sums_bytes(model, number), solve_bytes(model, number));
    if sums > solve { sums } else { solve }
}
