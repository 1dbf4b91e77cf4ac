use super::*;
use crate::{
    arena::AlignedBuffer,
    ops::{linear::ClampF32, window::Window},
    random::Generator,
    train::{Loss, record::MOST_CLASSES},
};

const SCALE: f32 = 0.021;
const ZERO_POINT: i8 = -9;
const OPEN: ClampF32 = ClampF32 { minimum: f32::NEG_INFINITY, maximum: f32::INFINITY };
const RELU: ClampF32 = ClampF32 { minimum: 0.0, maximum: f32::INFINITY };
const NO_WINDOW: Window = Window { kernel: [0, 0], stride: [0, 0], dilation: [0, 0], padding: [0, 0] };

/// From -1 to 1.
fn real(generator: &mut Generator) -> f32 {
    (generator.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0
}

fn reals(generator: &mut Generator, count: usize, size: f32) -> Vec<f32> {
    (0..count).map(|_| size * real(generator)).collect()
}

/// A sample with a target for each loss.
struct Sample {
    features: Vec<i8>,
    class: usize,
    values: Vec<f32>,
}

impl Sample {
    fn draw(generator: &mut Generator, features: usize, classes: usize) -> Self {
        Self {
            features: (0..features).map(|_| (127.0 * real(generator)) as i8).collect(),
            class: (generator.next_u32() >> 16) as usize % classes,
            values: (0..classes).map(|_| real(generator).abs()).collect(),
        }
    }

    fn target(&self, loss: Loss) -> Target<'_> {
        if loss == Loss::SoftmaxCrossEntropy { Target::Class(self.class) } else { Target::Values(&self.values) }
    }
}

fn with_block<T>(
    block: BlockRecord,
    classes: usize,
    file: &[f32],
    batch: usize,
    options: GradientOptions<'_>,
    test: impl FnOnce(&mut BlockHead<'_>) -> T,
) -> T {
    let words: Vec<u32> = file.iter().map(|value| value.to_bits()).collect();
    let mut memory = AlignedBuffer::zeros(4 * block.sizes(classes).unwrap().words());
    let record = Head::block(block, [classes; 2], SCALE, ZERO_POINT, &words);
    test(&mut BlockHead::of(record, batch, options, memory.as_mut_slice()).unwrap())
}

/// The block in f64, as the module's formulas say, element by element.
struct Reference<'a> {
    block: BlockRecord,
    sizes: BlockSizes,
    options: GradientOptions<'a>,
    solution: Vec<f64>,
    velocity: Vec<f64>,
}

