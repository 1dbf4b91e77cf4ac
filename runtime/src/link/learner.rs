//! The application that most devices want: a model, its head, and the store for what it learns.

use embedded_storage::nor_flash::NorFlash;

use super::{
    message::{Answer, Area, Description, Fault, HeadDescription, LISTED, PROTOCOL, Request, Response, Statistics},
    server::Application,
};
use crate::{
    Session,
    format::crc::{Crc32, crc32},
    op::as_i8,
    persist::{Generation, Part, PersistError, Store},
    train::{ClosedFormHead, TrainError},
};

/// Parts of a generation: the sums of a [`ClosedFormHead`].
pub const SUMS: u8 = 1;
/// Parts of a generation: counters, u32 each: samples learned.
pub const COUNTERS: u8 = 2;

/// Where samples come from on the device.
pub trait Sensor {
    /// Takes a sample and writes it into the session's inputs; its class, if the device knows it (a button, a second sensor).
    ///
    /// # Errors
    /// [`Fault::NoSample`].
    fn capture(&mut self, session: &mut Session<'_>) -> Result<Option<u32>, Fault>;
}

/// No sensor.
impl Sensor for () {
    fn capture(&mut self, _: &mut Session<'_>) -> Result<Option<u32>, Fault> {
        Err(Fault::NoSample)
    }
}

/// A model on a device that learns, and keeps what it learned.
#[derive(Debug)]
pub struct Learner<'a, F, S> {
    session: Session<'a>,
    head: Option<ClosedFormHead<'a>>,
    store: Store<'a, F>,
    work: &'a mut [u8],
    sensor: S,
    stored: Result<u32, Fault>,
    statistics: Statistics,
}

impl<'a, F: NorFlash, S: Sensor> Learner<'a, F, S> {
    /// Begins with what is stored for the head; with the file's head, if there is nothing, or it cannot be used: what is the
    /// reason is part of the device's [`Description`].
    ///
    /// `work` holds sums that come from the host, and solutions in the making: [`work_bytes`](super::work_bytes) at a multiple of 4.
    pub fn new(
        session: Session<'a>,
        head: Option<ClosedFormHead<'a>>,
        store: Store<'a, F>,
        work: &'a mut [u8],
        sensor: S,
    ) -> Self {
        let stored = Err(PersistError::NothingStored.into());
        let mut learner = Self { session, head, store, work, sensor, stored, statistics: Statistics::default() };
        learner.stored = learner.load();
        if learner.stored.is_err() {
            learner.begin_anew();
        }
        learner
    }

