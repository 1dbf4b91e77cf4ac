use super::*;
use crate::{
    arena::AlignedBuffer,
    random::Generator,
    train::{Guard, Replay, Verdict, record::guard_words, replay_bytes},
};

const LOSSES: [Loss; 3] = [Loss::SoftmaxCrossEntropy, Loss::SigmoidCrossEntropy, Loss::MeanSquaredError];
const SCALE: f32 = 0.031;
const ZERO_POINT: i8 = -17;

/// A sample with a target for each loss.
#[derive(Clone)]
struct Sample {
    features: Vec<i8>,
    class: usize,
    values: Vec<f32>,
}

impl Sample {
    fn target(&self, loss: Loss) -> Target<'_> {
        if loss == Loss::SoftmaxCrossEntropy { Target::Class(self.class) } else { Target::Values(&self.values) }
    }
}

struct Draw(Generator);

impl Draw {
    /// From -1 to 1.
    fn real(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    fn sample(&mut self, features: usize, outputs: usize) -> Sample {
        Sample {
            features: (0..features).map(|_| (self.real() * 127.0) as i8).collect(),
            class: (self.0.next_u32() >> 16) as usize % outputs,
            values: (0..outputs).map(|_| self.real().abs()).collect(),
        }
    }
}

/// Calls `test` with a head whose file has these weights and biases.
fn with_head<T>(
    file: &[f32],
    [features, classes, capacity]: [usize; 3],
    batch: usize,
    options: GradientOptions<'_>,
    test: impl FnOnce(&mut GradientHead<'_>) -> T,
) -> T {
    let words: Vec<u32> = file.iter().map(|value| value.to_bits()).collect();
    let mut memory = AlignedBuffer::zeros(4 * gradient_words(capacity, features, batch));
    let record = Head::dense(features, [classes, capacity], SCALE, ZERO_POINT, &words);
    test(&mut GradientHead::of(record, batch, options, memory.as_mut_slice()).unwrap())
}

/// The head in f64, as the modules' formulas say.
struct Reference<'a> {
    options: GradientOptions<'a>,
    features: usize,
    outputs: usize,
    solution: Vec<f64>,
    velocity: Vec<f64>,
}

impl<'a> Reference<'a> {
    fn new(file: &[f32], features: usize, outputs: usize, options: GradientOptions<'a>) -> Self {
        let solution: Vec<f64> = file.iter().map(|&value| f64::from(value)).collect();
        Self { options, features, outputs, velocity: vec![0.0; solution.len()], solution }
    }

    fn inputs(sample: &Sample) -> Vec<f64> {
        sample.features.iter().map(|&q| f64::from(SCALE) * (f64::from(q) - f64::from(ZERO_POINT))).collect()
    }

    fn outputs(&self, solution: &[f64], sample: &Sample) -> Vec<f64> {
        let x = Self::inputs(sample);
        let product = |k: usize| (0..self.features).map(|d| solution[k * self.features + d] * x[d]).sum::<f64>();
        (0..self.outputs).map(|k| product(k) + solution[self.outputs * self.features + k]).collect()
    }

    fn weight(&self, class: usize) -> f64 {
        self.options.class_weights.get(class).map_or(1.0, |&weight| f64::from(weight))
    }

    fn loss_of(&self, solution: &[f64], sample: &Sample) -> f64 {
        let z = self.outputs(solution, sample);
        let softplus = |z: f64| z.max(0.0) + (-z.abs()).exp().ln_1p();
        let mean = |term: &dyn Fn(usize) -> f64| (0..z.len()).map(term).sum::<f64>() / z.len() as f64;
        let t = |k: usize| f64::from(sample.values[k]);
        match self.options.loss {
            Loss::SoftmaxCrossEntropy => {
                let sum: f64 = z.iter().map(|z| z.exp()).sum();
                self.weight(sample.class) * (sum.ln() - z[sample.class])
            }
            Loss::SigmoidCrossEntropy => mean(&|k| self.weight(k) * t(k) * softplus(-z[k]) + (1.0 - t(k)) * softplus(z[k])),
            Loss::MeanSquaredError => mean(&|k| self.weight(k) * (z[k] - t(k)).powi(2)),
        }
    }

    fn loss(&self, solution: &[f64], batch: &[Sample]) -> f64 {
        batch.iter().map(|sample| self.loss_of(solution, sample)).sum::<f64>() / batch.len() as f64
    }

