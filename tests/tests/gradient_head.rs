//! Heads that a device trains by gradients, from the trainer's weights in a file to what it has learned.

use rand::Rng;
use samara_runtime::{
    ALL_OPS, Model as DeviceFile, Session,
    arena::AlignedBuffer,
    format::writer::ModelFile,
    train::{
        ClosedFormHead, GradientHead, GradientOptions, Guard, Loss, Replay, Target, TrainError, Verdict, gradient_bytes,
        guard_bytes, replay_bytes,
    },
};
use samara_tests::generator;
use samara_trainer::device::dense_head::{DenseHeadOptions, add_dense_head, dense_weights};
use samara_trainer::prelude::*;
use samara_trainer::quantize::Options;

const CLASSES: usize = 4;
const INPUTS: usize = 12;
const FEATURES: usize = 16;
const BATCH: usize = 8;

/// Samples around a mean for each class, and their labels.
fn samples(count: usize, seed: u64) -> (Vec<Vec<f32>>, Vec<usize>) {
    let mut random = generator(seed);
    let labels: Vec<usize> = (0..count).map(|sample| sample % CLASSES).collect();
    let value = |label: usize, at: usize| if at % CLASSES == label { 1.0 } else { -0.2 };
    let sample = |&label: &usize| (0..INPUTS).map(|at| value(label, at) + random.random_range(-0.6..0.6)).collect();
    (labels.iter().map(sample).collect(), labels)
}

fn tensor(samples: &[Vec<f32>]) -> Tensor {
    Tensor::from_samples([INPUTS], samples.concat()).expect("whole samples")
}

fn model() -> Model {
    let x = input([INPUTS]);
    let features = Dense::new(FEATURES).activation(Activation::Relu).apply(&x);
    let y = Dense::new(CLASSES).named("head").activation(Activation::Softmax).apply(&features);
    let mut model = Model::new("small", &x, y).unwrap();
    model.initialize(5);
    model
}

fn file(model: &Model) -> ModelFile {
    ModelFile::from_bytes(&model.export_int8(&[tensor(&samples(200, 1).0)], Options::default()).unwrap()).unwrap()
}

/// A device with a file: its session and its head.
struct Device<'a> {
    session: Session<'a>,
    head: GradientHead<'a>,
    file: &'a [u8],
}

impl Device<'_> {
    fn features(&mut self, sample: &[f32]) -> Vec<i8> {
        self.session.write_f32(0, sample).unwrap();
        self.session.features(self.head.record()).to_vec()
    }

    fn accuracy(&mut self, samples: &[Vec<f32>], labels: &[usize], of: impl Fn(usize) -> bool) -> f64 {
        let (mut right, mut all) = (0, 0);
        for (sample, &label) in samples.iter().zip(labels).filter(|(_, label)| of(**label)) {
            let features = self.features(sample);
            right += usize::from(self.head.classify(&features) == Ok(label));
            all += 1;
        }
        f64::from(right as u32) / f64::from(all)
    }
}

fn on_device<T>(file: &ModelFile, options: GradientOptions<'_>, work: impl FnOnce(&mut Device<'_>) -> T) -> T {
    let bytes = AlignedBuffer::copy_of(&file.to_bytes());
    let model = DeviceFile::parse(bytes.as_slice(), ALL_OPS).unwrap();
    let mut arena = AlignedBuffer::zeros(model.arena_bytes());
    let mut memory = AlignedBuffer::zeros(gradient_bytes(bytes.as_slice(), 0, BATCH));
    let head = GradientHead::new(&model, 0, BATCH, options, memory.as_mut_slice()).unwrap();
    let session = Session::new(model, arena.as_mut_slice()).unwrap();
    work(&mut Device { session, head, file: bytes.as_slice() })
}

#[test]
fn a_head_begins_with_the_answers_of_the_model() {
    let model = model();
    let mut file = file(&model);
    let (kernel, bias) = (model.parameter("head/kernel").unwrap(), model.parameter("head/bias").unwrap());
    add_dense_head(&mut file, DenseHeadOptions::default(), &kernel, &bias).unwrap();
    let (inputs, _) = samples(40, 3);
    let expected = model.predict(&tensor(&inputs)).unwrap();
    on_device(&file, GradientOptions::DEFAULT, |device| {
        for (sample, expected) in inputs.iter().zip(expected.values().chunks(CLASSES)) {
            let features = device.features(sample);
            let mut found = [0.0; CLASSES];
            device.head.predict(&features, &mut found).unwrap();
            // The features are int8, the head is not.
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 0.02, "{found}, in f32 {expected}");
            }
        }
    });
    // The file's own outputs are what they were.
    let device = DeviceModel::new(&file.to_bytes()).unwrap();
    assert_eq!(device.predict(&[tensor(&inputs)]).unwrap()[0].samples(), 40);
}

