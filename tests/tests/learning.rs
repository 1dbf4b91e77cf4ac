//! Heads in model files: what the host writes, a device reads, and goes on learning with, to the last bit; and what is damaged
//! is refused.

use rand::Rng;
use samara_runtime::{
    ALL_OPS, Model as DeviceFile, Session,
    arena::AlignedBuffer,
    format::writer::{ModelFile, repair_crc},
    train::{ClosedFormHead, Strangeness, TrainError, closed_form_bytes, record::HEAD_RECORD_BYTES, solve_bytes},
};
use samara_tests::generator;
use samara_trainer::device::heads::{ClosedFormOptions, HeadError, Unknown, add_closed_form_head, dense_of, features_of};
use samara_trainer::prelude::*;
use samara_trainer::quantize::Options;

const CLASSES: usize = 3;
const INPUTS: usize = 12;

/// Samples around a mean for each of four classes, and their labels.
fn samples(count: usize, seed: u64) -> (Tensor, Vec<usize>) {
    let mut random = generator(seed);
    let labels: Vec<usize> = (0..count).map(|sample| sample % (CLASSES + 1)).collect();
    let value = |label: usize, at: usize| if at % (CLASSES + 1) == label { 1.0 } else { -0.2 };
    let values = labels.iter().flat_map(|&label| (0..INPUTS).map(move |at| value(label, at)));
    let values = values.map(|mean| mean + random.random_range(-0.6..0.6)).collect();
    (Tensor::from_samples([INPUTS], values).expect("whole samples"), labels)
}

/// Those of the samples whose label the model's file is to know.
fn known(samples: &Tensor, labels: &[usize]) -> (Tensor, Vec<usize>) {
    let chosen: Vec<usize> = (0..labels.len()).filter(|&sample| labels[sample] < CLASSES).collect();
    let values = chosen.iter().flat_map(|&sample| samples.sample(sample).expect("there").to_vec()).collect();
    (Tensor::from_samples([INPUTS], values).expect("whole samples"), chosen.iter().map(|&sample| labels[sample]).collect())
}

fn file() -> ModelFile {
    let x = input([INPUTS]);
    let features = Dense::new(9).activation(Activation::Relu).apply(&x);
    let mut model = Model::new("small", &x, Dense::new(CLASSES).activation(Activation::Softmax).apply(&features)).unwrap();
    model.initialize(5);
    let bytes = model.export_int8(&[samples(200, 1).0], Options::default()).unwrap();
    ModelFile::from_bytes(&bytes).unwrap()
}

fn with_head(options: ClosedFormOptions) -> ModelFile {
    let (samples, labels) = samples(4000, 2);
    let (samples, labels) = known(&samples, &labels);
    let mut file = file();
    let rows = features_of(&file, 0, &[samples]).unwrap();
    add_closed_form_head(&mut file, &rows, &labels, options).unwrap();
    file
}

/// A device with a file: its session and its head.
struct Device<'a> {
    session: Session<'a>,
    head: ClosedFormHead<'a>,
}

impl Device<'_> {
    fn features(&mut self, sample: &[f32]) -> Vec<i8> {
        self.session.write_f32(0, sample).unwrap();
        self.session.features(self.head.record()).to_vec()
    }

    fn solve(&mut self) {
        let mut scratch = AlignedBuffer::zeros(4096);
        self.head.solve(scratch.as_mut_slice()).unwrap();
    }
}