impl Reference<'_> {
    fn outputs(&self, solution: &[f64], sample: &Sample) -> Vec<f64> {
        let BlockRecord { input: [height, width, channels], window, .. } = self.block;
        let [height, width, channels] = [height, width, channels].map(|size| size as usize);
        let BlockSizes { taps, places, units, classes, .. } = self.sizes;
        let clip = |clamp: ClampF32, value: f64| value.max(clamp.minimum.into()).min(clamp.maximum.into());
        let x = |row: usize, column: usize, channel: usize| {
            f64::from(SCALE)
                * f64::from(i16::from(sample.features[(row * width + column) * channels + channel]) - i16::from(ZERO_POINT))
        };
        let mut start = 0;
        let [w, b, linear, linear_b, head, head_b] = self.sizes.parts().map(|count| {
            start += count;
            &solution[start - count..start]
        });
        let columns = usize::from(self.block.places[1]);
        let y = |place: usize, channel: usize| {
            if taps == 0 {
                return x(place / columns, place % columns, channel);
            }
            let mut sum = b[channel];
            for tap in 0..taps {
                let at = |axis: usize, place: usize, tap: usize| {
                    (place * usize::from(window.stride[axis]) + tap * usize::from(window.dilation[axis]))
                        .checked_sub(usize::from(window.padding[axis]))
                };
                let kernel = usize::from(window.kernel[1]);
                let (row, column) = (at(0, place / columns, tap / kernel), at(1, place % columns, tap % kernel));
                if let (Some(row), Some(column)) = (row.filter(|&row| row < height), column.filter(|&column| column < width)) {
                    sum += w[tap * channels + channel] * x(row, column, channel);
                }
            }
            clip(self.block.depthwise, sum)
        };
        let read: Vec<f64> = (0..places).flat_map(|place| (0..channels).map(move |channel| y(place, channel))).collect();
        let mean = |unit: usize| {
            let at = |place: usize| {
                let products =
                    (0..channels).map(|channel| linear[unit * channels + channel] * read[place * channels + channel]);
                clip(self.block.linear, linear_b[unit] + products.sum::<f64>())
            };
            (0..places).map(at).sum::<f64>() / places as f64
        };
        let means: Vec<f64> = (0..units).map(mean).collect();
        (0..classes).map(|k| head_b[k] + (0..units).map(|unit| head[k * units + unit] * means[unit]).sum::<f64>()).collect()
    }

    fn loss(&self, solution: &[f64], batch: &[Sample]) -> f64 {
        let of = |sample: &Sample| {
            let z = self.outputs(solution, sample);
            match self.options.loss {
                Loss::SoftmaxCrossEntropy => z.iter().map(|z| z.exp()).sum::<f64>().ln() - z[sample.class],
                _ => z.iter().zip(&sample.values).map(|(z, &t)| (z - f64::from(t)).powi(2)).sum::<f64>() / z.len() as f64,
            }
        };
        batch.iter().map(of).sum::<f64>() / batch.len() as f64
    }

    /// Loss and norm; gradients by central differences.
    fn step(&mut self, batch: &[Sample]) -> (f64, f64) {
        let moved = |place: usize, by: f64| {
            let mut solution = self.solution.clone();
            solution[place] += by;
            self.loss(&solution, batch)
        };
        let gradient: Vec<f64> =
            (0..self.solution.len()).map(|place| (moved(place, 1e-6) - moved(place, -1e-6)) / 2e-6).collect();
        let loss = self.loss(&self.solution, batch);
        let GradientOptions { learning_rate, momentum, weight_decay, clip_norm, .. } = self.options;
        let [rate, momentum, decay, clip] = [learning_rate, momentum, weight_decay, clip_norm].map(f64::from);
        self.velocity.iter_mut().zip(&gradient).for_each(|(v, g)| *v = momentum * *v + g);
        let norm = self.velocity.iter().map(|v| v * v).sum::<f64>().sqrt();
        let factor = (clip / (1.0 - momentum) / norm).min(1.0);
        self.velocity.iter_mut().for_each(|v| *v *= factor);
        let mut place = 0;
        for (part, count) in self.sizes.parts().into_iter().enumerate() {
            for _ in 0..count {
                let kept = if part % 2 == 0 { 1.0 - rate * decay } else { 1.0 };
                self.solution[place] = self.solution[place] * kept - rate * self.velocity[place];
                place += 1;
            }
        }
        (loss, norm)
    }
}

fn near(found: f32, expected: f64, bound: f64, what: &str) {
    let error = (f64::from(found) - expected).abs();
    assert!(error <= bound * (1.0 + expected.abs()), "{what}: {found} is not {expected}");
}

const fn window(kernel: [u16; 2], stride: [u16; 2], dilation: [u16; 2], padding: [u16; 2]) -> Window {
    Window { kernel, stride, dilation, padding }
}

/// Blocks of all forms: a dense layer; a pointwise one; a depthwise convolution with padding, with strides and dilation, along one axis;
/// sizes that are whole and that leave something of what is computed side by side.
fn blocks() -> [BlockRecord; 6] {
    let dense = BlockRecord { input: [1, 1, 21], places: [1, 1], window: NO_WINDOW, depthwise: OPEN, units: 6, linear: RELU };
    let capped = ClampF32 { minimum: -0.3, maximum: 0.25 };
    [
        dense,
        BlockRecord { input: [3, 3, 5], places: [3, 3], units: 4, ..dense },
        BlockRecord {
            input: [4, 3, 16],
            places: [4, 3],
            window: window([3, 3], [1, 1], [1, 1], [1, 1]),
            depthwise: RELU,
            units: 8,
            ..dense
        },
        BlockRecord {
            input: [7, 6, 9],
            places: [3, 3],
            window: window([3, 2], [2, 2], [2, 1], [1, 0]),
            depthwise: capped,
            units: 7,
            ..dense
        },
        BlockRecord {
            input: [12, 1, 4],
            places: [8, 1],
            window: window([5, 1], [1, 1], [1, 1], [0, 0]),
            linear: capped,
            ..dense
        },
        BlockRecord { input: [1, 1, 4], places: [1, 1], window: window([1, 1], [1, 1], [1, 1], [0, 0]), linear: OPEN, ..dense },
    ]
}

