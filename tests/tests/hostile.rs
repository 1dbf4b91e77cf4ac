//! Files that were damaged, or made to harm: the runtime refuses them or runs them, and never panics. These tests run with
//! overflow checks on, so an overflow in a check is a failure as well.
//!
//! If one fails, the message names the model and what was done to it.

use rand::{
    Rng,
    rngs::StdRng,
    seq::{IndexedMutRandom, IndexedRandom},
};
use samara_runtime::{
    ALL_OPS, ElementType, LengthGroup, LoadError, Tensor,
    format::{
        HEADER_BYTES,
        header::LEAST_HEADER_BYTES,
        writer::{GoldenSample, ModelFile, NodeRecord, encode_parameters, repair_crc},
    },
    ops::{
        conv2d::{self, CONV2D_F32, CONV2D_I8},
        dense::{DENSE_F32, DENSE_I8},
        depthwise_conv2d::{DEPTHWISE_CONV2D_F32, DEPTHWISE_CONV2D_I8},
        linear::{ClampF32, LinearF32, LinearI8},
    },
};
use samara_tests::{
    examples::{self, Small},
    generator,
    hostile::{Fate, Victim, two_nodes, two_nodes_of_a_length},
};
use samara_trainer::device::ops::window;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Attacks with context: a panic of the runtime becomes a failure that says what was done.
fn attack(victim: &mut Victim, bytes: &[u8], fill: u8, what: impl Fn() -> String) -> Fate {
    catch_unwind(AssertUnwindSafe(|| victim.attack(bytes, fill)))
        .unwrap_or_else(|_| panic!("the runtime panicked on {}", what()))
}

/// Counts fates, to show that a test did not refuse everything at the door.
#[derive(Debug, Default)]
struct Tally {
    refused: u32,
    too_large: u32,
    ran: u32,
}

impl Tally {
    fn count(&mut self, fate: Fate) {
        *match fate {
            Fate::Refused(_) => &mut self.refused,
            Fate::TooLarge => &mut self.too_large,
            Fate::Ran => &mut self.ran,
        } += 1;
    }

    fn expect_runs(&self, test: &str, least: u32) {
        println!("{test}: {self:?}");
        assert!(
            self.ran >= least,
            "{test}: only {} damaged files were accepted and run, the test has lost its teeth",
            self.ran
        );
    }
}

/// Small models of every op, and two of several nodes, with state and with lengths.
fn small_models() -> Vec<Small> {
    let small = |name: &str, file| Small { name: name.to_owned(), file };
    let more = [small("two nodes", two_nodes()), small("two nodes of a length", two_nodes_of_a_length())];
    examples::small().into_iter().chain(more).collect()
}

/// The models' bytes.
fn small_files() -> Vec<(String, Vec<u8>)> {
    small_models().into_iter().map(|Small { name, file }| (name, file.to_bytes())).collect()
}

/// Field of the header that says how long the file is.
const TOTAL_BYTES: std::ops::Range<usize> = 12..16;

#[test]
fn every_model_runs() {
    let mut victim = Victim::default();
    for Small { name, file } in examples::all() {
        assert_eq!(victim.attack(&file.to_bytes(), 3), Fate::Ran, "{name}");
    }
}

