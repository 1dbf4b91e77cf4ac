//! Recurrent ops and layers as a whole: on the device in integers, in pieces, at any length; and a net trained and run.

use rand::Rng;
use samara_runtime::{ALL_OPS, LengthGroup, Model as RuntimeModel, Session, arena::AlignedBuffer, format::writer::ModelFile};
use samara_tests::generator;
use samara_trainer::{
    device::{
        DeviceGraph, DeviceNode, OutputQuantization, Quantization,
        encode::{Numbers, encode},
        ops::{Gru as GruOp, Kernels, Lstm as LstmOp, Order, SimpleRnn as SimpleRnnOp},
    },
    prelude::*,
};

const FEATURES: usize = 6;
const UNITS: usize = 16;
/// Of the inputs.
const INPUT: Quantization = Quantization { scale: 1.0 / 64.0, zero_point: 3 };
const HIDDEN: Quantization = Quantization { scale: 1.0 / 128.0, zero_point: 0 };

/// A recurrent op.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Lstm,
    Gru { resets_first: bool },
    SimpleRnn,
}

const KINDS: [Kind; 4] = [Kind::Lstm, Kind::Gru { resets_first: false }, Kind::Gru { resets_first: true }, Kind::SimpleRnn];

impl Kind {
    fn gates(self) -> usize {
        match self {
            Self::Lstm => 4,
            Self::Gru { .. } => 3,
            Self::SimpleRnn => 1,
        }
    }

    /// Kernels drawn as `glorot_uniform` draws them, biases as those of a new layer.
    fn kernels(self, seed: u64, order: Order) -> Kernels {
        let mut random = generator(seed);
        let width = self.gates() * UNITS;
        let mut rows = |fan_in: usize| -> Vec<Vec<f32>> {
            let limit = (6.0 / (fan_in + width) as f32).sqrt();
            (0..width).map(|_| (0..fan_in).map(|_| random.random_range(-limit..limit)).collect()).collect()
        };
        let (input, recurrent) = (rows(FEATURES), rows(UNITS));
        let bias = (0..width).map(|row| if self == Self::Lstm && row / UNITS == 1 { 1.0 } else { 0.0 }).collect();
        Kernels { input, recurrent, bias, recurrent_bias: Vec::new(), order }
    }

    /// The graph of an op over `steps` steps.
    fn graph(self, kernels: Kernels, steps: usize, sequences: bool) -> DeviceGraph {
        let output: &[usize] = if sequences { &[steps, UNITS] } else { &[UNITS] };
        let (shapes, output) = ([[steps, FEATURES].into()], output.into());
        match self {
            Self::Lstm => DeviceGraph::single("op", LstmOp::new(kernels), &shapes, output),
            Self::Gru { resets_first } => DeviceGraph::single("op", GruOp { kernels, resets_first }, &shapes, output),
            Self::SimpleRnn => DeviceGraph::single("op", SimpleRnnOp { kernels }, &shapes, output),
        }
    }
}

/// Inputs of a length as int8, a random walk each.
fn inputs(seed: u64, steps: usize) -> Vec<i8> {
    let mut random = generator(seed);
    let mut now = [0i32; FEATURES];
    let mut step = || {
        now.iter_mut().for_each(|value| *value = (*value + random.random_range(-40..=40)).clamp(-128, 127));
        now.map(|value| value as i8)
    };
    (0..steps).flat_map(|_| step()).collect()
}

fn real(inputs: &[i8]) -> Vec<f32> {
    inputs.iter().map(|&q| INPUT.scale * f32::from(i16::from(q) - i16::from(INPUT.zero_point))).collect()
}

/// Rounds weights to those that int8 holds, a scale for each row.
fn round(rows: &mut [Vec<f32>]) {
    for row in rows {
        let largest = row.iter().fold(0.0f32, |largest, weight| if weight.abs() > largest { weight.abs() } else { largest });
        row.iter_mut().for_each(|weight| *weight = (*weight / largest * 127.0).round() * (largest / 127.0));
    }
}