#[test]
fn steps_are_those_of_central_differences_in_f64() {
    let classes = 3;
    for (number, block) in blocks().into_iter().enumerate() {
        let sizes = block.sizes(classes).unwrap();
        for (loss, weight_decay, clip_norm) in
            [(Loss::SoftmaxCrossEntropy, 0.2, f32::INFINITY), (Loss::MeanSquaredError, 0.0, 0.02)]
        {
            let mut generator = Generator::new(number as u32 + 1);
            let file = reals(&mut generator, sizes.parameters(), 0.6);
            let options =
                GradientOptions { loss, learning_rate: 0.1, momentum: 0.7, weight_decay, clip_norm, class_weights: &[] };
            let solution: Vec<f64> = file.iter().map(|&value| f64::from(value)).collect();
            let mut reference = Reference { block, sizes, options, velocity: vec![0.0; solution.len()], solution };
            with_block(block, classes, &file, 3, options, |head| {
                let features = head.record().features;
                for step in 0..3 {
                    let batch: Vec<Sample> = (0..3).map(|_| Sample::draw(&mut generator, features, classes)).collect();
                    batch.iter().for_each(|sample| head.add(&sample.features, sample.target(loss)).unwrap());
                    assert_eq!((head.waiting(), head.room()), (3, 0));
                    let found = head.step().unwrap();
                    let (loss_before, norm) = reference.step(&batch);
                    let what = format!("block {number}, {loss:?}, step {step}");
                    near(found.loss, loss_before, 1e-5, &what);
                    near(found.norm, norm, 1e-4, &what);
                    assert!(clip_norm.is_infinite() || norm > f64::from(clip_norm) / 0.3, "{what}: {norm} is not clipped");
                    for (found, expected) in head.solution().iter().zip(&reference.solution) {
                        near(*found, *expected, 2e-5, &what);
                    }
                }
                let sample = Sample::draw(&mut generator, features, classes);
                let mut answers = [0.0; 3];
                head.predict(&sample.features, &mut answers).unwrap();
                let z = reference.outputs(&reference.solution, &sample);
                let sum: f64 = z.iter().map(|z| z.exp()).sum();
                for (answer, z) in answers.iter().zip(&z) {
                    near(*answer, if loss == Loss::MeanSquaredError { *z } else { z.exp() / sum }, 1e-4, "an answer");
                }
                let largest = (0..classes).fold(0, |best, k| if z[k] > z[best] { k } else { best });
                assert_eq!(head.classify(&sample.features), Ok(largest));
            });
        }
    }
}

