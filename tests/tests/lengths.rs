//! Sequences of several lengths, from the trainer to the device: a file for the largest length gives, of a shorter sequence, the bits of
//! a file for that length.

use rand::Rng;
use samara_runtime::{
    ALL_OPS, InputError, LoadError, Model as DeviceFile, NodeFault, Session,
    arena::AlignedBuffer,
    format::writer::{ModelFile, NodeRecord, encode_parameters},
    ops::slice::{self, SLICE},
    selftest::run_case,
};
use samara_tests::{
    generator, graphs,
    whole::{self, check_lengths},
};
use samara_trainer::data::{Side, pad_sequences};
use samara_trainer::device::{
    DeviceGraph, Quantization,
    encode::{Numbers, encode},
    golden::add_golden_samples,
    ops,
    run::DeviceModel,
};
use samara_trainer::prelude::*;
use samara_trainer::quantize::Options;

const FEATURES: usize = 3;
const MOST: usize = 12;
/// The shortest sequence that all nets take.
const LEAST: usize = 5;

fn values(seed: u64, count: usize) -> Vec<f32> {
    let mut random = generator(seed);
    (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
}

type Net = fn(&SymbolicTensor) -> SymbolicTensor;

/// What the device computes step by step.
fn alone(x: &SymbolicTensor) -> SymbolicTensor {
    let y = TimeDistributed::new(Reshape::new([FEATURES, 1])).apply(x);
    TimeDistributed::new(Flatten::new()).apply(TimeDistributed::new(Conv1D::new(2, 2)).apply(y))
}

/// Nets on sequences. `Mean` and reshapes have no other rank on the device.
const NETS: [(&str, Net); 15] = [
    ("the last state", |x| Dense::new(2).apply(Lstm::new(4).apply(x))),
    ("the last state of a walk backwards", |x| Dense::new(2).apply(Gru::new(4).go_backwards().apply(x))),
    ("all states", |x| {
        let y =
            SimpleRnn::new(3).return_sequences().apply(Gru::new(3).reset_before().return_sequences().go_backwards().apply(x));
        Dense::new(2).activation(Activation::Softmax).apply(y)
    }),
    ("windows", |x| {
        let y = Conv1D::new(4, 3).strides(2).activation(Activation::Relu).apply(x);
        let y = BatchNormalization::new().apply(DepthwiseConv1D::new(2).padding(Padding::Causal).apply(y));
        Dense::new(2).apply(GlobalMaxPooling1D::new().apply(MaxPooling1D::new(2).strides(1).apply(y)))
    }),
    ("same padding", |x| {
        let y = SeparableConv1D::new(4, 4).padding(Padding::Same).activation(Activation::Relu).apply(x);
        GlobalAveragePooling1D::new().apply(LayerNormalization::new().apply(y))
    }),
    ("branches", |x| {
        let a = Dense::new(4).activation(Activation::Tanh).apply(x);
        let b = Conv1D::new(4, 3).padding(Padding::Same).apply(x);
        let sum = PReLU::new().apply(Multiply::new().apply([&Add::new().apply([&a, &b]), &b]));
        Mean::over_axis(0).apply(Concatenate::new().apply([&sum, &a]))
    }),
    ("a mean of each step", |x| {
        let y = Conv1D::new(6, 2).padding(Padding::Causal).strides(2).apply(x);
        let steps = y.shape().map_or(0, |shape| shape[0]);
        Lstm::new(2).apply(Mean::over_axis(1).apply(Reshape::new([steps, 2, 3]).apply(&y)))
    }),
    ("both directions", |x| {
        let y = Bidirectional::new(Lstm::new(2).return_sequences()).apply(x);
        Bidirectional::new(Gru::new(2)).merge_mode(MergeMode::Sum).apply(y)
    }),
    ("states", |x| {
        let (_, [hidden, cell]) = Lstm::new(2).return_state().apply_with_states(x);
        Lstm::new(2).return_sequences().apply([x, &hidden, &cell])
    }),
    ("a gate", |x| {
        let gate = Dense::new(FEATURES).activation(Activation::Sigmoid).apply(GlobalAveragePooling1D::new().apply(x));
        Dense::new(2).apply(Multiply::new().apply([x, &Reshape::new([1, FEATURES]).apply(gate)]))
    }),
    ("the first step and the last", |x| {
        let y = Gru::new(3).return_sequences().apply(x);
        Dense::new(2).apply(Concatenate::new().apply([&Slice::row(0).apply(x), &Slice::last().apply(y)]))
    }),
    ("all steps but the first", |x| {
        let y = Dense::new(4).activation(Activation::Tanh).apply(Slice::rows(2..).apply(x));
        SimpleRnn::new(3).return_sequences().apply(y)
    }),
    ("outputs and states", |x| {
        let (y, [hidden, cell]) = Lstm::new(3).return_sequences().return_state().apply_with_states(x);
        let z = Lstm::new(3).return_sequences().apply([&y, &hidden, &cell]);
        Concatenate::new().apply([x, &z])
    }),
    ("outputs and states of both directions", |x| {
        let layer = Bidirectional::new(Gru::new(2).return_sequences().return_state());
        let ([forward, backward], states) = layer.apply_separately_with_states(x);
        Gru::new(2).apply([&Add::new().apply([&forward, &backward]), &Multiply::new().apply(&states[..])])
    }),
    ("averages", |x| AveragePooling1D::new(2).apply(Conv1D::new(3, 2).apply(x))),
];

fn model(net: Net, steps: usize, is_variable: bool, like: Option<&Model>) -> Model {
    let x = input([steps, FEATURES]);
    let x = if is_variable { x.variable_length() } else { x };
    let model = Model::new("sequences", &x, net(&x)).expect("a model");
    match like {
        None => graphs::train(&model, &mut generator(3)),
        Some(like) => like.parameters().iter().for_each(|parameter| {
            model.set_parameter(&parameter.name, &parameter.values()).expect("as many values");
        }),
    }
    model
}

/// The same samples of so many steps: filled up with what there is no more of, or alone.
fn samples(steps: usize, count: usize) -> [Tensor; 2] {
    let real = values(steps as u64, count * steps * FEATURES);
    let mut filled = vec![40.0; count * MOST * FEATURES];
    let rows = filled.chunks_exact_mut(MOST * FEATURES).zip(real.chunks_exact(steps * FEATURES));
    rows.for_each(|(to, from)| to[..from.len()].copy_from_slice(from));
    let filled = Tensor::from_samples([MOST, FEATURES], filled).expect("whole samples");
    [
        filled.with_lengths(vec![steps; count]).expect("lengths that there are"),
        Tensor::from_samples([steps, FEATURES], real).expect("whole samples"),
    ]
}

fn outputs(bytes: &[u8], samples: &Tensor) -> whole::Outputs {
    let file = ModelFile::from_bytes(bytes).expect("a file");
    whole::run(&file, std::slice::from_ref(samples), samples.samples()).expect("samples that fit")
}

#[test]
fn a_file_for_the_largest_length_is_one_for_each() {
    for (name, net) in NETS {
        let variable = model(net, MOST, true, None);
        let f32_file = variable.export_f32().expect("a file");
        for steps in LEAST..=MOST {
            let [filled, alone] = samples(steps, 6);
            let fixed = model(net, steps, false, Some(&variable));
            // Calibrated on the steps that there are, quantized in the same way.
            for float_ports in [false, true] {
                let options = Options { float_ports, ..Options::default() };
                let [own, other] = [(&variable, &filled), (&fixed, &alone)]
                    .map(|(model, samples)| model.export_int8(std::slice::from_ref(samples), options).expect("a file"));
                assert!(outputs(&own, &filled) == outputs(&other, &alone), "{name} of {steps} steps in int8");
            }
            let made_for_it = fixed.export_f32().expect("a file");
            assert!(outputs(&f32_file, &filled) == outputs(&made_for_it, &alone), "{name} of {steps} steps in f32");
            // As in training, step by step.
            let device = DeviceModel::new(&f32_file).expect("a file").predict(std::slice::from_ref(&filled)).expect("samples");
            let trained = variable.predict(&filled).expect("samples that fit");
            assert_eq!(device[0].lengths(), trained.lengths());
            for (found, wanted) in device[0].values().iter().zip(trained.values()) {
                assert!(
                    (found - wanted).abs() <= 1e-5 * (1.0 + wanted.abs()),
                    "{name} of {steps}: {found}, {wanted} in training"
                );
            }
        }
    }
}

#[test]
fn samples_of_all_lengths_share_a_file() {
    for (name, net) in NETS {
        let model = model(net, MOST, true, None);
        let count = MOST - LEAST + 1;
        let all = values(9, count * MOST * FEATURES);
        let all = Tensor::from_samples([MOST, FEATURES], all).and_then(|all| all.with_lengths(LEAST..=MOST)).expect("lengths");
        for bytes in [model.export_f32(), model.export_int8(std::slice::from_ref(&all), Options::default())] {
            let mut file = ModelFile::from_bytes(&bytes.expect("a file")).expect("a file");
            check_lengths(&file, std::slice::from_ref(&all), count).unwrap_or_else(|fault| panic!("{name}: {fault}"));
            // Golden samples have their lengths with them.
            add_golden_samples(&mut file, std::slice::from_ref(&all), Some(3)).expect("samples that fit");
            assert_eq!(ModelFile::from_bytes(&file.to_bytes()).expect("a file"), file);
            let steps = |sample: usize| u32::from_le_bytes(*file.golden[sample].inputs.first_chunk().expect("a length"));
            assert_eq!([0, 1, 2].map(steps), [5, 6, 7]);
            let bytes = AlignedBuffer::copy_of(&file.to_bytes());
            let parsed = DeviceFile::parse(bytes.as_slice(), ALL_OPS).expect("a file");
            let mut arena = AlignedBuffer::zeros(parsed.arena_bytes());
            let mut session = Session::new(parsed, arena.as_mut_slice()).expect("an arena");
            assert_eq!(session.self_test(), Ok(3), "{name}");
            assert_eq!(session.length(1), Some(MOST as u32));
            file.golden[1].inputs[0] += 1;
            let bytes = AlignedBuffer::copy_of(&file.to_bytes());
            let parsed = DeviceFile::parse(bytes.as_slice(), ALL_OPS).expect("a file");
            let mut arena = AlignedBuffer::zeros(parsed.arena_bytes());
            let mut session = Session::new(parsed, arena.as_mut_slice()).expect("an arena");
            assert!(session.self_test().is_err(), "{name}");
            assert_eq!(session.length(1), Some(MOST as u32), "{name}");
        }
    }
}

/// Of a length that may be set, a slice takes the first row, the last, or all from one on: nothing else is there at any length.
#[test]
fn slices_of_what_may_not_be_there_are_refused() {
    let fault = |net: Net, start: u32| {
        let mut file = ModelFile::from_bytes(&model(net, MOST, true, None).export_f32().expect("a file")).expect("a file");
        let is_slice = |node: &&mut NodeRecord| node.code == u16::from(SLICE.code);
        file.nodes.iter_mut().find(is_slice).expect("a slice").parameters = encode_parameters(&slice::Parameters { start });
        let bytes = AlignedBuffer::copy_of(&file.to_bytes());
        match DeviceFile::parse(bytes.as_slice(), ALL_OPS) {
            Ok(_) => None,
            Err(LoadError::Node { fault, .. }) => Some(fault),
            Err(other) => panic!("{other}"),
        }
    };
    let (row, all) = (FEATURES as u32, (MOST * FEATURES) as u32);
    let one_row: Net = |x| Slice::row(0).apply(x);
    for (start, wanted) in [
        (0, None),
        (slice::FROM_END | row, None),
        (1, Some(NodeFault::Shape)),
        (row, Some(NodeFault::Shape)),
        (slice::FROM_END | (row - 1), Some(NodeFault::Shape)),
        (slice::FROM_END | (row + 1), Some(NodeFault::Shape)),
        (slice::FROM_END | all, Some(NodeFault::Shape)),
        (slice::FROM_END, Some(NodeFault::Shape)),
        (slice::PADDED - 1, Some(NodeFault::Shape)),
        (slice::PADDED | (3 * row), None),
        (u32::MAX, Some(NodeFault::Parameter)),
    ] {
        assert_eq!(fault(one_row, start), wanted, "one row from {start:#x}");
    }
    let rest: Net = |x| Slice::rows(2..).apply(x);
    for start in [0, row, 2 * row - 1, 2 * row + 1, 3 * row, slice::FROM_END | (all - 2 * row)] {
        assert_eq!(fault(rest, start), Some(NodeFault::Shape), "the rest from {start:#x}");
    }
    assert_eq!(fault(rest, 2 * row), None);
}

#[test]
fn tokens_end_where_padding_begins() {
    let x = input([7]);
    let y = Lstm::new(3).apply(Embedding::new(6, 4).mask_zero().apply(&x));
    let model = Model::new("tokens", &x, y).expect("a model");
    graphs::train(&model, &mut generator(1));
    let sequences = [vec![3, 1, 2], vec![5], vec![1, 2, 3, 4, 5, 1, 2]];
    let padded = pad_sequences(&sequences, 7, Side::After, Side::After).expect("sequences");
    let device = DeviceModel::new(&model.export_f32().expect("a file")).expect("a file");
    let found = &device.predict(std::slice::from_ref(&padded)).expect("samples that fit")[0];
    let wanted = model.predict(&padded).expect("samples that fit");
    for (found, wanted) in found.values().iter().zip(wanted.values()) {
        assert!((found - wanted).abs() <= 1e-6, "{found}, {wanted} in training");
    }
    let unsaid = Tensor::from_samples([7], padded.values().to_vec()).expect("whole samples");
    let of_both = [&padded, &unsaid].map(|samples| model.export_int8(std::slice::from_ref(samples), Options::default()));
    let [said, found] = of_both.map(|bytes| bytes.expect("a file"));
    assert!(said == found, "calibration sees other tokens");
}

#[test]
fn windows_say_how_short_a_sequence_may_be() {
    let (_, net) = NETS[3];
    let file = DeviceModel::new(&model(net, MOST, true, None).export_f32().expect("a file")).expect("a file");
    let mut arena = AlignedBuffer::zeros(file.model().expect("a file").arena_bytes());
    let mut session = Session::new(file.model().expect("a file"), arena.as_mut_slice()).expect("an arena");
    assert_eq!(session.set_length(1, LEAST as u32), Ok(()));
    let short = InputError::SequenceLength { maximum: MOST as u32, found: LEAST as u32 - 1 };
    assert_eq!(session.set_length(1, LEAST as u32 - 1), Err(short));
    let [filled, _] = samples(LEAST - 1, 2);
    let error = file.predict(std::slice::from_ref(&filled)).expect_err("a sequence that is too short");
    assert!(error.to_string().contains("sample 0"), "{error}");
}

#[test]
fn the_self_test_runs_several_lengths() {
    let mut found = Vec::new();
    for (_, net) in NETS {
        let file = DeviceModel::new(&model(net, MOST, true, None).export_f32().expect("a file")).expect("a file");
        let mut arena = AlignedBuffer::zeros(file.model().expect("a file").arena_bytes());
        let mut session = Session::new(file.model().expect("a file"), arena.as_mut_slice()).expect("an arena");
        run_case(&mut session, |_, _, _| ());
        found.push(session.length(1).expect("a group"));
    }
    // Those of the last round: of eleven nets, not all the largest or the same.
    assert!(found.iter().any(|&length| length < MOST as u32 && length != found[0]), "{found:?}");
}

/// Their int8 scales also cover what zeros give, so only f32 files for a length have the same bits; an int8 file has those of itself, cut.
#[test]
fn steps_that_are_computed_one_by_one_are_as_many_as_there_are() {
    let nets: [Net; 3] = [alone, |x| Lstm::new(2).apply(alone(x)), |x| Dense::new(2).apply(Slice::last().apply(alone(x)))];
    for net in nets {
        let variable = model(net, MOST, true, None);
        let f32_file = variable.export_f32().expect("a file");
        for steps in LEAST..=MOST {
            let [filled, alone] = samples(steps, 3);
            let made_for_it = model(net, steps, false, Some(&variable)).export_f32().expect("a file");
            assert!(outputs(&f32_file, &filled) == outputs(&made_for_it, &alone), "{steps} steps in f32");
            let int8 = variable.export_int8(std::slice::from_ref(&filled), Options::default()).expect("a file");
            let int8 = ModelFile::from_bytes(&int8).expect("a file");
            check_lengths(&int8, std::slice::from_ref(&filled), 3).unwrap_or_else(|fault| panic!("{steps} steps: {fault}"));
        }
    }
}

#[test]
fn steps_that_there_are_not_are_zeros() {
    let mut graph = DeviceGraph::default();
    let x = graph.input([4, 2].into(), "x");
    graph.variable_inputs.push(x);
    let step = graph.push("step", ops::Slice::step(6), &[x], [2].into());
    graph.outputs.push(step);
    let quantizations = [Quantization { scale: 0.5, zero_point: 5 }; 2];
    let numbers = Numbers::I8 { quantizations: &quantizations, float_ports: false };
    let file = encode(&graph, numbers).expect("a slice").to_bytes();
    let lengths = [4, 3, 4, 1];
    // One session: what a run leaves in the arena is there in the next.
    let write = |session: &mut Session<'_>, sample: usize| {
        session.set_length(1, lengths[sample])?;
        session.input_bytes_mut(0)?.iter_mut().zip(20..).for_each(|(byte, value)| *byte = value);
        Ok(())
    };
    let read = |session: &Session<'_>, _| session.output_bytes(0).unwrap_or_default().to_vec();
    let found = DeviceModel::new(&file).expect("a file").run_each(lengths.len(), write, read).expect("inputs that fit");
    assert_eq!(found, [[26, 27], [5, 5], [26, 27], [5, 5]]);
}
