//! f32 ops, as whole models, against naive references in f64, over random shapes: within 1e-5 of the largest term.

use rand::{Rng, seq::IndexedRandom};
use samara_runtime::ops::{
    activation::{Function, Parameters},
    window::Window,
};
use samara_tests::{
    generator, naive,
    random::{real, window_over},
    single::{Port, exported, f32_bytes, f32_values, run},
};
use samara_trainer::device::{
    Clamp, DeviceOp,
    ops::{
        Activation, Add, Concat, Kind, Linear, Maximum, Multiply, POINTWISE, Pad, Pool, PoolKind, Prelu, Reshape, ScaleShift,
        Softmax, Upsample,
    },
};

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| value.into()).collect()
}

fn port(shape: &[usize]) -> Port {
    (shape.to_vec(), None)
}

fn clamped(clamp: Clamp, value: f64) -> f64 {
    value.max(clamp.minimum.into()).min(clamp.maximum.into())
}

/// What the exported model of `op` gives.
fn outputs(op: impl DeviceOp + 'static, inputs: &[(&[f32], &[usize])], output: &[usize]) -> Vec<f32> {
    let ports: Vec<Port> = inputs.iter().map(|(_, shape)| port(shape)).collect();
    let file = exported(op, &ports, &port(output)).expect("an f32 op is always exported");
    let bytes: Vec<Vec<u8>> = inputs.iter().map(|(values, _)| f32_bytes(values)).collect();
    f32_values(&run(&file, &bytes.iter().map(Vec::as_slice).collect::<Vec<_>>()))
}

/// Each output is within 1e-5 of the reference, relative to the sum of the magnitudes that it is made of.
fn compare(ours: &[f32], expected: &[f64], magnitudes: &[f64], what: impl Fn() -> String) {
    assert_eq!(ours.len(), expected.len(), "{}: number of outputs", what());
    for (place, ((&ours, &expected), &magnitude)) in ours.iter().zip(expected).zip(magnitudes).enumerate() {
        let distance = (f64::from(ours) - expected).abs();
        assert!(distance <= 1e-5 * magnitude, "{}: output {place} is {ours}, not {expected}", what());
    }
}

const CLAMPS: [Clamp; 3] = [Clamp::NONE, Clamp { minimum: 0.0, maximum: f32::INFINITY }, Clamp { minimum: 0.0, maximum: 6.0 }];

#[test]
fn dense_is_its_formula() {
    let mut random = generator(41);
    for round in 0..300 {
        let (rows, fan_in, channels) = (random.random_range(1..5), random.random_range(1..70), random.random_range(1..20));
        let (weights, bias) = (real(&mut random, channels * fan_in), real(&mut random, channels));
        let input = real(&mut random, rows * fan_in);
        let clamp = *CLAMPS.choose(&mut random).unwrap();
        let matrix = weights.chunks_exact(fan_in).map(<[f32]>::to_vec).collect();
        let op = Linear { clamp, ..Linear::new(Kind::Dense, matrix, bias.clone()) };
        let ours = outputs(op, &[(&input, &[rows, fan_in])], &[rows, channels]);
        let sums = |of: fn(&[f32]) -> Vec<f64>| {
            naive::convolution(
                &POINTWISE,
                (&of(&input), [rows, 1, fan_in]),
                [rows, 1, channels],
                (&of(&weights), &of(&bias)),
                0.0,
            )
        };
        let expected: Vec<f64> = sums(wide).into_iter().map(|sum| clamped(clamp, sum)).collect();
        compare(&ours, &expected, &sums(magnitudes), || {
            format!("round {round}: {rows} rows, {fan_in} inputs, {channels} channels")
        });
    }
}

fn magnitudes(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(value.abs())).collect()
}

/// A convolution by its formula, from `[channels][taps][depth]`.
type Naive = fn(&Window, (&[f64], naive::Image), naive::Image, (&[f64], &[f64]), f64) -> Vec<f64>;

