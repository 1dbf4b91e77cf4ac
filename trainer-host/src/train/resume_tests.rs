//! Trainings that are interrupted and resumed end with the same bits.

use std::sync::Arc;

use super::tests::{quiet, random_tensor, small_net, three_classes};
use super::transform_tests::RoundToInt8;
use super::{EpochLog, Fit, History, Model, Training, TrainingState};
use crate::callbacks::{SaveState, each_batch};
use crate::checkpoint::Weights;
use crate::data::{Dataset, Tensor};
use crate::graph::{Shape, input};
use crate::layers::*;
use crate::losses::*;
use crate::numeric::random::Random;
use crate::optimizers::*;
use crate::schedules::{Cosine, CosineRestarts, OneCycle, Schedule};

/// Convolutions, one of them shared, batch-norms, dropout, a part that is frozen and one that learns slowly.
fn conv_net() -> Model {
    let image = input([6, 6, 2]);
    let shared = Conv2D::new(4, 3).padding(Padding::Same).named("shared");
    let x = Conv2D::new(4, 3).padding(Padding::Same).kernel_regularizer(crate::regularizers::L2::default()).apply(&image);
    let x = BatchNormalization::new().apply(&x);
    let x = shared.apply(PReLU::new().apply(shared.apply(&x)));
    let x = DepthwiseConv2D::new(3).apply(SeparableConv2D::new(4, 3).padding(Padding::Same).apply(&x));
    let x = Dropout::new(0.3).apply(Flatten::new().apply(&x));
    let x = BatchNormalization::new().named("last").apply(Dense::new(9).activation(Activation::Tanh).apply(&x));
    let model = Model::new("convolutions", image, Dense::new(3).activation(Activation::Softmax).apply(&x)).unwrap();
    model.set_trainable("last", false).unwrap();
    model.set_learning_rate_factor("shared", 0.25).unwrap();
    model
}

/// The same with kernels that are rounded for the passes, that of the shared layer among them.
fn rounded_conv_net() -> Model {
    let model = conv_net();
    for name in ["shared/kernel", "conv2d/kernel", "dense/kernel"] {
        model.set_transform(name, RoundToInt8).unwrap();
    }
    model
}

fn data_of(model: &Model, samples: usize) -> Dataset {
    if model.name() == "small" {
        return three_classes(samples);
    }
    let mut random = Random::new(8, 0);
    let labels: Vec<u8> = (0..samples).map(|_| random.below(3) as u8).collect();
    Dataset::new(random_tensor(samples, &Shape::from([6, 6, 2]), 3), Tensor::from_labels(&labels)).unwrap()
}

/// Of all parameters, and of each epoch's log.
type Bits = (Vec<Vec<u32>>, Vec<Vec<u64>>);

/// All bits that a training ends with, but not the seconds.
fn ending(model: &Model, history: &History) -> Bits {
    let bits = |values: Vec<f32>| values.iter().map(|value| value.to_bits()).collect();
    let of_epoch = |log: &EpochLog| {
        let facts = [log.epoch as u64, u64::from(log.learning_rate.to_bits())];
        facts.into_iter().chain(log.measurements.iter().map(|(_, value)| value.to_bits())).collect()
    };
    let parameters = model.parameters().iter().map(|entry| bits(entry.values())).collect();
    (parameters, history.epochs.iter().map(of_epoch).collect())
}

struct Case {
    net: fn() -> Model,
    optimizer: Arc<dyn Optimizer>,
    schedule: fn() -> Option<Box<dyn Schedule>>,
    threads: usize,
}

const EPOCHS: usize = 3;
const SAMPLES: usize = 110;
const BATCH: usize = 20;

impl Case {
    fn again(&self) -> Self {
        let Self { net, schedule, threads, .. } = *self;
        Self { net, optimizer: self.optimizer.clone(), schedule, threads }
    }

    /// Trains, going on from a state if there is one; at the step with this number (of all epochs) the state is taken and
    /// the training ends. Gives the model's bits, and that state.
    fn train(&self, resume: Option<Vec<u8>>, end: Option<usize>) -> (Bits, Option<Vec<u8>>) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build().unwrap();
        pool.install(|| {
            let mut model = (self.net)();
            if resume.is_some() {
                // Nothing but the state counts.
                model.initialize(77);
                model.set_trainable("last", true).or_else(|_| model.set_trainable("dense", false)).unwrap();
            }
            let data = data_of(&model, SAMPLES);
            model.compile_with(self.optimizer.clone(), SparseCategoricalCrossentropy).unwrap();
            let mut state = None;
            let killer = each_batch(|training: &mut Training<'_>| {
                if Some((training.epoch() - 1) * training.steps() + training.step()) == end {
                    state = Some(training.state().to_bytes());
                    training.stop();
                }
                Ok(())
            });
            let fit = Fit {
                batch: BATCH,
                validation: Some(&data),
                schedule: (self.schedule)(),
                callbacks: vec![Box::new(killer)],
                resume: resume.map(|bytes| TrainingState::from_bytes(&bytes).unwrap()),
                ..quiet(EPOCHS)
            };
            let history = model.fit(&data, fit).unwrap();
            (ending(&model, &history), state)
        })
    }
}

