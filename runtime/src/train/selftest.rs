//! Checksums that say whether heads learn here as elsewhere, the same on every core and on the host: what the boards' self-test compares.

use super::{
    BlockHead, ClosedFormHead, GradientHead, GradientOptions, Loss, Prediction, Step, Strangeness, Target, Threshold,
    TrainError,
    block_record::BlockRecord,
    record::{Head, closed_form_words, gradient_words, solution_words, solve_words, sums_words},
};
use crate::{
    format::crc::Crc32,
    ops::{linear::ClampF32, window::Window},
    random::Generator,
};

/// A checksum of each kind of head: closed form, dense, block. 0 if it could not learn.
pub fn checksums() -> [u32; 3] {
    [closed_form(), dense(), block()].map(|sum| sum.unwrap_or(0))
}

/// Of sums, solutions and answers after a head has learned, forgotten, merged and solved.
fn closed_form() -> Result<u32, TrainError> {
    const FEATURES: usize = 12;
    const CAPACITY: usize = 4;
    const FILE: usize = sums_words(1, FEATURES) + solution_words(1, FEATURES);
    let (file, limit) = ([0; FILE], 20.0);
    let threshold = Threshold { strangeness: Strangeness::Distance, limit, error_rate: 0.05 };
    let record = Head::closed_form(FEATURES, [1, CAPACITY], 0.01, Some(threshold), &file);
    let mut memory = [0u32; closed_form_words(CAPACITY, FEATURES, true)];
    let mut scratch = [0u32; solve_words(FEATURES)];
    let mut other = [0u8; 4 * sums_words(CAPACITY, FEATURES)];
    let mut head = ClosedFormHead::of(record, bytemuck::cast_slice_mut(&mut memory))?;
    let (mut generator, mut crc) = (Generator::new(1), Crc32::new());
    let mut row = [0i8; FEATURES];
    let mut draw = |class: usize| {
        row.iter_mut().for_each(|q| *q = (generator.next_u32() >> 24) as i8 / 4 + 30 * class as i8);
        row
    };
    for sample in 0..60 {
        head.add(&draw(sample % 3), sample % 3)?;
    }
    other.copy_from_slice(head.sums());
    head.forget_class(1)?;
    for sample in 0..20 {
        let row = draw(3);
        head.add(&row, 3)?;
        if sample % 4 == 0 {
            head.forget(&row, 3)?;
        }
    }
    for round in 0..2 {
        head.solve(bytemuck::cast_slice_mut(&mut scratch))?;
        for class in 0..CAPACITY {
            let Prediction { class, margin, strangeness, .. } = head.classify(&draw(class))?;
            crc.update(&[class as u8]).update(&margin.to_le_bytes()).update(&strangeness.to_le_bytes());
        }
        crc.update(head.sums());
        head.solution().iter().for_each(|value| {
            crc.update(&value.to_le_bytes());
        });
        if round == 0 {
            head.merge(&other)?;
        }
    }
    Ok(crc.finish())
}

const LOSSES: [Loss; 3] = [Loss::SoftmaxCrossEntropy, Loss::SigmoidCrossEntropy, Loss::MeanSquaredError];
/// Outputs and samples of a step of those that are trained by gradients, the steps, and how.
const OUTPUTS: usize = 3;
const BATCH: usize = 4;
const STEPS: usize = 8;
const OPTIONS: GradientOptions<'static> =
    GradientOptions { weight_decay: 0.01, class_weights: &[1.0, 0.5, 2.0], ..GradientOptions::DEFAULT };