/// A pointwise block of two places by hand: `y = 0.5 * x - 0.25`, cut off below 0, its mean, and `z = 2 * mean + 1`.
#[test]
fn a_block_by_hand() {
    let block = BlockRecord { input: [2, 1, 1], places: [2, 1], window: NO_WINDOW, depthwise: OPEN, units: 1, linear: RELU };
    let options = GradientOptions {
        loss: Loss::MeanSquaredError,
        learning_rate: 0.5,
        momentum: 0.5,
        clip_norm: f32::INFINITY,
        ..GradientOptions::DEFAULT
    };
    let words = [0.5f32, -0.25, 2.0, 1.0].map(f32::to_bits);
    let mut memory = AlignedBuffer::zeros(4 * block.sizes(1).unwrap().words());
    let record = Head::block(block, [1, 1], 0.5, 1, &words);
    let mut head = BlockHead::of(record, 1, options, memory.as_mut_slice()).unwrap();
    // Features of 2 and -1: the first gives 0.75, the second is cut off; the mean is 0.375, the output 1.75.
    let mut answer = [0.0];
    head.predict(&[5, -1], &mut answer).unwrap();
    assert_eq!(answer, [1.75]);
    // The target is 2.75, so the derivative of the output is -2; of the mean -4, of the place that passes -2.
    for (step, [weight, bias, head_weight, head_bias]) in [
        [0.5 + 0.5 * 4.0, -0.25 + 0.5 * 2.0, 2.0 + 0.5 * 0.75, 1.0 + 0.5 * 2.0],
        // Now 2.5 * 2 + 0.75 = 5.75, and the second place is -1.75: a mean of 2.875, an output of 2.375 * 2.875 + 2 = 8.828125.
        // The target is that minus 0.5: derivatives 1, 2.375, 1.1875; half of the last directions -4, -2, -0.75, -2 is added.
        [2.5 - 0.5 * (2.375 - 2.0), 0.75 - 0.5 * (1.1875 - 1.0), 2.375 - 0.5 * (2.875 - 0.375), 2.0 - 0.5 * (1.0 - 1.0)],
    ]
    .into_iter()
    .enumerate()
    {
        head.add(&[5, -1], Target::Values(&[[2.75, 8.328125][step]])).unwrap();
        let Step { loss, norm } = head.step().unwrap();
        assert_eq!(head.solution(), [weight, bias, head_weight, head_bias]);
        if step == 0 {
            assert_eq!((loss, norm), (1.0, (16.0f32 + 4.0 + 0.5625 + 4.0).sqrt()));
        }
    }
    head.reset();
    assert_eq!(head.solution(), [0.5, -0.25, 2.0, 1.0]);
}

/// Two classes and a feature of 0 or 1: a quarter of the zeros and three quarters of the ones are class 1, so that the logits differ by -ln 3
/// and ln 3 in the one optimum of what the outputs can be; without bounds every way there leads down.
#[test]
fn a_convex_case_finds_its_optimum() {
    let block = BlockRecord { input: [1, 1, 1], places: [1, 1], window: NO_WINDOW, depthwise: OPEN, units: 2, linear: OPEN };
    let options = GradientOptions { learning_rate: 0.5, clip_norm: f32::INFINITY, ..GradientOptions::DEFAULT };
    let one = (1.0 / SCALE) as i8 + ZERO_POINT;
    let start = [0.3, -0.2, 0.0, 0.0, 0.1, 0.4, -0.3, 0.2, 0.0, 0.0];
    with_block(block, 2, &start, 8, options, |head| {
        for _ in 0..600 {
            for (feature, class) in [(0, 0), (0, 0), (0, 0), (0, 1), (1, 0), (1, 1), (1, 1), (1, 1)] {
                head.add(&[if feature == 1 { one } else { ZERO_POINT }], Target::Class(class)).unwrap();
            }
            head.step().unwrap();
        }
        for (feature, expected) in [(ZERO_POINT, 0.25), (one, 0.75)] {
            let mut answers = [0.0; 2];
            head.predict(&[feature], &mut answers).unwrap();
            near(answers[1], expected, 1e-4, "the share of class 1");
        }
    });
}

/// What a body computes badly for somebody, a block can mend where a head cannot: the class is whether the two features are alike, of which
/// no unit of the file says anything.
#[test]
fn a_block_learns_what_no_head_could() {
    let block = BlockRecord { input: [1, 1, 2], places: [1, 1], window: NO_WINDOW, depthwise: OPEN, units: 8, linear: RELU };
    let mut generator = Generator::new(5);
    let options = GradientOptions { learning_rate: 0.1, ..GradientOptions::DEFAULT };
    let file = reals(&mut generator, block.sizes(2).unwrap().parameters(), 0.5);
    with_block(block, 2, &file, 4, options, |head| {
        let samples = [([60i8, 60], 1), ([-60, -60], 1), ([60, -60], 0), ([-60, 60], 0)];
        for _ in 0..300 {
            samples.iter().for_each(|(features, class)| head.add(features, Target::Class(*class)).unwrap());
            head.step().unwrap();
        }
        samples.iter().for_each(|(features, class)| assert_eq!(head.classify(features), Ok(*class)));
    });
}

