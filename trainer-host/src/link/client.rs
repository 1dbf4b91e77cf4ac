//! Requests and answers: what is lost is repeated, what is late is dropped.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::time::{Duration, Instant};

use samara_runtime::link::{Request, Response, frame};

use super::{LinkError, Port};

/// The longest frame that a device may send; what is longer is noise.
const LONGEST: usize = 1 << 20;
/// Bytes that any device takes in a frame.
const LEAST_FRAME: usize = 64;

/// How long and how often a device is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patience {
    /// How long an answer is waited for.
    pub answer: Duration,
    /// How often a request is sent.
    pub tries: u32,
}

impl Default for Patience {
    /// Two seconds, eight times: what a device does for one request is done in less.
    fn default() -> Self {
        Self { answer: Duration::from_secs(2), tries: 8 }
    }
}

/// Asks a device.
#[derive(Debug)]
pub struct Client<P> {
    port: P,
    patience: Patience,
    sequence: u32,
    received: Vec<u8>,
    /// The last answer.
    answer: Vec<u8>,
    repeated: u64,
}

/// What was received.
enum Received {
    Answer,
    /// The device could not read the frame.
    Complaint,
    Nothing,
}

impl<P: Port> Client<P> {
    /// Begins to ask over a port.
    pub fn new(port: P, patience: Patience) -> Self {
        // By chance, so that a device that served another client before takes no request for one of that one's.
        let sequence = RandomState::new().hash_one(0) as u32;
        Self { port, patience, sequence, received: Vec::new(), answer: Vec::new(), repeated: 0 }
    }

    /// How many requests had to be sent once more.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Asks once, and waits for the answer; asks again where it does not come. The device carries the request out at most once,
    /// unless it restarts in between.
    ///
    /// # Errors
    /// [`LinkError::Refused`] with what the device says, [`LinkError::NoAnswer`], [`LinkError::Port`], [`LinkError::Unexpected`].
    pub fn ask(&mut self, request: &Request<'_>) -> Result<Response<'_>, LinkError> {
        // 0 is the number of complaints.
        self.sequence = self.sequence.checked_add(1).unwrap_or(1);
        let bytes = match request {
            Request::Write { bytes, .. } => bytes.len(),
            _ => 0,
        };
        let mut packed = vec![0; bytes + LEAST_FRAME];
        let length = frame::pack(self.sequence, request, &mut packed).ok_or(LinkError::Unexpected)?;
        let mut frame = vec![0];
        let gather = |piece: &[u8]| {
            frame.extend_from_slice(piece);
            Ok::<(), std::convert::Infallible>(())
        };
        match frame::send(&packed[..length], gather) {
            Ok(()) => {}
        }
        self.exchange(&frame)?;
        match frame::read(&self.answer) {
            Some((_, Response::Refused(fault))) => Err(fault.into()),
            Some((_, response)) => Ok(response),
            None => Err(LinkError::Unexpected),
        }
    }

    /// Sends a frame until it is answered.
    fn exchange(&mut self, frame: &[u8]) -> Result<(), LinkError> {
        for again in 0..self.patience.tries {
            self.repeated += u64::from(again > 0);
            self.port.write_all(frame)?;
            self.port.flush()?;
            match self.receive()? {
                Received::Answer => return Ok(()),
                Received::Complaint | Received::Nothing => {}
            }
        }
        Err(LinkError::NoAnswer { tries: self.patience.tries, seconds: self.patience.answer.as_secs_f32() })
    }

    /// Waits for an answer of the current number.
    fn receive(&mut self) -> Result<Received, LinkError> {
        let deadline = Instant::now() + self.patience.answer;
        let mut bytes = [0; 4096];
        loop {
            let count = match self.port.read(&mut bytes) {
                Ok(0) => return Err(LinkError::Port(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => 0,
                Err(error) => return Err(error.into()),
            };
            let mut complaint = false;
            for &byte in &bytes[..count] {
                if byte != 0 {
                    if self.received.len() < LONGEST {
                        self.received.push(byte);
                    }
                    continue;
                }
                let opened = frame::open(&mut self.received);
                match opened.map(|(message, _)| (frame::sequence(message), message)) {
                    // A copy of an answer may follow, which is dropped as one of an old number.
                    Some((sequence, message)) if sequence == self.sequence => {
                        self.answer.clear();
                        self.answer.extend_from_slice(message);
                        self.received.clear();
                        return Ok(Received::Answer);
                    }
                    Some((0, _)) => complaint = true,
                    _ => {}
                }
                self.received.clear();
            }
            if complaint {
                return Ok(Received::Complaint);
            }
            if count == 0 && Instant::now() >= deadline {
                return Ok(Received::Nothing);
            }
        }
    }
}