fn on_device<T>(file: &ModelFile, work: impl FnOnce(&mut Device<'_>) -> T) -> T {
    let bytes = AlignedBuffer::copy_of(&file.to_bytes());
    let model = DeviceFile::parse(bytes.as_slice(), ALL_OPS).unwrap();
    let mut arena = AlignedBuffer::zeros(model.arena_bytes());
    let mut memory = AlignedBuffer::zeros(closed_form_bytes(bytes.as_slice(), 0));
    let head = ClosedFormHead::new(&model, 0, memory.as_mut_slice()).unwrap();
    work(&mut Device { session: Session::new(model, arena.as_mut_slice()).unwrap(), head })
}

/// The share of samples whose class is found, and of those taken for unknown.
fn judged(device: &mut Device<'_>, samples: &Tensor, labels: &[usize]) -> (f64, f64) {
    let (mut right, mut unknown) = (0, 0);
    for (sample, &label) in labels.iter().enumerate() {
        let features = device.features(&samples.sample(sample).unwrap());
        let answer = device.head.classify(&features).unwrap();
        right += usize::from(answer.class == label);
        unknown += usize::from(!answer.known);
    }
    (right as f64 / labels.len() as f64, unknown as f64 / labels.len() as f64)
}

#[test]
fn the_file_keeps_its_outputs_and_knows_its_classes() {
    let (plain, file) = (file(), with_head(ClosedFormOptions::default()));
    let outputs = |file: &ModelFile| {
        let bytes = AlignedBuffer::copy_of(&file.to_bytes());
        let model = DeviceFile::parse(bytes.as_slice(), ALL_OPS).unwrap();
        let mut arena = AlignedBuffer::zeros(model.arena_bytes());
        let mut session = Session::new(model, arena.as_mut_slice()).unwrap();
        session.write_f32(0, &[0.3; INPUTS]).unwrap();
        session.run();
        (model.hash(), session.output_bytes(0).unwrap().to_vec())
    };
    assert_eq!(outputs(&plain).1, outputs(&file).1);
    assert_ne!(outputs(&plain).0, outputs(&file).0, "heads of one file do not fit the other");
    let read = ModelFile::from_bytes(&file.to_bytes()).unwrap();
    assert_eq!(read.heads, file.heads);
    assert_eq!(read.to_bytes(), file.to_bytes());

    let (samples, labels) = samples(1600, 3);
    let (samples, labels) = known(&samples, &labels);
    on_device(&file, |device| {
        let record = device.head.record();
        assert_eq!((record.features, record.classes, record.capacity), (9, CLASSES, CLASSES + 4));
        // Before it is solved, the head answers by the weights of the file: those that solving gives, to the last bit.
        let before: Vec<u32> = device.head.solution().iter().map(|value| value.to_bits()).collect();
        device.solve();
        let after: Vec<u32> = device.head.solution().iter().map(|value| value.to_bits()).collect();
        assert_eq!(before, after);
        let (right, unknown) = judged(device, &samples, &labels);
        assert!(right > 0.9, "{right} of the known classes are found");
        assert!((unknown - 0.05).abs() < 0.03, "{unknown} of known samples are unknown, 0.05 were to be");
    });
}

#[test]
fn a_device_learns_a_class_that_the_file_does_not_know() {
    let (more, all_labels) = samples(1600, 4);
    let new: Vec<Vec<f32>> =
        (0..200).filter(|&sample| all_labels[sample] == CLASSES).map(|sample| more.sample(sample).unwrap().to_vec()).collect();
    on_device(&with_head(ClosedFormOptions::default()), |device| {
        device.solve();
        let unknown = judged(device, &more, &all_labels).1;
        assert!(unknown > 0.15, "{unknown} of all samples, a quarter of which are of an unknown class, are unknown");
        for sample in &new {
            let features = device.features(sample);
            device.head.add(&features, CLASSES).unwrap();
        }
        device.solve();
        let right = judged(device, &more, &all_labels).0;
        assert!(right > 0.9, "{right} of four classes are found");
        device.head.reset();
        assert_eq!(device.head.count(CLASSES), 0);
    });
}

#[test]
fn the_scratch_of_a_session_serves_to_solve() {
    let file = with_head(ClosedFormOptions { unknown: None, ..ClosedFormOptions::default() });
    let bytes = file.to_bytes();
    let mut larger = file.clone();
    larger.arena_bytes += solve_bytes(&bytes, 0) as u32;
    on_device(&larger, |device| {
        let features = device.features(&[0.1; INPUTS]);
        device.head.solve(device.session.scratch()).unwrap();
        assert_eq!(device.features(&[0.1; INPUTS]), features);
        assert!(device.head.classify(&features).unwrap().known, "without a limit, all is known");
    });
    on_device(&file, |device| {
        let refused = device.head.solve(device.session.scratch()).unwrap_err();
        assert!(matches!(refused, TrainError::MemoryTooSmall { required: 252, .. }), "{refused}");
    });
}

#[test]
fn margins_tell_the_unknown_too() {
    let unknown = Unknown { strangeness: Strangeness::Margin, error_rate: 0.1 };
    let file = with_head(ClosedFormOptions { unknown: Some(unknown), ..ClosedFormOptions::default() });
    let (samples, labels) = samples(1600, 6);
    let (samples, labels) = known(&samples, &labels);
    on_device(&file, |device| {
        let share = judged(device, &samples, &labels).1;
        assert!((share - 0.1).abs() < 0.04, "{share}");
    });
}

#[test]
fn mistakes_are_named() {
    let (values, labels) = samples(40, 2);
    let mut file = file();
    let rows = features_of(&file, 0, &[values]).unwrap();
    let add = |file: &mut ModelFile, labels: &[usize], options| {
        add_closed_form_head(file, &rows, labels, options).unwrap_err().to_string()
    };
    let plain = ClosedFormOptions::default();
    let before = file.clone();
    let found = add(&mut file, &labels[1..], plain);
    assert_eq!(found, "there are 40 samples and 39 labels");
    let found = add(&mut file, &labels, ClosedFormOptions { capacity: Some(3), ..plain });
    assert_eq!(found, "sample 3 has the label 3, but there is room for 3 classes, 0 to 2; raise the capacity (at most 4096)");
    let found = add(&mut file, &labels, plain);
    assert_eq!(
        found,
        "4 samples, a tenth of the training samples, are too few to find a limit that a share of 0.05 exceeds: at least 20 are needed"
    );
    let found = add(&mut file, &labels, ClosedFormOptions { output: 1, ..plain });
    assert_eq!(found, "the model has 1 outputs, there is no output 1");
    let found = add(&mut file, &labels, ClosedFormOptions { shrinkage: 0.0, ..plain });
    assert_eq!(found, "the shrinkage is 0; it lies above 0 and is at most 1");
    assert_eq!(file, before);

    let x = input([4, 4, 2]);
    let pooled = GlobalAveragePooling2D::new().named("pool").apply(Conv2D::new(3, (3, 3)).apply(&x));
    let mut model = Model::new("pooled", &x, pooled).unwrap();
    model.initialize(1);
    let file = ModelFile::from_bytes(&model.export_f32().unwrap()).unwrap();
    assert!(matches!(dense_of(&file, 0), Err(HeadError::NoDense { op: "average_pool_f32", .. })), "{:?}", dense_of(&file, 0));
    let x = input([4]);
    let mut model = Model::new("f32", &x, Dense::new(2).apply(&x)).unwrap();
    model.initialize(1);
    let file = ModelFile::from_bytes(&model.export_f32().unwrap()).unwrap();
    let refused = dense_of(&file, 0).unwrap_err().to_string();
    assert!(refused.contains("export an int8 file"), "{refused}");
}

/// Damaged records are refused or harmless: each byte, and the constants they name.
#[test]
fn damaged_heads_are_refused_or_solved_without_a_panic() {
    let file = with_head(ClosedFormOptions::default());
    let bytes = file.to_bytes();
    let record = file.heads[0].to_bytes();
    let start = bytes.windows(record.len()).position(|window| window == record).unwrap();
    let mut random = generator(9);
    let (mut refused, mut taken) = (0, 0);
    for round in 0..4000 {
        let mut damaged = bytes.clone();
        if round % 4 == 3 {
            let place = random.random_range(start + HEAD_RECORD_BYTES..bytes.len());
            damaged[place] = random.random();
        } else {
            damaged[start + random.random_range(0..HEAD_RECORD_BYTES)] ^= 1 << random.random_range(0..8);
        }
        repair_crc(&mut damaged);
        let damaged = AlignedBuffer::copy_of(&damaged);
        let Ok(model) = DeviceFile::parse(damaged.as_slice(), ALL_OPS) else { continue };
        let Ok(record) = model.head(0) else {
            refused += 1;
            continue;
        };
        let mut memory = AlignedBuffer::zeros(if record.features * record.capacity > 1 << 16 { 64 } else { 1 << 20 });
        match ClosedFormHead::new(&model, 0, memory.as_mut_slice()) {
            Ok(mut head) => {
                let features = vec![3; record.features];
                let _ = head.add(&features, record.capacity - 1);
                let _ = head.solve(AlignedBuffer::zeros(1 << 12).as_mut_slice());
                let _ = head.classify(&features);
                let _ = head.forget_class(0);
                taken += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 500 && taken > 500, "{refused} refused, {taken} taken");
}
