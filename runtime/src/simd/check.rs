//! Compares the variant in use with portable code, on the device itself.

use super::{AddConstants, PIXELS, Requantize, Window, active, depthwise, layout, portable};

/// A small generator (xorshift), so that a seed tells the whole test.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// A number below `bound`, which is small.
    fn below(&mut self, bound: usize) -> usize {
        (((self.next() >> 16) * bound as u32) >> 16) as usize
    }

    /// Any int8, an extreme every other time.
    fn byte(&mut self) -> i8 {
        let bits = self.next() >> 8;
        match bits & 3 {
            0 => -128,
            1 => 127,
            _ => (bits >> 2) as i8,
        }
    }

    fn fill(&mut self, bytes: &mut [i8]) {
        for byte in bytes {
            *byte = self.byte();
        }
    }

    fn constants(&mut self, channels: &mut [[i32; 2]]) {
        for [bias, multiplier] in channels {
            // With at most 128 products of 2^14 all sums stay below 2^22, and shifted by 7 below 2^29.
            *bias = self.next() as i32 >> 10;
            *multiplier = (self.next() >> (1 + self.below(14))) as i32;
        }
    }

    /// Bounds and zero point; full int8 range every other time.
    fn requantize<'a>(&mut self, channels: &'a [[i32; 2]]) -> Requantize<'a> {
        let (one, other) = (self.byte() as i32, self.byte() as i32);
        let full = self.below(2) == 0;
        Requantize {
            channels,
            shift: if self.below(2) == 0 { 0 } else { self.below(8) as u32 },
            zero_point: self.byte() as i32,
            minimum: if full { -128 } else { one.min(other) },
            maximum: if full { 127 } else { one.max(other) },
        }
    }
}

/// Most inputs per output, output channels, and pixels in a row that are tried.
const DEPTH: usize = 101;
const CHANNELS: usize = 37;
const SIDE: usize = 6;
/// Room before and after each output, which must stay as it was.
const MARGIN: usize = 8;

/// Runs every kernel of the variant in use and the portable one on the same random shapes and values, and returns how many
/// bytes differ, writes outside the outputs included. 0 is a pass.
///
/// Needs about 8 KB of stack.
pub fn self_check(seed: u32, rounds: u32) -> u32 {
    let mut random = Random(seed | 1);
    let mut mismatches = 0;
    for _ in 0..rounds {
        mismatches += check_multiply(&mut random).unwrap_or(1);
        mismatches += check_rows(&mut random).unwrap_or(1);
        mismatches += check_run(&mut random).unwrap_or(1);
        mismatches += check_depthwise(&mut random).unwrap_or(1);
        mismatches += check_add(&mut random).unwrap_or(1);
        mismatches += check_wide(&mut random).unwrap_or(1);
    }
    mismatches
}

fn differing(one: &[i8], other: &[i8]) -> u32 {
    one.iter().zip(other).filter(|(a, b)| a != b).count() as u32
}

#[repr(align(4))]
struct Aligned<T>(T);