#[test]
fn convolutions_are_their_formulas() {
    let mut random = generator(42);
    for round in 0..600 {
        let (window, mut image, count) = window_over(&mut random, 4, 3);
        image[2] = random.random_range(1..9);
        let depthwise = random.random();
        let channels = if depthwise { image[2] } else { random.random_range(1..12) };
        let output = [count[0], count[1], channels];
        let fan_in = window.taps() * if depthwise { 1 } else { image[2] };
        let (weights, bias) = (real(&mut random, channels * fan_in), real(&mut random, channels));
        let input = real(&mut random, image.iter().product());
        let clamp = *CLAMPS.choose(&mut random).unwrap();
        let rows = weights.chunks_exact(fan_in).map(<[f32]>::to_vec).collect();
        let kind = if depthwise { Kind::DepthwiseConv2d(window) } else { Kind::Conv2d(window) };
        let op = Linear { clamp, ..Linear::new(kind, rows, bias.clone()) };
        let ours = outputs(op, &[(&input, &image)], &output);
        let naive: Naive = if depthwise { naive::depthwise } else { naive::convolution };
        let sums = |of: fn(&[f32]) -> Vec<f64>| naive(&window, (&of(&input), image), output, (&of(&weights), &of(&bias)), 0.0);
        let expected: Vec<f64> = sums(wide).into_iter().map(|sum| clamped(clamp, sum)).collect();
        compare(&ours, &expected, &sums(magnitudes), || format!("round {round}: {kind:?} over {image:?} to {output:?}"));
    }
}

#[test]
fn pools_are_their_formulas() {
    let mut random = generator(43);
    for round in 0..400 {
        let (window, mut image, count) = window_over(&mut random, 4, 1);
        image[2] = random.random_range(1..9);
        let output = [count[0], count[1], image[2]];
        let input = real(&mut random, image.iter().product());
        let elements = naive::pooled(&window, (&wide(&input), image), output);
        let what = || format!("round {round}: {window:?} over {image:?} to {output:?}");
        let largest: Vec<f64> = elements.iter().map(|all| all.iter().copied().fold(f64::NEG_INFINITY, f64::max)).collect();
        let ours = outputs(Pool { kind: PoolKind::Maximum, window }, &[(&input, &image)], &output);
        assert_eq!(wide(&ours), largest, "max_pool {}", what());
        let mean = |all: &Vec<f64>| all.iter().sum::<f64>() / all.len() as f64;
        let means: Vec<f64> = elements.iter().map(mean).collect();
        let sizes: Vec<f64> = elements.iter().map(|all| all.iter().map(|x| x.abs()).sum::<f64>()).collect();
        let ours = outputs(Pool { kind: PoolKind::Average, window }, &[(&input, &image)], &output);
        compare(&ours, &means, &sizes, || format!("average_pool {}", what()));
    }
}

#[test]
fn softmax_is_its_formula() {
    let mut random = generator(44);
    for round in 0..200 {
        let (rows, classes) = (random.random_range(1..4), random.random_range(1..30));
        let input = real(&mut random, rows * classes);
        let ours = outputs(Softmax, &[(&input, &[rows, classes])], &[rows, classes]);
        let expected: Vec<f64> = wide(&input)
            .chunks_exact(classes)
            .flat_map(|row| {
                let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = row.iter().map(|x| (x - largest).exp()).sum();
                row.iter().map(|x| (x - largest).exp() / sum).collect::<Vec<_>>()
            })
            .collect();
        // Values below the smallest normal number have fewer bits.
        let magnitudes: Vec<f64> = expected.iter().map(|value| value + 1e-37).collect();
        compare(&ours, &expected, &magnitudes, || format!("round {round}: {rows} rows of {classes} classes"));
    }
}

