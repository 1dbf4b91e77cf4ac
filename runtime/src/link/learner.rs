//! The application that most devices want: a model, its head, and the store for what it learns.

use embedded_storage::nor_flash::NorFlash;

use super::{
    message::{Area, Description, Fault, HeadDescription, LISTED, PROTOCOL, Request, Response, Statistics},
    server::Application,
    teacher::{COUNTERS, Teacher},
};
use crate::{
    Session,
    format::crc::{Crc32, crc32},
    op::as_i8,
    persist::{Generation, PersistError, Store},
    train::{HeadKind, Verdict},
};

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
    teacher: Option<Teacher<'a>>,
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
    /// `work` holds a head that comes from the host or the store, and solutions in the making: [`work_bytes`](super::work_bytes), or for
    /// heads trained by gradients the larger one of [`Teacher::learned`] and what a [`Replay`](crate::train::Replay) keeps, at a multiple of 4.
    pub fn new(session: Session<'a>, teacher: Option<Teacher<'a>>, store: Store<'a, F>, work: &'a mut [u8], sensor: S) -> Self {
        let stored = Err(PersistError::NothingStored.into());
        let mut learner = Self { session, teacher, store, work, sensor, stored, statistics: Statistics::default() };
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
    pub fn teacher(&mut self) -> Option<&mut Teacher<'a>> {
        self.teacher.as_mut()
    }

    /// The store, likewise.
    pub fn store(&mut self) -> &mut Store<'a, F> {
        &mut self.store
    }

    /// Restores the head of the current generation.
    fn load(&mut self) -> Result<u32, Fault> {
        let teacher = self.teacher.as_mut().ok_or(Fault::NoHead)?;
        let number = self.store.current()?;
        teacher.load(self.work, |kind, into| Ok(self.store.load(kind, into)?))?;
        let mut learned = [0; 4];
        self.store.load(COUNTERS, &mut learned)?;
        self.statistics.learned = u32::from_le_bytes(learned);
        Ok(number)
    }

    /// Goes back to the file's head, and solves it, for how strange a sample is follows from a solution alone.
    fn begin_anew(&mut self) {
        self.statistics.learned = 0;
        if let Some(teacher) = &mut self.teacher {
            teacher.reset();
        }
        // What cannot be solved answers by the file's weights.
        let _ = self.solve();
    }

    fn teach(&mut self) -> Result<&mut Teacher<'a>, Fault> {
        self.teacher.as_mut().ok_or(Fault::NoHead)
    }

    fn solve(&mut self) -> Result<(), Fault> {
        Ok(self.teacher.as_mut().ok_or(Fault::NoHead)?.solve(self.work)?)
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
            head: self.teacher.as_ref().map(|teacher| HeadDescription {
                features: teacher.record().features as u32,
                capacity: teacher.record().capacity as u32,
                bytes: teacher.learned().len() as u32,
                by_gradients: teacher.record().kind == HeadKind::Dense,
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
            Area::Head => {
                let length = self.teacher.as_ref().ok_or(Fault::NoHead)?.learned().len();
                let place = self.work.get_mut(..length).and_then(|head| head.get_mut(offset as usize..));
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
            Area::Head => {
                let head = self.teacher.as_ref().ok_or(Fault::NoHead)?.learned();
                (head.len(), head.get(offset as usize..))
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
        if let Some(teacher) = &mut self.teacher {
            let record = teacher.record();
            self.session.run_until(record.node);
            answer = teacher.answer(as_i8(self.session.tensors().get(record.feature_tensor).1), self.work);
        }
        self.session.run();
        match self.outputs(0, room) {
            Response::Bytes { length, bytes } => Ok(Response::Inferred { answer, length, bytes }),
            other => Ok(other),
        }
    }

    /// Hands the features of the input to `work`, with the head.
    fn with_features<T>(
        &mut self,
        checksum: u32,
        work: impl FnOnce(&mut Teacher<'a>, &[i8]) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.teacher.is_none() {
            return Err(Fault::NoHead);
        }
        self.check_input(checksum)?;
        let teacher = self.teacher.as_mut().ok_or(Fault::NoHead)?;
        let record = teacher.record();
        work(teacher, self.session.features(&record))
    }

    fn learn(&mut self, checksum: u32, class: usize) -> Result<Response<'_>, Fault> {
        let count = self.with_features(checksum, |teacher, features| {
            teacher.learn(features, class)?;
            Ok(teacher.count(class))
        })?;
        self.statistics.learned = self.statistics.learned.wrapping_add(1);
        Ok(Response::Count(count))
    }

    fn forget(&mut self, checksum: u32, class: usize) -> Result<Response<'_>, Fault> {
        let count = self.with_features(checksum, |teacher, features| {
            let head = teacher.closed_form()?;
            head.forget(features, class)?;
            Ok(head.count(class))
        })?;
        self.statistics.learned = self.statistics.learned.wrapping_sub(1);
        Ok(Response::Count(count))
    }

    fn save(&mut self, tag: u32) -> Result<Response<'_>, Fault> {
        let teacher = self.teacher.as_ref().ok_or(Fault::NoHead)?;
        let number = teacher.save(&self.statistics.learned.to_le_bytes(), |parts| self.store.save(parts, tag))?;
        self.stored = Ok(number);
        self.statistics.saved = self.statistics.saved.wrapping_add(1);
        Ok(Response::Number(number))
    }

    /// Takes what the host wrote for the head.
    fn take_head(&mut self, checksum: u32, merge: bool) -> Result<Response<'_>, Fault> {
        let teacher = self.teacher.as_mut().ok_or(Fault::NoHead)?;
        let written = self.work.get(..teacher.learned().len()).unwrap_or_default();
        if crc32(written) != checksum {
            return Err(Fault::Checksum);
        }
        if merge {
            teacher.closed_form()?.merge(written)?
        } else {
            teacher.restore(written)?
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
            Request::Learn { checksum, class } => self.learn(checksum, class as usize),
            Request::Forget { checksum, class } => self.forget(checksum, class as usize),
            Request::ForgetClass { class } => {
                self.teach()?.closed_form()?.forget_class(class as usize)?;
                Ok(Response::Done)
            }
            Request::Count { class } => Ok(Response::Count(self.teach()?.count(class as usize))),
            Request::Solve => self.solve().map(done),
            Request::Save { tag } => self.save(tag),
            Request::Restore { checksum } => self.take_head(checksum, false),
            Request::Merge { checksum } => self.take_head(checksum, true),
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
            Request::Hold { checksum, class } => {
                self.with_features(checksum, |teacher, features| teacher.hold(features, class as usize)).map(done)
            }
            Request::Check => Ok(match self.teach()?.check()? {
                Verdict::Kept { loss, best } => Response::Checked { kept: true, loss, best },
                Verdict::RolledBack { loss, best } => Response::Checked { kept: false, loss, best },
            }),
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
