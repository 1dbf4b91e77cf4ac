//! The model file: the device's cursor and the `postcard` crate read the same; files of earlier versions stay readable.

use rand::{Rng, rngs::StdRng};
use samara_runtime::{
    ALL_OPS, Model,
    arena::AlignedBuffer,
    format::{
        cursor::Cursor,
        node::Node,
        writer::{ModelFile, NodeRecord, encode_parameters},
    },
    ops::{
        activation, add, concat, conv2d,
        linear::{ClampF32, LinearF32, LinearI8},
        lut, multiply, pad, prelu, scale_shift, softmax, upsample,
        window::Window,
    },
};
use samara_tests::{generator, golden, small};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::HashSet, fmt::Debug, fs, path::Path};

/// Any number of 32 bits; small ones and those at the borders of a varint's lengths are as likely as large ones.
fn number(random: &mut StdRng) -> u32 {
    let border = 1u32 << (7 * random.random_range(1..5));
    match random.random_range(0..4) {
        0 => random.random_range(0..300),
        1 => border - 1,
        2 => border,
        _ => random.random(),
    }
}

fn signed(random: &mut StdRng) -> i32 {
    number(random) as i32 * if random.random() { 1 } else { -1 }
}

fn window(random: &mut StdRng) -> Window {
    let mut pair = || [number(random) as u16, number(random) as u16];
    Window { kernel: pair(), stride: pair(), dilation: pair(), padding: pair() }
}

fn linear_i8(random: &mut StdRng) -> LinearI8 {
    LinearI8 {
        weights: number(random),
        channels: number(random),
        shift: random.random(),
        minimum: random.random(),
        maximum: random.random(),
    }
}

fn clamp(random: &mut StdRng) -> ClampF32 {
    let bounds = [f32::NEG_INFINITY, f32::INFINITY, -0.0, 6.0, f32::MAX, f32::MIN_POSITIVE];
    ClampF32 { minimum: bounds[random.random_range(0..6)], maximum: bounds[random.random_range(0..6)] }
}

fn linear_f32(random: &mut StdRng) -> LinearF32 {
    LinearF32 { weights: number(random), bias: number(random), clamp: clamp(random) }
}