#[test]
fn add_and_scale_shift_are_their_formulas() {
    let mut random = generator(45);
    for round in 0..200 {
        let (pixels, channels) = (random.random_range(1..9), random.random_range(1..9));
        let shape = [pixels, channels];
        let [first, second] = std::array::from_fn(|_| real(&mut random, pixels * channels));
        let clamp = *CLAMPS.choose(&mut random).unwrap();
        let coefficients = *[[1.0, 1.0], [1.0, -1.0], [0.5, 0.5], [-0.3, 2.0]].choose(&mut random).unwrap();
        let ours = outputs(Add { coefficients, clamp }, &[(&first, &shape), (&second, &shape)], &shape);
        let [c, d] = coefficients.map(f64::from);
        let sum = |(&a, &b): (&f32, &f32)| clamped(clamp, c * f64::from(a) + d * f64::from(b));
        let expected: Vec<f64> = first.iter().zip(&second).map(sum).collect();
        let size = |(&a, &b): (&f32, &f32)| (c * f64::from(a)).abs() + (d * f64::from(b)).abs();
        let sizes: Vec<f64> = first.iter().zip(&second).map(size).collect();
        compare(&ours, &expected, &sizes, || format!("add round {round}: {shape:?}, {clamp:?}"));

        let (scale, shift) = (real(&mut random, channels), real(&mut random, channels));
        let formula = |of: fn(&[f32]) -> Vec<f64>| -> Vec<f64> {
            let (scale, shift) = (of(&scale), of(&shift));
            of(&first).iter().zip(scale.iter().zip(&shift).cycle()).map(|(x, (a, b))| a * x + b).collect()
        };
        let expected: Vec<f64> = formula(wide).into_iter().map(|value| clamped(clamp, value)).collect();
        let op = ScaleShift { scale: scale.clone(), shift: shift.clone(), clamp };
        let ours = outputs(op, &[(&first, &shape)], &shape);
        compare(&ours, &expected, &formula(magnitudes), || format!("scale_shift round {round}: {shape:?}, {clamp:?}"));
    }
}

