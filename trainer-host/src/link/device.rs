//! A device, as the host sees it.

use samara_runtime::link::{
    Answer, Area, Description, Fault, HeadDescription, Request, Response, Statistics, frame,
    message::{LISTED, PROTOCOL},
};
use samara_runtime::persist::Generation;
use samara_runtime::train::Verdict;
use samara_runtime::{InputError, crc32};

use super::{Client, LinkError, Patience, Port};

/// A device at the other end of a link.
#[derive(Debug)]
pub struct Device<P> {
    client: Client<P>,
    description: Description,
}

/// What a device makes of a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Inferred {
    /// What its head says, if it has one that knows a class.
    pub answer: Option<Answer>,
    /// The bytes of all outputs, one after the other.
    pub outputs: Vec<u8>,
}

/// How often a sample is sent if the device has another one, since it restarted.
const SENDINGS: u32 = 3;

impl<P: Port> Device<P> {
    /// Asks what the device is.
    ///
    /// # Errors
    /// [`LinkError::NoAnswer`], [`LinkError::Protocol`] and the others of a link.
    pub fn connect(port: P) -> Result<Self, LinkError> {
        Self::connect_with(port, Patience::default())
    }

    /// As [`connect`](Self::connect), waiting otherwise.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_with(port: P, patience: Patience) -> Result<Self, LinkError> {
        let mut client = Client::new(port, patience);
        let Response::Description(description) = client.ask(&Request::Describe)? else { return Err(LinkError::Unexpected) };
        if description.protocol != PROTOCOL {
            return Err(LinkError::Protocol { found: description.protocol, expected: PROTOCOL });
        }
        Ok(Self { client, description })
    }

    /// What the device was when it was asked last: at the start, and by [`describe`](Self::describe).
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Asks again what the device is.
    ///
    /// # Errors
    /// Those of the link.
    pub fn describe(&mut self) -> Result<&Description, LinkError> {
        match self.client.ask(&Request::Describe)? {
            Response::Description(description) => self.description = description,
            _ => return Err(LinkError::Unexpected),
        }
        Ok(&self.description)
    }

    /// The device's head.
    ///
    /// # Errors
    /// [`Fault::NoHead`].
    pub fn head(&self) -> Result<HeadDescription, LinkError> {
        Ok(self.description.head.ok_or(Fault::NoHead)?)
    }

    /// How many requests had to be sent once more.
    pub fn repeated(&self) -> u64 {
        self.client.repeated()
    }

    /// Runs the model on the bytes of all inputs.
    ///
    /// # Errors
    /// Those of the link; [`LinkError::Size`].
    pub fn infer(&mut self, input: &[u8]) -> Result<Inferred, LinkError> {
        let checksum = crc32(input);
        let (answer, length, mut outputs) =
            self.with_input(input, |client| match client.ask(&Request::Infer { checksum })? {
                Response::Inferred { answer, length, bytes } => Ok((answer, length, bytes.to_vec())),
                _ => Err(LinkError::Unexpected),
            })?;
        self.read_on(Area::Output, length, &mut outputs)?;
        Ok(Inferred { answer, outputs })
    }

    /// Learns a sample of a class; returns how many of that class the device knows now. Who counts along sees whether the device
    /// has restarted, and forgotten what was not saved.
    ///
    /// # Errors
    /// Those of the link, [`LinkError::Size`]; [`Fault::NoHead`] and what the head says.
    pub fn learn(&mut self, input: &[u8], class: u32) -> Result<u32, LinkError> {
        let request = Request::Learn { checksum: crc32(input), class };
        self.with_input(input, |client| count(client, &request))
    }

    /// Forgets a sample of a class; returns how many are left.
    ///
    /// # Errors
    /// As [`learn`](Self::learn).
    pub fn forget(&mut self, input: &[u8], class: u32) -> Result<u32, LinkError> {
        let request = Request::Forget { checksum: crc32(input), class };
        self.with_input(input, |client| count(client, &request))
    }

    /// Forgets a class.
    ///
    /// # Errors
    /// Those of the link and of the head.
    pub fn forget_class(&mut self, class: u32) -> Result<(), LinkError> {
        self.done(&Request::ForgetClass { class })
    }

    /// Holds a sample of a class out, to judge by.
    ///
    /// # Errors
    /// As [`learn`](Self::learn); [`Fault::HeadKind`].
    pub fn hold(&mut self, input: &[u8], class: u32) -> Result<(), LinkError> {
        let request = Request::Hold { checksum: crc32(input), class };
        self.with_input(input, |client| match client.ask(&request)? {
            Response::Done => Ok(()),
            _ => Err(LinkError::Unexpected),
        })
    }

    /// Lets the device judge by what is held out whether its head became better, and take it back if not.
    ///
    /// # Errors
    /// Those of the link and of the head; [`Fault::HeadKind`].
    pub fn check(&mut self) -> Result<Verdict, LinkError> {
        match self.client.ask(&Request::Check)? {
            Response::Checked { kept: true, loss, best } => Ok(Verdict::Kept { loss, best }),
            Response::Checked { kept: false, loss, best } => Ok(Verdict::RolledBack { loss, best }),
            _ => Err(LinkError::Unexpected),
        }
    }

    /// How many samples of a class the device knows.
    ///
    /// # Errors
    /// Those of the link; [`Fault::NoHead`].
    pub fn count(&mut self, class: u32) -> Result<u32, LinkError> {
        count(&mut self.client, &Request::Count { class })
    }

    /// Makes the head of what was learned.
    ///
    /// # Errors
    /// Those of the link and of the head.
    pub fn solve(&mut self) -> Result<(), LinkError> {
        self.done(&Request::Solve)
    }

    /// Saves what was learned; returns the generation's number.
    ///
    /// # Errors
    /// Those of the link and of the store.
    pub fn save(&mut self, tag: u32) -> Result<u32, LinkError> {
        match self.client.ask(&Request::Save { tag })? {
            Response::Number(number) => Ok(number),
            _ => Err(LinkError::Unexpected),
        }
    }

    /// What the head learned: its sums, or weights and biases.
    ///
    /// # Errors
    /// Those of the link; [`Fault::NoHead`].
    pub fn learned(&mut self) -> Result<Vec<u8>, LinkError> {
        self.read(Area::Head)
    }

    /// Replaces what the head learned.
    ///
    /// # Errors
    /// Those of the link and of the head; [`LinkError::Size`].
    pub fn restore(&mut self, head: &[u8]) -> Result<(), LinkError> {
        self.write_head(head)?;
        self.done(&Request::Restore { checksum: crc32(head) })
    }

    /// Adds what another device of the same model learned.
    ///
    /// # Errors
    /// As [`restore`](Self::restore).
    pub fn merge(&mut self, head: &[u8]) -> Result<(), LinkError> {
        self.write_head(head)?;
        self.done(&Request::Merge { checksum: crc32(head) })
    }

    /// The generations that the device keeps, the newest first, at most 16; and how many there are.
    ///
    /// # Errors
    /// Those of the link and of the store.
    pub fn generations(&mut self) -> Result<(Vec<Generation>, u32), LinkError> {
        let mut list = Vec::new();
        loop {
            match self.client.ask(&Request::Generation { index: list.len() as u32 })? {
                Response::Generation { generation: Some(generation), .. } if list.len() < LISTED => list.push(generation),
                Response::Generation { count, .. } => return Ok((list, count)),
                _ => return Err(LinkError::Unexpected),
            }
        }
    }

    /// Makes a generation current again.
    ///
    /// # Errors
    /// Those of the link and of the store.
    pub fn roll_back(&mut self, number: u32) -> Result<(), LinkError> {
        self.done(&Request::RollBack { number })
    }

    /// Discards all generations and all that was learned.
    ///
    /// # Errors
    /// Those of the link and of the store.
    pub fn reset(&mut self) -> Result<(), LinkError> {
        self.done(&Request::Reset)
    }

    /// Takes a sample from the device's sensor: the bytes of all inputs, and its class, if the device knows it.
    ///
    /// # Errors
    /// Those of the link; [`Fault::NoSample`].
    pub fn capture(&mut self) -> Result<(Vec<u8>, Option<u32>), LinkError> {
        let Response::Captured { label } = self.client.ask(&Request::Capture)? else { return Err(LinkError::Unexpected) };
        Ok((self.read(Area::Input)?, label))
    }

    /// What the device counted since it started.
    ///
    /// # Errors
    /// Those of the link.
    pub fn statistics(&mut self) -> Result<Statistics, LinkError> {
        match self.client.ask(&Request::Statistics)? {
            Response::Statistics(statistics) => Ok(statistics),
            _ => Err(LinkError::Unexpected),
        }
    }

    fn done(&mut self, request: &Request<'_>) -> Result<(), LinkError> {
        match self.client.ask(request)? {
            Response::Done => Ok(()),
            _ => Err(LinkError::Unexpected),
        }
    }

    /// Writes the input and asks for something that takes it; once more, if the device has lost it by a restart.
    fn with_input<T>(
        &mut self,
        input: &[u8],
        mut ask: impl FnMut(&mut Client<P>) -> Result<T, LinkError>,
    ) -> Result<T, LinkError> {
        let expected = self.description.input_bytes;
        if input.len() != expected as usize {
            return Err(LinkError::Size { what: "the input", expected, found: input.len() });
        }
        let mut sent = 0;
        loop {
            self.write(Area::Input, input)?;
            sent += 1;
            match ask(&mut self.client) {
                Err(LinkError::Refused(Fault::Checksum | Fault::Input(InputError::Running))) if sent < SENDINGS => {}
                other => return other,
            }
        }
    }

    fn write_head(&mut self, head: &[u8]) -> Result<(), LinkError> {
        let expected = self.head()?.bytes;
        if head.len() != expected as usize {
            return Err(LinkError::Size { what: "the head", expected, found: head.len() });
        }
        self.write(Area::Head, head)
    }

    fn write(&mut self, area: Area, bytes: &[u8]) -> Result<(), LinkError> {
        let most = frame::payload(self.description.frame_bytes as usize).max(1);
        for (number, bytes) in bytes.chunks(most).enumerate() {
            self.done(&Request::Write { area, offset: (number * most) as u32, bytes })?;
        }
        Ok(())
    }

    fn read(&mut self, area: Area) -> Result<Vec<u8>, LinkError> {
        let (length, mut read) = match self.client.ask(&Request::Read { area, offset: 0 })? {
            Response::Bytes { length, bytes } => (length, bytes.to_vec()),
            _ => return Err(LinkError::Unexpected),
        };
        self.read_on(area, length, &mut read)?;
        Ok(read)
    }

    /// Reads the rest of an area.
    fn read_on(&mut self, area: Area, length: u32, read: &mut Vec<u8>) -> Result<(), LinkError> {
        while read.len() < length as usize {
            match self.client.ask(&Request::Read { area, offset: read.len() as u32 })? {
                Response::Bytes { length: again, bytes } if again == length && !bytes.is_empty() => {
                    read.extend_from_slice(bytes)
                }
                _ => return Err(LinkError::Unexpected),
            }
        }
        Ok(())
    }
}

fn count<P: Port>(client: &mut Client<P>, request: &Request<'_>) -> Result<u32, LinkError> {
    match client.ask(request)? {
        Response::Count(count) => Ok(count),
        _ => Err(LinkError::Unexpected),
    }
}