    /// The session, for what the device does beside the link.
    pub fn session(&mut self) -> &mut Session<'a> {
        &mut self.session
    }

    /// The head, likewise.
    pub fn head(&mut self) -> Option<&mut ClosedFormHead<'a>> {
        self.head.as_mut()
    }

    /// The store, likewise.
    pub fn store(&mut self) -> &mut Store<'a, F> {
        &mut self.store
    }

    /// Restores the head of the current generation.
    fn load(&mut self) -> Result<u32, Fault> {
        let head = self.head.as_mut().ok_or(Fault::NoHead)?;
        let number = self.store.current()?;
        let length = self.store.load(SUMS, self.work)?;
        head.restore(self.work.get(..length).unwrap_or_default())?;
        let mut learned = [0; 4];
        self.store.load(COUNTERS, &mut learned)?;
        self.statistics.learned = u32::from_le_bytes(learned);
        self.solve()?;
        Ok(number)
    }

    /// Goes back to the file's head, and solves it, for how strange a sample is follows from a solution alone.
    fn begin_anew(&mut self) {
        self.statistics.learned = 0;
        if let Some(head) = &mut self.head {
            head.reset();
        }
        // What cannot be solved answers by the file's weights.
        let _ = self.solve();
    }

    /// Makes the head of its sums. One that knows no class is nothing to be solved.
    fn solve(&mut self) -> Result<(), Fault> {
        let head = self.head.as_mut().ok_or(Fault::NoHead)?;
        match head.solve(self.work) {
            Ok(()) | Err(TrainError::NoSamples) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn describe(&mut self) -> Description {
        let model = *self.session.model();
        let bytes = |tensor: Option<u32>| tensor.map(|tensor| model.tensor(tensor).bytes() as u32);
        Description {
            protocol: PROTOCOL,
            frame_bytes: 0, // The server's.
            model: model.hash(),
            input_bytes: (0..).map_while(|index| bytes(model.input(index))).sum(),
            output_bytes: (0..).map_while(|index| bytes(model.output(index))).sum(),
            head: self.head.as_ref().map(|head| HeadDescription {
                features: head.record().features as u32,
                capacity: head.record().capacity as u32,
                sums_bytes: head.sums().len() as u32,
            }),
            stored: self.stored,
        }
    }

    fn write(&mut self, area: Area, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        match area {
            Area::Input => {
                let (mut offset, mut bytes, mut index, mut length) = (offset as usize, bytes, 0, 0);
                // A run that was begun elsewhere would be spoiled.
                self.session.abandon();
                while let Ok(input) = self.session.input_bytes_mut(index) {
                    length += input.len();
                    match input.get_mut(offset..) {
                        Some(place) => {
                            let count = place.len().min(bytes.len());
                            let (now, later) = bytes.split_at_checked(count).unwrap_or_default();
                            place.iter_mut().zip(now).for_each(|(to, &from)| *to = from);
                            (offset, bytes) = (0, later);
                        }
                        None => offset -= input.len(),
                    }
                    index += 1;
                }
                if bytes.is_empty() { Ok(()) } else { Err(Fault::Range { length: length as u32 }) }
            }
            Area::Sums => {
                let length = self.head.as_ref().ok_or(Fault::NoHead)?.sums().len();
                let place = self.work.get_mut(..length).and_then(|sums| sums.get_mut(offset as usize..));
                let place = place.and_then(|place| place.get_mut(..bytes.len()));
                place.ok_or(Fault::Range { length: length as u32 })?.copy_from_slice(bytes);
                Ok(())
            }
            Area::Output => Err(Fault::Range { length: 0 }),
        }
    }

    fn read(&mut self, area: Area, offset: u32, room: usize) -> Result<Response<'_>, Fault> {
        let (length, found) = match area {
            Area::Input => {
                let mut place = Place::new(offset);
                let mut index = 0;
                while let Ok(input) = self.session.input_bytes_mut(index) {
                    place.pass(index, input.len());
                    index += 1;
                }
                let found = place.found.and_then(|(index, at)| self.session.input_bytes_mut(index).ok()?.get(at..));
                (place.length, found)
            }
            Area::Output => return Ok(self.outputs(offset, room)),
            Area::Sums => {
                let sums = self.head.as_ref().ok_or(Fault::NoHead)?.sums();
                (sums.len(), sums.get(offset as usize..))
            }
        };
        let length = length as u32;
        let bytes = found.ok_or(Fault::Range { length })?;
        Ok(Response::Bytes { length, bytes: bytes.get(..room).unwrap_or(bytes) })
    }

    fn outputs(&self, offset: u32, room: usize) -> Response<'_> {
        let mut place = Place::new(offset);
        let outputs = (0..).map_while(|index| self.session.output_bytes(index));
        outputs.enumerate().for_each(|(index, output)| place.pass(index, output.len()));
        let found = place.found.and_then(|(index, at)| self.session.output_bytes(index)?.get(at..)).unwrap_or_default();
        Response::Bytes { length: place.length as u32, bytes: found.get(..room).unwrap_or(found) }
    }

    /// Looks whether the input is the host's.
    fn check_input(&mut self, expected: u32) -> Result<(), Fault> {
        let (mut checksum, mut index) = (Crc32::new(), 0);
        while let Ok(input) = self.session.input_bytes_mut(index) {
            checksum.update(input);
            index += 1;
        }
        if checksum.finish() == expected { Ok(()) } else { Err(Fault::Checksum) }
    }

    fn infer(&mut self, checksum: u32, room: usize) -> Result<Response<'_>, Fault> {
        self.check_input(checksum)?;
        self.statistics.runs = self.statistics.runs.wrapping_add(1);
        let mut answer = None;
        if let Some(head) = &mut self.head {
            let record = *head.record();
            self.session.run_until(record.node);
            let prediction = head.classify(as_i8(self.session.tensors().get(record.feature_tensor).1)).ok();
            answer = prediction.map(|prediction| Answer {
                class: prediction.class as u32,
                margin: prediction.margin,
                strangeness: prediction.strangeness,
                known: prediction.known,
            });
        }
        self.session.run();
        match self.outputs(0, room) {
            Response::Bytes { length, bytes } => Ok(Response::Inferred { answer, length, bytes }),
            other => Ok(other),
        }
    }

    fn learn(&mut self, checksum: u32, class: u32, forget: bool) -> Result<Response<'_>, Fault> {
        if self.head.is_none() {
            return Err(Fault::NoHead);
        }
        self.check_input(checksum)?;
        let head = self.head.as_mut().ok_or(Fault::NoHead)?;
        let features = self.session.features(head.record());
        let learned = &mut self.statistics.learned;
        if forget {
            head.forget(features, class as usize)?;
            *learned = learned.wrapping_sub(1);
        } else {
            head.add(features, class as usize)?;
            *learned = learned.wrapping_add(1);
        }
        Ok(Response::Count(head.count(class as usize)))
    }

    fn save(&mut self, tag: u32) -> Result<Response<'_>, Fault> {
        let sums = self.head.as_ref().ok_or(Fault::NoHead)?.sums();
        let learned = self.statistics.learned.to_le_bytes();
        let parts = [Part { kind: SUMS, slices: &[sums] }, Part { kind: COUNTERS, slices: &[&learned] }];
        let number = self.store.save(&parts, tag)?;
        self.stored = Ok(number);
        self.statistics.saved = self.statistics.saved.wrapping_add(1);
        Ok(Response::Number(number))
    }

    /// Takes the sums that the host wrote.
    fn take_sums(&mut self, checksum: u32, merge: bool) -> Result<Response<'_>, Fault> {
        let head = self.head.as_mut().ok_or(Fault::NoHead)?;
        let sums = self.work.get(..head.sums().len()).unwrap_or_default();
        if crc32(sums) != checksum {
            return Err(Fault::Checksum);
        }
        if merge {
            head.merge(sums)?
        } else {
            head.restore(sums)?
        }
        self.solve()?;
        Ok(Response::Done)
    }

    fn reset(&mut self) -> Result<Response<'_>, Fault> {
        self.store.factory_reset()?;
        self.stored = Err(PersistError::NothingStored.into());
        self.begin_anew();
        Ok(Response::Done)
    }
}

