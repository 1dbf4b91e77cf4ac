//! What holds for every op, from the registry of the host's twins: a new op needs no line here.

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use samara_runtime::{
    ALL_OPS, ElementType, Model, OpDef,
    arena::AlignedBuffer,
    format::{cursor::Cursor, writer::ModelFile},
    ops::{conv2d::CONV2D_I4, dense::DENSE_I4},
};
use samara_tests::{
    examples::{self, Small},
    generator,
    random::{int8, real},
    signal_to_noise,
    single::{f32_bytes, f32_values, run},
    specification,
    whole::quantized_values,
};
use samara_trainer::device::ops::{ALL_DEVICE_OPS, Encoding};
use std::{collections::HashSet, fs};

fn every_encoding() -> impl Iterator<Item = &'static Encoding> {
    ALL_DEVICE_OPS.iter().flat_map(|kind| kind.encodings)
}

fn uses(file: &ModelFile, op: &OpDef) -> bool {
    file.nodes.iter().any(|node| node.code == u16::from(op.code))
}

/// Random inputs of a model, as bytes.
fn inputs_of(file: &ModelFile, random: &mut StdRng) -> Vec<Vec<u8>> {
    let one = |&tensor: &u32| {
        let tensor = &file.tensors[tensor as usize];
        match tensor.element_type {
            ElementType::I8 => int8(random, tensor.elements()).into_iter().map(|value| value as u8).collect(),
            ElementType::F32 => f32_bytes(&real(random, tensor.elements())),
            ElementType::I16 => (0..2 * tensor.elements()).map(|_| random.random()).collect(),
            ElementType::I32 => tokens(random, tensor.elements()),
        }
    };
    file.inputs.iter().map(one).collect()
}

/// Tokens of the examples' vocabularies, and some beyond them.
fn tokens(random: &mut StdRng, count: usize) -> Vec<u8> {
    (0..count).flat_map(|_| random.random_range(-2i32..12).to_le_bytes()).collect()
}

fn slices(inputs: &[Vec<u8>]) -> Vec<&[u8]> {
    inputs.iter().map(Vec::as_slice).collect()
}

#[test]
fn every_op_of_the_runtime_has_one_twin_with_examples() {
    let (mut codes, mut names) = (HashSet::new(), HashSet::new());
    for op in ALL_OPS {
        assert!((1..128).contains(&op.code), "{} has code {}, which the header's set of ops cannot hold", op.name, op.code);
        assert!(codes.insert(op.code), "code {} is used twice, the second time by {}", op.code, op.name);
        assert!(names.insert(op.name), "the name {} is used twice", op.name);
        let twins = every_encoding().filter(|encoding| encoding.op.code == op.code).count();
        assert_eq!(twins, 1, "{} is in as many kinds of ALL_DEVICE_OPS", op.name);
    }
    let mut names = HashSet::new();
    for kind in ALL_DEVICE_OPS {
        let files: Vec<_> = (kind.examples)().iter().flat_map(|example| example.files().expect("an example")).collect();
        for (name, _) in &files {
            assert!(names.insert(name.clone()), "two examples are called {name}");
        }
        for Encoding { op, .. } in kind.encodings {
            assert!(ALL_OPS.iter().any(|known| std::ptr::eq(*known, *op)), "{} is not in the runtime's ALL_OPS", op.name);
            assert!(files.iter().any(|(_, file)| uses(file, op)), "no example of {} has {} in its files", kind.name, op.name);
        }
    }
}

/// Bytes that are likely to be numbers at the borders of a varint's lengths.
fn record(random: &mut StdRng) -> Vec<u8> {
    let byte = |random: &mut StdRng| match random.random_range(0..5) {
        0 => *[0x80, 0xff, 0x81].choose(random).expect("not empty"),
        1 => *[0, 1, 0x7f, 0x0f].choose(random).expect("not empty"),
        2 => random.random_range(0..0x80),
        _ => random.random(),
    };
    (0..random.random_range(0..48)).map(|_| byte(random)).collect()
}

