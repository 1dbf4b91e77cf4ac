//! int8 ops, as whole models, against naive references in i64: equal to the bit, over random shapes and parameters at the
//! edges of their ranges. After each run the arena is unchanged but for the output and the scratch region.

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use samara_runtime::{
    format::writer::encode_parameters,
    ops::{
        add::{self, ADD_I8},
        concat::{self, CONCAT},
        conv2d::{self, CONV2D_I8},
        dense::DENSE_I8,
        depthwise_conv2d::{self, DEPTHWISE_CONV2D_I8},
        linear::{LinearI8, rows_scratch_bytes},
        lut::{self, LUT_I8},
        maximum::MAXIMUM_I8,
        multiply::{self, MULTIPLY_I8},
        pad::{self, PAD},
        pool::{AVERAGE_POOL_I8, MAX_POOL_I8},
        prelu::{self, PRELU_I8},
        quantize::{DEQUANTIZE, QUANTIZE},
        reshape::RESHAPE,
        scale_shift::{self, SCALE_SHIFT_I8},
        softmax::{self, SOFTMAX_I8},
        upsample::{self, UPSAMPLE},
    },
    simd,
};
use samara_tests::{
    generator, naive,
    random::{int8, weights, window_over},
    single::{Port, assembled, f32_bytes, f32_values, i8_values, run},
};
use samara_trainer::device::{Quantization, ops::POINTWISE};

fn bytes(values: &[i8]) -> Vec<u8> {
    values.iter().map(|&value| value as u8).collect()
}

fn wide(values: &[i8]) -> Vec<i64> {
    values.iter().map(|&value| value.into()).collect()
}

fn port(shape: &[usize], zero_point: i8) -> Port {
    (shape.to_vec(), Some(Quantization { scale: 0.1, zero_point }))
}

/// Requantization with numbers at the edges of what a file may hold.
struct Requantization {
    linear: LinearI8,
    zero_point: i8,
    multipliers: Vec<i32>,
}

impl Requantization {
    fn random(random: &mut StdRng, channels: usize) -> Self {
        let [a, b] = [random.random::<i8>(), random.random::<i8>()];
        let (minimum, maximum) = if random.random() { (-128, 127) } else { (a.min(b), a.max(b)) };
        let shift = if random.random() { 0 } else { random.random_range(0..=7) };
        let multipliers = (0..channels)
            .map(|_| match random.random_range(0..6) {
                0 => i32::MAX,
                1 => random.random_range(0..3),
                2 => 1 << 30,
                // Ordinary: sums of some thousands become tens.
                _ => random.random_range(1 << 20..1 << 26),
            })
            .collect();
        Self { linear: LinearI8 { weights: 0, channels: 0, shift, minimum, maximum }, zero_point: random.random(), multipliers }
    }

    /// A bias such that accumulators stay within 32 bits, often just.
    fn biases(&self, random: &mut StdRng, weights: &[i8], fan_in: usize) -> Vec<i32> {
        let of_row = |row: &[i8]| {
            let largest: i64 = row.iter().map(|&weight| 128 * i64::from(weight).abs()).sum();
            let room = (((1i64 << 31) - 1) >> self.linear.shift) - largest;
            assert!(room > 0, "the test's weights are too many for shift {}", self.linear.shift);
            let bias = match random.random_range(0..4) {
                0 => room,
                1 => -room,
                _ => random.random_range(-20_000..20_000i64).clamp(-room, room),
            };
            bias as i32
        };
        weights.chunks_exact(fan_in).map(of_row).collect()
    }

    /// Constants: weights at 0, pairs behind them.
    fn constants(&mut self, weights: &[i8], biases: &[i32]) -> Vec<u8> {
        let mut constants = bytes(weights);
        constants.resize(constants.len().next_multiple_of(16), 0);
        self.linear.channels = constants.len() as u32;
        for (bias, multiplier) in biases.iter().zip(&self.multipliers) {
            constants.extend(bias.to_le_bytes());
            constants.extend(multiplier.to_le_bytes());
        }
        constants
    }

    fn apply(&self, sums: &[i64]) -> Vec<i8> {
        let LinearI8 { shift, minimum, maximum, .. } = self.linear;
        let multipliers = self.multipliers.iter().cycle();
        let one = |(&sum, &multiplier)| naive::requantized(sum, shift, multiplier, self.zero_point, minimum, maximum);
        sums.iter().zip(multipliers).map(one).collect()
    }
}

