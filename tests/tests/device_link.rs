//! A host talks to a simulated device, the code that firmware runs, over lines that lose, cut, repeat and damage what they carry:
//! every operation ends in the right answer, none is carried out twice, and whatever happens the device is sound.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use rand::{Rng, rngs::StdRng};
use samara_runtime::link::{Fault, Learner, Sensor, Server, Teacher, work_bytes};
use samara_runtime::persist::{PersistError, Store, mock::MockFlash, working_bytes};
use samara_runtime::train::{
    ClosedFormHead, GradientHead, GradientOptions, Guard, HeadKind, Loss, Replay, Target, TrainError, Verdict,
    closed_form_bytes, gradient_bytes, guard_bytes, replay_bytes,
};
use samara_runtime::{ALL_OPS, Model as DeviceFile, Session, arena::AlignedBuffer, format::writer::ModelFile};
use samara_tests::generator;
use samara_trainer::device::dense_head::{DenseHeadOptions, add_dense_head};
use samara_trainer::device::heads::{ClosedFormOptions, add_closed_form_head, features_of};
use samara_trainer::link::{Device, LinkError, Patience};
use samara_trainer::prelude::*;
use samara_trainer::quantize::Options;

const CLASSES: usize = 3;
const INPUTS: usize = 300;
/// Bytes of the device's frames: an input does not fit into one.
const FRAME: usize = 192;
const PAGES: usize = 12;

/// Samples around a mean for each of four classes, from 0 to 1.
fn samples(count: usize, seed: u64) -> (Tensor, Vec<usize>) {
    let mut random = generator(seed);
    let labels: Vec<usize> = (0..count).map(|sample| sample % (CLASSES + 1)).collect();
    let value = |label: usize, at: usize| if at % (CLASSES + 1) == label { 1.0 } else { -0.2 };
    let values = labels.iter().flat_map(|&label| (0..INPUTS).map(move |at| value(label, at)));
    let values = values.map(|mean| (mean + random.random_range(-0.9f32..0.9)).clamp(0.0, 1.0)).collect();
    (Tensor::from_samples([INPUTS], values).expect("whole samples"), labels)
}

/// A model of so many classes.
fn without_head(seed: u64, classes: usize) -> ModelFile {
    let x = input([INPUTS]);
    let features = Dense::new(9).activation(Activation::Relu).apply(&x);
    let mut model = Model::new("small", &x, Dense::new(classes).activation(Activation::Softmax).apply(&features)).unwrap();
    model.initialize(seed);
    ModelFile::from_bytes(&model.export_int8(&[samples(400, 1).0], Options::default()).unwrap()).unwrap()
}

/// A model with a head that is trained by gradients, and knows nothing.
fn dense_file() -> Vec<u8> {
    let mut file = without_head(5, CLASSES + 1);
    add_dense_head(&mut file, DenseHeadOptions::default(), &[0.0; 9 * (CLASSES + 1)], &[]).unwrap();
    file.to_bytes()
}

/// A model with a head that knows three of the four classes.
fn file(seed: u64) -> Vec<u8> {
    let mut file = without_head(seed, CLASSES);
    let (some, labels) = samples(400, 1);
    let known: Vec<usize> = (0..400).filter(|&sample| labels[sample] < CLASSES).collect();
    let values = known.iter().flat_map(|&sample| some.sample(sample).unwrap().to_vec()).collect();
    let labels: Vec<usize> = known.iter().map(|&sample| labels[sample]).collect();
    let rows = features_of(&file, 0, &[Tensor::from_samples([INPUTS], values).unwrap()]).unwrap();
    add_closed_form_head(&mut file, &rows, &labels, ClosedFormOptions::default()).unwrap();
    file.to_bytes()
}

/// A flash that outlives the device's program.
#[derive(Debug, Clone)]
struct Chip(Rc<RefCell<MockFlash<4, 1024>>>);

impl ErrorType for Chip {
    type Error = samara_runtime::persist::mock::MockError;
}