/// The device's cursor reads an op's parameters as serde and the `postcard` crate do: examples whole, in every truncation and
/// with damaged bytes, and whatever `postcard` makes of random bytes.
#[test]
fn the_cursor_reads_every_ops_parameters_as_postcard_does() {
    let mut random = generator(51);
    let models = examples::all();
    for Encoding { op, by_cursor, by_postcard, .. } in every_encoding() {
        let nodes = models.iter().flat_map(|model| &model.file.nodes).filter(|node| node.code == u16::from(op.code));
        let mut records: Vec<Vec<u8>> = nodes.map(|node| node.parameters.clone()).collect();
        assert!(!records.is_empty(), "{} is in no example", op.name);
        for record in &records {
            let whole = by_postcard(record).is_some_and(|reading| reading.canonical == *record);
            assert!(whole, "{}: {record:?} is not what the registry says its parameters are", op.name);
        }
        let mut found = 0;
        records.extend((0..20_000).filter_map(|_| Some(by_postcard(&record(&mut random))?.canonical)).inspect(|_| found += 1));
        assert!(found >= 500, "{}: only {found} of 20,000 random records were parameters", op.name);
        for record in records {
            let read = by_cursor(&record);
            let whole = read.as_ref().is_some_and(|read| read.canonical == record && read.length == record.len());
            assert!(whole, "{}: the cursor reads {record:?} as {read:?}", op.name);
            for length in 0..record.len() {
                assert_eq!(by_cursor(&record[..length]), None, "{}: {record:?} cut to {length} bytes reads as whole", op.name);
            }
            for _ in 0..8 {
                let mut damaged = record.clone();
                if damaged.is_empty() {
                    break;
                }
                let place = random.random_range(0..damaged.len());
                damaged[place] = random.random();
                let (ours, theirs) = (by_cursor(&damaged), by_postcard(&damaged));
                match &theirs {
                    Some(_) => assert_eq!(ours, theirs, "{}: {damaged:?}", op.name),
                    // The cursor may take a varint with needless bytes, but no value that postcard could not have written.
                    None => {
                        let longer = ours.as_ref().is_none_or(|ours| ours.canonical.len() < ours.length);
                        assert!(longer, "{}: postcard refuses {damaged:?}, the cursor reads {ours:?}", op.name);
                    }
                }
            }
        }
    }
}

/// What an example gives in an int8 or int16 file, and in f32 on the same values, on random inputs.
fn beside_f32(in_f32: &ModelFile, quantized: &ModelFile) -> (Vec<f32>, Vec<f32>) {
    // What an example gets does not depend on those before it.
    let mut random = generator(53);
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        let mut bytes = inputs_of(quantized, &mut random);
        let mut reals = bytes.clone();
        for ((&tensor, bytes), reals) in quantized.inputs.iter().zip(&mut bytes).zip(&mut reals) {
            let tensor = &quantized.tensors[tensor as usize];
            if matches!(tensor.element_type, ElementType::I8 | ElementType::I16) {
                bytes.iter_mut().for_each(|byte| *byte = random.random());
                *reals = f32_bytes(&quantized_values(tensor, bytes));
            }
        }
        let output = &quantized.tensors[quantized.outputs[0] as usize];
        // What int8 cannot hold is clipped on both sides.
        let most = if output.element_type == ElementType::I16 { i16::MAX } else { i8::MAX.into() };
        let [lowest, highest] = [-most - 1, most].map(|q| output.scale * (f32::from(q) - f32::from(output.zero_point)));
        found.extend(quantized_values(output, &run(quantized, &slices(&bytes))));
        expected.extend(f32_values(&run(in_f32, &slices(&reals))).into_iter().map(|value| value.clamp(lowest, highest)));
    }
    (expected, found)
}

/// In int8, every example gives what it gives in f32 on the same values, but for the noise of int8 itself; in int16, of less: that of
/// the int8 weights.
#[test]
fn int8_and_int16_are_close_to_f32() {
    for example in ALL_DEVICE_OPS.iter().flat_map(|kind| (kind.examples)()).filter(|example| !example.float_ports) {
        let in_f32 = example.f32_file().expect("an example");
        let in_i8 = example.i8_file().expect("an example");
        let in_i16 = example.i16_file().expect("an example");
        // int4 leaves weights 15 values.
        let least = if [&DENSE_I4, &CONV2D_I4].into_iter().any(|op| uses(&in_i8, op)) { 16.0 } else { 30.0 };
        for (least, file) in [Some((least, in_i8)), in_i16.map(|file| (42.0, file))].into_iter().flatten() {
            let (expected, found) = beside_f32(&in_f32, &file);
            let ratio = signal_to_noise(&expected, &found);
            assert!(ratio >= least, "{}: {ratio:.1} dB of signal to quantization noise", example.name);
        }
    }
}