/// Hands the samples of all steps to `learn`, and after each batch `None`.
fn teach(
    generator: &mut Generator,
    loss: Loss,
    row: &mut [i8],
    mut learn: impl FnMut(Option<(&[i8], Target<'_>)>) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    for step in 0..STEPS {
        for sample in 0..BATCH {
            let class = (step + sample) % OUTPUTS;
            row.iter_mut().for_each(|q| *q = (generator.next_u32() >> 24) as i8 / 2 + 20 * class as i8);
            let values = [class as f32 / 2.0, 0.0, 1.0];
            let target = if loss == Loss::MeanSquaredError { Target::Values(&values) } else { Target::Class(class) };
            learn(Some((row, target)))?;
        }
        learn(None)?;
    }
    Ok(())
}

/// Of weights and answers after some steps of each loss.
fn dense() -> Result<u32, TrainError> {
    const FEATURES: usize = 12;
    let (mut generator, mut crc) = (Generator::new(1), Crc32::new());
    for loss in LOSSES {
        let file = [0.25f32; 2 * (FEATURES + 1)].map(f32::to_bits);
        let record = Head::dense(FEATURES, [2, OUTPUTS], 0.037, -5, &file);
        let mut memory = [0f32; gradient_words(OUTPUTS, FEATURES, BATCH)];
        let options = GradientOptions { loss, ..OPTIONS };
        let mut head = GradientHead::of(record, BATCH, options, bytemuck::cast_slice_mut(&mut memory))?;
        let mut row = [0; FEATURES];
        teach(&mut generator, loss, &mut row, |sample| match sample {
            Some((row, target)) => head.add(row, target),
            None => head.step().map(|Step { loss, norm }| update(&mut crc, [loss, norm])),
        })?;
        let mut answers = [0.0; OUTPUTS];
        head.predict(&row, &mut answers)?;
        update(&mut crc, head.solution().iter().chain(&answers).copied());
    }
    Ok(crc.finish())
}

/// A block with all that there is: bounds, padding, and sizes of which something is left of what is computed side by side.
const BLOCK: BlockRecord = BlockRecord {
    input: [5, 4, 18],
    places: [3, 4],
    window: Window { kernel: [3, 3], stride: [2, 1], dilation: [1, 1], padding: [1, 1] },
    depthwise: ClampF32 { minimum: -1.0, maximum: 1.0 },
    units: 6,
    linear: ClampF32 { minimum: 0.0, maximum: 6.0 },
};
const BLOCK_WORDS: (usize, usize) = match (BLOCK.sizes(OUTPUTS - 1), BLOCK.sizes(OUTPUTS)) {
    (Some(file), Some(head)) => (file.parameters(), head.words()),
    _ => (0, 0),
};

/// Of weights and answers after some steps of each loss.
fn block() -> Result<u32, TrainError> {
    let (mut generator, mut crc) = (Generator::new(1), Crc32::new());
    for loss in LOSSES {
        let file = [(); BLOCK_WORDS.0].map(|()| ((generator.next_u32() >> 24) as i8 as f32 / 512.0).to_bits());
        let record = Head::block(BLOCK, [OUTPUTS - 1, OUTPUTS], 0.037, -5, &file);
        let mut memory = [0f32; BLOCK_WORDS.1];
        let options = GradientOptions { loss, ..OPTIONS };
        let mut head = BlockHead::of(record, BATCH, options, bytemuck::cast_slice_mut(&mut memory))?;
        let mut row = [0; 5 * 4 * 18];
        teach(&mut generator, loss, &mut row, |sample| match sample {
            Some((row, target)) => head.add(row, target),
            None => head.step().map(|Step { loss, norm }| update(&mut crc, [loss, norm])),
        })?;
        let mut answers = [0.0; OUTPUTS];
        head.predict(&row, &mut answers)?;
        update(&mut crc, head.solution().iter().chain(&answers).copied());
    }
    Ok(crc.finish())
}

fn update(crc: &mut Crc32, values: impl IntoIterator<Item = f32>) {
    values.into_iter().for_each(|value| {
        crc.update(&value.to_le_bytes());
    });
}

/// The same on every core; a change of one is a change of what devices learn from the same samples.
#[cfg(test)]
#[test]
fn heads_learn_bit_for_bit() {
    assert_eq!(checksums(), [1_203_297_187, 2_390_027_527, 2_168_456_603]);
}