impl ReadNorFlash for Chip {
    const READ_SIZE: usize = 1;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.0.borrow_mut().read(offset, bytes)
    }
    fn capacity(&self) -> usize {
        PAGES * 1024
    }
}

impl NorFlash for Chip {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 1024;
    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        self.0.borrow_mut().erase(from, to)
    }
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.borrow_mut().write(offset, bytes)
    }
}

/// Gives inputs that count up, and a class for every second one.
#[derive(Debug)]
struct Counting(u32);

impl Sensor for Counting {
    fn capture(&mut self, session: &mut Session<'_>) -> Result<Option<u32>, Fault> {
        self.0 += 1;
        session.input_bytes_mut(0)?.fill(self.0 as u8);
        Ok(self.0.is_multiple_of(2).then_some(self.0))
    }
}

/// The program of a device; what its memory holds lasts as long as the test.
struct Program {
    server: Server<FRAME>,
    learner: Learner<'static, Chip, Counting>,
}

fn leaked(bytes: usize) -> &'static mut [u8] {
    Box::leak(Box::new(AlignedBuffer::zeros(bytes))).as_mut_slice()
}

fn program(file: &[u8], chip: &Chip) -> Program {
    let bytes = leaked(file.len());
    bytes.copy_from_slice(file);
    let bytes: &'static [u8] = bytes;
    let model = DeviceFile::parse(bytes, ALL_OPS).unwrap();
    let session = Session::new(model, leaked(model.arena_bytes())).unwrap();
    let store = Store::open(chip.clone(), 0..PAGES as u32 * 1024, model.hash(), leaked(working_bytes(PAGES))).unwrap();
    let learner = Learner::new(session, Some(teacher(&model)), store, leaked(work_bytes(bytes, 0)), Counting(0));
    Program { server: Server::new(), learner }
}

/// The head of the model's kind.
fn teacher(model: &DeviceFile<'static>) -> Teacher<'static> {
    let record = model.head(0).unwrap();
    if record.kind == HeadKind::ClosedForm {
        return Teacher::ClosedForm(ClosedFormHead::new(model, 0, leaked(closed_form_bytes(model.bytes(), 0))).unwrap());
    }
    let options = GradientOptions::DEFAULT;
    let head = GradientHead::new(model, 0, 4, options, leaked(gradient_bytes(model.bytes(), 0, 4))).unwrap();
    let replay = leaked(replay_bytes(record.capacity, 5, record.features));
    let replay = Replay::new(record.capacity, 5, record.features, 1, replay).unwrap();
    let guard = Guard::new(&head, 20, 0.0, leaked(guard_bytes(model.bytes(), 0, Loss::SoftmaxCrossEntropy, 20))).unwrap();
    Teacher::Gradient { head, replay, guard }
}

/// The device's serial port: what the host sent, and what goes back.
struct Wire<'a> {
    arrived: &'a [u8],
    answered: Vec<u8>,
}

impl embedded_io::ErrorType for Wire<'_> {
    type Error = std::convert::Infallible;
}

impl embedded_io::Read for Wire<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Self::Error> {
        let count = bytes.len().min(self.arrived.len());
        let (now, later) = self.arrived.split_at(count);
        bytes[..count].copy_from_slice(now);
        self.arrived = later;
        Ok(count)
    }
}

impl embedded_io::Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        self.answered.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// A device and the line to it.
struct Bench {
    file: Vec<u8>,
    chip: Chip,
    program: RefCell<Program>,
    random: RefCell<StdRng>,
    /// What of a hundred pieces that go over the line is spoiled.
    spoiled: u32,
    /// The cable is pulled after so many bytes.
    pulled: Cell<Option<usize>>,
    /// The device restarts after so many bytes.
    restarts: Cell<Option<usize>>,
}

impl Bench {
    fn new(spoiled: u32) -> Self {
        Self::with(file(5), spoiled)
    }