#[test]
fn every_truncation_is_refused_and_harmless_with_header_and_checksum_repaired() {
    let mut victim = Victim::default();
    let mut tally = Tally::default();
    for (name, bytes) in small_files() {
        for length in 0..bytes.len() {
            let mut cut = bytes[..length].to_vec();
            let fate = attack(&mut victim, &cut, 1, || format!("{name} cut to {length} bytes"));
            assert!(
                matches!(fate, Fate::Refused(LoadError::TooShort | LoadError::Length { .. })),
                "{name} cut to {length}: {fate:?}"
            );
            if length >= LEAST_HEADER_BYTES {
                cut[TOTAL_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
                repair_crc(&mut cut);
                tally.count(attack(&mut victim, &cut, 1, || format!("{name} cut to {length} bytes, header repaired")));
            }
        }
    }
    println!("truncations with the header repaired: {tally:?}");
}

#[test]
fn bytes_behind_the_model_are_refused() {
    let mut victim = Victim::default();
    for (name, mut bytes) in small_files() {
        bytes.extend([0; 16]);
        let fate = victim.attack(&bytes, 1);
        assert!(matches!(fate, Fate::Refused(LoadError::Length { .. })), "{name}: {fate:?}");
    }
}

#[test]
fn every_flipped_bit_is_refused_and_harmless_with_the_checksum_repaired() {
    let mut victim = Victim::default();
    let mut tally = Tally::default();
    for (name, original) in small_files() {
        let mut bytes = original.clone();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let what = || format!("{name} with bit {} of byte {} flipped", bit % 8, bit / 8);
            let fate = attack(&mut victim, &bytes, bit as u8, what);
            assert!(matches!(fate, Fate::Refused(_)), "{}: accepted with a wrong checksum", what());
            repair_crc(&mut bytes);
            tally.count(attack(&mut victim, &bytes, bit as u8, || what() + ", checksum repaired"));
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes[8..12].copy_from_slice(&original[8..12]);
        }
    }
    tally.expect_runs("flipped bits", 10_000);
}

/// Bytes that often break something.
const AWKWARD: [u8; 10] = [0, 1, 2, 15, 16, 0x7f, 0x80, 0x81, 0xfe, 0xff];

#[test]
fn several_damaged_bytes_are_harmless() {
    let mut random = generator(11);
    let mut victim = Victim::default();
    let mut tally = Tally::default();
    let files = small_files();
    for round in 0..150_000 {
        let (name, original) = files.choose(&mut random).unwrap();
        let mut bytes = original.clone();
        let count = random.random_range(1..=6);
        // Half of the time in one place, half of the time anywhere.
        let start = random.random_range(12..bytes.len());
        for i in 0..count {
            let place = if round % 2 == 0 { start + i } else { random.random_range(12..bytes.len()) };
            let value = if random.random() { *AWKWARD.choose(&mut random).unwrap() } else { random.random() };
            if let Some(byte) = bytes.get_mut(place) {
                *byte = value;
            }
        }
        repair_crc(&mut bytes);
        let what = || format!("{name}, round {round}: {:?}", differences(original, &bytes));
        tally.count(attack(&mut victim, &bytes, random.random(), what));
    }
    tally.expect_runs("several damaged bytes", 10_000);
}

fn differences(a: &[u8], b: &[u8]) -> Vec<(usize, u8)> {
    a.iter().zip(b).enumerate().filter(|(_, (a, b))| a != b).map(|(place, (_, &b))| (place, b)).collect()
}

/// Numbers at the edges of what checks compare with.
const EDGES: [u32; 24] = [
    0,
    1,
    2,
    3,
    4,
    15,
    16,
    31,
    79,
    80,
    255,
    1024,
    4096,
    4097,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0x100_0000,
    0x1000_0000,
    0x1000_0001,
    0x7fff_ffff,
    0xffff_fff0,
    0xffff_ffff,
];

#[test]
fn hostile_header_fields_are_harmless() {
    let mut victim = Victim::default();
    let mut tally = Tally::default();
    for (name, original) in small_files() {
        for first in (12..HEADER_BYTES).step_by(2) {
            for second in (first..HEADER_BYTES).step_by(4) {
                for value in EDGES {
                    let mut bytes = original.clone();
                    for place in [first, second] {
                        let end = (place + 4).min(HEADER_BYTES);
                        bytes[place..end].copy_from_slice(&value.to_le_bytes()[..end - place]);
                    }
                    repair_crc(&mut bytes);
                    tally.count(attack(&mut victim, &bytes, 9, || format!("{name} with {value:#x} at {first} and {second}")));
                }
            }
        }
    }
    tally.expect_runs("header fields", 1_000);
}