/// Values that serde writes are those that the cursor reads, whole. And where the `postcard` crate finds a value in random
/// bytes, the cursor finds the same value.
fn agrees<P: Serialize + DeserializeOwned + PartialEq + Debug>(
    what: &str,
    make: impl Fn(&mut StdRng) -> P,
    decode: impl Fn(&mut Cursor<'_>) -> Option<P>,
) {
    let mut random = generator(51);
    for _ in 0..2_000 {
        let value = make(&mut random);
        let mut bytes = encode_parameters(&value);
        let mut cursor = Cursor::new(&bytes);
        let read = decode(&mut cursor);
        assert_eq!(read.as_ref(), Some(&value), "{what}: the cursor reads {bytes:?} differently");
        assert!(cursor.is_sound() && cursor.remaining().is_empty(), "{what}: {value:?} is not read to its end");
        for length in 0..bytes.len() {
            let mut cut = Cursor::new(&bytes[..length]);
            let read = decode(&mut cut);
            assert!(!cut.is_sound() || read.is_none(), "{what}: {value:?} cut to {length} bytes reads as whole");
        }
        for _ in 0..8 {
            let place = random.random_range(0..bytes.len());
            bytes[place] = random.random();
            let mut cursor = Cursor::new(&bytes);
            let ours = decode(&mut cursor);
            match postcard::take_from_bytes::<P>(&bytes) {
                Ok((theirs, rest)) => {
                    // NaN is not equal to itself; its bytes are.
                    let same = ours.as_ref().is_some_and(|ours| encode_parameters(ours) == encode_parameters(&theirs));
                    assert!(same, "{what}: {bytes:?} is {theirs:?} for postcard, {ours:?} for the cursor");
                    assert!(cursor.is_sound() && cursor.remaining() == rest, "{what}: {bytes:?} ends elsewhere for the cursor");
                }
                // The cursor may take a varint with needless bytes, but no value that postcard could not have written.
                Err(_) => {
                    if let (Some(ours), true) = (ours, cursor.is_sound()) {
                        let canonical = encode_parameters(&ours);
                        let used = bytes.len() - cursor.remaining().len();
                        assert!(canonical.len() < used, "{what}: postcard refuses {bytes:?}, the cursor reads {ours:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_cursor_reads_every_ops_parameters_as_postcard_does() {
    agrees("window", window, |cursor| Some(Window::decode(cursor)));
    agrees("dense_i8", linear_i8, |cursor| Some(LinearI8::decode(cursor)));
    agrees("dense_f32, scale_shift_f32", linear_f32, |cursor| Some(LinearF32::decode(cursor)));
    agrees(
        "conv2d_i8, depthwise_conv2d_i8",
        |random| conv2d::ParametersI8 { window: window(random), linear: linear_i8(random) },
        |cursor| Some(conv2d::ParametersI8::decode(cursor)),
    );
    agrees(
        "conv2d_f32, depthwise_conv2d_f32",
        |random| conv2d::ParametersF32 { window: window(random), linear: linear_f32(random) },
        |cursor| Some(conv2d::ParametersF32::decode(cursor)),
    );
    agrees("multiply_f32", clamp, |cursor| Some(ClampF32::decode(cursor)));
    agrees(
        "add_f32",
        |random| add::ParametersF32 { coefficients: [random.random(), random.random()], clamp: clamp(random) },
        |cursor| Some(add::ParametersF32::decode(cursor)),
    );
    agrees(
        "add_i8",
        |random| add::ParametersI8 {
            offset: signed(random),
            factors: [signed(random), signed(random)],
            shift: random.random(),
            minimum: random.random(),
            maximum: random.random(),
        },
        |cursor| Some(add::ParametersI8::decode(cursor)),
    );
    agrees(
        "scale_shift_i8",
        |random| scale_shift::Parameters {
            channels: number(random),
            multiplier: signed(random),
            shift: random.random(),
            minimum: random.random(),
            maximum: random.random(),
        },
        |cursor| Some(scale_shift::Parameters::decode(cursor)),
    );
    agrees(
        "multiply_i8",
        |random| multiply::Parameters {
            multiplier: signed(random),
            shift: random.random(),
            minimum: random.random(),
            maximum: random.random(),
        },
        |cursor| Some(multiply::Parameters::decode(cursor)),
    );
    agrees(
        "prelu_i8",
        |random| prelu::ParametersI8 { positive: signed(random), negative: number(random), shift: random.random() },
        |cursor| Some(prelu::ParametersI8::decode(cursor)),
    );
    agrees(
        "prelu_f32",
        |random| prelu::ParametersF32 { alpha: number(random) },
        |cursor| Some(prelu::ParametersF32::decode(cursor)),
    );
    agrees(
        "activation_f32",
        |random| activation::Parameters {
            function: activation::Function::ALL[random.random_range(0..activation::Function::ALL.len())],
            alpha: random.random(),
        },
        activation::Parameters::decode,
    );
    agrees("concat", |random| concat::Parameters { axis: random.random() }, |cursor| Some(concat::Parameters::decode(cursor)));
    agrees("lut_i8", |random| lut::Parameters { table: number(random) }, |cursor| Some(lut::Parameters::decode(cursor)));
    agrees(
        "softmax_i8",
        |random| softmax::Parameters { table: number(random) },
        |cursor| Some(softmax::Parameters::decode(cursor)),
    );
    agrees(
        "pad",
        |random| pad::Parameters { top: number(random), left: number(random) },
        |cursor| Some(pad::Parameters::decode(cursor)),
    );
    agrees(
        "upsample",
        |random| upsample::Parameters { vertical: number(random), horizontal: number(random) },
        |cursor| Some(upsample::Parameters::decode(cursor)),
    );
}

#[test]
fn the_cursor_reads_nodes_as_postcard_does() {
    let mut random = generator(52);
    for _ in 0..2_000 {
        let record = NodeRecord {
            code: number(&mut random) as u16,
            inputs: (0..random.random_range(0..5)).map(|_| number(&mut random)).collect(),
            output: number(&mut random),
            scratch_offset: number(&mut random),
            scratch_bytes: number(&mut random),
            parameters: (0..random.random_range(0..200)).map(|_| random.random()).collect(),
        };
        let mut bytes = encode_parameters(&record);
        // A later version appends fields; this one skips them.
        bytes.extend((0..random.random_range(0..3)).map(|_| random.random::<u8>()));
        let (node, sound) = Node::decode(&bytes);
        assert!(sound, "{record:?}");
        let read = NodeRecord {
            code: node.code,
            inputs: node.inputs().collect(),
            output: node.output,
            scratch_offset: node.scratch_offset as u32,
            scratch_bytes: node.scratch_bytes as u32,
            parameters: node.parameters.remaining().to_vec(),
        };
        assert_eq!((node.input_count, read), (record.inputs.len(), record));
    }
}

#[test]
fn numbers_of_16_bits_do_not_wrap() {
    // A window whose first size is 65,537, which would be 1 if the upper bits were dropped.
    let bytes = [0x81, 0x80, 0x04, 1, 1, 1, 1, 1, 0, 0];
    let mut cursor = Cursor::new(&bytes);
    Window::decode(&mut cursor);
    assert!(!cursor.is_sound(), "a kernel of 65,537 rows is read as {:?}", Window::decode(&mut Cursor::new(&bytes)));
}

#[test]
fn what_was_written_is_what_is_read() {
    for model in small::models().into_iter().map(|model| model.file).chain([small::all_in_one()]) {
        let bytes = model.to_bytes();
        assert_eq!(ModelFile::from_bytes(&bytes).expect("the writer's own file"), model);
        let aligned = AlignedBuffer::copy_of(&bytes);
        let parsed = Model::parse(aligned.as_slice(), ALL_OPS).expect("the writer's own file");
        let tensors: Vec<_> = (0..parsed.tensor_count() as u32).map(|index| parsed.tensor(index)).collect();
        assert_eq!(tensors, model.tensors);
        assert_eq!(parsed.nodes().count(), model.nodes.len());
        let inputs: Vec<u32> = (0..).map_while(|number| parsed.input(number)).collect();
        let outputs: Vec<u32> = (0..).map_while(|number| parsed.output(number)).collect();
        assert_eq!((inputs, outputs), (model.inputs, model.outputs));
    }
}

/// What a released runtime read, every later one reads, and gives the same bits.
#[test]
fn released_files_stay_readable_and_give_the_same_bits() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    for name in ["v1"] {
        let file = fs::read(directory.join(format!("{name}.samara"))).expect("the golden file");
        let expected = fs::read_to_string(directory.join(format!("{name}.checksums"))).expect("its checksums");
        let ours = golden::checksums(&file).unwrap_or_else(|error| panic!("{name}.samara is not readable any more: {error}"));
        for (ours, expected) in ours.lines().zip(expected.lines()) {
            assert_eq!(ours, expected, "{name}.samara gives other bits (round, output, checksum)");
        }
        assert_eq!(ours.lines().count(), expected.lines().count());
    }
}

#[test]
fn the_writer_still_writes_what_it_wrote() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1.samara");
    let released = fs::read(path).expect("the golden file");
    let file = ModelFile::from_bytes(&released).expect("the golden file");
    assert!(
        file.to_bytes() == released,
        "format version 1 is written differently: that needs a new version, and a golden file"
    );
}

#[test]
fn op_codes_and_names_are_unique_and_in_range() {
    let (mut codes, mut names) = (HashSet::new(), HashSet::new());
    for op in ALL_OPS {
        assert!((1..128).contains(&op.code), "{} has code {}, which the header's set of ops cannot hold", op.name, op.code);
        assert!(codes.insert(op.code), "code {} is used twice, the second time by {}", op.code, op.name);
        assert!(names.insert(op.name), "the name {} is used twice", op.name);
    }
}

/// The codes of the released ops never change; new ones are added here.
#[test]
fn op_codes_never_change() {
    let expected = [
        (1, "dense_i8"),
        (2, "dense_f32"),
        (3, "conv2d_i8"),
        (4, "conv2d_f32"),
        (5, "depthwise_conv2d_i8"),
        (6, "depthwise_conv2d_f32"),
        (7, "max_pool_i8"),
        (8, "max_pool_f32"),
        (9, "average_pool_i8"),
        (10, "average_pool_f32"),
        (11, "lut_i8"),
        (12, "activation_f32"),
        (13, "softmax_i8"),
        (14, "softmax_f32"),
        (15, "add_i8"),
        (16, "add_f32"),
        (17, "concat"),
        (18, "reshape"),
        (19, "pad"),
        (20, "scale_shift_i8"),
        (21, "scale_shift_f32"),
        (22, "quantize"),
        (23, "dequantize"),
        (24, "multiply_i8"),
        (25, "multiply_f32"),
        (26, "maximum_i8"),
        (27, "maximum_f32"),
        (28, "prelu_i8"),
        (29, "prelu_f32"),
        (30, "upsample"),
    ];
    let ours: Vec<(u8, &str)> = ALL_OPS.iter().map(|op| (op.code, op.name)).collect();
    assert_eq!(ours, expected, "codes in model files of devices in the field, by op");
}

#[test]
fn every_op_is_described_in_the_specification() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md");
    let text = fs::read_to_string(path).expect("the specification");
    for op in ALL_OPS {
        let row = format!("| {} | `{}` |", op.code, op.name);
        assert!(text.contains(&row), "docs/format.md has no row {row:?}");
    }
}