#[test]
fn a_training_resumed_at_any_step_ends_with_the_same_bits() {
    let none = || None;
    let cosine = || Some(Box::new(Cosine::new().warm_up_steps(4)) as Box<dyn Schedule>);
    let one_cycle = || Some(Box::new(OneCycle::new()) as Box<dyn Schedule>);
    let restarts = || Some(Box::new(CosineRestarts::new(5)) as Box<dyn Schedule>);
    let momenta = || Some(Box::new(OneCycle::new().momenta(0.95, 0.85)) as Box<dyn Schedule>);
    let case = |net, optimizer, schedule| Case { net, optimizer, schedule, threads: 1 };
    let cases = [
        case(small_net, Arc::new(Adam::new(0.01)) as Arc<dyn Optimizer>, none as fn() -> _),
        case(conv_net, Arc::new(Adam::new(0.01).clip_global_norm(0.5)), cosine),
        case(conv_net, Arc::new(Sgd::new(0.05).momentum(0.9).nesterov().clip_norm(0.5)), one_cycle),
        case(small_net, Arc::new(Sgd::new(0.05)), cosine),
        case(conv_net, Arc::new(Nadam::new(0.01)), none),
        case(small_net, Arc::new(AdamW::new(0.01).clip_value(0.01)), one_cycle),
        case(rounded_conv_net, Arc::new(RmsProp::new(0.01)), none),
        case(small_net, Arc::new(AdaGrad::new(0.01)), none),
        case(small_net, Arc::new(AdaMax::new(0.01)), restarts),
        case(small_net, Arc::new(RmsProp::new(0.01).centered().momentum(0.9).with_gradient_noise(0.01)), momenta),
        case(conv_net, Arc::new(Lion::new(0.01).with_weight_decay(0.1).group("bias", 0.0).clip_norm(0.5)), none),
    ];
    let steps = SAMPLES.div_ceil(BATCH);
    let mut random = Random::new(21, 0);
    for (number, case) in cases.into_iter().enumerate() {
        let (expected, _) = case.train(None, None);
        // The first and last steps of an epoch and of the training, and random ones.
        let fixed = [1, steps - 1, steps, steps + 1, EPOCHS * steps];
        for interruption in 0..4 {
            let step = if interruption == 0 { fixed[number % 5] } else { 1 + random.below(EPOCHS * steps) };
            let case = Case { threads: 1 + interruption % 3, ..case.again() };
            let (_, state) = case.train(None, Some(step));
            let state = state.unwrap();
            assert!(case.train(Some(state.clone()), None).0 == expected, "case {number}, resumed at step {step}");
            // And interrupted a second time.
            let later = step + random.below(EPOCHS * steps - step + 1);
            if later > step {
                let (_, state) = case.train(Some(state), Some(later));
                assert!(case.train(state, None).0 == expected, "case {number}, resumed at steps {step} and {later}");
            }
        }
    }
}

#[test]
fn threads_change_no_bit_of_convolutions_clipping_and_shared_layers() {
    let clipped: [Arc<dyn Optimizer>; 3] = [
        Arc::new(Sgd::new(0.05).momentum(0.9).clip_global_norm(0.1)),
        Arc::new(Adam::new(0.01).clip_norm(0.1)),
        Arc::new(AdamW::new(0.01).clip_value(0.01)),
    ];
    for (net, optimizer) in [conv_net as fn() -> _, conv_net, rounded_conv_net].into_iter().zip(clipped) {
        let case = |threads| Case { net, optimizer: optimizer.clone(), schedule: || None, threads };
        let one = case(1).train(None, None).0;
        for threads in [2, 3, 4] {
            assert!(case(threads).train(None, None).0 == one, "{threads} threads, {optimizer:?}");
        }
    }
}

fn state_of_small_net() -> TrainingState {
    let mut model = small_net();
    let mut state = None;
    let taker = each_batch(|training: &mut Training<'_>| {
        state = Some(training.state());
        Ok(())
    });
    model.fit(&three_classes(150), Fit { callbacks: vec![Box::new(taker)], ..quiet(2) }).unwrap();
    state.unwrap()
}