fn paired(rows: &[i8], channels: usize, fan_in: usize) -> Vec<i8> {
    let mut paired = vec![0; simd::paired_bytes(channels, fan_in)];
    simd::pair_rows(rows, channels, fan_in, &mut paired);
    paired
}

#[test]
fn dense_is_its_formula() {
    let mut random = generator(21);
    for round in 0..600 {
        let (rows, fan_in, channels) = (random.random_range(1..5), random.random_range(1..70), random.random_range(1..20));
        let mut requantization = Requantization::random(&mut random, channels);
        let matrix = weights(&mut random, channels * fan_in);
        let biases = requantization.biases(&mut random, &matrix, fan_in);
        let constants = requantization.constants(&paired(&matrix, channels, fan_in), &biases);
        let input = int8(&mut random, rows * fan_in);
        let biases: Vec<i64> = biases.iter().map(|&bias| bias.into()).collect();
        let sums = naive::convolution(
            &POINTWISE,
            (&wide(&input), [rows, 1, fan_in]),
            [rows, 1, channels],
            (&wide(&matrix), &biases),
            0,
        );
        let file = assembled(
            &DENSE_I8,
            encode_parameters(&requantization.linear),
            constants,
            rows_scratch_bytes(rows, fan_in),
            &[port(&[rows, fan_in], random.random())],
            &port(&[rows, channels], requantization.zero_point),
        );
        let ours = i8_values(&run(&file, &[&bytes(&input)]));
        assert_eq!(ours, requantization.apply(&sums), "round {round}: {rows} rows, {fan_in} inputs, {channels} channels");
    }
}

#[test]
fn conv2d_is_its_formula() {
    let mut random = generator(22);
    for round in 0..800 {
        let (mut window, mut image, count) = window_over(&mut random, 4, 3);
        let (depth, channels) = (random.random_range(1..9), random.random_range(1..12));
        image[2] = depth;
        let mut output = [count[0], count[1], channels];
        if round % 4 == 0 {
            window = POINTWISE;
        }
        if window.is_pointwise() {
            // A pointwise convolution gives every pixel, or is refused.
            output = [image[0], image[1], channels];
        }
        let fan_in = window.taps() * depth;
        let mut requantization = Requantization::random(&mut random, channels);
        let matrix = weights(&mut random, channels * fan_in);
        let biases = requantization.biases(&mut random, &matrix, fan_in);
        let packed = paired(&conv2d::pad_kernel_rows(&matrix, &window, depth), channels, window.packed_inputs(depth));
        let constants = requantization.constants(&packed, &biases);
        let (input, padding) = (int8(&mut random, image.iter().product()), random.random());
        let biases: Vec<i64> = biases.iter().map(|&bias| bias.into()).collect();
        let sums = naive::convolution(&window, (&wide(&input), image), output, (&wide(&matrix), &biases), i64::from(padding));
        let file = assembled(
            &CONV2D_I8,
            encode_parameters(&conv2d::ParametersI8 { window, linear: requantization.linear }),
            constants,
            conv2d::scratch_bytes(&window, depth, output[0] * output[1]),
            &[port(&image, padding)],
            &port(&output, requantization.zero_point),
        );
        let ours = i8_values(&run(&file, &[&bytes(&input)]));
        assert_eq!(ours, requantization.apply(&sums), "round {round}: {window:?} over {image:?} to {output:?}");
    }
}

#[test]
fn depthwise_conv2d_is_its_formula() {
    let mut random = generator(23);
    for round in 0..800 {
        let (window, mut image, count) = window_over(&mut random, 5, 3);
        let channels = *[1, 2, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 70].choose(&mut random).unwrap();
        image[2] = channels;
        let output = [count[0], count[1], channels];
        let taps = window.taps();
        let mut requantization = Requantization::random(&mut random, channels);
        let rows = weights(&mut random, channels * taps);
        let biases = requantization.biases(&mut random, &rows, taps);
        let transposed: Vec<i8> = (0..taps).flat_map(|tap| rows.iter().skip(tap).step_by(taps).copied()).collect();
        let constants = requantization.constants(&transposed, &biases);
        let (input, padding) = (int8(&mut random, image.iter().product()), random.random());
        let biases: Vec<i64> = biases.iter().map(|&bias| bias.into()).collect();
        let sums = naive::depthwise(&window, (&wide(&input), image), output, (&wide(&rows), &biases), i64::from(padding));
        let file = assembled(
            &DEPTHWISE_CONV2D_I8,
            encode_parameters(&conv2d::ParametersI8 { window, linear: requantization.linear }),
            constants,
            depthwise_conv2d::scratch_bytes(&window, channels),
            &[port(&image, padding)],
            &port(&output, requantization.zero_point),
        );
        let ours = i8_values(&run(&file, &[&bytes(&input)]));
        assert_eq!(ours, requantization.apply(&sums), "round {round}: {window:?} over {image:?} to {output:?}");
    }
}