/// A test whose outputs all clip would not see a wrong kernel.
#[test]
fn outputs_are_spread_over_the_range() {
    for Small { name, file } in examples::all() {
        // Of its own, so that a new example changes no other's.
        let mut random = generator(54);
        let inputs: Vec<Vec<u8>> = inputs_of(&file, &mut random)
            .iter()
            .zip(&file.inputs)
            .map(|(bytes, &tensor)| match file.tensors[tensor as usize].element_type {
                ElementType::I8 => bytes.iter().map(|_| random.random()).collect(),
                ElementType::I16 => bytes.clone(),
                ElementType::I32 => tokens(&mut random, bytes.len() / 4),
                ElementType::F32 => {
                    f32_bytes(&(0..bytes.len() / 4).map(|_| random.random_range(-6.0..6.0)).collect::<Vec<_>>())
                }
            })
            .collect();
        let output = run(&file, &slices(&inputs));
        let distinct: HashSet<&[u8]> = match file.tensors[file.outputs[0] as usize].element_type {
            ElementType::I8 => output.chunks(1).collect(),
            ElementType::I16 => output.chunks(2).collect(),
            ElementType::F32 | ElementType::I32 => output.chunks(4).collect(),
        };
        // An enlarged image has no more values than the image.
        let elements = |tensor: u32| file.tensors[tensor as usize].elements();
        let count = elements(file.outputs[0]).min(file.inputs.iter().map(|&input| elements(input)).sum());
        assert!(distinct.len() >= count.min(60) / 4, "{name}: {} values in {count} outputs", distinct.len());
    }
}

/// Ops that may work in place give the same there as with an output of their own; the others' files are refused.
#[test]
fn in_place_is_the_same_as_apart() {
    let mut random = generator(31);
    for Small { name, file } in examples::all() {
        let [node] = file.nodes.as_slice() else { continue };
        let op = ALL_OPS.iter().find(|op| u16::from(op.code) == node.code).expect("an op of the runtime");
        let [input, output] = [node.inputs[0], node.output].map(|index| index as usize);
        let mut apart = file.clone();
        apart.tensors[output].offset = apart.arena_bytes;
        apart.arena_bytes += apart.tensors[output].bytes().next_multiple_of(16) as u32;
        let mut together = file.clone();
        together.tensors[output].offset = together.tensors[input].offset;
        let values = inputs_of(&file, &mut random);
        let [from, to] = [&together.tensors[input], &together.tensors[output]];
        let alias = (op.alias)(from, to, Cursor::new(&node.parameters));
        if alias.allows(0, &from.range(), &to.range()) {
            assert_eq!(run(&together, &slices(&values)), run(&apart, &slices(&values)), "{name}");
        } else {
            let bytes = AlignedBuffer::copy_of(&together.to_bytes());
            let refused = Model::parse(bytes.as_slice(), ALL_OPS).is_err();
            assert!(refused, "{name} was accepted with its output on top of its input");
        }
    }
}

#[test]
fn the_specification_describes_every_op() {
    let text = fs::read_to_string(specification::path()).expect("the specification");
    let expected = specification::with_table(&text).unwrap_or_else(|fault| panic!("docs/format.md: {fault}"));
    let hint = "write it with `cargo run -p samara-tests --example op_table`";
    for (found, expected) in text.lines().zip(expected.lines()) {
        assert_eq!(found, expected, "the table of ops in docs/format.md: {hint}");
    }
    assert_eq!(text.len(), expected.len(), "{hint}");
    let described: HashSet<&str> = text.split("**").skip(1).step_by(2).flat_map(|names| names.split(", ")).collect();
    for op in ALL_OPS {
        let name = op.name.trim_end_matches("_i8").trim_end_matches("_f32").trim_end_matches("_i16");
        assert!(described.contains(name), "docs/format.md does not say what {name} computes");
    }
}

/// The model of every int8 op side by side, which firmware's size and symbols are measured with, has every int8 op and no
/// other; and all models are left for the emulated boards.
#[test]
fn every_example_is_left_for_the_boards() {
    let every_op = examples::side_by_side("every-int8-op").i8_file().expect("examples");
    for op in ALL_OPS {
        let expected = !["f32", "i16", "quantize"].iter().any(|ending| op.name.ends_with(ending));
        assert_eq!(uses(&every_op, op), expected, "{} in the model of every int8 op", op.name);
    }
    let Some(directory) = samara_tests::results() else { return };
    let directory = directory.join("ops");
    fs::create_dir_all(&directory).expect("a directory for results");
    let models = examples::all().into_iter().map(|Small { name, file }| (name, file));
    for (name, file) in models.chain([("every-int8-op".to_owned(), every_op)]) {
        fs::write(directory.join(format!("{name}.samara")), file.to_bytes()).expect("a file that can be written");
    }
}
