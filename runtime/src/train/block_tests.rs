use super::*;
use crate::{
    arena::AlignedBuffer,
    ops::{linear::ClampF32, window::Window},
    random::Generator,
    train::Loss,
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