/// Both files of a new layer over `steps` steps.
fn files(kind: Kind, seed: u64, steps: usize, order: Order, sequences: bool) -> [ModelFile; 2] {
    files_of(kind, kind.kernels(seed, order), seed, steps, sequences)
}

/// Both files of an op over `steps` steps; what it keeps to itself was measured on some inputs.
fn files_of(kind: Kind, kernels: Kernels, seed: u64, steps: usize, sequences: bool) -> [ModelFile; 2] {
    let long = kind.graph(kernels.clone(), 200, true);
    let measured = long.nodes[0].op.inner_magnitude(&long.context(&long.nodes[0]), &|_| real(&inputs(seed, 200)));
    assert_eq!(measured > 0.1, kind == Kind::Lstm, "a cell of {measured}");
    let mut graph = kind.graph(kernels, steps, sequences);
    graph.nodes[0].op.take_inner_magnitude(measured);
    let quantizations = [INPUT, HIDDEN];
    [Numbers::F32, Numbers::I8 { quantizations: &quantizations, float_ports: false }]
        .map(|numbers| encode(&graph, numbers).expect("an op"))
}

fn with_session<T>(file: &ModelFile, work: impl FnOnce(&mut Session<'_>) -> T) -> T {
    let bytes = AlignedBuffer::copy_of(&file.to_bytes());
    let model = RuntimeModel::parse(bytes.as_slice(), ALL_OPS).expect("a file");
    let mut arena = AlignedBuffer::zeros(model.arena_bytes());
    work(&mut Session::new(model, arena.as_mut_slice()).expect("an arena"))
}

/// The bytes of the output for some inputs, real ones in f32 files.
fn run(session: &mut Session<'_>, inputs: &[i8]) -> Vec<u8> {
    if session.write_i8(0, inputs).is_err() {
        session.write_f32(0, &real(inputs)).expect("inputs that fit");
    }
    session.run();
    session.output_bytes(0).expect("an output").to_vec()
}

/// Root mean square of the int8 output's distance to f32 over 200 steps, in units of the hidden state.
fn distance_over_200_steps(kind: Kind, seed: u64, are_weights_rounded: bool) -> f64 {
    let mut kernels = kind.kernels(seed, Order::default());
    if are_weights_rounded {
        round(&mut kernels.input);
        round(&mut kernels.recurrent);
    }
    let [f32_file, i8_file] = files_of(kind, kernels, seed, 200, true);
    let values = inputs(100 + seed, 200);
    let exact = with_session(&f32_file, |session| run(session, &values));
    let found = with_session(&i8_file, |session| run(session, &values));
    let exact = exact.as_chunks().0.iter().map(|&four| f64::from(f32::from_le_bytes(four)) * 128.0);
    let squares = exact.zip(&found).map(|(exact, &found)| (f64::from(found as i8) - exact).powi(2));
    (squares.sum::<f64>() / found.len() as f64).sqrt()
}

/// Integers stay with f32 at any step: with weights that int8 holds, LSTM and GRU are little more than the rounding of the output away,
/// 0.29 units. With weights drawn by Glorot, the weights' own rounding is the larger part of the distance.
#[test]
fn integers_track_f32_over_200_steps() {
    for (kind, rounded, drawn, worst) in [
        (Kind::Lstm, 0.31, 0.36, 0.6),
        (Kind::Gru { resets_first: false }, 0.3, 0.37, 0.4),
        (Kind::Gru { resets_first: true }, 0.32, 0.38, 0.4),
        // Its only state has 8 bits.
        (Kind::SimpleRnn, 0.45, 0.58, 0.65),
    ] {
        let distances = |are_weights_rounded| -> Vec<f64> {
            (0..16).map(|seed| distance_over_200_steps(kind, seed, are_weights_rounded)).collect()
        };
        let largest = |distances: &[f64]| distances.iter().copied().fold(0.0, f64::max);
        let found = distances(true);
        assert!(largest(&found) < rounded, "{kind:?}, weights that int8 holds: {found:.3?}");
        let found = distances(false);
        let all = (found.iter().map(|distance| distance * distance).sum::<f64>() / found.len() as f64).sqrt();
        assert!(all < drawn && largest(&found) < worst, "{kind:?}: {all:.3} over all nets, {found:.3?}");
    }
}

/// Piece by piece with a state that stays is the whole sequence, bit for bit; so is each of two interleaved streams.
#[test]
fn streams_are_the_whole_sequence() {
    let stateful = Order { stateful: true, ..Order::default() };
    let of_kind = |kind| files(kind, 7, 12, Order::default(), true).into_iter().zip(files(kind, 7, 3, stateful, true));
    for (whole, piece) in KINDS.into_iter().flat_map(of_kind) {
        let streams = [inputs(8, 12), inputs(9, 12)];
        let wanted = streams.each_ref().map(|values| with_session(&whole, |session| run(session, values)));
        let found = with_session(&piece, |session| {
            assert!(session.model().state_bytes() > 0);
            let mut states = [session.state().to_vec(), session.state().to_vec()];
            let mut outputs = [Vec::new(), Vec::new()];
            for number in 0..4 {
                for ((state, output), values) in states.iter_mut().zip(&mut outputs).zip(&streams) {
                    session.set_state(state).expect("its own state");
                    output.extend(run(session, &values[number * 3 * FEATURES..][..3 * FEATURES]));
                    *state = session.state().to_vec();
                }
            }
            outputs
        });
        assert_eq!(found, wanted);
    }
}

/// The last steps of a sequence by an op that begins with the states that another one ended with.
fn handed_over(kind: Kind, magnitude: f32) -> (DeviceGraph, Vec<Quantization>) {
    let given = Order { begins_with_inputs: true, ..Order::default() };
    let (before, behind) = (kind.kernels(7, Order::default()), kind.kernels(7, given));
    let mut graph = DeviceGraph { name: "handed over".to_owned(), ..DeviceGraph::default() };
    let [first, second] = [5, 4].map(|steps| graph.input([steps, FEATURES].into(), "steps"));
    let (state, rows) = (Shape::from([UNITS]), Shape::from([4, UNITS]));
    let output = match kind {
        Kind::Lstm => {
            let hidden = graph.push("h", LstmOp::new(before.clone()), &[first], state.clone());
            let cell = graph.push("c", LstmOp::new(before).gives_cell(), &[first], state);
            graph.push("behind", LstmOp::new(behind), &[second, hidden, cell], rows)
        }
        Kind::Gru { resets_first } => {
            let hidden = graph.push("h", GruOp { kernels: before, resets_first }, &[first], state);
            graph.push("behind", GruOp { kernels: behind, resets_first }, &[second, hidden], rows)
        }
        Kind::SimpleRnn => {
            let hidden = graph.push("h", SimpleRnnOp { kernels: before }, &[first], state);
            graph.push("behind", SimpleRnnOp { kernels: behind }, &[second, hidden], rows)
        }
    };
    graph.outputs.push(output);
    graph.nodes.iter_mut().for_each(|node| node.op.take_inner_magnitude(magnitude));
    let of_node = |node: &DeviceNode| match node.op.output_quantization() {
        OutputQuantization::Fixed(quantization) => quantization,
        other => panic!("{other:?}"),
    };
    let quantizations = [INPUT; 2].into_iter().chain(graph.nodes.iter().map(of_node)).collect();
    (graph, quantizations)
}

/// An op that begins with the states that another one ended with goes on as one op over the whole sequence does: bit for bit in f32, and
/// in int8 if the state has 8 bits. Others lose the lower half of 16 bits.
#[test]
fn states_hand_a_sequence_over() {
    let parts = [inputs(8, 5), inputs(9, 4)];
    for kind in KINDS {
        let mut whole = kind.graph(kind.kernels(7, Order::default()), 9, true);
        let values = real(&parts.concat());
        let magnitude = whole.nodes[0].op.inner_magnitude(&whole.context(&whole.nodes[0]), &|_| values.clone());
        whole.nodes[0].op.take_inner_magnitude(magnitude);
        let (graph, quantizations) = handed_over(kind, magnitude);
        let last = |file: &ModelFile, bytes: usize| {
            let all = with_session(file, |session| run(session, &parts.concat()));
            all[5 * UNITS * bytes..].to_vec()
        };
        let run_parts = |file: &ModelFile| {
            with_session(file, |session| {
                for (number, part) in parts.iter().enumerate() {
                    if session.write_i8(number, part).is_err() {
                        session.write_f32(number, &real(part)).expect("inputs that fit");
                    }
                }
                session.run();
                session.output_bytes(0).expect("an output").to_vec()
            })
        };
        let exact = last(&encode(&whole, Numbers::F32).expect("an op"), 4);
        assert_eq!(run_parts(&encode(&graph, Numbers::F32).expect("ops")), exact, "{kind:?} in f32");
        let as_i8 = |graph: &DeviceGraph, quantizations: &[Quantization]| {
            encode(graph, Numbers::I8 { quantizations, float_ports: false }).expect("ops")
        };
        let exact = last(&as_i8(&whole, &[INPUT, HIDDEN]), 1);
        let found = run_parts(&as_i8(&graph, &quantizations));
        let distance = exact.iter().zip(&found).map(|(&a, &b)| (a as i8).abs_diff(b as i8)).max().expect("values");
        assert!(distance <= if kind == Kind::SimpleRnn { 0 } else { 3 }, "{kind:?}: {distance} apart in int8");
    }
}

/// A sequence that an encoder has read is told backwards by a decoder that begins with its states and sees what it told before: it
/// learns that, comes back from a file, goes on learning, and runs in f32 and int8.
#[test]
fn an_encoder_and_a_decoder_learn_and_run() {
    const STEPS: usize = 4;
    let mut random = generator(3);
    let mut set = |count: usize| -> [Tensor; 3] {
        let (mut read, mut told, mut next) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count {
            let sequence: Vec<f32> = (0..STEPS).map(|_| random.random_range(-1.0..1.0)).collect();
            let reversed: Vec<f32> = sequence.iter().rev().copied().collect();
            told.extend([&[0.0], &reversed[..STEPS - 1]].concat());
            read.extend(sequence);
            next.extend(reversed);
        }
        [read, told, next].map(|values| Tensor::from_samples([STEPS, 1], values).expect("whole sequences"))
    };
    let (x, before) = (input([STEPS, 1]).named("read"), input([STEPS, 1]).named("told"));
    let (_, states) = Lstm::new(24).return_state().named("encoder").apply_with_states(&x);
    let [hidden, cell] = &states;
    let decoded = Lstm::new(24).return_sequences().named("decoder").apply([&before, hidden, cell]);
    let mut model = Model::new("reversal", [&x, &before], Dense::new(1).apply(&decoded)).expect("a model");
    let names: Vec<&str> = model.graph().nodes.iter().map(|node| node.name.as_str()).collect();
    assert!(["encoder", "encoder/h", "encoder/c"].iter().all(|name| names.contains(name)), "{names:?}");
    let [read, told, next] = set(512);
    let data = Dataset::with_many(vec![read, told], vec![next]).expect("as many samples");
    let fit = |epochs| Fit { epochs, batch: 32, verbose: false, ..Fit::default() };
    model.compile(Adam::new(0.01), MeanSquaredError).expect("a loss that fits");
    model.fit(&data, fit(30)).expect("a training");
    let mut model = Model::from_bytes(&model.to_bytes().expect("a file"), &[]).expect("a model");
    model.compile(Adam::new(0.003), MeanSquaredError).expect("a loss that fits");
    let history = model.fit(&data, fit(30)).expect("a training");
    let loss = history.epochs.last().and_then(|epoch| epoch.measurements.get("loss")).expect("a loss");
    // Nothing known is a third.
    assert!(loss < 0.02, "{loss}");
    let [read, told, _] = set(100);
    let test = [read, told];
    let expected = model.predict(&test).expect("samples that fit");
    let device = |bytes: &[u8]| DeviceModel::new(bytes).expect("a file").predict(&test).expect("samples that fit").remove(0);
    let f32_file = device(&model.export_f32().expect("a file"));
    assert!(expected.values().iter().zip(f32_file.values()).all(|(a, b)| (a - b).abs() < 1e-5));
    let int8 = device(&model.export_int8(data.inputs(), quantize::Options::default()).expect("a file"));
    let ratio = samara_tests::signal_to_noise(expected.values(), int8.values());
    assert!(ratio > 20.0, "{ratio:.1} dB in int8");
}

/// A file of 10 steps at a shorter length gives the bits of a file made for that length, forwards and backwards.
#[test]
fn shorter_sequences_stop_at_their_length() {
    let backwards = Order { backwards: true, ..Order::default() };
    let orders = [Order::default(), backwards, Order { in_order: true, ..backwards }];
    for (kind, order) in KINDS.into_iter().flat_map(|kind| orders.map(|order| (kind, order))) {
        for sequences in [true, false] {
            let longest = files(kind, 3, 10, order, sequences);
            for (number, mut file) in longest.into_iter().enumerate() {
                file.length_groups = vec![LengthGroup::own(10)];
                file.tensors[0].length_group = 1;
                file.tensors[1].length_group = u8::from(sequences);
                samara_trainer::device::plan::arrange(&mut file, ALL_OPS).expect("an arena");
                with_session(&file, |session| {
                    for length in [10, 1, 4, 7] {
                        session.set_length(1, length as u32).expect("a length");
                        let values = inputs(5, length);
                        let alone = &files(kind, 3, length, order, sequences)[number];
                        assert_eq!(
                            run(session, &values),
                            with_session(alone, |session| run(session, &values)),
                            "{kind:?} {order:?} of {length}"
                        );
                    }
                });
            }
        }
    }
}

/// Which of two words comes first in a sentence of others: a text net learns it, and is as good in int8.
#[test]
fn a_text_net_learns_and_runs_in_int8() {
    const LENGTH: usize = 12;
    let mut random = generator(11);
    let mut sentence = |label: usize| {
        let mut words: Vec<f32> = (0..LENGTH).map(|_| random.random_range(3..20) as f32).collect();
        let (first, second) = (random.random_range(0..LENGTH / 2), random.random_range(LENGTH / 2..LENGTH));
        (words[first], words[second]) = if label == 0 { (1.0, 2.0) } else { (2.0, 1.0) };
        words
    };
    let mut set = |count: usize| {
        let labels: Vec<u8> = (0..count).map(|number| (number % 2) as u8).collect();
        let words = labels.iter().flat_map(|&label| sentence(label.into())).collect();
        let words = Tensor::from_samples([LENGTH], words).expect("whole sentences");
        Dataset::new(words, Tensor::from_labels(&labels)).expect("as many labels")
    };
    let (train, test) = (set(512), set(200));
    let x = input([LENGTH]).named("words");
    let y = Lstm::new(12).apply(Embedding::new(20, 6).apply(&x));
    let mut model = Model::new("text", &x, Dense::new(2).activation(Activation::Softmax).apply(y)).expect("a model");
    model.compile(Adam::new(0.02), SparseCategoricalCrossentropy).expect("a loss that fits");
    model.fit(&train, Fit { epochs: 12, batch: 32, verbose: false, ..Fit::default() }).expect("a training");
    let device = DeviceModel::new(&model.export_int8(train.inputs(), quantize::Options::default()).expect("a file"));
    let right = device.expect("a file").run_each(
        200,
        |session, sample| session.write_f32(0, &test.inputs()[0].sample(sample).unwrap_or_default()),
        |session, sample| {
            let output = session.output_i8(0).expect("int8");
            usize::from(output[1] > output[0]) == sample % 2
        },
    );
    let right = right.expect("sentences that fit").into_iter().filter(|&right| right).count();
    assert!(right >= 190, "{right} of 200 are right in int8");
}
