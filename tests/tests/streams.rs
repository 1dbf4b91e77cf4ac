//! Models that a stream runs through, some rows at a time: they give what the whole sequence gives, bit for bit.

use rand::Rng;
use samara_runtime::{ALL_OPS, Model as DeviceFile, Session, arena::AlignedBuffer, format::writer::ModelFile};
use samara_tests::generator;
use samara_trainer::device::stream::{Start, stream};
use samara_trainer::prelude::*;
use samara_trainer::quantize::Options;

/// A model, and what a test streams through it.
struct Case {
    model: Model,
    hop: usize,
    /// Whether outputs depend on the last rows alone: later windows are compared, too.
    slides: bool,
}

fn case(name: &str, input: &SymbolicTensor, output: SymbolicTensor, hop: usize, slides: bool) -> Case {
    let mut model = Model::new(name, input, output).expect("layers that fit");
    model.initialize(7);
    Case { model, hop, slides }
}

fn relu_conv(filters: usize, kernel: usize) -> Conv1D {
    Conv1D::new(filters, kernel).activation(Activation::Relu)
}

/// Convolutions, pools and a separable convolution along features, then the mean over all: what spots a word.
fn spotting() -> Case {
    let x = input([23, 6]);
    let y = MaxPooling1D::new(2).apply(relu_conv(8, 4).apply(&x));
    let y = BatchNormalization::new().apply(SeparableConv1D::new(9, 3).activation(Activation::Tanh).apply(&y));
    let y = Dense::new(4).activation(Activation::Softmax).apply(GlobalAveragePooling1D::new().apply(&y));
    case("spotting", &x, y, 2, true)
}

/// Windows that step further than the rows of a hop give windows: a hop of four, strides of two and two.
fn strided() -> Case {
    let x = input([31, 3]);
    let y = relu_conv(5, 3).strides(2).apply(&x);
    let y = Conv1D::new(6, 5).strides(2).activation(Activation::Sigmoid).apply(&y);
    case("strided", &x, Dense::new(2).apply(y), 4, true)
}

/// A stride beyond the kernel, behind rows that come late.
fn sparse() -> Case {
    let x = input([20, 2]);
    let y = Conv1D::new(4, 1).strides(3).apply(relu_conv(4, 2).apply(&x));
    case("sparse", &x, GlobalMaxPooling1D::new().apply(y), 3, true)
}

/// Spectrograms as pictures: windows over time and bands, the last layer on all of them.
fn pictures() -> Case {
    let x = input([14, 6, 2]);
    let y = Conv2D::new(4, (3, 3)).activation(Activation::Relu).apply(&x);
    let y = DepthwiseConv2D::new((2, 2)).strides((2, 1)).apply(&y);
    let y = Dense::new(3).apply(Flatten::new().apply(AveragePooling2D::new((1, 3)).apply(y)));
    case("pictures", &x, y, 2, true)
}

/// Two ways of other reaches into the past that meet.
fn two_ways() -> Case {
    let x = input([18, 3]);
    let far = Conv1D::new(5, 3).dilation(2).apply(&x);
    let near = relu_conv(5, 3).apply(relu_conv(4, 3).apply(&x));
    let both = Concatenate::new().apply([&Add::new().apply([&far, &near]), &near]);
    let y = Dense::new(2).apply(GlobalAveragePooling1D::new().apply(both));
    case("two-ways", &x, y, 1, true)
}

/// Two ways whose first rows come in other runs: one has to wait for the other.
fn two_paces() -> Case {
    let x = input([20, 2]);
    let late = Conv1D::new(3, 1).strides(3).apply(Conv1D::new(3, 3).apply(&x));
    let early = Conv1D::new(3, 3).strides(3).apply(&x);
    case("two-paces", &x, Add::new().apply([&late, &early]), 3, true)
}

/// Causal convolutions with growing dilation and residual sums, an output for each step.
fn causal() -> Case {
    let x = input([40, 3]);
    let causal = |dilation| relu_conv(6, 3).padding(Padding::Causal).dilation(dilation);
    let mut y = causal(1).apply(&x);
    for dilation in [2, 4] {
        y = Add::new().apply([&y, &causal(dilation).apply(&y)]);
    }
    case("causal", &x, Dense::new(2).activation(Activation::Tanh).apply(y), 2, false)
}