#[inline(never)]
fn check_multiply(random: &mut Random) -> Option<u32> {
    let (k, channels) = (1 + random.below(DEPTH), 1 + random.below(CHANNELS));
    let pixels = 1 + random.below(PIXELS);
    let mut weights = Aligned([0; layout::paired_bytes(CHANNELS, DEPTH)]);
    let weights = weights.0.get_mut(..layout::paired_bytes(channels, k))?;
    for channel in 0..channels {
        for index in 0..k {
            *weights.get_mut(layout::paired_position(channel, index, k))? = random.byte();
        }
    }
    let mut inputs = [[0; DEPTH]; PIXELS];
    for input in inputs.iter_mut().take(pixels) {
        random.fill(input);
    }
    let mut constants = [[0; 2]; CHANNELS];
    random.constants(&mut constants);
    let requantize = random.requantize(constants.get(..channels)?);
    // In one piece, or in two.
    let cut = if random.below(2) == 0 { 0 } else { random.below(k) & !3 };

    let range = MARGIN..MARGIN + channels;
    let mut results = [[[85; CHANNELS + 2 * MARGIN]; PIXELS]; 2];
    let [expected, found] = &mut results;
    for (input, outputs) in inputs.iter().zip(&mut *expected).take(pixels) {
        let mut columns = [0xa5a5_a5a5; columns_most()];
        portable::pack_columns(&mut columns, k, 0, [input.get(..k)?, &[]]);
        portable::multiply(weights, k, &columns, &requantize, [outputs.get_mut(range.clone())?, &mut []]);
    }
    let mut columns = [0xa5a5_a5a5; columns_most()];
    for piece in [0..cut, cut..k] {
        let mut inputs = inputs.iter().take(pixels);
        let pieces = [(); PIXELS].map(|()| inputs.next().and_then(|input| input.get(piece.clone())).unwrap_or_default());
        active::pack_columns(&mut columns, k, piece.start, pieces);
    }
    let mut outputs = found.iter_mut().take(pixels);
    let outputs = [(); PIXELS].map(|()| outputs.next().and_then(|output| output.get_mut(range.clone())).unwrap_or_default());
    active::multiply(weights, k, &columns, &requantize, outputs);
    Some(differing(expected.as_flattened(), found.as_flattened()))
}

/// Rows that are packed at once against rows that are packed one by one.
#[inline(never)]
fn check_rows(random: &mut Random) -> Option<u32> {
    const ROWS: usize = 3;
    let (rows, length) = (1 + random.below(ROWS), 4 * (1 + random.below(DEPTH / 4 / ROWS)));
    let mut inputs = [[0; DEPTH + 5 * ROWS]; PIXELS];
    inputs.iter_mut().for_each(|input| random.fill(input));
    let mut inputs = inputs.iter().take(1 + random.below(PIXELS));
    let pixels = [(); PIXELS].map(|()| {
        let stride = length + random.below(5);
        let lies = inputs.next().and_then(|input| input.get(..(rows - 1) * stride + length));
        (lies.unwrap_or_default(), stride)
    });
    let [mut expected, mut found] = [[0xa5a5_a5a5; columns_most()]; 2];
    super::pack_each_row(&mut expected, pixels, rows, length);
    super::pack_rows(&mut found, pixels, rows, length);
    Some(expected.iter().zip(&found).filter(|(one, other)| one != other).count() as u32)
}

/// Pixels in one slice against the same pixels packed piece by piece.
#[inline(never)]
fn check_run(random: &mut Random) -> Option<u32> {
    const ROWS: usize = 3;
    let (rows, length) = (1 + random.below(ROWS), 4 * (1 + random.below(DEPTH / 4 / ROWS)));
    let [step, stride] = [(); 2].map(|()| random.below(length + 5));
    let Some(run) = super::PixelRun::new([step, stride], rows, length) else { return Some(0) };
    let span = (PIXELS - 1) * step + (rows - 1) * stride + length;
    let mut inputs = [0; (DEPTH + 5 * ROWS) * (PIXELS + ROWS)];
    random.fill(&mut inputs);
    let inputs = inputs.get(..span)?;
    let mut pixels = [(inputs, stride); PIXELS];
    for (number, (pixel, _)) in pixels.iter_mut().enumerate() {
        *pixel = inputs.get(number * step..)?;
    }
    let [mut expected, mut found] = [[0xa5a5_a5a5; columns_most()]; 2];
    super::pack_each_row(&mut expected, pixels, rows, length);
    let took_too_few = super::pack_run(&mut found, inputs.get(1..)?, &run);
    if took_too_few || found.iter().any(|&word| word != 0xa5a5_a5a5) || !super::pack_run(&mut found, inputs, &run) {
        return Some(1);
    }
    Some(expected.iter().zip(&found).filter(|(one, other)| one != other).count() as u32)
}

const fn columns_most() -> usize {
    layout::columns_words(DEPTH, PIXELS)
}

/// A window along both axes, of at most 3 taps each; padding behind comes from any size of the output.
fn window(random: &mut Random) -> Window {
    let mut both = |least: usize, most: usize| [(); 2].map(|()| least + random.below(most + 1 - least));
    let (kernel, dilation) = (both(1, 3), both(1, 2));
    Window { input: both(1, SIDE), output: both(1, SIDE), kernel, stride: both(1, 2), dilation, padding: both(0, 4) }
}