#[test]
fn a_class_that_was_never_seen_is_not_found_until_it_is_learned() {
    let block = blocks()[2];
    let sizes = block.sizes(3).unwrap();
    let mut generator = Generator::new(2);
    let file: Vec<u32> =
        reals(&mut generator, block.sizes(2).unwrap().parameters(), 0.3).iter().map(|value| value.to_bits()).collect();
    let mut memory = AlignedBuffer::zeros(4 * sizes.words());
    let record = Head::block(block, [2, 3], SCALE, ZERO_POINT, &file);
    let mut head = BlockHead::of(record, 2, GradientOptions::DEFAULT, memory.as_mut_slice()).unwrap();
    let [new, old] = [(); 2].map(|()| Sample::draw(&mut generator, record.features, 2).features);
    let mut answers = [f32::NAN; 3];
    head.predict(&new, &mut answers).unwrap();
    assert_eq!(answers[2], 0.0);
    head.add(&old, Target::Class(0)).unwrap();
    head.step().unwrap();
    assert_eq!(head.solution().last(), Some(&f32::NEG_INFINITY), "of other classes' samples nothing is learned of it");
    for _ in 0..60 {
        head.add(&new, Target::Class(2)).unwrap();
        head.add(&old, Target::Class(1)).unwrap();
        head.step().unwrap();
    }
    assert_eq!((head.classify(&new), head.classify(&old)), (Ok(2), Ok(1)));
    let learned = head.solution().to_vec();
    head.reset();
    let head_of_file = sizes.parameters() - 3 * (sizes.units + 1);
    let words: Vec<u32> = head.solution().iter().map(|value| value.to_bits()).collect();
    assert_eq!(words[..head_of_file + 2 * sizes.units], file[..head_of_file + 2 * sizes.units]);
    assert_eq!(head.solution()[head_of_file + 2 * sizes.units..][..sizes.units], [0.0; 8]);
    head.restore(&learned).unwrap();
    assert_eq!(head.solution(), learned);
    assert_eq!(head.classify(&new), Ok(2));
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let block = BlockRecord { input: [1, 1, 2], places: [1, 1], window: NO_WINDOW, depthwise: OPEN, units: 3, linear: RELU };
    // Two copies of 2 * 3 + 3 and 3 * 2 + 2; three means, two outputs, a tile of two, a row of two, and three bytes.
    let sizes = block.sizes(2).unwrap();
    assert_eq!((sizes.parts(), sizes.words()), ([0, 0, 6, 3, 6, 2], 2 * 17 + 3 + 2 + 2 + 2 + 1));
    let words = [0.5f32.to_bits(); 17];
    let record = Head::block(block, [2, 2], 1.0, 0, &words);
    let sound = GradientOptions { loss: Loss::MeanSquaredError, ..GradientOptions::DEFAULT };
    let mut memory = AlignedBuffer::zeros(180);
    let memory = memory.as_mut_slice();
    let error = BlockHead::of(record, 4, sound, &mut memory[..175]).err();
    assert_eq!(error, Some(TrainError::MemoryTooSmall { required: 176, found: 175 }));
    assert_eq!(BlockHead::of(record, 4, sound, &mut memory[1..]).err(), Some(TrainError::MemoryMisaligned));
    assert_eq!(BlockHead::of(record, 0, sound, memory).err(), Some(TrainError::Options));
    let wrong = GradientOptions { momentum: 1.0, ..sound };
    assert_eq!(BlockHead::of(record, 1, wrong, memory).err(), Some(TrainError::Options));
    let mut head = BlockHead::of(record, 2, sound, memory).unwrap();
    assert_eq!(head.step(), Err(TrainError::NoSamples));
    assert_eq!(head.add(&[0; 3], Target::Values(&[0.0; 2])), Err(TrainError::FeatureCount { expected: 2, found: 3 }));
    assert_eq!(head.add(&[0; 2], Target::Class(0)), Err(TrainError::Target));
    assert_eq!(head.waiting(), 0);
    assert_eq!(head.predict(&[0; 2], &mut [0.0]), Err(TrainError::MemoryTooSmall { required: 8, found: 4 }));
    assert_eq!(head.restore(&[0.0; 16]), Err(TrainError::Sums));
    assert_eq!(head.restore(&[f32::NEG_INFINITY; 17]), Err(TrainError::Sums));
    head.add(&[1; 2], Target::Values(&[0.0; 2])).unwrap();
    head.add(&[1; 2], Target::Values(&[1e30; 2])).unwrap();
    assert_eq!(head.add(&[1; 2], Target::Values(&[0.0; 2])), Err(TrainError::Full { capacity: 2 }));
    // A square beyond all numbers: nothing is learned, and nothing is left of it.
    assert_eq!(head.step(), Err(TrainError::NotFinite));
    assert_eq!((head.solution(), head.waiting()), (&[0.5; 17][..], 0));
    head.add(&[1; 2], Target::Values(&[2.75; 2])).unwrap();
    assert_eq!(head.step().map(|step| step.loss), Ok(0.0));
    assert_eq!(head.solution(), [0.5; 17]);
}