/// Causal convolutions that halve the rate.
fn causal_strided() -> Case {
    let x = input([24, 2]);
    let y = relu_conv(5, 4).padding(Padding::Causal).strides(2).apply(&x);
    let y = relu_conv(5, 2).padding(Padding::Causal).strides(2).apply(&y);
    case("causal-strided", &x, y, 4, false)
}

/// Padding at both ends of a window: it is computed anew each time.
fn padded() -> Case {
    let x = input([12, 3]);
    let y = relu_conv(5, 3).apply(&x);
    let y = relu_conv(4, 3).padding(Padding::Same).apply(&y);
    case("padded", &x, GlobalMaxPooling1D::new().apply(y), 1, true)
}

/// Words by number, and facts that are no sequence.
fn words_and_facts() -> Case {
    let (words, facts) = (input([15]).named("words"), input([3]).named("facts"));
    let y = GlobalMaxPooling1D::new().apply(relu_conv(6, 3).apply(Embedding::new(20, 5).apply(&words)));
    let y = Dense::new(2).apply(Concatenate::new().apply([&y, &facts]));
    let mut model = Model::new("words", [words, facts], y).expect("layers that fit");
    model.initialize(7);
    Case { model, hop: 1, slides: true }
}

/// What remembers: recurrent layers, the last of which gives its state once.
fn remembering() -> Case {
    let x = input([12, 3]);
    let y = Gru::new(5).return_sequences().apply(Lstm::new(4).return_sequences().apply(&x));
    let y = SimpleRnn::new(3).apply(Gru::new(4).reset_before().return_sequences().apply(y));
    case("remembering", &x, Dense::new(2).apply(y), 3, false)
}

fn cases() -> Vec<Case> {
    vec![
        spotting(),
        strided(),
        sparse(),
        pictures(),
        two_ways(),
        two_paces(),
        causal(),
        causal_strided(),
        padded(),
        words_and_facts(),
        remembering(),
    ]
}

/// Rows of a long sequence for each input: tokens where words are asked for. Facts have one row.
fn long(case: &Case, rows: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut random = generator(seed);
    let graph = case.model.graph();
    let of_input = |&input: &usize| {
        let (shape, name) = (&graph.nodes[input].shape, &graph.nodes[input].name);
        let size = if name == "facts" { shape.size() } else { rows * shape.size() / shape[0] };
        (0..size)
            .map(|_| if name == "words" { random.random_range(0..20) as f32 } else { random.random_range(-1.0..1.0) })
            .collect()
    };
    graph.inputs.iter().map(of_input).collect()
}

/// `count` rows from row `start` on, of inputs whose sequences have `length` rows; what is no sequence as it is.
fn part(case: &Case, inputs: &[Vec<f32>], start: usize, count: usize) -> Vec<Vec<f32>> {
    let graph = case.model.graph();
    let of_input = |(&input, values): (&usize, &Vec<f32>)| {
        let shape = &graph.nodes[input].shape;
        if graph.nodes[input].name == "facts" {
            return values.clone();
        }
        let row = shape.size() / shape[0];
        values[start * row..(start + count) * row].to_vec()
    };
    graph.inputs.iter().zip(inputs).map(of_input).collect()
}

/// The bytes of the only output.
fn step(session: &mut Session<'_>, inputs: &[Vec<f32>]) -> Vec<u8> {
    inputs.iter().enumerate().for_each(|(number, values)| session.write_f32(number, values).expect("values that fit"));
    session.run();
    session.output_bytes(0).expect("an output").to_vec()
}