/// What goes wrong: a row of weights taken for another, a zero point or a shift left out.
#[test]
fn a_head_of_the_files_int8_weights_gives_the_files_outputs() {
    let x = input([INPUTS]);
    let features = Dense::new(FEATURES).activation(Activation::Relu).apply(&x);
    let mut model = Model::new("open", &x, Dense::new(CLASSES + 1).named("head").apply(&features)).unwrap();
    model.initialize(6);
    model.set_parameter("head/bias", &[0.7, -1.5, 0.0, 2.5, -0.2]).unwrap();
    let mut file = file(&model);
    let (kernel, bias) = dense_weights(&file, 0).unwrap();
    for (found, trained) in kernel.iter().zip(&model.parameter("head/kernel").unwrap()) {
        assert!((found - trained).abs() < 0.01, "{found}, trained {trained}");
    }
    let options = DenseHeadOptions { capacity: Some(CLASSES + 3), ..DenseHeadOptions::default() };
    add_dense_head(&mut file, options, &kernel, &bias).unwrap();
    let output = file.tensors[file.outputs[0] as usize];
    let options = GradientOptions { loss: Loss::MeanSquaredError, ..GradientOptions::DEFAULT };
    on_device(&file, options, |device| {
        for sample in &samples(60, 3).0 {
            let features = device.features(sample);
            let mut found = [0.0; CLASSES + 3];
            device.head.predict(&features, &mut found).unwrap();
            // Features end a run, whose input is gone.
            device.session.write_f32(0, sample).unwrap();
            device.session.run();
            let of_file: Vec<f32> = device.session.output_f32(0).unwrap().collect();
            for (found, of_file) in found.iter().zip(&of_file) {
                let lowest = output.scale * (-128.0 - output.zero_point as f32);
                let bounded = found.clamp(lowest, lowest + 255.0 * output.scale);
                assert!((bounded - of_file).abs() < 0.501 * output.scale, "{found}, the file {of_file}");
            }
            assert_eq!(found[CLASSES + 1..], [0.0; 2], "outputs that the file does not know");
        }
    });
}

#[test]
fn a_device_learns_with_replay_and_guard() {
    let model = model();
    let mut file = file(&model);
    let kernel = vec![0.0; FEATURES * (CLASSES - 1)];
    let error = add_dense_head(&mut file, DenseHeadOptions::default(), &kernel, &[]).unwrap_err().to_string();
    assert_eq!(
        error,
        "the kernel has 48 values and the bias 0; the layer takes a kernel [16, 4] and a bias [4] or none, of finite values"
    );
    let narrow = DenseHeadOptions { capacity: Some(3), ..DenseHeadOptions::default() };
    let error = add_dense_head(&mut file, narrow, &kernel, &[]).unwrap_err().to_string();
    assert_eq!(error, "there is to be room for 3 classes; the layer has 4, and a head at most 4096");
    assert!(file.heads.is_empty());
    add_dense_head(&mut file, DenseHeadOptions::default(), &[0.0; FEATURES * CLASSES], &[]).unwrap();

    let ((learned, labels), (test, test_labels)) = (samples(400, 7), samples(400, 8));
    let options = GradientOptions { learning_rate: 0.1, ..GradientOptions::DEFAULT };
    on_device(&file, options, |device| {
        let mut memory = AlignedBuffer::zeros(replay_bytes(CLASSES, 5, FEATURES));
        let mut replay = Replay::new(CLASSES, 5, FEATURES, 1, memory.as_mut_slice()).unwrap();
        let mut memory = AlignedBuffer::zeros(guard_bytes(device.file, 0, Loss::SoftmaxCrossEntropy, 20));
        let mut guard = Guard::new(&device.head, 20, 0.0, memory.as_mut_slice()).unwrap();
        for (sample, &label) in learned.iter().zip(&labels).take(20) {
            let features = device.features(sample);
            guard.hold(&device.head, &features, Target::Class(label)).unwrap();
        }
        // One class after the other, as a user would show them.
        for class in 0..CLASSES {
            for sample in learned.iter().zip(&labels).skip(20).filter(|(_, label)| **label == class).map(|(sample, _)| sample) {
                let features = device.features(sample);
                device.head.add(&features, Target::Class(class)).unwrap();
                replay.add(&features, class).unwrap();
                while device.head.waiting() < BATCH {
                    let (features, class) = replay.draw().unwrap();
                    device.head.add(features, Target::Class(class)).unwrap();
                }
                device.head.step().unwrap();
            }
        }
        let accuracy = device.accuracy(&test, &test_labels, |_| true);
        assert!(accuracy > 0.95, "{accuracy}");
        assert!(matches!(guard.check(&mut device.head), Ok(Verdict::Kept { .. })));
        // Somebody shows it nonsense.
        for sample in &learned[..200] {
            let features = device.features(sample);
            device.head.add(&features, Target::Class(0)).unwrap();
            if device.head.waiting() == BATCH {
                device.head.step().unwrap();
            }
        }
        assert!(device.accuracy(&test, &test_labels, |label| label > 0) < 0.5);
        assert!(matches!(guard.check(&mut device.head), Ok(Verdict::RolledBack { .. })));
        assert_eq!(device.accuracy(&test, &test_labels, |_| true), accuracy);
    });
}

#[test]
fn heads_of_the_other_kind_are_refused() {
    let mut file = file(&model());
    add_dense_head(&mut file, DenseHeadOptions::default(), &[0.5; FEATURES * CLASSES], &[0.25; CLASSES]).unwrap();
    let bytes = AlignedBuffer::copy_of(&file.to_bytes());
    let model = DeviceFile::parse(bytes.as_slice(), ALL_OPS).unwrap();
    let mut memory = AlignedBuffer::zeros(1 << 16);
    let error = ClosedFormHead::new(&model, 0, memory.as_mut_slice()).err();
    assert_eq!(error, Some(TrainError::NoSuchHead));
    let head = GradientHead::new(&model, 0, BATCH, GradientOptions::DEFAULT, memory.as_mut_slice()).unwrap();
    assert_eq!(head.solution()[..FEATURES * CLASSES], [0.5; FEATURES * CLASSES]);
    assert_eq!(head.solution()[FEATURES * CLASSES..], [0.25; CLASSES]);
    let error = GradientHead::new(&model, 1, BATCH, GradientOptions::DEFAULT, memory.as_mut_slice()).err();
    assert_eq!(error, Some(TrainError::NoSuchHead));
}