#[test]
fn sizes_that_do_not_fit_together_are_refused() {
    let sound = blocks()[3];
    assert!(sound.sizes(3).is_some());
    let of_sound = sound.window;
    for (what, block) in [
        ("no units", BlockRecord { units: 0, ..sound }),
        ("too many units", BlockRecord { units: MOST_CLASSES + 1, ..sound }),
        ("no channels", BlockRecord { input: [7, 6, 0], ..sound }),
        ("features without end", BlockRecord { input: [65_535, 65_535, u32::MAX], ..sound }),
        ("no places", BlockRecord { places: [0, 3], ..sound }),
        ("a window outside", BlockRecord { places: [5, 3], ..sound }),
        ("half a kernel", BlockRecord { window: Window { kernel: [3, 0], ..of_sound }, ..sound }),
        ("a kernel without end", BlockRecord { window: Window { kernel: [4096, 4096], ..of_sound }, ..sound }),
        ("no stride", BlockRecord { window: Window { stride: [0, 1], ..of_sound }, ..sound }),
        ("no dilation", BlockRecord { window: Window { dilation: [1, 0], ..of_sound }, ..sound }),
        ("padding beyond the kernel", BlockRecord { window: Window { padding: [0, 2], ..of_sound }, ..sound }),
        ("places without a window", BlockRecord { window: NO_WINDOW, ..sound }),
        ("bounds out of order", BlockRecord { linear: ClampF32 { minimum: 1.0, maximum: 0.0 }, ..sound }),
        ("bounds of nothing", BlockRecord { depthwise: ClampF32 { minimum: f32::NAN, maximum: 0.0 }, ..sound }),
        ("too many weights", BlockRecord { input: [1, 1, 65_536], places: [1, 1], window: NO_WINDOW, units: 4096, ..sound }),
    ] {
        assert_eq!(block.sizes(3), None, "{what}");
    }
    assert_eq!((sound.sizes(0), sound.sizes(4097)), (None, None));
    // DS-CNN's last block: 48 KB hold what learns it.
    let ds_cnn =
        BlockRecord { input: [25, 5, 64], places: [25, 5], window: window([3, 3], [1, 1], [1, 1], [1, 1]), units: 64, ..sound };
    let sizes = ds_cnn.sizes(12).unwrap();
    assert_eq!(
        (sizes.parameters(), sizes.backward_macs()),
        (9 * 64 + 64 + 64 * 65 + 12 * 65, 125 * 64 * (64 + 64 + 9) + 2 * 12 * 64)
    );
    assert!(4 * sizes.words() <= 48 * 1024, "{}", 4 * sizes.words());
}