/// Changes a model in a way that keeps it well-formed: what reaches the ops' own checks.
fn mutate(file: &mut ModelFile, random: &mut StdRng) {
    let edge = |random: &mut StdRng| if random.random() { *EDGES.choose(random).unwrap() } else { random.random_range(0..40) };
    let tensors = file.tensors.len();
    let tensor = random.random_range(0..tensors);
    let tensor_count = tensors as u32;
    let node = file.nodes.choose_mut(random).expect("a node");
    match random.random_range(0..21) {
        0 | 1 => file.tensors[tensor].dimensions[random.random_range(0..4)] = edge(random),
        // All tensors alike, so that shapes fit together.
        2 | 3 => {
            let (axis, size) = (random.random_range(0..4), edge(random));
            file.tensors.iter_mut().for_each(|tensor| tensor.dimensions[axis] = size);
        }
        4 => file.tensors[tensor].offset = edge(random),
        5 => {
            let other = file.tensors[random.random_range(0..tensors)].offset;
            file.tensors[tensor].offset = other.wrapping_add(random.random_range(0..3));
        }
        6 => file.tensors[tensor].zero_point = random.random(),
        7 => {
            let scale = *[f32::MIN_POSITIVE, 1e-40, 0.0, -1.0, f32::MAX, f32::INFINITY, f32::NAN, 1.0].choose(random).unwrap();
            file.tensors.iter_mut().for_each(|tensor| tensor.scale = scale);
        }
        8 => file.tensors[tensor].rank = random.random_range(0..6),
        9 => file.arena_bytes = edge(random),
        10 => {
            let place = random.random_range(0..=node.parameters.len());
            match node.parameters.get_mut(place) {
                Some(byte) => *byte = if random.random() { random.random() } else { *AWKWARD.choose(random).unwrap() },
                None => node.parameters.push(0),
            }
        }
        11 => {
            node.scratch_offset = edge(random);
            node.scratch_bytes = edge(random);
        }
        12 => match random.random_range(0..3) {
            0 => node.output = random.random_range(0..=tensor_count),
            1 => node.inputs.push(random.random_range(0..=tensor_count)),
            _ => drop(node.inputs.pop()),
        },
        13 => node.code = ALL_OPS.choose(random).expect("an op").code.into(),
        14 => node.code = random.random_range(0..200),
        15 => {
            file.tensors[tensor].element_type =
                *[ElementType::F32, ElementType::I8, ElementType::I32, ElementType::I16].choose(random).expect("a type");
        }
        16 => file.tensors[tensor].length_group = random.random_range(0..4),
        17 => {
            let (source, stride) = (random.random_range(0..4), random.random_range(0..4));
            let add = edge(random) as i32 * if random.random() { 1 } else { -1 };
            let maximum = if random.random() { file.tensors[tensor].dimensions[0] } else { edge(random) };
            file.length_groups.push(LengthGroup { source, stride, add, maximum });
        }
        18 => {
            node.state_offset = edge(random);
            node.state_bytes = edge(random);
        }
        19 => node.macs = edge(random),
        _ => file.golden.push(GoldenSample { inputs: vec![1; random.random_range(0..40)], checksum: random.random() }),
    }
}

#[test]
fn hostile_but_well_formed_models_are_harmless() {
    let mut random = generator(12);
    let mut victim = Victim::default();
    let mut tally = Tally::default();
    let models = small_models();
    for round in 0..300_000 {
        let Small { name, file } = models.choose(&mut random).unwrap();
        let mut file = file.clone();
        // Half of them may use as much memory as a file can ask for.
        if round % 2 == 0 {
            file.arena_bytes = u32::MAX;
        }
        for _ in 0..random.random_range(1..5) {
            mutate(&mut file, &mut random);
        }
        let what = || format!("{name}, round {round}: {:?} {:?} arena {}", file.tensors, file.nodes, file.arena_bytes);
        tally.count(attack(&mut victim, &file.to_bytes(), random.random(), what));
    }
    tally.expect_runs("well-formed models", 5_000);
}