#[test]
fn concat_and_pad_and_reshape_only_move() {
    let mut random = generator(46);
    for round in 0..200 {
        let mut shape = [random.random_range(1..5), random.random_range(1..5), random.random_range(1..5)];
        let axis = random.random_range(0..3);
        let sizes: [usize; 3] = std::array::from_fn(|_| random.random_range(1..5));
        let (outer, inner) = (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
        let parts = sizes.map(|size| real(&mut random, outer * size * inner));
        let shapes = sizes.map(|size| {
            shape[axis] = size;
            shape
        });
        shape[axis] = sizes.iter().sum();
        let inputs: Vec<(&[f32], &[usize])> =
            parts.iter().map(Vec::as_slice).zip(shapes.iter().map(|s| s.as_slice())).collect();
        let ours = outputs(Concat { axis }, &inputs, &shape);
        let slices: Vec<(&[f32], usize)> = parts.iter().map(Vec::as_slice).zip(sizes).collect();
        assert_eq!(ours, naive::concatenated(&slices, outer, inner), "concat round {round}: {sizes:?} along {axis}");

        let around: [usize; 4] = std::array::from_fn(|_| random.random_range(0..4));
        let output = [shape[0] + around[0] + around[1], shape[1] + around[2] + around[3], shape[2]];
        let input = real(&mut random, shape.iter().product());
        let ours = outputs(Pad { top: around[0], left: around[2] }, &[(&input, &shape)], &output);
        let expected = naive::padded((&input, shape), output, [around[0], around[2]], 0.0);
        assert_eq!(ours, expected, "pad round {round}: {shape:?} with {around:?}");
        let ours = outputs(Reshape, &[(&input, &shape)], &[input.len()]);
        assert_eq!(ours, input, "reshape round {round}: {shape:?}");
    }
}

type Formula = fn(f64) -> f64;

#[test]
fn activations_are_their_formulas() {
    let selu = |x: f64| 1.0507009873554805 * if x > 0.0 { x } else { 1.6732632423543772 * x.exp_m1() };
    let hard_sigmoid = |x: f64| ((x + 3.0) / 6.0).clamp(0.0, 1.0);
    let functions: [(Function, f32, Formula); 10] = [
        (Function::Elu, 0.5, |x| if x > 0.0 { x } else { 0.5 * x.exp_m1() }),
        (Function::Swish, 0.0, |x| x / (1.0 + (-x).exp())),
        (Function::HardSigmoid, 0.0, hard_sigmoid),
        (Function::HardSwish, 0.0, |x| x * ((x + 3.0) / 6.0).clamp(0.0, 1.0)),
        (Function::Softplus, 0.0, |x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
        (Function::Relu, 6.0, |x| x.clamp(0.0, 6.0)),
        (Function::LeakyRelu, 0.25, |x| if x > 0.0 { x } else { 0.25 * x }),
        (Function::Selu, 0.0, selu),
        (Function::Sigmoid, 0.0, |x| 1.0 / (1.0 + (-x).exp())),
        (Function::Tanh, 0.0, f64::tanh),
    ];
    let input: Vec<f32> = (-800..=800).map(|step| step as f32 / 50.0).chain([0.0, -0.0, 1e-20, -1e-20, 80.0, -80.0]).collect();
    for (function, alpha, formula) in functions {
        let ours = outputs(Activation(Parameters { function, alpha }), &[(&input, &[input.len()])], &[input.len()]);
        let expected: Vec<f64> = wide(&input).into_iter().map(formula).collect();
        let sizes: Vec<f64> = expected.iter().map(|value| value.abs() + 1e-37).collect();
        compare(&ours, &expected, &sizes, || format!("{function:?}"));
    }
}

#[test]
fn multiply_and_maximum_and_prelu_are_their_formulas() {
    let mut random = generator(47);
    for round in 0..200 {
        let (pixels, channels) = (random.random_range(1..9), random.random_range(1..9));
        let shape = [pixels, channels];
        let [first, second] = std::array::from_fn(|_| real(&mut random, pixels * channels));
        let vector = &second[..channels];
        for (factor, factor_shape) in [(&second[..], shape), (vector, [1, channels])] {
            let clamp = *CLAMPS.choose(&mut random).unwrap();
            let ours = outputs(Multiply { clamp }, &[(&first, &shape), (factor, &factor_shape)], &shape);
            let products: Vec<f64> =
                first.iter().zip(factor.iter().cycle()).map(|(&a, &b)| f64::from(a) * f64::from(b)).collect();
            let expected: Vec<f64> = products.iter().map(|&product| clamped(clamp, product)).collect();
            let sizes: Vec<f64> = products.iter().map(|product| product.abs()).collect();
            compare(&ours, &expected, &sizes, || format!("multiply round {round}: {shape:?} by {factor_shape:?}, {clamp:?}"));
        }
        let ours = outputs(Maximum, &[(&first, &shape), (&second, &shape)], &shape);
        let larger: Vec<f32> = first.iter().zip(&second).map(|(&a, &b)| if b > a { b } else { a }).collect();
        assert_eq!(ours, larger, "maximum round {round}");
        let ours = outputs(Prelu { alpha: vector.to_vec() }, &[(&first, &shape)], &shape);
        let slope = |(&x, &alpha): (&f32, &f32)| f64::from(x) * if x < 0.0 { f64::from(alpha) } else { 1.0 };
        let expected: Vec<f64> = first.iter().zip(vector.iter().cycle()).map(slope).collect();
        let sizes: Vec<f64> = expected.iter().map(|value| value.abs()).collect();
        compare(&ours, &expected, &sizes, || format!("prelu round {round}: {shape:?}"));
    }
}

#[test]
fn upsample_repeats() {
    let input = [1.0, 2.0, 3.0, 4.0];
    let ours = outputs(Upsample([2, 3]), &[(&input, &[1, 2, 2])], &[2, 6, 2]);
    let row = [1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0, 3.0, 4.0];
    assert_eq!(ours, [row, row].concat());
}