fn with_session<T>(bytes: &[u8], work: impl FnOnce(&mut Session<'_>) -> T) -> T {
    let bytes = AlignedBuffer::copy_of(bytes);
    let model = DeviceFile::parse(bytes.as_slice(), ALL_OPS).expect("a file that was just made");
    let mut arena = AlignedBuffer::zeros(model.arena_bytes());
    work(&mut Session::new(model, arena.as_mut_slice()).expect("an arena that fits"))
}

/// Whole and streaming files, in f32 and in int8.
fn files(case: &Case) -> [[Vec<u8>; 2]; 2] {
    let rows = case.model.graph().nodes[case.model.graph().inputs[0]].shape[0];
    let samples: Vec<Tensor> = (case.model.graph().inputs.iter())
        .enumerate()
        .map(|(number, input)| {
            let shape = case.model.graph().nodes[*input].shape.clone();
            let values = (0..8).flat_map(|seed| long(case, rows, 100 + seed)[number].clone()).collect();
            Tensor::from_samples(shape, values).expect("whole samples")
        })
        .collect();
    let (model, options) = (&case.model, Options::default());
    let made = "a model that can be exported";
    [
        [model.export_f32().expect(made), model.export_f32_stream(case.hop).expect(made)],
        [model.export_int8(&samples, options).expect(made), model.export_int8_stream(&samples, options, case.hop).expect(made)],
    ]
}

/// Compares the stream of a case with the whole file on window after window, and says how many windows that were.
fn compare(case: &Case) -> usize {
    let name = case.model.name();
    let start = stream(&case.model.device_graph().unwrap(), case.hop).unwrap().outputs[0];
    let graph = case.model.graph();
    let length = graph.nodes[graph.inputs[0]].shape[0];
    let runs = 3 * length / case.hop;
    let inputs = long(case, runs * case.hop, 1);
    let mut compared = 0;
    for (numbers, [whole, streaming]) in ["f32", "int8"].into_iter().zip(files(case)) {
        let given = with_session(&streaming, |session| {
            (0..runs).map(|run| step(session, &part(case, &inputs, run * case.hop, case.hop))).collect::<Vec<_>>()
        });
        for window in 0.. {
            let from = window * case.hop;
            if from + length > runs * case.hop || (window > 0 && !case.slides) {
                break;
            }
            let expected = with_session(&whole, |session| step(session, &part(case, &inputs, from, length)));
            let found = match start {
                Start::Run(run) => given.get(run + window).cloned(),
                Start::Row { rows, first } => {
                    let row = given[0].len() / rows;
                    let all = given.concat();
                    all.get((first + window * rows) * row..).and_then(|rest| rest.get(..expected.len())).map(<[u8]>::to_vec)
                }
            };
            let Some(found) = found else { break };
            assert!(found == expected, "{name} in {numbers}, hop {}: window {window} differs ({start:?})", case.hop);
            compared += 1;
        }
    }
    compared
}

#[test]
fn a_stream_gives_the_bits_of_whole_sequences() {
    for case in cases() {
        let graph = case.model.graph();
        let length = graph.nodes[graph.inputs[0]].shape[0];
        let (compared, expected) = (compare(&case), if case.slides { 2 * length / case.hop } else { 2 });
        assert!(compared >= expected, "{}: only {compared} windows, expected {expected}", case.model.name());
    }
}

/// A random chain of layers along a sequence, some of them around a residual sum, with a hop that its strides divide.
fn drawn(seed: u64) -> Option<Case> {
    let mut random = generator(1000 + seed);
    let (mut length, channels) = (random.random_range(12..60usize), random.random_range(1..5));
    let x = input([length, channels]);
    let (mut y, mut stride, mut slides) = (Dense::new(4).apply(&x), 1, true);
    for _ in 0..random.random_range(1..6) {
        let (kernel, step, dilation) = (random.random_range(1..6), random.random_range(1..4), random.random_range(1..3));
        let causal = random.random_bool(0.3);
        let padding = if causal { Padding::Causal } else { Padding::Valid };
        let extent = (kernel - 1) * dilation + 1;
        if length < 4 + 2 * extent * step {
            break;
        }
        let kind = random.random_range(0..6);
        slides &= !(causal && kind < 3);
        y = match kind {
            0 => relu_conv(4, kernel).padding(padding).dilation(dilation).apply(&y),
            1 => {
                stride *= step;
                Conv1D::new(4, kernel).padding(padding).strides(step).activation(Activation::Tanh).apply(&y)
            }
            2 => DepthwiseConv1D::new(kernel).padding(padding).apply(&y),
            3 => {
                stride *= step;
                MaxPooling1D::new(kernel).strides(step).apply(&y)
            }
            4 => LayerNormalization::new().apply(&y),
            _ => {
                slides = false;
                let long = relu_conv(4, kernel).padding(Padding::Causal).apply(&y);
                Add::new().apply([&y, &long])
            }
        };
        length = y.shape()?.first().copied()?;
    }
    let y = match random.random_range(0..4) {
        0 => GlobalAveragePooling1D::new().apply(&y),
        1 => GlobalMaxPooling1D::new().apply(&y),
        2 => Dense::new(2).apply(Flatten::new().apply(&y)),
        _ => y,
    };
    let hop = stride * random.random_range(1..3);
    (hop <= x.shape()?[0]).then(|| case(&format!("drawn-{seed}"), &x, y, hop, slides))
}

#[test]
fn drawn_nets_stream() {
    let (mut nets, mut windows) = (0, 0);
    for case in (0..150).filter_map(drawn) {
        nets += 1;
        windows += compare(&case);
    }
    assert!(nets > 120 && windows > 4000, "{nets} nets, {windows} windows");
}

#[test]
fn streams_interleaved_in_one_session_are_streams_apart() {
    for case in cases() {
        let [_, [_, streaming]] = files(&case);
        let runs = 12;
        let streams: Vec<_> = (0..8).map(|seed| long(&case, runs * case.hop, 50 + seed)).collect();
        let input = |stream: usize, run: usize| part(&case, &streams[stream], run * case.hop, case.hop);
        let apart: Vec<Vec<Vec<u8>>> = (0..8)
            .map(|stream| with_session(&streaming, |session| (0..runs).map(|run| step(session, &input(stream, run))).collect()))
            .collect();
        assert!(apart[0] != apart[1], "{}: the streams are too much alike", case.model.name());
        with_session(&streaming, |session| {
            let mut states = vec![session.state().to_vec(); 8];
            for run in 0..runs {
                for (stream, (state, apart)) in states.iter_mut().zip(&apart).enumerate() {
                    session.set_state(state).expect("a state of this model");
                    assert!(step(session, &input(stream, run)) == apart[run], "stream {stream}, run {run}");
                    *state = session.state().to_vec();
                }
            }
            session.reset_state();
            assert!(step(session, &input(3, 0)) == apart[3][0], "a state that is reset knows of nothing");
        });
    }
}

/// Multiply-accumulates of a file.
fn macs(bytes: &[u8]) -> u64 {
    ModelFile::from_bytes(bytes).expect("a file").nodes.iter().map(|node| u64::from(node.macs)).sum()
}

#[test]
fn a_run_costs_a_hop_and_what_costs_more_is_told() {
    let notes = |bytes: &[u8]| ModelFile::from_bytes(bytes).expect("a file").metadata.notes;
    let case = spotting();
    let [[whole, streaming], _] = files(&case);
    // 20 windows of 24 multiply-accumulates for 8 filters, 8 of 3 for 8 channels and 8 of 8 for 9 filters, 9 for 4 classes; of the
    // windows, a hop of two rows has two, one and one.
    assert_eq!(macs(&whole), 20 * 24 * 8 + 8 * (3 * 8 + 8 * 9) + 9 * 4);
    assert_eq!(macs(&streaming), 2 * 24 * 8 + (3 * 8 + 8 * 9) + 9 * 4);
    let told = notes(&streaming);
    assert!(told.len() == 1 && told[0].ends_with("is that of a whole sequence from run 11 since the reset on"), "{told:?}");
    let [[_, streaming], _] = files(&padded());
    assert!(notes(&streaming)[1].contains("computes its whole sequence in every run"), "{:?}", notes(&streaming));
}

#[test]
fn hops_that_do_not_fit_are_refused_with_what_would() {
    let refused = |case: Case, hop: usize| case.model.export_f32_stream(hop).expect_err("no such hop").to_string();
    let message = refused(strided(), 2);
    assert!(message.contains("its stride of 2 does not divide the 1 rows that come to it at a time"), "{message}");
    assert!(message.contains("take a hop 2 times as large"), "{message}");
    assert!(refused(spotting(), 0).contains("it has 23 rows, of which a hop of 0 is to be a part"));
    assert!(refused(spotting(), 24).contains("it has 23 rows, of which a hop of 24 is to be a part"));
    let x = input([8, 2]);
    let both = Bidirectional::new(Lstm::new(2)).apply(Conv1D::new(3, 2).apply(&x));
    let model = Model::new("both", &x, both).expect("layers that fit");
    let message = model.export_f32_stream(1).expect_err("no last step").to_string();
    assert!(
        message.contains("bidirectional/backward_lstm")
            && message.contains("a stream has no last step: export the whole model"),
        "{message}"
    );
    let x = input([4]);
    let model = Model::new("flat", &x, Dense::new(2).apply(&x)).expect("layers that fit");
    let message = model.export_f32_stream(1).expect_err("no rows").to_string();
    assert!(message.contains("a stream needs an input with rows"), "{message}");
}