/// A model of one node whose tensors are as large as a file can make them.
fn enormous(code: u8, element_type: ElementType, shapes: [[u32; 3]; 2], parameters: Vec<u8>) -> ModelFile {
    let mut offset = 0u32;
    let tensors = shapes.map(|[height, width, channels]| {
        let tensor = Tensor {
            element_type,
            rank: 3,
            zero_point: 0,
            dimensions: [height, width, channels, 1],
            scale: 1.0,
            offset,
            length_group: 0,
        };
        offset += tensor.bytes() as u32;
        tensor
    });
    let node = NodeRecord {
        code: code.into(),
        inputs: vec![0],
        output: 1,
        scratch_offset: 0xc000_0000,
        scratch_bytes: 0x3fff_fff0,
        parameters,
        ..NodeRecord::default()
    };
    ModelFile {
        tensors: tensors.to_vec(),
        nodes: vec![node],
        inputs: vec![0],
        outputs: vec![1],
        constants: vec![0; 256],
        arena_bytes: u32::MAX,
        ..ModelFile::default()
    }
}

#[test]
fn sizes_whose_products_overflow_are_refused() {
    let (none, six) = (f32::NEG_INFINITY, 6.0);
    let linear_f32 = LinearF32 { weights: 0, bias: 0, clamp: ClampF32 { minimum: none, maximum: six } };
    let linear_i8 = LinearI8 { weights: 0, channels: 0, shift: 0, minimum: -128, maximum: 127 };
    let mut victim = Victim::default();
    // Powers of two, whose products wrap to nothing in 32 and in 64 bits, and their neighbours.
    let channels = [1, 4, 255, 1 << 8, (1 << 8) + 1, 1 << 16, 1 << 20, (1 << 28) - 1, 1 << 28];
    let kernels = [[1, 1], [4096, 4096], [4096, 16], [256, 256], [4095, 4096]];
    for (from, to) in channels.iter().flat_map(|&from| channels.map(|to| (from, to))) {
        let shapes = [[1, 1, from], [1, 1, to]];
        for (op, element_type, linear) in [
            (&DENSE_I8, ElementType::I8, encode_parameters(&linear_i8)),
            (&DENSE_F32, ElementType::F32, encode_parameters(&linear_f32)),
        ] {
            let bytes = enormous(op.code, element_type, shapes, linear).to_bytes();
            refuse(&mut victim, &bytes, from, || format!("{} from {from} to {to} channels", op.name));
        }
        for kernel in kernels {
            let window = window(kernel, [1, 1], [1, 1], [0, 0]);
            let (i8_parameters, f32_parameters) = (
                encode_parameters(&conv2d::ParametersI8 { window, linear: linear_i8 }),
                encode_parameters(&conv2d::ParametersF32 { window, linear: linear_f32 }),
            );
            for (op, element_type, parameters) in [
                (&CONV2D_I8, ElementType::I8, &i8_parameters),
                (&CONV2D_F32, ElementType::F32, &f32_parameters),
                (&DEPTHWISE_CONV2D_I8, ElementType::I8, &i8_parameters),
                (&DEPTHWISE_CONV2D_F32, ElementType::F32, &f32_parameters),
            ] {
                let bytes = enormous(op.code, element_type, shapes, parameters.clone()).to_bytes();
                let taps = u32::from(kernel[0]) * u32::from(kernel[1]);
                let what = || format!("{} of {kernel:?} from {from} to {to} channels", op.name);
                refuse(&mut victim, &bytes, from.max(taps), what);
            }
        }
    }
}

/// Sizes that the 256 bytes of constants cannot hold must be refused; the others may be.
fn refuse(victim: &mut Victim, bytes: &[u8], size: u32, what: impl Fn() -> String) {
    let fate = attack(victim, bytes, 0, &what);
    assert!(size <= 256 || matches!(fate, Fate::Refused(_)), "{}: {fate:?}", what());
}
