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
    ops::window::Window,
};
use samara_tests::{examples, generator, golden};
use std::{fs, path::Path};

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
            state_offset: number(&mut random),
            state_bytes: number(&mut random),
            macs: number(&mut random),
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
            state_offset: node.state_offset as u32,
            state_bytes: node.state_bytes as u32,
            macs: node.macs,
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
    let every_op = examples::side_by_side("every op");
    let both = [every_op.f32_file(), every_op.i8_file()].map(|file| file.expect("examples"));
    for model in examples::all().into_iter().map(|model| model.file).chain(both) {
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
    for name in ["v1", "v1-f32", "v1-i16"] {
        let file = fs::read(directory.join(format!("{name}.samara"))).expect("the golden file");
        let expected = fs::read_to_string(directory.join(format!("{name}.checksums"))).expect("its checksums");
        let ours = golden::checksums(&file).unwrap_or_else(|error| panic!("{name}.samara is not readable any more: {error}"));
        for (ours, expected) in ours.lines().zip(expected.lines()) {
            assert_eq!(ours, expected, "{name}.samara gives other bits (checksums of the outputs, a round a line)");
        }
        assert_eq!(ours.lines().count(), expected.lines().count());
    }
}

#[test]
fn the_files_of_this_version_hold_every_op() {
    let mut codes = std::collections::BTreeSet::new();
    for name in ["v1", "v1-f32", "v1-i16"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/{name}.samara"));
        let file = ModelFile::from_bytes(&fs::read(path).expect("the golden file")).expect("the golden file");
        codes.extend(file.nodes.iter().map(|node| node.code));
    }
    let missing: Vec<_> = ALL_OPS.iter().filter(|op| !codes.contains(&op.code.into())).map(|op| op.name).collect();
    assert!(missing.is_empty(), "write the golden files of this version again until it is released: without {missing:?}");
}

#[test]
fn the_writer_still_writes_what_it_wrote() {
    for name in ["v1", "v1-f32", "v1-i16"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/{name}.samara"));
        let released = fs::read(path).expect("the golden file");
        let file = ModelFile::from_bytes(&released).expect("the golden file");
        assert!(
            file.to_bytes() == released,
            "format version 1 is written differently: that needs a new version, and golden files"
        );
    }
}