#[test]
fn states_are_saved_after_every_epoch_and_go_on_to_more() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("training.state");
    let data = three_classes(150);
    let whole = {
        let mut model = small_net();
        let history = model.fit(&data, quiet(5)).unwrap();
        ending(&model, &history)
    };
    let mut model = small_net();
    let save = SaveState::new(&path);
    model.fit(&data, Fit { callbacks: vec![Box::new(save.clone())], ..quiet(3) }).unwrap();
    let state = TrainingState::load(&path).unwrap();
    assert_eq!((state.epoch(), state.step(), state.history().epochs.len()), (3, 2, 3));
    let mut model = small_net();
    let history = model.fit(&data, Fit { callbacks: vec![Box::new(save)], resume: Some(state), ..quiet(5) }).unwrap();
    assert!(ending(&model, &history) == whole, "three epochs and two are not five");
    // A training that is finished has nothing left to do.
    let state = TrainingState::load(&path).unwrap();
    let mut model = small_net();
    let history = model.fit(&data, Fit { resume: Some(state), ..quiet(5) }).unwrap();
    assert!(ending(&model, &history) == whole);
    // A file that cannot be written is an error of `fit`.
    let mut model = small_net();
    let save = SaveState::new(path.join("below a file"));
    let error = model.fit(&data, Fit { callbacks: vec![Box::new(save)], ..quiet(3) }).unwrap_err();
    assert!(error.to_string().contains("training.state cannot be made"), "{error}");
}

#[test]
fn states_of_other_trainings_are_refused() {
    let state = state_of_small_net();
    let data = three_classes(150);
    let refused = |mut model: Model, data: &Dataset, fit: Fit<'_>, expected: &str| {
        let before = Weights::of(&model);
        let message = model.fit(data, Fit { resume: Some(state.clone()), ..fit }).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert_eq!(Weights::of(&model), before);
    };
    let cannot = |rest: &str| format!("the training cannot be resumed: its {rest} here");
    refused(small_net(), &data, Fit { seed: 8, ..quiet(2) }, &cannot("seed was 9, but is 8"));
    refused(small_net(), &data, Fit { batch: 10, ..quiet(2) }, &cannot("batch was 100, but is 10"));
    refused(small_net(), &three_classes(140), quiet(2), &cannot("number of samples was 150, but is 140"));
    refused(small_net(), &data, Fit { shuffle: false, ..quiet(2) }, &cannot("shuffling was true, but is false"));
    let mut other = small_net();
    other.compile(Sgd::new(0.1), SparseCategoricalCrossentropy).unwrap();
    refused(other, &data, quiet(2), &cannot("optimizer was adam, but is sgd"));
    let told = |mut model: Model, data: &Dataset, fit: Fit<'_>, parts: [&str; 2]| {
        let message = model.fit(data, Fit { resume: Some(state.clone()), ..fit }).unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    };
    let mut other = small_net();
    other.compile(Adam::new(0.02), SparseCategoricalCrossentropy).unwrap();
    told(other, &data, quiet(2), ["its optimizer was Adam { learning_rate: 0.01,", "but is Adam { learning_rate: 0.02,"]);
    let mut other = small_net();
    let weighted = crate::train::Objective::new(SparseCategoricalCrossentropy).class_weights([1.0, 2.0, 1.0]);
    other.compile(Adam::new(0.01), weighted).unwrap();
    told(other, &data, quiet(2), ["its loss was [Objective", "class_weights: Some([1.0, 2.0, 1.0])"]);
    let schedule = Some(Box::new(Cosine::new()) as Box<dyn Schedule>);
    told(small_net(), &data, Fit { schedule, ..quiet(2) }, ["its schedule was none, but is Cosine", "here"]);
    let x = input([12]);
    let mut other = Model::new("small", &x, Dense::new(3).activation(Activation::Softmax).apply(&x)).unwrap();
    other.compile(Adam::new(0.01), SparseCategoricalCrossentropy).unwrap();
    refused(other, &data, quiet(2), "the weights do not fit the model small: found dense/kernel of shape [12, 24]");
}

#[test]
fn hostile_states_are_refused_or_harmless() {
    let good = state_of_small_net();
    let bytes = good.to_bytes();
    assert_eq!(TrainingState::from_bytes(&bytes).unwrap(), good);
    for length in 0..bytes.len() {
        assert!(TrainingState::from_bytes(&bytes[..length]).is_err(), "cut to {length}");
    }
    let with_checksum = |mut bytes: Vec<u8>| {
        bytes.truncate(bytes.len() - 4);
        bytes.extend(samara_runtime::crc32(&bytes).to_le_bytes());
        bytes
    };
    let data = three_classes(150);
    let mut random = Random::new(5, 5);
    let mut resumed = 0;
    for position in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[position] ^= 1 << random.below(8);
        assert!(TrainingState::from_bytes(&bad).is_err(), "byte {position} changed");
        // With a checksum that is right, whatever is read must not panic when it is used.
        if random.below(8) > 0 {
            continue;
        }
        if let Ok(state) = TrainingState::from_bytes(&with_checksum(bad)) {
            let _ = small_net().fit(&data, Fit { resume: Some(state), ..quiet(2) });
            resumed += 1;
        }
    }
    assert!(resumed > 100, "{resumed}");
}