#[test]
fn scale_shift_is_its_formula() {
    let mut random = generator(24);
    for round in 0..400 {
        let (pixels, channels) = (random.random_range(1..20), random.random_range(1..20));
        let [a, b] = [random.random::<i8>(), random.random::<i8>()];
        let shift = random.random_range(0..=16);
        let multiplier = *[i32::MAX, 1 << 30, 0, random.random_range(0..1 << 22)].choose(&mut random).unwrap();
        let factors: Vec<i32> = (0..channels).map(|_| (random.random_range(-32767..=32767i32)) >> (shift / 2)).collect();
        let biases: Vec<i32> = factors
            .iter()
            .map(|&factor| {
                let room = (((1i64 << 31) - 1) >> shift) - 128 * i64::from(factor.abs());
                if room < 0 { 0 } else { random.random_range(-room..=room) as i32 }
            })
            .collect();
        if factors.iter().any(|factor| (128 * i64::from(factor.abs())) << shift >= 1 << 31) {
            continue;
        }
        let constants = biases.iter().zip(&factors).flat_map(|(b, f)| [b.to_le_bytes(), f.to_le_bytes()].concat()).collect();
        let parameters = scale_shift::Parameters { channels: 0, multiplier, shift, minimum: a.min(b), maximum: a.max(b) };
        let (input, zero_point) = (int8(&mut random, pixels * channels), random.random());
        let shape = [pixels, channels];
        let file = assembled(
            &SCALE_SHIFT_I8,
            encode_parameters(&parameters),
            constants,
            0,
            &[port(&shape, random.random())],
            &port(&shape, zero_point),
        );
        let expected: Vec<i8> = input
            .iter()
            .zip(biases.iter().zip(&factors).cycle())
            .map(|(&x, (&bias, &factor))| {
                let sum = i64::from(bias) + i64::from(factor) * i64::from(x);
                naive::requantized(sum, shift, multiplier, zero_point, parameters.minimum, parameters.maximum)
            })
            .collect();
        assert_eq!(i8_values(&run(&file, &[&bytes(&input)])), expected, "round {round}: {parameters:?}");
    }
}

#[test]
fn pools_are_their_formulas() {
    let mut random = generator(25);
    for round in 0..800 {
        let (window, mut image, count) = window_over(&mut random, 4, 1);
        image[2] = random.random_range(1..20);
        let output = [count[0], count[1], image[2]];
        let (input, zero_point) = (int8(&mut random, image.iter().product()), random.random());
        let elements = naive::pooled(&window, (&wide(&input), image), output);
        let largest: Vec<i8> = elements.iter().map(|all| *all.iter().max().expect("no empty window") as i8).collect();
        let mean = |all: &Vec<i64>| {
            let n = all.len() as i64;
            (2 * all.iter().sum::<i64>() + n).div_euclid(2 * n) as i8
        };
        let means: Vec<i8> = elements.iter().map(mean).collect();
        for (op, expected) in [(&MAX_POOL_I8, largest), (&AVERAGE_POOL_I8, means)] {
            let ports = [port(&image, zero_point)];
            let file = assembled(op, encode_parameters(&window), vec![], 0, &ports, &port(&output, zero_point));
            let ours = i8_values(&run(&file, &[&bytes(&input)]));
            assert_eq!(ours, expected, "{} round {round}: {window:?} over {image:?} to {output:?}", op.name);
        }
    }
}