    /// By central differences.
    fn gradient(&self, batch: &[Sample]) -> Vec<f64> {
        let moved = |place: usize, by: f64| {
            let mut solution = self.solution.clone();
            solution[place] += by;
            self.loss(&solution, batch)
        };
        (0..self.solution.len()).map(|place| (moved(place, 1e-5) - moved(place, -1e-5)) / 2e-5).collect()
    }

    /// Loss and norm.
    fn step(&mut self, batch: &[Sample]) -> (f64, f64) {
        let (loss, gradient) = (self.loss(&self.solution, batch), self.gradient(batch));
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let GradientOptions { learning_rate, momentum, weight_decay, clip_norm, .. } = self.options;
        let [rate, momentum, decay, clip] = [learning_rate, momentum, weight_decay, clip_norm].map(f64::from);
        let factor = if norm > clip { clip / norm } else { 1.0 };
        for (place, gradient) in gradient.iter().enumerate() {
            if place < self.features * self.outputs {
                self.solution[place] *= 1.0 - rate * decay;
            }
            self.velocity[place] = momentum * self.velocity[place] - rate * factor * gradient;
            self.solution[place] += self.velocity[place];
        }
        (loss, norm)
    }
}

fn near(found: f32, expected: f64, bound: f64, what: &str) {
    let error = (f64::from(found) - expected).abs();
    assert!(error <= bound * (1.0 + expected.abs()), "{what}: {found} is not {expected}");
}

#[test]
fn steps_are_those_of_central_differences_in_f64() {
    let weights = [0.5, 2.0, 0.0, 1.5];
    for loss in LOSSES {
        for (features, outputs, weight_decay, clip_norm, class_weights) in [
            (1, 2, 0.0, f32::INFINITY, &[][..]),
            (5, 2, 0.1, 0.05, &[]),
            (7, 4, 0.0, f32::INFINITY, &weights),
            (16, 4, 0.3, 0.2, &weights),
        ] {
            let mut draw = Draw(Generator::new(features as u32));
            let file: Vec<f32> = (0..outputs * (features + 1)).map(|_| draw.real()).collect();
            let options = GradientOptions { loss, learning_rate: 0.1, momentum: 0.7, weight_decay, clip_norm, class_weights };
            let mut reference = Reference::new(&file, features, outputs, options);
            with_head(&file, [features, outputs, outputs], 6, options, |head| {
                for count in [6, 1, 4] {
                    let batch: Vec<Sample> = (0..count).map(|_| draw.sample(features, outputs)).collect();
                    batch.iter().for_each(|sample| head.add(&sample.features, sample.target(loss)).unwrap());
                    assert_eq!(head.waiting(), count);
                    let found = head.step().unwrap();
                    let (loss_before, norm) = reference.step(&batch);
                    near(found.loss, loss_before, 1e-5, "the loss");
                    near(found.norm, norm, 1e-4, "the norm");
                    assert!(clip_norm.is_infinite() || norm > f64::from(clip_norm) || count == 1, "{norm} is not clipped");
                    for (found, expected) in head.solution().iter().zip(&reference.solution) {
                        near(*found, *expected, 2e-5, &format!("{loss:?}, {features} features"));
                    }
                }
                let sample = draw.sample(features, outputs);
                let mut answers = vec![0.0; outputs];
                head.predict(&sample.features, &mut answers).unwrap();
                let z = reference.outputs(&reference.solution, &sample);
                for (k, &answer) in answers.iter().enumerate() {
                    let expected = match loss {
                        Loss::SoftmaxCrossEntropy => z[k].exp() / z.iter().map(|z| z.exp()).sum::<f64>(),
                        Loss::SigmoidCrossEntropy => 1.0 / (1.0 + (-z[k]).exp()),
                        Loss::MeanSquaredError => z[k],
                    };
                    near(answer, expected, 1e-4, "an answer");
                }
                let largest = (0..outputs).fold(0, |best, k| if z[k] > z[best] { k } else { best });
                assert_eq!(head.classify(&sample.features), Ok(largest));
            });
        }
    }
}

/// Two classes and a feature of 0 or 1: a quarter of the zeros and three quarters of the ones are class 1, so the logits differ by
/// -ln 3 and ln 3.
#[test]
fn a_convex_case_finds_its_optimum() {
    let options = GradientOptions { learning_rate: 1.0, clip_norm: f32::INFINITY, ..GradientOptions::DEFAULT };
    let one = (1.0 / SCALE) as i8 + ZERO_POINT;
    let x = f64::from(SCALE) * f64::from(one - ZERO_POINT);
    with_head(&[0.0; 4], [1, 2, 2], 8, options, |head| {
        for _ in 0..400 {
            for (feature, class) in [(0, 0), (0, 0), (0, 0), (0, 1), (1, 0), (1, 1), (1, 1), (1, 1)] {
                head.add(&[if feature == 1 { one } else { ZERO_POINT }], Target::Class(class)).unwrap();
            }
            head.step().unwrap();
        }
        let &[w0, w1, b0, b1] = head.solution() else { panic!() };
        near(b1 - b0, -(3f64.ln()), 1e-4, "the bias");
        near(w1 - w0, 2.0 * 3f64.ln() / x, 1e-4, "the weight");
    });
    // A line through points: `t = 2 x + 1`.
    let options = GradientOptions { loss: Loss::MeanSquaredError, ..options };
    with_head(&[0.0; 2], [1, 1, 1], 3, GradientOptions { learning_rate: 0.1, ..options }, |head| {
        for _ in 0..300 {
            for q in [-50i8, 0, 20] {
                let x = SCALE * f32::from(q - ZERO_POINT);
                head.add(&[q], Target::Values(&[2.0 * x + 1.0])).unwrap();
            }
            head.step().unwrap();
        }
        near(head.solution()[0], 2.0, 1e-4, "the slope");
        near(head.solution()[1], 1.0, 1e-4, "the offset");
    });
}

#[test]
fn a_class_that_was_never_seen_is_not_found_until_it_is_learned() {
    for loss in [Loss::SoftmaxCrossEntropy, Loss::SigmoidCrossEntropy] {
        let options = GradientOptions { loss, learning_rate: 0.5, momentum: 0.0, ..GradientOptions::DEFAULT };
        let file = [-1.0, -1.0, 0.5, 0.5, -9.0, -9.0];
        with_head(&file, [2, 2, 3], 2, options, |head| {
            let mut answers = [f32::NAN; 3];
            head.predict(&[3, 4], &mut answers).unwrap();
            assert_eq!(answers[2], 0.0);
            head.add(&[3, 4], Target::Class(0)).unwrap();
            head.step().unwrap();
            assert_eq!(head.solution()[8], f32::NEG_INFINITY, "of other classes' samples nothing is learned of it");
            assert!(head.solution()[4..6].iter().all(|&weight| weight == 0.0));
            for _ in 0..60 {
                head.add(&[120, 110], Target::Class(2)).unwrap();
                head.add(&[-60, -70], Target::Class(1)).unwrap();
                head.step().unwrap();
            }
            assert_eq!(head.classify(&[118, 111]), Ok(2));
            assert_eq!(head.classify(&[-61, -71]), Ok(1));
            head.reset();
            assert_eq!(head.solution(), [-1.0, -1.0, 0.5, 0.5, 0.0, 0.0, -9.0, -9.0, f32::NEG_INFINITY]);
        });
    }
    with_head(
        &[1.0, 0.0],
        [1, 1, 3],
        1,
        GradientOptions { loss: Loss::MeanSquaredError, ..GradientOptions::DEFAULT },
        |head| {
            assert_eq!(head.solution()[3..], [0.0; 3], "numbers have no class that was never seen");
        },
    );
}

fn train(head: &mut GradientHead<'_>, samples: &[Sample]) -> Result<Step, TrainError> {
    for sample in samples {
        head.add(&sample.features, Target::Class(sample.class))?;
    }
    head.step()
}

/// Samples of three classes, each around a place of its own.
fn clusters(draw: &mut Draw, count: usize) -> Vec<Sample> {
    let places = [[60i8, -60, 0, 0], [-60, 60, 0, 0], [0, 0, 70, -70]];
    let sample = |number: usize| {
        let class = number % 3;
        let features = places[class].iter().map(|&place| place + (draw.real() * 25.0) as i8).collect();
        Sample { features, class, values: Vec::new() }
    };
    (0..count).map(sample).collect()
}

#[test]
fn a_guard_takes_back_what_makes_held_out_samples_worse() {
    let mut draw = Draw(Generator::new(3));
    let (held, good) = (clusters(&mut draw, 9), clusters(&mut draw, 24));
    let options = GradientOptions { learning_rate: 0.2, clip_norm: f32::INFINITY, ..GradientOptions::DEFAULT };
    with_head(&[0.0; 15], [4, 3, 3], 24, options, |head| {
        let mut memory = AlignedBuffer::zeros(4 * guard_words(3, 4, 9, 1));
        let mut guard = Guard::new(head, 9, 0.0, memory.as_mut_slice()).unwrap();
        assert_eq!(guard.check(head), Err(TrainError::NoSamples));
        held.iter().for_each(|sample| guard.hold(head, &sample.features, Target::Class(sample.class)).unwrap());
        assert_eq!(guard.held(), 9);
        let again = guard.hold(head, &held[0].features, Target::Class(0));
        assert_eq!(again, Err(TrainError::Full { capacity: 9 }));
        // What a fresh head knows: nothing.
        let Ok(Verdict::Kept { loss, best }) = guard.check(head) else { panic!() };
        assert_eq!(loss, best);
        near(best, 3f64.ln(), 1e-6, "the loss of equal probabilities");
        for _ in 0..6 {
            train(head, &good).unwrap();
        }
        let Ok(Verdict::Kept { loss: learned, best }) = guard.check(head) else { panic!() };
        assert!(learned < 0.5 * best, "{learned} after {best}");
        let before = head.solution().to_vec();
        // Labels that are wrong.
        let poisoned: Vec<Sample> = good.iter().cloned().map(|s| Sample { class: (s.class + 1) % 3, ..s }).collect();
        for _ in 0..3 {
            train(head, &poisoned).unwrap();
        }
        assert_ne!(head.solution(), before);
        let Ok(Verdict::RolledBack { loss, best }) = guard.check(head) else { panic!() };
        assert!(loss > best && best == learned, "{loss} after {best}");
        assert_eq!(head.solution(), before);
        // The velocity of the poisoned steps is gone, too: the next step is that of a head which was given these weights.
        let step = train(head, &good).unwrap();
        let after = head.solution().to_vec();
        head.restore(&before).unwrap();
        assert_eq!(train(head, &good).unwrap(), step);
        assert_eq!(head.solution(), after);
        assert!(matches!(guard.check(head), Ok(Verdict::Kept { .. })));
        // Weights that no number measures.
        let before = head.solution().to_vec();
        head.solution[0] = f32::NAN;
        assert!(matches!(guard.check(head), Ok(Verdict::RolledBack { loss, .. }) if loss.is_nan()));
        assert_eq!(head.solution(), before);
    });
}

#[test]
fn a_guard_measures_what_a_step_measures() {
    for loss in LOSSES {
        let mut draw = Draw(Generator::new(8));
        let file: Vec<f32> = (0..4 * 6).map(|_| draw.real()).collect();
        let options = GradientOptions { loss, class_weights: &[0.5, 2.0, 0.0, 1.5], ..GradientOptions::DEFAULT };
        with_head(&file, [5, 4, 4], 7, options, |head| {
            let mut memory = AlignedBuffer::zeros(4 * guard_words(4, 5, 7, loss.target_words(4)));
            let mut guard = Guard::new(head, 7, 0.0, memory.as_mut_slice()).unwrap();
            for _ in 0..7 {
                let sample = draw.sample(5, 4);
                guard.hold(head, &sample.features, sample.target(loss)).unwrap();
                head.add(&sample.features, sample.target(loss)).unwrap();
            }
            let Ok(Verdict::Kept { loss: found, .. }) = guard.check(head) else { panic!() };
            near(head.step().unwrap().loss, f64::from(found), 1e-6, &format!("{loss:?}"));
            guard.clear();
            assert_eq!(guard.check(head), Err(TrainError::NoSamples));
        });
    }
}

#[test]
fn a_tolerance_lets_a_new_class_in_but_not_step_by_step() {
    let mut draw = Draw(Generator::new(4));
    let samples = clusters(&mut draw, 30);
    const TOLERANCE: f32 = 0.2;
    let options = GradientOptions { learning_rate: 0.1, momentum: 0.0, ..GradientOptions::DEFAULT };
    with_head(&[0.0; 10], [4, 2, 3], 30, options, |head| {
        let old: Vec<Sample> = samples.iter().filter(|sample| sample.class < 2).cloned().collect();
        for _ in 0..20 {
            train(head, &old).unwrap();
        }
        let mut memory = AlignedBuffer::zeros(4 * guard_words(3, 4, 20, 1));
        let mut guard = Guard::new(head, 20, TOLERANCE, memory.as_mut_slice()).unwrap();
        old.iter().for_each(|sample| guard.hold(head, &sample.features, Target::Class(sample.class)).unwrap());
        let Ok(Verdict::Kept { loss: first, .. }) = guard.check(head) else { panic!() };
        // A new class takes from the old ones what they had of its probability, and that is allowed; up to the tolerance in all.
        let new: Vec<Sample> = samples.iter().filter(|sample| sample.class == 2).cloned().collect();
        let mut worst = first;
        let rolled_back = (0..200).any(|_| {
            train(head, &new).unwrap();
            match guard.check(head).unwrap() {
                Verdict::Kept { loss, .. } => {
                    worst = if loss > worst { loss } else { worst };
                    false
                }
                Verdict::RolledBack { loss, best } => {
                    assert!(loss > best + TOLERANCE && worst <= first + TOLERANCE);
                    true
                }
            }
        });
        assert!(rolled_back && worst > first, "from {first} to {worst}");
        // A sample of a class that was never seen: infinitely wrong before, and so nothing is worse.
        head.reset();
        let mut memory = AlignedBuffer::zeros(4 * guard_words(3, 4, 1, 1));
        let mut guard = Guard::new(head, 1, 0.0, memory.as_mut_slice()).unwrap();
        guard.hold(head, &new[0].features, Target::Class(2)).unwrap();
        assert_eq!(guard.check(head), Ok(Verdict::Kept { loss: f32::INFINITY, best: f32::INFINITY }));
        train(head, &new).unwrap();
        assert!(matches!(guard.check(head), Ok(Verdict::Kept { loss, .. }) if loss.is_finite()));
    });
}

#[test]
fn replay_keeps_old_classes_while_a_new_one_is_learned() {
    let mut draw = Draw(Generator::new(6));
    let samples = clusters(&mut draw, 60);
    let of = |class: usize| samples.iter().filter(move |sample| sample.class == class);
    let accuracy = |head: &GradientHead<'_>, class: usize| {
        of(class).filter(|sample| head.classify(&sample.features) == Ok(class)).count() as f32 / of(class).count() as f32
    };
    let learn = |with_replay: bool| {
        let options = GradientOptions { learning_rate: 0.3, ..GradientOptions::DEFAULT };
        with_head(&[0.0; 10], [4, 2, 3], 4, options, |head| {
            let mut memory = AlignedBuffer::zeros(replay_bytes(3, 4, 4));
            let mut replay = Replay::new(3, 4, 4, 1, memory.as_mut_slice()).unwrap();
            for (zero, one) in of(0).zip(of(1)) {
                for sample in [zero, one] {
                    head.add(&sample.features, Target::Class(sample.class)).unwrap();
                    replay.add(&sample.features, sample.class).unwrap();
                }
                head.step().unwrap();
            }
            for sample in (0..10).flat_map(|_| of(2)) {
                head.add(&sample.features, Target::Class(2)).unwrap();
                for _ in 0..3 {
                    if let (true, Some((features, class))) = (with_replay, replay.draw()) {
                        head.add(features, Target::Class(class)).unwrap();
                    }
                }
                head.step().unwrap();
            }
            [0, 1, 2].map(|class| accuracy(head, class))
        })
    };
    assert_eq!(learn(true), [1.0; 3]);
    let forgotten = learn(false);
    assert!(forgotten[2] == 1.0 && forgotten[..2].iter().any(|&accuracy| accuracy < 1.0), "{forgotten:?}");
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let of = |options: GradientOptions<'_>, outputs: usize| {
        let words = vec![0; 2 * outputs];
        let mut memory = AlignedBuffer::zeros(4 * gradient_words(outputs, 1, 1));
        GradientHead::of(Head::dense(1, [outputs; 2], 1.0, 0, &words), 1, options, memory.as_mut_slice()).err()
    };
    let sound = GradientOptions::DEFAULT;
    assert_eq!(of(sound, 2), None);
    for options in [
        GradientOptions { learning_rate: -0.1, ..sound },
        GradientOptions { learning_rate: f32::NAN, ..sound },
        GradientOptions { momentum: 1.0, ..sound },
        GradientOptions { weight_decay: f32::INFINITY, ..sound },
        GradientOptions { weight_decay: 30.0, ..sound },
        GradientOptions { clip_norm: 0.0, ..sound },
        GradientOptions { class_weights: &[1.0], ..sound },
        GradientOptions { class_weights: &[1.0, -1.0], ..sound },
    ] {
        assert_eq!(of(options, 2), Some(TrainError::Options), "{options:?}");
    }
    assert_eq!(of(sound, 1), Some(TrainError::Options), "a softmax of one");
    // Two copies of 3 outputs of 5 features, and 4 samples of 3 derivatives and 5 bytes.
    assert_eq!(gradient_words(3, 5, 4), 2 * 18 + 12 + 5);
    assert_eq!(guard_words(3, 5, 2, 3), 18 + 6 + 3);
    let words = [0; 18];
    let record = Head::dense(5, [3, 3], 1.0, 0, &words);
    let mut memory = AlignedBuffer::zeros(4 * 53);
    let memory = memory.as_mut_slice();
    let error = GradientHead::of(record, 4, sound, &mut memory[..211]).err();
    assert_eq!(error, Some(TrainError::MemoryTooSmall { required: 212, found: 211 }));
    assert_eq!(GradientHead::of(record, 2, sound, &mut memory[1..]).err(), Some(TrainError::MemoryMisaligned));

    with_head(&[0.5; 18], [5, 3, 3], 2, sound, |head| {
        assert_eq!(head.step(), Err(TrainError::NoSamples));
        assert_eq!(head.add(&[0; 4], Target::Class(0)), Err(TrainError::FeatureCount { expected: 5, found: 4 }));
        assert_eq!(head.add(&[0; 5], Target::Class(3)), Err(TrainError::NoSuchClass { capacity: 3, found: 3 }));
        assert_eq!(head.add(&[0; 5], Target::Values(&[0.0; 3])), Err(TrainError::Target));
        assert_eq!(head.waiting(), 0);
        head.add(&[0; 5], Target::Class(0)).unwrap();
        head.add(&[0; 5], Target::Class(1)).unwrap();
        assert_eq!(head.add(&[0; 5], Target::Class(2)), Err(TrainError::Full { capacity: 2 }));
        assert_eq!(head.predict(&[0; 5], &mut [0.0; 2]), Err(TrainError::MemoryTooSmall { required: 12, found: 8 }));
        assert_eq!(head.restore(&[0.0; 17]), Err(TrainError::Sums));
        let mut saved = head.solution().to_vec();
        saved[2] = f32::NEG_INFINITY;
        assert_eq!(head.restore(&saved), Err(TrainError::Sums), "a weight");
        assert_eq!(head.solution(), [0.5; 18]);
    });
    let of_loss = |loss| GradientOptions { loss, ..sound };
    with_head(&[0.5; 4], [1, 2, 2], 2, of_loss(Loss::SigmoidCrossEntropy), |head| {
        for values in [&[0.0][..], &[0.0, 1.5], &[-0.1, 0.0], &[f32::NAN, 0.0]] {
            assert_eq!(head.add(&[0], Target::Values(values)), Err(TrainError::Target), "{values:?}");
        }
        head.add(&[0], Target::Class(1)).unwrap();
        assert_eq!(&head.slopes[..2], [0.0, 1.0]);
    });
    with_head(&[0.5; 4], [1, 2, 2], 2, of_loss(Loss::MeanSquaredError), |head| {
        assert_eq!(head.add(&[0], Target::Class(0)), Err(TrainError::Target));
        assert_eq!(head.add(&[0], Target::Values(&[f32::INFINITY, 0.0])), Err(TrainError::Target));
        // A square beyond all numbers: nothing is learned, and the batch is gone.
        head.add(&[0], Target::Values(&[1e30, 0.0])).unwrap();
        assert_eq!(head.step(), Err(TrainError::NotFinite));
        assert_eq!((head.solution(), head.waiting()), (&[0.5; 4][..], 0));
    });
}
