//! Sessions: runs in steps, states, lengths of sequences, outputs that overlap inputs, golden samples, and files whose header says
//! more or less than this version's.

use rand::{Rng, rngs::StdRng};
use samara_runtime::{
    ALL_OPS, ElementType, InputError, LengthGroup, LoadError, Model, NodeFault, OpDef, SelfTestError, Session,
    arena::AlignedBuffer,
    format::{
        HEADER_BYTES,
        cursor::Cursor,
        header::{LEAST_HEADER_BYTES, RUNTIME_LEVEL},
        writer::{ModelFile, repair_crc},
    },
    op::{Alias, Order},
    ops::{linear::LinearI8, window::Window},
};
use samara_tests::{
    examples, generator, random,
    single::{self, Port, f32_bytes},
    stateful::{self, QUANTIZATION},
};
use samara_trainer::{
    device::{
        Clamp, DeviceGraph, DeviceNode, DeviceOp, Quantization,
        encode::{Numbers, encode},
        golden::{add_golden_samples, usual_count},
        ops::{self, Activation, Add, Kind, Linear, Pool, PoolKind, WeightBits},
        plan::arrange,
    },
    graph::Shape,
};

/// Numbers between -1 and 1.
fn values(random: &mut StdRng, count: usize) -> Vec<f32> {
    (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
}

const fn window(kernel: [u16; 2], stride: [u16; 2], dilation: [u16; 2], padding: [u16; 2]) -> Window {
    Window { kernel, stride, dilation, padding }
}

/// What parsing a file's bytes gives, with the header's checksum repaired.
fn parse_bytes(mut bytes: Vec<u8>, ops: &[&'static OpDef]) -> Result<(), LoadError> {
    repair_crc(&mut bytes);
    Model::parse(AlignedBuffer::copy_of(&bytes).as_slice(), ops).map(|_| ())
}

fn parse(file: &ModelFile) -> Result<(), LoadError> {
    parse_bytes(file.to_bytes(), ALL_OPS)
}

/// Hands a session of the file to `work`, the arena full of garbage before.
fn with_session<T>(file: &ModelFile, ops: &[&'static OpDef], work: impl FnOnce(&mut Session<'_>) -> T) -> T {
    let bytes = AlignedBuffer::copy_of(&file.to_bytes());
    let model = Model::parse(bytes.as_slice(), ops).unwrap_or_else(|error| panic!("refused: {error}"));
    let mut arena = AlignedBuffer::zeros(model.arena_bytes());
    arena.as_mut_slice().fill(0xa5);
    work(&mut Session::new(model, arena.as_mut_slice()).expect("an arena of the size that the model asks for"))
}

/// A net of three matrices with a ReLU table and a residual sum between: 5 nodes of 12, 0, 12, 0 and 6 MACs.
fn net() -> ModelFile {
    let mut random = generator(21);
    let mut graph = DeviceGraph { name: "net".to_owned(), ..DeviceGraph::default() };
    let mut dense = |from: usize, to: usize| Linear {
        kind: Kind::Dense,
        rows: (0..to).map(|_| values(&mut random, from)).collect(),
        bias: values(&mut random, to),
        weight_scales: None,
        weight_bits: WeightBits::Eight,
        clamp: Clamp::NONE,
    };
    let x = graph.input(Shape::from([4]), "x");
    let a = graph.push("a", dense(4, 3), &[x], Shape::from([3]));
    let table =
        samara_runtime::ops::activation::Parameters { function: samara_runtime::ops::activation::Function::Tanh, alpha: 0.0 };
    let b = graph.push("b", Activation(table), &[a], Shape::from([3]));
    let c = graph.push("c", dense(3, 4), &[b], Shape::from([4]));
    let d = graph.push("d", Add { coefficients: [1.0, 1.0], clamp: Clamp::NONE }, &[c, x], Shape::from([4]));
    let e = graph.push("e", dense(4, 2), &[d], Shape::from([2]));
    graph.outputs.push(e);
    let quantizations = vec![QUANTIZATION; graph.values.len()];
    let mut file = encode(&graph, Numbers::I8 { quantizations: &quantizations, float_ports: false }).expect("a small net");
    file.nodes.iter_mut().zip([12, 0, 12, 0, 8]).for_each(|(node, macs)| assert_eq!(node.macs, macs));
    file.golden.clear();
    file
}

const INPUT: [i8; 4] = [90, -70, 33, 5];

#[test]
fn steps_give_what_a_run_gives() {
    let file = net();
    let whole = with_session(&file, ALL_OPS, |session| {
        session.write_i8(0, &INPUT).unwrap();
        session.run();
        session.output_i8(0).unwrap().to_vec()
    });
    with_session(&file, ALL_OPS, |session| {
        assert_eq!(session.output_i8(0), None, "there is no output before a run");
        for macs in [0, 1, 12, 13, 24, 28, 29, 1000] {
            session.write_i8(0, &INPUT).unwrap();
            let mut steps = 1;
            while !session.run_for(macs) {
                assert_eq!(session.output_i8(0), None, "there is no output in the middle of a run");
                assert_eq!(session.write_i8(0, &INPUT), Err(InputError::Running));
                steps += 1;
            }
            // Costs are 12, 3 (elements), 12, 4, 8: what fits into each step, one node at least.
            let expected = match macs {
                0 | 1 => 5,
                12 => 4, // 12 | 3 | 12 | 4 + 8
                13 => 4, // likewise
                24 => 2, // 12 + 3 | 12 + 4 + 8
                28 => 2, // 12 + 3 + 12 | 4 + 8
                29 => 2,
                _ => 1,
            };
            assert_eq!(steps, expected, "steps of {macs} MACs");
            assert_eq!(session.output_i8(0), Some(&whole[..]), "in steps of {macs} MACs");
        }
        for node in 0..5 {
            session.write_i8(0, &INPUT).unwrap();
            assert!(session.run_until(node));
            let mut seen = Vec::new();
            session.run_observed(|node, _| seen.push(node));
            assert_eq!(seen, (usize::from(node)..5).collect::<Vec<_>>());
            assert_eq!(session.output_i8(0), Some(&whole[..]), "stopped before node {node}");
        }
        session.write_i8(0, &INPUT).unwrap();
        assert!(!session.run_until(5), "there is no node 5");
        assert_eq!(session.output_i8(0), Some(&whole[..]));
        session.write_i8(0, &INPUT).unwrap();
        session.run_until(2);
        session.abandon();
        session.write_i8(0, &INPUT).unwrap();
        session.run();
        assert_eq!(session.output_i8(0), Some(&whole[..]), "after a run that was abandoned");
        assert_eq!(session.model().largest_node_macs(), 12);
    });
}

#[test]
fn an_observer_sees_each_output_before_it_is_overwritten() {
    let file = net();
    let mut apart = file.clone();
    single::spread(&mut apart);
    let all = with_session(&apart, ALL_OPS, |session| {
        session.write_i8(0, &INPUT).unwrap();
        session.run();
        file.nodes.iter().map(|node| session.tensors().get(node.output).1.to_vec()).collect::<Vec<_>>()
    });
    with_session(&file, ALL_OPS, |session| {
        session.write_i8(0, &INPUT).unwrap();
        let mut seen = Vec::new();
        session.run_observed(|node, tensors| seen.push(tensors.get(file.nodes[node].output).1.to_vec()));
        assert_eq!(seen, all);
    });
    assert!(file.arena_bytes < apart.arena_bytes);
}

#[test]
fn two_streams_in_one_session_are_two_sessions() {
    let file = stateful::delayed_sum(3, 2);
    assert_eq!((file.state_bytes(), file.minimum_runtime()), (16 + 16, 1));
    let inputs = |stream: i8| (0..9).map(move |step| [step * 5 + stream, -step, stream * 20 - 50]);
    let step = |session: &mut Session<'_>, input: [i8; 3]| {
        session.write_i8(0, &input).unwrap();
        session.run();
        session.output_i8(0).unwrap().to_vec()
    };
    let alone = [1, 2].map(|stream| {
        with_session(&file, &stateful::OPS, |session| inputs(stream).map(|input| step(session, input)).collect::<Vec<_>>())
    });
    // By hand: two runs late, then summed.
    let mut sums = [0i32; 3];
    for (run, output) in alone[0].iter().enumerate() {
        if let Some(late) = run.checked_sub(2) {
            let input = inputs(1).nth(late).unwrap();
            sums.iter_mut().zip(input).for_each(|(sum, x)| *sum += i32::from(x));
        }
        assert_eq!(*output, sums.map(|sum| sum.clamp(-128, 127) as i8), "run {run}");
    }
    with_session(&file, &stateful::OPS, |session| {
        let mut states = [session.state().to_vec(), session.state().to_vec()];
        assert_eq!(states[0], [0; 32], "a session starts with its state reset, whatever the arena held");
        for (run, interleaved) in inputs(1).zip(inputs(2)).enumerate() {
            for (stream, (state, input)) in states.iter_mut().zip([interleaved.0, interleaved.1]).enumerate() {
                session.set_state(state).unwrap();
                assert_eq!(step(session, input), alone[stream][run], "stream {stream}, run {run}");
                *state = session.state().to_vec();
            }
        }
        session.reset_state();
        assert_eq!(step(session, [1, 2, 3]), [0, 0, 0], "a state that is reset knows of no run before");
        assert_eq!(session.set_state(&[0; 31]), Err(InputError::StateLength { expected: 32, found: 31 }));
    });
}

#[test]
fn states_that_something_else_could_overwrite_are_refused() {
    let original = stateful::delayed_sum(3, 2);
    let refused = |change: &dyn Fn(&mut ModelFile), expected: LoadError| {
        let mut file = original.clone();
        change(&mut file);
        assert_eq!(parse_bytes(file.to_bytes(), &stateful::OPS), Err(expected));
    };
    let state = |node| LoadError::Node { node, fault: NodeFault::State };
    assert_eq!(parse_bytes(original.to_bytes(), &stateful::OPS), Ok(()));
    refused(&|file| file.nodes[1].state_offset = 0, state(1)); // the other node's
    let moved = |file: &mut ModelFile| {
        file.tensors.iter_mut().for_each(|tensor| tensor.offset += 16);
        file.arena_bytes += 16;
        file.nodes[1].state_offset = 24; // not aligned
    };
    refused(&moved, state(1));
    refused(&|file| file.nodes[1].state_bytes = 11, state(1)); // too small
    refused(&|file| file.nodes[1].state_offset = u32::MAX - 31, LoadError::Section); // beyond the arena
    refused(&|file| file.tensors[2].offset = 16, LoadError::Tensor { tensor: 2 });
    refused(
        &|file| (file.nodes[0].scratch_bytes, file.nodes[0].scratch_offset) = (16, 16),
        LoadError::Node { node: 0, fault: NodeFault::Scratch },
    );
    let header = |offset: usize, value: u32| {
        let mut bytes = original.to_bytes();
        bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        parse_bytes(bytes, &stateful::OPS)
    };
    assert_eq!(header(80, 33), Err(LoadError::Section), "a state of no whole number of 16 bytes");
    assert_eq!(header(80, 16), Err(state(1)), "a state that ends before a node's");
    assert_eq!(header(80, u32::MAX - 15), Err(LoadError::Section), "a state larger than the arena");
    let runtime = LoadError::Runtime { required: RUNTIME_LEVEL + 1, found: RUNTIME_LEVEL };
    assert_eq!(header(84, u32::from(RUNTIME_LEVEL) + 1), Err(runtime), "a file for a later runtime");
    assert_eq!(header(84, u32::from(RUNTIME_LEVEL)), Ok(()));
}

/// Moves everything behind the header by `by` bytes, as a header of another size would.
fn with_header(bytes: &[u8], header_bytes: usize) -> Vec<u8> {
    let by = header_bytes as i64 - HEADER_BYTES as i64;
    assert_eq!(by % 16, 0);
    let mut moved = bytes[..HEADER_BYTES.min(header_bytes)].to_vec();
    moved.resize(header_bytes, 0xee);
    moved.extend(&bytes[HEADER_BYTES..]);
    let mut put = |at: usize, value: u32| moved[at..at + 4].copy_from_slice(&value.to_le_bytes());
    let field = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    put(12, (bytes.len() as i64 + by) as u32);
    for at in [44, 48, 56, 64].into_iter().chain((header_bytes > HEADER_BYTES).then_some([88, 96]).into_iter().flatten()) {
        put(at, (i64::from(field(at)) + by) as u32);
    }
    moved[6..8].copy_from_slice(&(header_bytes as u16).to_le_bytes());
    repair_crc(&mut moved);
    moved
}

/// Samples of four values.
fn rows(values: &[f32]) -> samara_trainer::data::Tensor {
    samara_trainer::data::Tensor::from_samples([4], values.to_vec()).expect("whole samples")
}

#[test]
fn longer_and_shorter_headers_are_read() {
    let mut file = net();
    add_golden_samples(&mut file, &[rows(&[0.5, -1.0, 0.25, 2.0])], Some(1)).unwrap();
    let bytes = file.to_bytes();
    let outputs = |bytes: &[u8]| {
        let aligned = AlignedBuffer::copy_of(bytes);
        let model = Model::parse(aligned.as_slice(), ALL_OPS).unwrap_or_else(|error| panic!("refused: {error}"));
        let mut arena = AlignedBuffer::zeros(model.arena_bytes());
        let mut session = Session::new(model, arena.as_mut_slice()).unwrap();
        let tested = session.self_test();
        session.write_i8(0, &INPUT).unwrap();
        session.run();
        (session.output_i8(0).unwrap().to_vec(), tested)
    };
    let (expected, tested) = outputs(&bytes);
    assert_eq!(tested, Ok(1));
    assert_eq!(outputs(&with_header(&bytes, HEADER_BYTES + 32)), (expected.clone(), Ok(1)), "a header of a later version");
    assert_eq!(ModelFile::from_bytes(&with_header(&bytes, HEADER_BYTES + 32)).unwrap(), file);
    // Without the fields of this version there are no samples, and no node may have counted its work.
    let mut old = file.clone();
    old.nodes.iter_mut().for_each(|node| node.macs = 0);
    old.golden.clear();
    assert_eq!(outputs(&with_header(&old.to_bytes(), LEAST_HEADER_BYTES)), (expected, Ok(0)), "the shortest header");
    let mut short = bytes;
    short[6..8].copy_from_slice(&(LEAST_HEADER_BYTES as u16 - 1).to_le_bytes());
    assert_eq!(parse_bytes(short, ALL_OPS), Err(LoadError::Section));
}

#[test]
fn golden_samples_find_two_wrong_bits_and_do_not_change_the_hash() {
    let mut file = net();
    let hash = |file: &ModelFile| with_session(file, ALL_OPS, |session| session.model().hash());
    let before = hash(&file);
    let samples = [rows(&values(&mut generator(5), 4 * 6))];
    add_golden_samples(&mut file, &samples, Some(6)).unwrap();
    file.metadata.name = "another name".to_owned();
    assert_eq!(hash(&file), before);
    assert_eq!(file.golden_bytes(), 6 * (4 + 4));
    assert_eq!(ModelFile::from_bytes(&file.to_bytes()).unwrap(), file);
    assert_eq!(with_session(&file, ALL_OPS, |session| session.self_test()), Ok(6));
    let mut damaged = file.clone();
    let weights = LinearI8::decode(&mut Cursor::new(&file.nodes[4].parameters)).weights as usize;
    damaged.constants[weights] ^= 0x40;
    damaged.constants[weights + 1] ^= 0x20;
    let found = with_session(&damaged, ALL_OPS, |session| session.self_test());
    assert!(matches!(found, Err(SelfTestError::Mismatch { .. })), "{found:?}");
    assert_ne!(hash(&damaged), before);
    let mut wrong = file.clone();
    wrong.golden[3].checksum ^= 1;
    assert_eq!(with_session(&wrong, ALL_OPS, |session| session.self_test()), Err(SelfTestError::Mismatch { sample: 3 }));
    let mut cut = file.clone();
    cut.golden[5].inputs.pop();
    assert_eq!(with_session(&cut, ALL_OPS, |session| session.self_test()), Err(SelfTestError::Malformed));
    add_golden_samples(&mut file, &samples, None).unwrap();
    assert_eq!(file.golden.len(), 4, "as many as are usual: {} bytes of file", file.to_bytes().len());
    file.tensors[file.inputs[0] as usize].dimensions[0] = 1 << 20;
    assert_eq!(usual_count(&file), 1, "for large inputs, too, a device can test itself");
}

/// A net over `rows` rows of 3 channels: a convolution with stride 2, a depthwise one with `same` padding, a max pool, a dense
/// layer on each row (the first output), an average over all rows, and a dense layer on it (the second).
fn sequence_net(rows: usize, int8: bool) -> ModelFile {
    let mut random = generator(31);
    let mut graph = DeviceGraph::default();
    let mut linear = |kind: Kind, fan_in: usize, channels: usize| Linear {
        kind,
        rows: (0..channels).map(|_| values(&mut random, fan_in)).collect(),
        bias: values(&mut random, channels),
        weight_scales: None,
        weight_bits: WeightBits::Eight,
        clamp: Clamp { minimum: 0.0, maximum: 6.0 },
    };
    let shape = |rows: usize, channels: usize| Shape::from([rows, 1, channels]);
    let (halved, pooled) = ((rows - 1) / 2, (rows - 1) / 2 / 2);
    let x = graph.input(shape(rows, 3), "x");
    let valid = window([3, 1], [2, 1], [1, 1], [0, 0]);
    let y = graph.push("conv", linear(Kind::Conv2d(valid), 9, 4), &[x], shape(halved, 4));
    let same = window([3, 1], [1, 1], [1, 1], [1, 0]);
    let y = graph.push("depthwise", linear(Kind::DepthwiseConv2d(same), 3, 4), &[y], shape(halved, 4));
    let pool = Pool { kind: PoolKind::Maximum, window: window([2, 1], [2, 1], [1, 1], [0, 0]) };
    let y = graph.push("pool", pool, &[y], shape(pooled, 4));
    let y = graph.push("rows", linear(Kind::Dense, 4, 5), &[y], shape(pooled, 5));
    graph.outputs.push(y);
    let all = Pool { kind: PoolKind::Average, window: window([pooled as u16, 1], [1, 1], [1, 1], [0, 0]) };
    let y = graph.push("mean", all, &[y], shape(1, 5));
    let y = graph.push("dense", linear(Kind::Dense, 5, 2), &[y], shape(1, 2));
    graph.outputs.push(y);
    let quantizations: Vec<Quantization> = vec![QUANTIZATION; graph.values.len()];
    let numbers = if int8 { Numbers::I8 { quantizations: &quantizations, float_ports: false } } else { Numbers::F32 };
    encode(&graph, numbers).expect("a small net")
}

/// The same with lengths.
fn with_lengths(rows: usize, int8: bool) -> ModelFile {
    let mut file = sequence_net(rows, int8);
    let (halved, pooled) = ((rows - 1) / 2, (rows - 1) / 2 / 2);
    file.length_groups = vec![
        LengthGroup::own(rows as u32),
        LengthGroup { source: 1, stride: 2, add: -1, maximum: halved as u32 },
        LengthGroup { source: 2, stride: 2, add: 0, maximum: pooled as u32 },
    ];
    for (tensor, group) in file.tensors.iter_mut().zip([1, 2, 2, 3, 3, 0, 0]) {
        tensor.length_group = group;
    }
    arrange(&mut file, ALL_OPS).expect("a small arena");
    file
}

#[test]
fn a_shorter_sequence_gives_the_bits_of_a_file_made_for_it() {
    const ROWS: usize = 13;
    for int8 in [true, false] {
        let file = with_lengths(ROWS, int8);
        assert_eq!(file.minimum_runtime(), 1);
        let inputs = values(&mut generator(32), ROWS * 3);
        with_session(&file, ALL_OPS, |session| {
            // Up and down, so that what a longer one left behind is in the arena.
            for rows in (5..=ROWS).chain((5..=ROWS).rev()) {
                session.set_length(1, rows as u32).unwrap();
                assert_eq!((session.length(1), session.length(3)), (Some(rows as u32), Some(((rows - 1) / 2 / 2) as u32)));
                let wrong = InputError::Length { expected: rows * 3, found: 3 };
                assert_eq!(session.write_f32(0, &inputs[..3]), Err(wrong));
                session.write_f32(0, &inputs[..rows * 3]).unwrap();
                session.run();
                let expected = with_session(&sequence_net(rows, int8), ALL_OPS, |short| {
                    short.write_f32(0, &inputs[..rows * 3]).unwrap();
                    short.run();
                    [0, 1].map(|output| short.output_bytes(output).unwrap().to_vec())
                });
                let found = [0, 1].map(|output| session.output_bytes(output).unwrap().to_vec());
                assert_eq!(found, expected, "{rows} rows, int8 {int8}");
                let (shown, _) = session.output(0).unwrap();
                assert_eq!(shown.dimensions[0] as usize, (rows - 1) / 2 / 2, "the output's shape is the shortened one");
            }
            session.set_length(1, 7).unwrap();
            for found in [0, 1, 4, ROWS as u32 + 1, u32::MAX] {
                let refused = InputError::SequenceLength { maximum: ROWS as u32, found };
                assert_eq!(session.set_length(1, found), Err(refused), "of 4 rows, nothing is left for the pool");
            }
            for group in [0, 2, 3, 4] {
                assert_eq!(session.set_length(group, 7), Err(InputError::NoSuchGroup { group: group.into() }));
            }
            assert_eq!((session.length(1), session.length(2), session.length(3)), (Some(7), Some(3), Some(1)));
            session.write_f32(0, &inputs[..21]).unwrap();
            session.run_until(1);
            assert_eq!(session.set_length(1, 8), Err(InputError::Running));
            session.reset();
            assert_eq!(session.length(1), Some(ROWS as u32));
        });
    }
}

#[test]
fn what_cannot_follow_a_length_is_refused() {
    let fault = |change: &dyn Fn(&mut ModelFile)| {
        let mut file = with_lengths(13, true);
        change(&mut file);
        parse(&file)
    };
    let length = |node| Err(LoadError::Node { node, fault: NodeFault::Length });
    assert_eq!(fault(&|_| ()), Ok(()));
    // A window whose output has another length than it says: padding that would depend on the length.
    let halves = LengthGroup { source: 1, stride: 2, add: 0, maximum: 6 };
    assert_eq!(fault(&|file| file.length_groups[1] = halves), length(0));
    assert_eq!(fault(&|file| file.tensors[1].length_group = 0), length(0));
    assert_eq!(fault(&|file| file.tensors[0].length_group = 0), length(0));
    assert_eq!(fault(&|file| file.tensors[4].length_group = 0), length(3), "a dense layer that stops to follow");
    assert_eq!(fault(&|file| file.tensors[5].length_group = 3), Err(LoadError::Tensor { tensor: 5 }), "of another size");
    for (number, group) in [
        (1, LengthGroup { source: 1, stride: 1, add: 0, maximum: 13 }),
        (1, LengthGroup { source: 0, stride: 1, add: 1, maximum: 13 }),
        (2, LengthGroup { source: 2, stride: 2, add: -1, maximum: 6 }),
        (2, LengthGroup { source: 1, stride: 0, add: -1, maximum: 6 }),
        (2, LengthGroup { source: 1, stride: 2, add: -1, maximum: 7 }),
        (2, LengthGroup { source: 1, stride: 2, add: i32::MIN, maximum: 6 }),
        (2, LengthGroup { source: 1, stride: 2, add: i32::MAX, maximum: 6 }),
        (3, LengthGroup { source: 9, stride: 2, add: 0, maximum: 3 }),
    ] {
        let refused = LoadError::LengthGroup { group: number };
        assert_eq!(fault(&|file| file.length_groups[usize::from(number) - 1] = group), Err(refused), "{group:?}");
    }
    // Models of one op that move rows.
    let port = |shape: &[usize]| -> Port { (shape.to_vec(), Some(QUANTIZATION)) };
    let one = |op, from: &[usize], to: &[usize]| move_of(op, &[port(from)], &port(to));
    let sum = || Box::new(Add { coefficients: [1.0, 1.0], clamp: Clamp::NONE });
    let same = window([3, 1], [2, 1], [1, 1], [1, 0]);
    let moves: [(&str, ModelFile, bool); 8] = [
        ("flatten", one(Box::new(ops::Reshape), &[4, 3], &[12]), false),
        ("reshape of rows", one(Box::new(ops::Reshape), &[4, 3], &[4, 1, 3]), true),
        ("pad above", one(Box::new(ops::Pad { top: 1, left: 0 }), &[4, 1, 3], &[5, 1, 3]), false),
        ("pad left", one(Box::new(ops::Pad { top: 0, left: 1 }), &[4, 1, 3], &[4, 2, 3]), true),
        ("upsample rows", one(Box::new(ops::Upsample([2, 1])), &[4, 1, 3], &[8, 1, 3]), false),
        ("upsample columns", one(Box::new(ops::Upsample([1, 2])), &[4, 1, 3], &[4, 2, 3]), true),
        ("same padding with a stride", one(Box::new(linear(Kind::Conv2d(same), 9, 2)), &[5, 1, 3], &[3, 1, 2]), false),
        ("a sum", move_of(sum(), &[port(&[4, 3]), port(&[4, 3])], &port(&[4, 3])), true),
    ];
    for (name, mut file, follows) in moves {
        let [from, to] = [file.tensors[0], file.tensors[file.outputs[0] as usize]];
        let (rows, rows_out) = (from.dimensions[0], to.dimensions[0]);
        file.length_groups = vec![LengthGroup::own(rows)];
        file.tensors.iter_mut().for_each(|tensor| tensor.length_group = 1);
        if rows != rows_out {
            // (n + add) / stride that gives the right rows at the largest length.
            let (stride, add) = if rows_out < rows { (2, 1) } else { (1, (rows_out - rows) as i32) };
            file.length_groups.push(LengthGroup { source: 1, stride, add, maximum: rows_out });
            file.tensors.last_mut().unwrap().length_group = if to.rank > 1 { 2 } else { 0 };
        }
        arrange(&mut file, ALL_OPS).unwrap();
        let expected = if follows { Ok(()) } else { length(0) };
        assert_eq!(parse(&file), expected, "{name}");
    }
    let concat = |axis| {
        let ports = [(vec![2, 3], Some(QUANTIZATION)), (vec![2, 3], Some(QUANTIZATION))];
        let to = if axis == 0 { vec![4, 3] } else { vec![2, 6] };
        let mut file = single::exported(ops::Concat { axis }, &ports, &(to, Some(QUANTIZATION))).unwrap();
        file.length_groups = vec![LengthGroup::own(2), LengthGroup { source: 1, stride: 1, add: 2, maximum: 4 }];
        let groups = if axis == 0 { [1, 1, 2] } else { [1, 1, 1] };
        file.tensors.iter_mut().zip(groups).for_each(|(tensor, group)| tensor.length_group = group);
        arrange(&mut file, ALL_OPS).unwrap();
        parse(&file)
    };
    assert_eq!((concat(0), concat(1)), (length(0), Ok(())));
    let mut delay = stateful::delayed_sum(3, 2);
    delay.tensors.iter_mut().for_each(|tensor| (tensor.rank, tensor.dimensions, tensor.length_group) = (2, [3, 1, 1, 1], 1));
    delay.length_groups = vec![LengthGroup::own(3)];
    arrange(&mut delay, &stateful::OPS).unwrap();
    assert_eq!(parse_bytes(delay.to_bytes(), &stateful::OPS), length(0), "an op that says of itself that it takes none");
}

fn move_of(op: Box<dyn DeviceOp>, inputs: &[Port], output: &Port) -> ModelFile {
    let mut graph = DeviceGraph::default();
    let values: Vec<_> = inputs.iter().map(|(shape, _)| graph.input(shape.clone().into(), "input")).collect();
    let value = graph.value(output.0.clone().into(), "output");
    graph.nodes.push(DeviceNode { name: "op".to_owned(), op, inputs: values, output: value });
    graph.outputs.push(value);
    let quantizations = vec![QUANTIZATION; graph.values.len()];
    encode(&graph, Numbers::I8 { quantizations: &quantizations, float_ports: false }).expect("a small model")
}

fn linear(kind: Kind, fan_in: usize, channels: usize) -> Linear {
    let mut random = generator(41);
    Linear {
        kind,
        rows: (0..channels).map(|_| values(&mut random, fan_in)).collect(),
        bias: values(&mut random, channels),
        weight_scales: None,
        weight_bits: WeightBits::Eight,
        clamp: Clamp::NONE,
    }
}

#[test]
fn state_and_length_go_together() {
    // The sum alone, over three rows of two.
    let mut file = stateful::delayed_sum(6, 1);
    file.nodes.remove(0);
    file.tensors.remove(0);
    (file.nodes[0].inputs, file.nodes[0].output, file.outputs) = (vec![0], 1, vec![1]);
    file.tensors.iter_mut().for_each(|tensor| (tensor.rank, tensor.dimensions, tensor.length_group) = (2, [3, 2, 1, 1], 1));
    file.length_groups = vec![LengthGroup::own(3)];
    arrange(&mut file, &stateful::OPS).unwrap();
    with_session(&file, &stateful::OPS, |session| {
        let mut sums = [0i8; 6];
        for (run, rows) in [3, 1, 2, 3, 1].into_iter().enumerate() {
            session.set_length(1, rows).unwrap();
            let values: Vec<i8> = (0..rows as i8 * 2).map(|i| i + run as i8).collect();
            session.write_i8(0, &values).unwrap();
            session.run();
            sums.iter_mut().zip(&values).for_each(|(sum, value)| *sum += value);
            assert_eq!(session.output_i8(0).unwrap(), &sums[..values.len()], "run {run}");
        }
    });
}

/// A file of one matrix product whose output lies so far above (or below) its input.
fn overlapping(file: &ModelFile, distance: i64) -> ModelFile {
    let mut file = file.clone();
    let [input, output] = [file.tensors[0].bytes() as i64, file.tensors[1].bytes() as i64];
    let (from, to) = if distance < 0 { (-distance, 0) } else { (0, distance) };
    (file.tensors[0].offset, file.tensors[1].offset) = (from as u32, to as u32);
    let end = ((from + input).max(to + output) as u32).next_multiple_of(16);
    file.nodes[0].scratch_offset = end;
    file.arena_bytes = end + file.nodes[0].scratch_bytes.next_multiple_of(16);
    file
}

/// An output on top of its input would overwrite rows that are still to be read, if the order or the bytes were wrong.
#[test]
fn an_output_that_overlaps_its_input_has_the_bits_of_one_apart() {
    let mut random = generator(61);
    for round in 0..150 {
        let [rows, columns] = [0; 2].map(|_| random.random_range(1..5));
        let [fan_in, channels] = [0; 2].map(|_| random.random_range(1..12));
        let pointwise = Kind::Conv2d(window([1, 1], [1, 1], [1, 1], [0, 0]));
        let op = Linear {
            kind: if round % 2 == 0 { pointwise } else { Kind::Dense },
            rows: (0..channels).map(|_| values(&mut random, fan_in)).collect(),
            bias: values(&mut random, channels),
            weight_scales: None,
            weight_bits: WeightBits::Eight,
            clamp: Clamp::NONE,
        };
        let port = |channels: usize| -> Port { (vec![rows, columns, channels], Some(QUANTIZATION)) };
        let file = single::exported(op, &[port(fan_in)], &port(channels)).unwrap();
        let bytes_in: Vec<u8> = random::int8(&mut random, rows * columns * fan_in).iter().map(|&x| x as u8).collect();
        let [input, output] = [file.tensors[0].bytes() as i64, file.tensors[1].bytes() as i64];
        let expected = single::run(&overlapping(&file, input), &[&bytes_in]);
        let op = ALL_OPS.iter().find(|op| u16::from(op.code) == file.nodes[0].code).unwrap();
        let alias = (op.alias)(&file.tensors[0], &file.tensors[1], Cursor::new(&file.nodes[0].parameters));
        let Alias::Overlap { order, bytes } = alias else { panic!("{alias:?}") };
        let one_pair = rows * columns <= 2;
        for distance in -output - 1..=input + 1 {
            // In order forward, the output's end reaches so far into the input; backward, the other way round.
            let reach = if order == Order::Forward { distance + output } else { input - distance };
            let shares = distance > -output && distance < input;
            let placed = overlapping(&file, distance);
            let what =
                || format!("{rows}x{columns} rows of {fan_in} to {channels}, output {distance} above the input, {alias:?}");
            if !shares || one_pair || reach <= bytes as i64 {
                assert_eq!(single::run(&placed, &[&bytes_in]), expected, "{}", what());
            } else {
                assert_eq!(parse(&placed), Err(LoadError::Node { node: 0, fault: NodeFault::Alias }), "{}", what());
            }
        }
        // Whatever the lengths, both may start at one place.
        assert_eq!(parse(&overlapping(&file, 0)), Ok(()));
    }
}

/// Sums onto the first and the second input, and apart, in both types.
#[test]
fn a_sum_may_lie_on_either_input() {
    let mut random = generator(51);
    for quantization in [Some(QUANTIZATION), None] {
        let ports = [(vec![3, 5], quantization), (vec![3, 5], quantization)];
        let bytes: Vec<Vec<u8>> = (0..2)
            .map(|_| match quantization {
                Some(_) => random::int8(&mut random, 15).iter().map(|&x| x as u8).collect(),
                None => f32_bytes(&values(&mut random, 15)),
            })
            .collect();
        let bytes: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
        let mut file =
            single::exported(Add { coefficients: [1.0, -0.5], clamp: Clamp::NONE }, &ports, &(vec![3, 5], quantization))
                .unwrap();
        single::spread(&mut file);
        assert_eq!(file.tensors[0].element_type == ElementType::I8, quantization.is_some());
        let apart = single::run(&file, &bytes);
        for input in [0, 1] {
            let mut on = file.clone();
            on.tensors[2].offset = on.tensors[input].offset;
            assert_eq!(on.minimum_runtime(), input as u16, "only the second one needs a later runtime");
            assert_eq!(single::run(&on, &bytes), apart, "onto input {input}");
        }
        let mut both = file.clone();
        both.nodes[0].inputs = vec![0, 0];
        both.tensors[2].offset = both.tensors[0].offset;
        assert_eq!(
            parse(&both),
            Err(LoadError::Node { node: 0, fault: NodeFault::Alias }),
            "twice the input that is overwritten"
        );
    }
}

#[test]
fn small_models_without_states_say_that_any_runtime_of_this_version_of_the_format_runs_them() {
    for small in examples::small() {
        let mut file = small.file;
        single::spread(&mut file);
        // The first runtime of this version did not know states.
        let has_state = file.nodes.iter().any(|node| node.state_bytes > 0);
        assert_eq!(file.minimum_runtime(), u16::from(has_state), "{}", small.name);
    }
}