    fn with(file: Vec<u8>, spoiled: u32) -> Self {
        let (file, chip) = (file, Chip(Rc::new(RefCell::new(MockFlash::new(PAGES)))));
        let program = RefCell::new(program(&file, &chip));
        let random = RefCell::new(generator(7));
        Self { file, chip, program, random, spoiled, pulled: Cell::new(None), restarts: Cell::new(None) }
    }

    fn connect(&self) -> Result<Device<Line<'_>>, LinkError> {
        let line = Line { bench: self, to_host: VecDeque::new() };
        Device::connect_with(line, Patience { answer: Duration::ZERO, tries: 100 })
    }

    fn restart(&self) {
        *self.program.borrow_mut() = program(&self.file, &self.chip);
    }

    /// What becomes of bytes on the line.
    fn carry(&self, bytes: &[u8]) -> Vec<u8> {
        let mut random = self.random.borrow_mut();
        let mut bytes = bytes.to_vec();
        if bytes.is_empty() || random.random_range(0..100) >= self.spoiled {
            return bytes;
        }
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..7) {
            0 => bytes.clear(),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(..at)),
            3 => bytes[at] ^= 1 << random.random_range(0..8),
            4 => bytes = bytes.repeat(2),
            5 => bytes.insert(at, random.random()),
            _ => bytes.splice(at..at, (0..2 * FRAME).map(|_| random.random_range(1..=255))).for_each(drop),
        }
        bytes
    }

    /// The bytes that get through before what is to happen happens.
    fn before(event: &Cell<Option<usize>>, bytes: usize) -> Option<usize> {
        let left = event.get()?;
        event.set(Some(left.saturating_sub(bytes)));
        (left < bytes).then_some(left)
    }

    /// The device gets bytes, and answers.
    fn serve(&self, arrived: &[u8]) -> Vec<u8> {
        let mut wire = Wire { arrived, answered: Vec::new() };
        let Program { server, learner } = &mut *self.program.borrow_mut();
        while !wire.arrived.is_empty() {
            let Ok(_) = server.poll(&mut wire, learner);
        }
        wire.answered
    }
}

/// The host's end of the line.
struct Line<'a> {
    bench: &'a Bench,
    to_host: VecDeque<u8>,
}

impl std::fmt::Debug for Line<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Line")
    }
}

impl io::Read for Line<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.to_host.read(bytes)?;
        if count == 0 { Err(io::ErrorKind::TimedOut.into()) } else { Ok(count) }
    }
}

