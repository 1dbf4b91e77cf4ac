//! The device's side of the link.

use embedded_io::{Read, Write};
use heapless::Vec;

use super::{
    frame,
    message::{Fault, Frames, Request, Response},
};

/// A request whose number is that much lower than the last one's, or less, is a copy that was held up: its answer was got long
/// ago. A host that starts begins at a random number.
const STALE: u32 = 1000;

/// What a device does when it is asked.
pub trait Application {
    /// Carries out a request. An answer's bytes are `room` or fewer.
    ///
    /// # Errors
    /// A [`Fault`]; all is then as before.
    fn handle(&mut self, request: &Request<'_>, room: usize) -> Result<Response<'_>, Fault>;
}

/// Receives frames of at most `N` bytes, has requests carried out, and answers, in two buffers of `N` bytes.
///
/// Whatever bytes come in, in whatever order, the server finds the next frame behind the next zero. A request that comes a
/// second time, because its answer was lost, gets the same answer, and is not carried out again.
/// One that was held up on its way until later ones were answered is dropped.
#[derive(Debug)]
pub struct Server<const N: usize> {
    received: Vec<u8, N>,
    /// The frame that is being received is longer than the buffer.
    oversized: bool,
    /// The last answer, packed.
    answer: Vec<u8, N>,
    /// Number and checksum of the last request.
    last: Option<(u32, u32)>,
    frames: Frames,
}

impl<const N: usize> Server<N> {
    /// One that has received nothing.
    pub const fn new() -> Self {
        Self {
            received: Vec::new(),
            oversized: false,
            answer: Vec::new(),
            last: None,
            frames: Frames { taken: 0, repeated: 0, damaged: 0, oversized: 0 },
        }
    }

    /// Reads what the port has, waiting for at least one byte, and answers the requests that are complete. Returns the bytes
    /// read: 0 at the end of a port that has one. Firmware with other work to do asks
    /// [`ReadReady`](embedded_io::ReadReady) before.
    ///
    /// # Errors
    /// Those of the port. The server goes on with the next frame.
    pub fn poll<P: Read + Write>(&mut self, port: &mut P, application: &mut impl Application) -> Result<usize, P::Error> {
        let mut bytes = [0; 64];
        let count = port.read(&mut bytes)?;
        for &byte in bytes.iter().take(count) {
            if byte == 0 {
                self.take_frame(port, application)?;
            } else if self.received.push(byte).is_err() {
                self.oversized = true;
            }
        }
        Ok(count)
    }

    fn take_frame<P: Write>(&mut self, port: &mut P, application: &mut impl Application) -> Result<(), P::Error> {
        if core::mem::take(&mut self.oversized) {
            self.received.clear();
            self.frames.oversized = self.frames.oversized.wrapping_add(1);
            return complain(port, Fault::Oversized);
        }
        if self.received.is_empty() {
            return Ok(()); // A host sends a zero to begin with, which ends what noise has begun.
        }
        let Self { received, answer, last, frames, .. } = self;
        let Some((message, checksum)) = frame::open(received) else {
            received.clear();
            frames.damaged = frames.damaged.wrapping_add(1);
            return complain(port, Fault::Damaged);
        };
        match frame::read::<Request<'_>>(message) {
            Some((sequence, _)) if *last == Some((sequence, checksum)) => frames.repeated = frames.repeated.wrapping_add(1),
            Some((sequence, _)) if last.is_some_and(|(last, _)| (1..STALE).contains(&last.wrapping_sub(sequence))) => {
                frames.repeated = frames.repeated.wrapping_add(1);
                received.clear();
                return Ok(());
            }
            Some((sequence, request)) => {
                frames.taken = frames.taken.wrapping_add(1);
                let mut response = application.handle(&request, frame::payload(N)).unwrap_or_else(Response::Refused);
                match &mut response {
                    Response::Statistics(statistics) => statistics.frames = *frames,
                    Response::Description(description) => description.frame_bytes = N as u32,
                    _ => {}
                }
                pack(sequence, &response, answer);
                *last = Some((sequence, checksum));
            }
            None => {
                let sequence = frame::sequence(message);
                pack(sequence, &Response::Refused(Fault::Unknown), answer);
                *last = Some((sequence, checksum));
            }
        }
        received.clear();
        send(port, answer)
    }
}

impl<const N: usize> Default for Server<N> {
    fn default() -> Self {
        Self::new()
    }
}

fn pack<const N: usize>(sequence: u32, response: &Response<'_>, answer: &mut Vec<u8, N>) {
    // It is as long as it may become; what is longer, an application has made against the rule.
    let _ = answer.resize(N, 0);
    let length =
        frame::pack(sequence, response, answer).or_else(|| frame::pack(sequence, &Response::Refused(Fault::Oversized), answer));
    answer.truncate(length.unwrap_or(0));
}

/// Says why a frame is no request. No request has the number 0.
fn complain<P: Write>(port: &mut P, fault: Fault) -> Result<(), P::Error> {
    let mut packed = [0; 16];
    let length = frame::pack(0, &Response::Refused(fault), &mut packed).unwrap_or(0);
    send(port, packed.get(..length).unwrap_or_default())
}

fn send<P: Write>(port: &mut P, packed: &[u8]) -> Result<(), P::Error> {
    frame::send(packed, |piece| port.write_all(piece))?;
    port.flush()
}