#[test]
fn add_is_its_formula() {
    let mut random = generator(26);
    for round in 0..600 {
        let count = random.random_range(1..50);
        let [a, b] = [random.random::<i8>(), random.random::<i8>()];
        let factor = |random: &mut StdRng| *[0, 1, 32767, -32767, random.random_range(-32767..=32767)].choose(random).unwrap();
        let parameters = add::ParametersI8 {
            offset: *[(1 << 30) - 1, 1 - (1 << 30), random.random_range(-(1 << 22)..1 << 22)].choose(&mut random).unwrap(),
            factors: [factor(&mut random), factor(&mut random)],
            shift: random.random_range(0..=22),
            minimum: a.min(b),
            maximum: a.max(b),
        };
        let (first, second) = (int8(&mut random, count), int8(&mut random, count));
        let ports = [port(&[count], random.random()), port(&[count], random.random())];
        let mut file = assembled(&ADD_I8, encode_parameters(&parameters), vec![], 0, &ports, &port(&[count], random.random()));
        let expected: Vec<i8> = first
            .iter()
            .zip(&second)
            .map(|(&x, &y)| {
                let [f, g] = parameters.factors.map(i64::from);
                let sum = i64::from(parameters.offset) + f * i64::from(x) + g * i64::from(y);
                (sum >> parameters.shift).clamp(parameters.minimum.into(), parameters.maximum.into()) as i8
            })
            .collect();
        assert_eq!(i8_values(&run(&file, &[&bytes(&first), &bytes(&second)])), expected, "round {round}: {parameters:?}");
        file.tensors[2].offset = file.tensors[0].offset;
        let in_place = i8_values(&run(&file, &[&bytes(&first), &bytes(&second)]));
        assert_eq!(in_place, expected, "round {round}, in place: {parameters:?}");
    }
}