#[inline(never)]
fn check_depthwise(random: &mut Random) -> Option<u32> {
    let channels = 1 + random.below(CHANNELS);
    let window = window(random);
    let mut weights = [0; CHANNELS * 9];
    random.fill(&mut weights);
    weights.iter_mut().for_each(|weight| *weight = (*weight).max(-127)); // the least there is; Helium relies on it
    let mut input = [0; CHANNELS * SIDE * SIDE];
    random.fill(&mut input);
    let mut constants = [[0; 2]; CHANNELS];
    random.constants(&mut constants);
    let requantize = random.requantize(constants.get(..channels)?);
    let weights = weights.get(..window.kernel[0] * window.kernel[1] * channels)?;
    let input = input.get(..window.input[0] * window.input[1] * channels)?;
    let padding = random.byte();

    let mut results = [[85; CHANNELS * SIDE * SIDE + 2 * MARGIN]; 2];
    let mut scratch = [0xa5a5_a5a5; layout::depthwise_words(9, CHANNELS)];
    let [expected, found] = &mut results;
    let range = MARGIN..MARGIN + window.output[0] * window.output[1] * channels;
    let expected_output = expected.get_mut(range.clone())?;
    depthwise::walk::<portable::Kernels>(input, &window, padding, weights, &requantize, &mut scratch, expected_output);
    super::depthwise(input, &window, padding, weights, &requantize, &mut scratch, found.get_mut(range)?);
    Some(differing(expected, found))
}

#[inline(never)]
fn check_add(random: &mut Random) -> Option<u32> {
    let length = random.below(CHANNELS);
    let mut inputs = [[0; CHANNELS]; 2];
    for input in &mut inputs {
        random.fill(input);
    }
    let [first, second] = &inputs;
    let (first, second) = (first.get(..length)?, second.get(..length)?);
    let shift = random.below(23) as u32;
    let bounds = random.requantize(&[]);
    let constants = AddConstants {
        offset: random.next() as i32 >> 2,
        first: (random.next() >> 17) as i32,
        second: (random.next() >> 17) as i32,
        shift,
        minimum: bounds.minimum,
        maximum: bounds.maximum,
    };
    let mut results = [[85; CHANNELS + 2 * MARGIN]; 3];
    let [expected, found, in_place] = &mut results;
    let range = MARGIN..MARGIN + length;
    portable::add(first, second, &constants, expected.get_mut(range.clone())?);
    active::add(first, second, &constants, found.get_mut(range.clone())?);
    let sum = in_place.get_mut(range)?;
    sum.copy_from_slice(first);
    active::add_assign(sum, second, &constants);
    Some(differing(expected, found) + differing(expected, in_place))
}

/// Sums of int16 inputs, each variant on columns in its own order.
#[inline(never)]
fn check_wide(random: &mut Random) -> Option<u32> {
    const GROUPS: usize = DEPTH / 4;
    let groups = 1 + random.below(GROUPS);
    let mut weights = Aligned([0; 8 * GROUPS]);
    random.fill(&mut weights.0);
    let weights = weights.0.get(..8 * groups)?;
    let mut columns = [[0u32; 4 * GROUPS]; 2];
    for group in 0..2 * groups {
        let inputs = [(); 4].map(|()| (i16::from(random.byte()) << 8) | (i16::from(random.byte()) & 255));
        for (columns, inputs) in columns.iter_mut().zip([portable::wide_group(inputs), active::wide_group(inputs)]) {
            let places: &mut [i16] = bytemuck::cast_slice_mut(columns);
            *places.as_chunks_mut::<4>().0.get_mut(group)? = inputs;
        }
    }
    let [expected, found] = &columns;
    let of_two = (portable::wide_sums::<2>(weights, expected), active::wide_sums::<2>(weights, found));
    let of_one = (portable::wide_sums::<1>(weights, expected), active::wide_sums::<1>(weights, found));
    Some(u32::from(of_two.0 != of_two.1) + u32::from(of_one.0 != of_one.1))
}