impl io::Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bench = self.bench;
        let carried = bench.carry(bytes);
        if let Some(left) = Bench::before(&bench.pulled, carried.len()) {
            bench.serve(&carried[..left]);
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let answered = match Bench::before(&bench.restarts, carried.len()) {
            Some(left) => {
                // What it would have answered is lost with all else that is in its memory.
                bench.serve(&carried[..left]);
                bench.restarts.set(None);
                bench.restart();
                bench.serve(&carried[left..])
            }
            None => bench.serve(&carried),
        };
        if let Some(left) = Bench::before(&bench.pulled, answered.len()) {
            self.to_host.extend(&answered[..left]);
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.to_host.extend(bench.carry(&answered));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The same model on this machine.
struct Twin {
    session: Session<'static>,
    head: ClosedFormHead<'static>,
    work: &'static mut [u8],
}

impl Twin {
    fn new(file: &[u8]) -> Self {
        let bytes = leaked(file.len());
        bytes.copy_from_slice(file);
        let bytes: &'static [u8] = bytes;
        let model = DeviceFile::parse(bytes, ALL_OPS).unwrap();
        Self {
            session: Session::new(model, leaked(model.arena_bytes())).unwrap(),
            head: ClosedFormHead::new(&model, 0, leaked(closed_form_bytes(bytes, 0))).unwrap(),
            work: leaked(work_bytes(bytes, 0)),
        }
    }

    /// A sample as the model takes it.
    fn input(&mut self, samples: &Tensor, sample: usize) -> Vec<u8> {
        self.session.write_f32(0, &samples.sample(sample).unwrap()).unwrap();
        self.session.input_bytes_mut(0).unwrap().to_vec()
    }

    fn write(&mut self, input: &[u8]) {
        self.session.input_bytes_mut(0).unwrap().copy_from_slice(input);
    }

    fn learn(&mut self, input: &[u8], class: usize) {
        self.write(input);
        self.head.add(self.session.features(self.head.record()), class).unwrap();
    }

    fn answer(&mut self, input: &[u8]) -> (u32, u32, Vec<u8>) {
        self.write(input);
        let found = self.head.classify(self.session.features(self.head.record())).unwrap();
        self.write(input);
        self.session.run();
        (found.class as u32, found.margin.to_bits(), self.session.output_bytes(0).unwrap().to_vec())
    }
}

fn answers_agree(device: &mut Device<Line<'_>>, twin: &mut Twin, inputs: &[Vec<u8>]) {
    for input in inputs {
        let there = device.infer(input).unwrap();
        let answer = there.answer.unwrap();
        assert_eq!((answer.class, answer.margin.to_bits(), there.outputs), twin.answer(input));
    }
}

/// All that a host does with a device, over a line that spoils so many of a hundred pieces.
fn everything(spoiled: u32) -> u64 {
    let bench = Bench::new(spoiled);
    let mut device = bench.connect().unwrap();
    let mut twin = Twin::new(&bench.file);
    assert_eq!(device.description().model, twin.session.model().hash());
    assert_eq!(device.description().stored, Err(Fault::Persist(PersistError::NothingStored)));
    let (samples, labels) = samples(60, 3);
    let inputs: Vec<Vec<u8>> = (0..60).map(|sample| twin.input(&samples, sample)).collect();
    answers_agree(&mut device, &mut twin, &inputs[..20]);

    // A new class, sample by sample: each once, or the sums would differ.
    let before = device.learned().unwrap();
    assert_eq!(before, twin.head.sums());
    for (count, sample) in (0..60).filter(|&sample| labels[sample] == CLASSES).enumerate() {
        assert_eq!(device.learn(&inputs[sample], CLASSES as u32).unwrap(), count as u32 + 1);
        twin.learn(&inputs[sample], CLASSES);
    }
    device.solve().unwrap();
    twin.head.solve(twin.work).unwrap();
    assert_eq!(device.learned().unwrap(), twin.head.sums());
    answers_agree(&mut device, &mut twin, &inputs[20..40]);
    let learned = device.learned().unwrap();
    assert_eq!(device.save(950).unwrap(), 1);

    // Generations: one step further, and back; and what was saved is there after a restart.
    assert_eq!(device.forget(&inputs[3], CLASSES as u32).unwrap(), 14);
    device.forget_class(0).unwrap();
    assert_eq!(device.count(0).unwrap(), 0);
    assert_eq!(device.save(900).unwrap(), 2);
    let (list, count) = device.generations().unwrap();
    assert_eq!(count, 2);
    assert_eq!(
        list.iter().map(|found| (found.number, found.tag, found.current)).collect::<Vec<_>>(),
        [(2, 900, true), (1, 950, false)]
    );
    device.roll_back(1).unwrap();
    assert_eq!(device.learned().unwrap(), learned);
    answers_agree(&mut device, &mut twin, &inputs[40..]);
    bench.restart();
    assert_eq!(device.describe().unwrap().stored, Ok(1));
    assert_eq!(device.learned().unwrap(), learned);
    answers_agree(&mut device, &mut twin, &inputs[..10]);

    // What another device learned comes in.
    device.restore(&before).unwrap();
    assert_eq!(device.learned().unwrap(), before);
    device.merge(&learned).unwrap();
    assert_eq!(device.learned().unwrap(), learned, "the file's sums count once");
    answers_agree(&mut device, &mut twin, &inputs[10..20]);

    for number in 1..=4u32 {
        let (input, label) = device.capture().unwrap();
        assert_eq!((input, label), (vec![number as u8; INPUTS], (number % 2 == 0).then_some(number)));
    }
    device.reset().unwrap();
    assert_eq!(device.learned().unwrap(), before);
    assert_eq!(device.generations().unwrap().1, 0);
    let statistics = device.statistics().unwrap();
    assert_eq!((statistics.learned, statistics.saved, statistics.runs), (0, 0, 20));
    assert_eq!(spoiled == 0, statistics.frames.damaged + statistics.frames.oversized == 0);
    device.repeated()
}

#[test]
fn a_host_does_all_it_can_over_a_good_line() {
    assert_eq!(everything(0), 0, "nothing is repeated");
}

#[test]
fn a_host_does_all_it_can_over_a_bad_line() {
    for spoiled in [3, 30] {
        let repeated = everything(spoiled);
        println!("{spoiled} of 100 pieces spoiled: {repeated} requests were sent once more");
        assert!(repeated > 10);
    }
}

/// A head that is trained by gradients takes the same steps there as here, to the last bit, and its stored samples outlive a restart.
#[test]
fn a_head_is_trained_over_a_bad_line() {
    let bench = Bench::with(dense_file(), 20);
    let mut device = bench.connect().unwrap();
    assert!(device.head().unwrap().by_gradients);
    let bytes = leaked(bench.file.len());
    bytes.copy_from_slice(&bench.file);
    let model = DeviceFile::parse(bytes, ALL_OPS).unwrap();
    let mut session = Session::new(model, leaked(model.arena_bytes())).unwrap();
    let Teacher::Gradient { mut head, mut replay, mut guard } = teacher(&model) else { panic!("a head of the other kind") };
    let (samples, labels) = samples(100, 3);
    let mut prepare = |sample: usize| {
        session.write_f32(0, &samples.sample(sample).unwrap()).unwrap();
        let input = session.input_bytes_mut(0).unwrap().to_vec();
        (input, session.features(head.record()).to_vec(), labels[sample])
    };
    let prepared: Vec<_> = (0..100).map(&mut prepare).collect();
    for (input, features, label) in &prepared[..20] {
        device.hold(input, *label as u32).unwrap();
        guard.hold(&head, features, Target::Class(*label)).unwrap();
    }
    for (input, features, label) in &prepared[20..] {
        let count = device.learn(input, *label as u32).unwrap();
        head.add(features, Target::Class(*label)).unwrap();
        replay.add(features, *label).unwrap();
        for _ in 0..3 {
            let (features, label) = replay.draw().unwrap();
            head.add(features, Target::Class(label)).unwrap();
        }
        head.step().unwrap();
        assert_eq!(count, replay.seen(*label));
    }
    let verdict = device.check().unwrap();
    assert_eq!(verdict, guard.check(&mut head).unwrap());
    assert!(matches!(verdict, Verdict::Kept { loss, best } if loss < 0.5 * best), "{verdict:?}");
    let bytes_of =
        |head: &GradientHead<'_>| -> Vec<u8> { head.solution().iter().flat_map(|value| value.to_le_bytes()).collect() };
    assert_eq!(device.learned().unwrap(), bytes_of(&head));
    let right = prepared[..20].iter().filter(|(input, _, label)| {
        device.infer(input).unwrap().answer.is_some_and(|answer| answer.class == *label as u32 && answer.margin > 0.0)
    });
    assert!(right.count() > 17);

    assert_eq!(device.save(7).unwrap(), 1);
    bench.restart();
    assert_eq!(device.describe().unwrap().stored, Ok(1));
    assert_eq!(device.learned().unwrap(), bytes_of(&head));
    let counts: Vec<u32> = (0..=CLASSES as u32).map(|class| device.count(class).unwrap()).collect();
    assert_eq!(counts, [20; CLASSES + 1], "samples are stored with the head");
    // Nonsense is taken back.
    for (input, _, label) in &prepared[..20] {
        device.hold(input, *label as u32).unwrap();
    }
    for (input, _, _) in &prepared[20..60] {
        device.learn(input, 0).unwrap();
    }
    assert!(matches!(device.check().unwrap(), Verdict::RolledBack { .. }));
    assert_eq!(device.learned().unwrap(), bytes_of(&head));
    let kind = |result: Result<(), LinkError>| matches!(result, Err(LinkError::Refused(Fault::HeadKind)));
    let learned = device.learned().unwrap();
    assert!(kind(device.merge(&learned)) && kind(device.forget_class(0)));
    device.restore(&vec![0; learned.len()]).unwrap();
    assert_eq!(device.learned().unwrap(), vec![0; learned.len()]);
    device.reset().unwrap();
    assert_eq!((device.count(0).unwrap(), device.generations().unwrap().1), (0, 0));
}

#[test]
fn refusals_name_their_reason() {
    let bench = Bench::new(0);
    let mut device = bench.connect().unwrap();
    let refused = |result: Result<(), LinkError>| match result {
        Err(LinkError::Refused(fault)) => fault,
        other => panic!("{other:?}"),
    };
    let input = vec![0; INPUTS];
    let far = refused(device.learn(&input, 99).map(drop));
    assert_eq!(far, Fault::Train(TrainError::NoSuchClass { capacity: 7, found: 99 }));
    assert_eq!(far.to_string(), "there is no class 99: the head has room for 7, numbered from 0 on");
    assert_eq!(refused(device.roll_back(3)), Fault::Persist(PersistError::UnknownGeneration { generation: 3 }));
    let odd = device.infer(&input[1..]).unwrap_err().to_string();
    assert_eq!(odd, "the input of the device has 300 bytes, 299 were given");
    let sums = vec![0xff; device.head().unwrap().bytes as usize];
    assert_eq!(refused(device.restore(&sums)), Fault::Train(TrainError::Sums));
    // The firmware has a new base model.
    device.save(1).unwrap();
    let other = Bench { file: file(6), chip: bench.chip.clone(), ..Bench::new(0) };
    other.restart();
    let mut device = other.connect().unwrap();
    let stored = device.description().stored.unwrap_err();
    assert!(matches!(stored, Fault::Persist(PersistError::AnotherModel { .. })), "{stored:?}");
    assert_eq!(refused(device.save(1).map(drop)), stored);
    device.reset().unwrap();
    assert_eq!(device.save(1).unwrap(), 1);
}

#[test]
fn the_cable_may_be_pulled_at_any_byte() {
    let twin = &mut Twin::new(&file(5));
    let (samples, _) = samples(8, 3);
    let inputs: Vec<Vec<u8>> = (0..8).map(|sample| twin.input(&samples, sample)).collect();
    let work = |bench: &Bench| -> Result<(), LinkError> {
        let mut device = bench.connect()?;
        for input in &inputs[..2] {
            device.learn(input, CLASSES as u32)?;
        }
        device.solve()?;
        device.save(1)?;
        device.infer(&inputs[0]).map(drop)
    };
    for (pulls, bytes) in (0..).step_by(7).enumerate() {
        let bench = Bench::new(0);
        bench.pulled.set(Some(bytes));
        let ended = work(&bench);
        bench.pulled.set(None);
        // Another host comes, and finds a device that knows whole samples.
        let mut device = bench.connect().unwrap();
        let count = device.count(CLASSES as u32).unwrap() as usize;
        let mut twin = Twin::new(&bench.file);
        inputs[..count].iter().for_each(|input| twin.learn(input, CLASSES));
        assert_eq!(device.learned().unwrap(), twin.head.sums(), "after {bytes} bytes");
        for input in &inputs[count..] {
            device.learn(input, CLASSES as u32).unwrap();
            twin.learn(input, CLASSES);
        }
        device.solve().unwrap();
        twin.head.solve(twin.work).unwrap();
        answers_agree(&mut device, &mut twin, &inputs[..2]);
        if ended.is_ok() {
            println!("{pulls} times the cable was pulled, and the device sound");
            assert!(pulls > 100);
            return;
        }
    }
}

#[test]
fn a_restart_is_noticed_and_loses_only_what_was_not_saved() {
    let twin = &mut Twin::new(&file(5));
    let (samples, _) = samples(8, 3);
    let inputs: Vec<Vec<u8>> = (0..8).map(|sample| twin.input(&samples, sample)).collect();
    let mut noticed = 0;
    for bytes in (0..6_000).step_by(23) {
        let bench = Bench::new(0);
        let mut device = bench.connect().unwrap();
        assert_eq!(device.learn(&inputs[0], CLASSES as u32).unwrap(), 1);
        device.save(1).unwrap();
        bench.restarts.set(Some(bytes));
        let counts: Vec<u32> = inputs[1..].iter().map(|input| device.learn(input, CLASSES as u32).unwrap()).collect();
        bench.restarts.set(None);
        let restarted = counts.windows(2).any(|pair| pair[1] != pair[0] + 1) || counts[0] != 2;
        let last = *counts.last().unwrap() as usize;
        assert_eq!(restarted, last != 8, "{counts:?}");
        noticed += usize::from(restarted);
        // What it knows are the sample that was saved and the last ones.
        let mut twin = Twin::new(&bench.file);
        twin.learn(&inputs[0], CLASSES);
        inputs[8 - (last - 1)..].iter().for_each(|input| twin.learn(input, CLASSES));
        assert_eq!(device.learned().unwrap(), twin.head.sums(), "after {bytes} bytes");
        device.solve().unwrap();
        device.infer(&inputs[0]).unwrap();
    }
    assert!(noticed > 50, "{noticed}");
}

#[test]
fn noise_is_no_trap() {
    let bench = Bench::new(0);
    let mut random = generator(11);
    for _ in 0..300 {
        let least = random.random_range(0..2);
        let noise: Vec<u8> = (0..random.random_range(0..900)).map(|_| random.random_range(least..=255)).collect();
        bench.serve(&noise);
    }
    // Frames whose checksum is right and whose content is not.
    for _ in 0..3_000 {
        let mut content: Vec<u8> = (0..random.random_range(0..150)).map(|_| random.random_range(0..32)).collect();
        content.extend(samara_runtime::crc32(&content).to_le_bytes());
        let mut frame = Vec::new();
        let Ok(()) = samara_runtime::link::frame::send(&content, |piece| {
            frame.extend_from_slice(piece);
            Ok::<(), std::convert::Infallible>(())
        });
        bench.serve(&frame);
    }
    let mut device = bench.connect().unwrap();
    device.reset().unwrap();
    let mut twin = Twin::new(&bench.file);
    answers_agree(&mut device, &mut twin, &[vec![7; INPUTS]]);
    let frames = device.statistics().unwrap().frames;
    assert!(frames.damaged > 100 && frames.oversized > 10 && frames.taken > 100, "{frames:?}");
}

/// An IDX file of bytes.
fn idx(dimensions: &[usize], elements: &[u8]) -> Vec<u8> {
    let sizes: Vec<u8> = dimensions.iter().flat_map(|&size| (size as u32).to_be_bytes()).collect();
    [&[0, 0, 8, dimensions.len() as u8], &sizes[..], elements].concat()
}

/// `cargo xtask test` runs the model on boards, and lets them learn the samples.
#[test]
fn boards_learn_the_same() {
    let Some(directory) = samara_tests::results().map(|directory| directory.join("link")) else { return };
    let data = directory.join("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(directory.join("learner.samara"), file(5)).unwrap();
    std::fs::write(directory.join("dense.samara"), dense_file()).unwrap();
    for (name, count, seed) in [("train", 200, 21), ("t10k", 40, 22)] {
        let (samples, labels) = samples(count, seed);
        let bytes: Vec<u8> = samples.values().iter().map(|value| (value * 255.0) as u8).collect();
        let labels: Vec<u8> = labels.iter().map(|&label| label as u8).collect();
        std::fs::write(data.join(format!("{name}-images-idx3-ubyte")), idx(&[count, 15, INPUTS / 15], &bytes)).unwrap();
        std::fs::write(data.join(format!("{name}-labels-idx1-ubyte")), idx(&[count], &labels)).unwrap();
    }
}