#[test]
fn concat_and_pad_and_reshape_only_move() {
    let mut random = generator(27);
    for round in 0..300 {
        let zero_point = random.random();
        let mut shape = [random.random_range(1..5), random.random_range(1..5), random.random_range(1..5)];
        let axis = random.random_range(0..3);
        let sizes: Vec<usize> = (0..random.random_range(1..5)).map(|_| random.random_range(1..5)).collect();
        let (outer, inner) = (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
        let parts: Vec<Vec<i8>> = sizes.iter().map(|size| int8(&mut random, outer * inner * size)).collect();
        let ports: Vec<Port> = sizes
            .iter()
            .map(|&size| {
                shape[axis] = size;
                port(&shape, zero_point)
            })
            .collect();
        shape[axis] = sizes.iter().sum();
        let parameters = encode_parameters(&concat::Parameters { axis: axis as u8 });
        let file = assembled(&CONCAT, parameters, vec![], 0, &ports, &port(&shape, zero_point));
        let inputs: Vec<Vec<u8>> = parts.iter().map(|part| bytes(part)).collect();
        let ours = run(&file, &inputs.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let slices: Vec<(&[i8], usize)> = parts.iter().map(Vec::as_slice).zip(sizes.iter().copied()).collect();
        assert_eq!(
            i8_values(&ours),
            naive::concatenated(&slices, outer, inner),
            "concat round {round}: {sizes:?} along {axis}"
        );

        let around: [usize; 4] = std::array::from_fn(|_| random.random_range(0..4));
        let output = [shape[0] + around[0] + around[1], shape[1] + around[2] + around[3], shape[2]];
        let parameters = encode_parameters(&pad::Parameters { top: around[0] as u32, left: around[2] as u32 });
        let file = assembled(&PAD, parameters, vec![], 0, &[port(&shape, zero_point)], &port(&output, zero_point));
        let input = int8(&mut random, shape.iter().product());
        let expected = naive::padded((&input, shape), output, [around[0], around[2]], zero_point);
        assert_eq!(i8_values(&run(&file, &[&bytes(&input)])), expected, "pad round {round}: {shape:?} with {around:?}");

        let flat = [port(&[shape.iter().product()], zero_point)];
        let file = assembled(&RESHAPE, vec![], vec![], 0, &flat, &port(&shape, zero_point));
        assert_eq!(i8_values(&run(&file, &[&bytes(&input)])), input, "reshape round {round}: to {shape:?}");
    }
}

#[test]
fn multiply_is_its_formula() {
    let mut random = generator(32);
    for round in 0..400 {
        let (pixels, channels) = (random.random_range(1..9), random.random_range(1..9));
        let [a, b] = [random.random::<i8>(), random.random::<i8>()];
        let parameters = multiply::Parameters {
            multiplier: *[i32::MAX, 1 << 30, 1, random.random_range(0..1 << 26)].choose(&mut random).unwrap(),
            shift: random.random_range(0..=14),
            minimum: a.min(b),
            maximum: a.max(b),
        };
        let vector = random.random();
        let second_shape = if vector { [1, channels] } else { [pixels, channels] };
        let (first, second) = (int8(&mut random, pixels * channels), int8(&mut random, second_shape.iter().product()));
        let zero_points: [i8; 3] = random.random();
        let ports = [port(&[pixels, channels], zero_points[0]), port(&second_shape, zero_points[1])];
        let output = port(&[pixels, channels], zero_points[2]);
        let mut file = assembled(&MULTIPLY_I8, encode_parameters(&parameters), vec![], 0, &ports, &output);
        let expected: Vec<i8> = first
            .iter()
            .zip(second.iter().cycle())
            .map(|(&x, &y)| {
                let product = (i64::from(x) - i64::from(zero_points[0])) * (i64::from(y) - i64::from(zero_points[1]));
                let multiply::Parameters { multiplier, shift, minimum, maximum } = parameters;
                naive::requantized(product, shift, multiplier, zero_points[2], minimum, maximum)
            })
            .collect();
        let inputs: [&[u8]; 2] = [&bytes(&first), &bytes(&second)];
        assert_eq!(i8_values(&run(&file, &inputs)), expected, "round {round}: {parameters:?}");
        file.tensors[2].offset = file.tensors[0].offset;
        assert_eq!(i8_values(&run(&file, &inputs)), expected, "round {round}, in place: {parameters:?}");
    }
}

#[test]
fn prelu_is_its_formula() {
    let mut random = generator(33);
    for round in 0..400 {
        let (pixels, channels) = (random.random_range(1..9), random.random_range(1..9));
        let any = |random: &mut StdRng| *[i32::MAX, -i32::MAX, 0, random.random()].choose(random).unwrap();
        let shift = random.random_range(0..=22);
        let parameters = prelu::ParametersI8 { positive: any(&mut random), negative: 0, shift };
        let slopes: Vec<i32> = (0..channels).map(|_| any(&mut random)).collect();
        let constants = slopes.iter().flat_map(|slope| slope.to_le_bytes()).collect();
        let zero_points: [i8; 2] = random.random();
        let input = int8(&mut random, pixels * channels);
        let shape = [pixels, channels];
        let ports = [port(&shape, zero_points[0])];
        let output = port(&shape, zero_points[1]);
        let file = assembled(&PRELU_I8, encode_parameters(&parameters), constants, 0, &ports, &output);
        let expected: Vec<i8> = input
            .iter()
            .zip(slopes.iter().cycle())
            .map(|(&x, &slope)| {
                let difference = i64::from(x) - i64::from(zero_points[0]);
                let multiplier = if difference < 0 { slope } else { parameters.positive };
                naive::requantized(difference, shift, multiplier, zero_points[1], -128, 127)
            })
            .collect();
        assert_eq!(i8_values(&run(&file, &[&bytes(&input)])), expected, "round {round}: {parameters:?}, {slopes:?}");
    }
}

#[test]
fn maximum_and_upsample_are_their_formulas() {
    let mut random = generator(34);
    for round in 0..200 {
        let shape: [usize; 3] = std::array::from_fn(|_| random.random_range(1..5));
        let (count, zero_point) = (shape.iter().product(), random.random());
        let (first, second) = (int8(&mut random, count), int8(&mut random, count));
        let larger: Vec<i8> = first.iter().zip(&second).map(|(&x, &y)| x.max(y)).collect();
        let one = port(&shape, zero_point);
        let file = assembled(&MAXIMUM_I8, vec![], vec![], 0, &[one.clone(), one.clone()], &one);
        assert_eq!(i8_values(&run(&file, &[&bytes(&first), &bytes(&second)])), larger, "maximum round {round}");

        let [vertical, horizontal] = std::array::from_fn(|_| random.random_range(1..4usize));
        let output = [shape[0] * vertical, shape[1] * horizontal, shape[2]];
        let parameters = upsample::Parameters { vertical: vertical as u32, horizontal: horizontal as u32 };
        let file = assembled(&UPSAMPLE, encode_parameters(&parameters), vec![], 0, &[one], &port(&output, zero_point));
        let pixel = |[y, x]: [usize; 2]| &first[(y / vertical * shape[1] + x / horizontal) * shape[2]..][..shape[2]];
        let expected: Vec<i8> = naive::pixels(output).flat_map(pixel).copied().collect();
        assert_eq!(i8_values(&run(&file, &[&bytes(&first)])), expected, "upsample round {round}: {shape:?} to {output:?}");
    }
}

#[test]
fn lut_is_its_table() {
    let mut random = generator(28);
    let table = int8(&mut random, 256);
    let parameters = encode_parameters(&lut::Parameters { table: 0 });
    let file = assembled(&LUT_I8, parameters, bytes(&table), 0, &[port(&[256], 0)], &port(&[256], 5));
    let every: Vec<i8> = (-128..=127).collect();
    assert_eq!(i8_values(&run(&file, &[&bytes(&every)])), table);
}

#[test]
fn softmax_is_its_formula_and_within_one_unit_of_the_truth() {
    let mut random = generator(29);
    for round in 0..200 {
        let (rows, classes) = (random.random_range(1..4), *[1, 2, 3, 10, 100, 1024].choose(&mut random).unwrap());
        let scale = *[0.001f32, 0.03, 0.1, 1.0, 30.0].choose(&mut random).unwrap();
        let table = softmax::table(scale, classes);
        let constants = table.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        let input = int8(&mut random, rows * classes);
        let quantization = |scale, zero_point| (vec![rows, classes], Some(Quantization { scale, zero_point }));
        let parameters = encode_parameters(&softmax::Parameters { table: 0 });
        let (source, target) = (quantization(scale, 3), quantization(1.0 / 256.0, -128));
        let file = assembled(&SOFTMAX_I8, parameters, constants, 0, &[source], &target);
        let ours = i8_values(&run(&file, &[&bytes(&input)]));
        for (row, ours) in input.chunks_exact(classes).zip(ours.chunks_exact(classes)) {
            let largest = *row.iter().max().unwrap();
            let entry = |x: i8| u64::from(table[usize::from(largest.abs_diff(x))]);
            let sum: u64 = row.iter().map(|&x| entry(x)).sum();
            let real_sum: f64 = row.iter().map(|&x| (f64::from(scale) * (f64::from(x) - f64::from(largest))).exp()).sum();
            for (&x, &ours) in row.iter().zip(ours) {
                let expected = (256 * entry(x) + sum / 2) / sum;
                let what = format!("round {round}: {classes} classes, scale {scale}");
                assert_eq!(i64::from(ours), (expected as i64 - 128).min(127), "{what}");
                let truth = (f64::from(scale) * (f64::from(x) - f64::from(largest))).exp() / real_sum * 256.0 - 128.0;
                let distance = (f64::from(ours) - truth.min(127.0)).abs();
                assert!(distance < 0.75, "{what}: {ours} is {distance} from the truth");
            }
        }
    }
}

#[test]
fn quantize_and_dequantize_are_their_formulas() {
    let mut random = generator(30);
    for round in 0..300 {
        let count = random.random_range(1..40);
        let quantization = Quantization { scale: random.random_range(1e-3..2.0), zero_point: random.random() };
        let (real, int): (Port, Port) = ((vec![count], None), (vec![count], Some(quantization)));
        let values: Vec<f32> = (0..count).map(|_| random.random_range(-300.0..300.0f32) * quantization.scale).collect();
        let file = assembled(&QUANTIZE, vec![], vec![], 0, std::slice::from_ref(&real), &int);
        let ours = i8_values(&run(&file, &[&f32_bytes(&values)]));
        for (&value, &ours) in values.iter().zip(&ours) {
            let steps = f64::from(value / quantization.scale);
            let expected = (steps.round() + f64::from(quantization.zero_point)).clamp(-128.0, 127.0);
            assert_eq!(f64::from(ours), expected, "quantize round {round}: {value} with {quantization:?}");
        }
        let file = assembled(&DEQUANTIZE, vec![], vec![], 0, &[int], &real);
        let back = f32_values(&run(&file, &[&bytes(&ours)]));
        for (&q, &back) in ours.iter().zip(&back) {
            let expected = f64::from(quantization.scale) * (f64::from(q) - f64::from(quantization.zero_point));
            assert_eq!(back, expected as f32, "dequantize round {round}: {q} with {quantization:?}");
        }
    }
}