impl<F: NorFlash, S: Sensor> Application for Learner<'_, F, S> {
    fn handle(&mut self, request: &Request<'_>, room: usize) -> Result<Response<'_>, Fault> {
        let done = |()| Response::Done;
        match *request {
            Request::Describe => Ok(Response::Description(self.describe())),
            Request::Write { area, offset, bytes } => self.write(area, offset, bytes).map(done),
            Request::Read { area, offset } => self.read(area, offset, room),
            Request::Infer { checksum } => self.infer(checksum, room),
            Request::Learn { checksum, class } => self.learn(checksum, class, false),
            Request::Forget { checksum, class } => self.learn(checksum, class, true),
            Request::ForgetClass { class } => {
                self.head.as_mut().ok_or(Fault::NoHead)?.forget_class(class as usize)?;
                Ok(Response::Done)
            }
            Request::Count { class } => {
                let head = self.head.as_ref().ok_or(Fault::NoHead)?;
                Ok(Response::Count(head.count(class as usize)))
            }
            Request::Solve => self.solve().map(done),
            Request::Save { tag } => self.save(tag),
            Request::Restore { checksum } => self.take_sums(checksum, false),
            Request::Merge { checksum } => self.take_sums(checksum, true),
            Request::Generation { index } => {
                let mut list = [Generation::default(); LISTED];
                let count = self.store.generations(&mut list)?;
                let generation = list.get(index as usize).filter(|_| (index as usize) < count).copied();
                Ok(Response::Generation { count: count as u32, generation })
            }
            Request::RollBack { number } => {
                self.store.roll_back(number)?;
                self.stored = self.load();
                self.stored.map(|_| Response::Done)
            }
            Request::Reset => self.reset(),
            Request::Capture => {
                self.session.abandon();
                Ok(Response::Captured { label: self.sensor.capture(&mut self.session)? })
            }
            Request::Statistics => Ok(Response::Statistics(self.statistics)),
        }
    }
}

/// Finds the tensor of several, one after the other, that an offset lies in.
struct Place {
    offset: usize,
    /// Index of the tensor, and the offset in it.
    found: Option<(usize, usize)>,
    length: usize,
}

impl Place {
    fn new(offset: u32) -> Self {
        Self { offset: offset as usize, found: None, length: 0 }
    }

    fn pass(&mut self, index: usize, bytes: usize) {
        if self.offset >= self.length && self.offset < self.length + bytes {
            self.found = Some((index, self.offset - self.length));
        }
        self.length += bytes;
    }
}
