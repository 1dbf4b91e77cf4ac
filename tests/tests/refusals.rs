//! What `Model::parse` refuses, check by check: each line breaks one rule of docs/format.md, and the error says which. If a line
//! fails, a check of the runtime is gone, or another one comes before it. The file has its tensors at 32, 48 and 64, scratch from 80 to 96, and 16 bytes of state.

use samara_runtime::{
    ALL_OPS, ElementType, LengthGroup, LoadError, Model, NodeFault, Tensor,
    arena::AlignedBuffer,
    format::{
        header::RUNTIME_LEVEL,
        writer::{ModelFile, encode_parameters, repair_crc},
    },
    ops::lut,
};
use samara_tests::hostile::{two_nodes as file, two_nodes_of_a_length};

fn parse(bytes: &[u8]) -> Result<(), LoadError> {
    Model::parse(AlignedBuffer::copy_of(bytes).as_slice(), ALL_OPS).map(drop)
}

/// Parses the file after a change.
fn changed(change: impl FnOnce(&mut ModelFile)) -> Result<(), LoadError> {
    let mut file = file();
    change(&mut file);
    parse(&file.to_bytes())
}

/// Parses the file after `value` was written at byte `at`, with the checksum repaired.
fn patched(at: usize, value: &[u8]) -> Result<(), LoadError> {
    let mut bytes = file().to_bytes();
    bytes[at..at + value.len()].copy_from_slice(value);
    repair_crc(&mut bytes);
    parse(&bytes)
}

/// Moves tensors and scratch regions up, so that more has room before them.
fn moved(file: &mut ModelFile, bytes: u32) {
    file.arena_bytes += bytes;
    file.tensors.iter_mut().for_each(|tensor| tensor.offset += bytes);
    file.nodes.iter_mut().for_each(|node| node.scratch_offset += bytes);
}

/// The header's field at byte `at`.
fn field(at: usize) -> u32 {
    u32::from_le_bytes(file().to_bytes()[at..at + 4].try_into().unwrap())
}

#[test]
fn the_file_itself_is_accepted() {
    assert_eq!(changed(|_| ()), Ok(()));
    assert_eq!(field(80), 16, "state bytes");
    assert_eq!(field(92), 7, "multiply-accumulates of the largest node");
}

#[test]
fn the_bytes_around_the_graph() {
    let bytes = file().to_bytes();
    let total = bytes.len() as u32;
    assert_eq!(parse(&bytes[..79]), Err(LoadError::TooShort));
    assert_eq!(patched(0, b"SMRB"), Err(LoadError::Magic));
    assert_eq!(patched(4, &2u16.to_le_bytes()), Err(LoadError::Version { found: 2 }));
    let shifted = AlignedBuffer::copy_of(&[&[0; 4], &bytes[..]].concat());
    assert_eq!(Model::parse(&shifted.as_slice()[4..], ALL_OPS).map(drop), Err(LoadError::Misaligned));
    for expected in [total + 16, 64] {
        assert_eq!(patched(12, &expected.to_le_bytes()), Err(LoadError::Length { expected, found: total }));
    }
    let behind = [&bytes[..], &[0; 16]].concat();
    assert_eq!(parse(&behind), Err(LoadError::Length { expected: total, found: total + 16 }));
    let mut damaged = bytes.clone();
    for at in [4, 8, 11, 12, 20, bytes.len() - 1] {
        damaged[at] ^= 0x40;
        assert!(parse(&damaged).is_err(), "byte {at}");
        damaged[at] ^= 0x40;
    }
    damaged[bytes.len() - 1] ^= 1;
    assert_eq!(parse(&damaged), Err(LoadError::Checksum));
    assert_eq!(patched(40, &2u16.to_le_bytes()), Err(LoadError::Layout { found: 2 }));
    let required = RUNTIME_LEVEL + 1;
    assert_eq!(patched(84, &required.to_le_bytes()), Err(LoadError::Runtime { required, found: RUNTIME_LEVEL }));
}

#[test]
fn the_sections() {
    let section = |at: usize, value: u32, what: &str| {
        assert_eq!(patched(at, &value.to_le_bytes()), Err(LoadError::Section), "{what}: {value} at byte {at}");
    };
    assert_eq!(patched(6, &79u16.to_le_bytes()), Err(LoadError::Section), "a header shorter than the shortest");
    assert_eq!(patched(42, &27u16.to_le_bytes()), Err(LoadError::Section), "tensor records shorter than the shortest");
    let many = changed(|file| {
        moved(file, 4096);
        file.length_groups = vec![LengthGroup::own(1); 256];
    });
    assert_eq!(many, Err(LoadError::Section), "more length groups than a byte counts");
    assert_eq!(patched(86, &255u16.to_le_bytes()), Err(LoadError::Section), "length groups beyond the file");
    assert_eq!(patched(36, &u16::MAX.to_le_bytes()), Err(LoadError::Section), "tensors beyond the file");
    let total = field(12);
    for at in [44, 48, 56] {
        section(at, total, "a section behind the file");
        section(at, 96, "a section within the header");
        section(at, u32::MAX, "a section whose end overflows");
    }
    for (offset, length) in [(48, 52), (56, 60), (64, 68), (96, 100), (104, 108)] {
        section(length, total - field(offset) + 1, "a section that ends behind the file");
        section(length, u32::MAX, "a section whose end overflows");
    }
    section(64, field(64) - 4, "constants at no multiple of 16");
    section(64, 96, "constants within the header");
    let mut groups = two_nodes_of_a_length().to_bytes();
    groups[88..92].copy_from_slice(&total.to_le_bytes());
    repair_crc(&mut groups);
    assert_eq!(parse(&groups), Err(LoadError::Section), "length groups behind the file");
    section(80, 24, "a state of no whole number of 16 bytes");
    section(80, 112, "a state beyond the arena");
    let cut = patched(52, &(field(52) - 1).to_le_bytes());
    assert_eq!(cut, Err(LoadError::Node { node: 1, fault: NodeFault::Record }), "fewer bytes than the nodes have");
    section(52, field(52) + 1, "more bytes than the nodes have");
    let mut cut = file().to_bytes();
    cut.truncate(cut.len() - 4);
    let total = (cut.len() as u32).to_le_bytes();
    cut[12..16].copy_from_slice(&total);
    cut[68..72].copy_from_slice(&252u32.to_le_bytes());
    repair_crc(&mut cut);
    assert_eq!(parse(&cut), Err(LoadError::Section), "a file of no whole number of 16 bytes");
}

#[test]
fn the_ports() {
    assert_eq!(changed(|file| file.inputs.push(3)), Err(LoadError::Ports));
    assert_eq!(changed(|file| file.outputs = vec![3]), Err(LoadError::Ports));
    let (ports, length) = (field(56) as usize, field(60));
    assert_eq!(patched(ports, &[2]), Err(LoadError::Ports), "more inputs than bytes");
    assert_eq!(patched(60, &(length + 1).to_le_bytes()), Err(LoadError::Ports), "bytes behind the lists");
    assert_eq!(patched(60, &(length - 1).to_le_bytes()), Err(LoadError::Ports), "lists that are cut");
    assert_eq!(patched(60, &0u32.to_le_bytes()), Err(LoadError::Ports), "no lists");
}

#[test]
fn the_tensors() {
    let refused = |what: &str, change: &dyn Fn(&mut Tensor)| {
        let found = changed(|file| change(&mut file.tensors[2]));
        assert_eq!(found, Err(LoadError::Tensor { tensor: 2 }), "{what}");
    };
    refused("no rank", &|tensor| tensor.rank = 0);
    refused("a rank of 5", &|tensor| tensor.rank = 5);
    refused("a dimension beyond the rank", &|tensor| tensor.rank = 2);
    refused("an empty dimension", &|tensor| tensor.dimensions[1] = 0);
    refused("more than 2^28 elements", &|tensor| tensor.dimensions[0] = (1 << 25) + 1);
    refused("elements whose number overflows", &|tensor| tensor.dimensions = [1 << 16, 1 << 16, 1, 1]);
    for scale in [0.0, -1.0, 1e-40, f32::INFINITY, f32::NAN] {
        refused("a scale that is none", &|tensor| tensor.scale = scale);
    }
    refused("an end behind the arena", &|tensor| tensor.offset = 81);
    refused("an end that overflows", &|tensor| tensor.offset = u32::MAX);
    refused("a place in the state", &|tensor| tensor.offset = 15);
    refused("an unknown length group", &|tensor| tensor.length_group = 1);
    refused("a zero point of int16", &|tensor| (tensor.element_type, tensor.zero_point) = (ElementType::I16, 1));
    for element_type in [ElementType::F32, ElementType::I32] {
        let as_words = |tensor: &mut Tensor| {
            *tensor = Tensor { element_type, dimensions: [1, 1, 4, 1], scale: 1.0, ..*tensor };
        };
        refused("a scale beside int8", &|tensor| (as_words(tensor), tensor.scale = 0.5).1);
        refused("a zero point beside int8", &|tensor| (as_words(tensor), tensor.zero_point = 1).1);
        refused("words at no multiple of 4", &|tensor| (as_words(tensor), tensor.offset = 66).1);
    }
    let mut words = file();
    words.tensors[2] = Tensor { element_type: ElementType::F32, dimensions: [1, 1, 4, 1], scale: 1.0, ..words.tensors[2] };
    let mut bytes = words.to_bytes();
    bytes[field(44) as usize + 2 * 28] = 4;
    repair_crc(&mut bytes);
    assert_eq!(parse(&bytes), Err(LoadError::Tensor { tensor: 2 }), "an unknown type");
    let of_a_length = |change: &dyn Fn(&mut Tensor)| {
        let mut file = two_nodes_of_a_length();
        change(&mut file.tensors[2]);
        assert_eq!(parse(&file.to_bytes()), Err(LoadError::Tensor { tensor: 2 }));
    };
    of_a_length(&|tensor| tensor.dimensions[0] = 3);
    // The last dimension is the channels'.
    of_a_length(&|tensor| (tensor.rank, tensor.dimensions) = (1, [4, 1, 1, 1]));
}

#[test]
fn the_length_groups() {
    let own = LengthGroup::own(4);
    let derived = LengthGroup { source: 1, stride: 2, add: 1, maximum: 2 };
    let with = |group: LengthGroup| {
        changed(|file| {
            moved(file, 16);
            file.length_groups = vec![own, group];
        })
    };
    assert_eq!([with(own), with(derived)], [Ok(()); 2]);
    for (what, group) in [
        ("no length", LengthGroup::own(0)),
        ("a stride of a length that is set", LengthGroup { stride: 2, ..own }),
        ("an addition to a length that is set", LengthGroup { add: 1, ..own }),
        ("itself as a source", LengthGroup { source: 2, stride: 1, add: 0, maximum: 4 }),
        ("no stride", LengthGroup { stride: 0, ..derived }),
        ("a stride beyond 4096", LengthGroup { stride: 4097, add: 2 * 4097 - 4, ..derived }),
        ("another length than its source gives", LengthGroup { maximum: 3, ..derived }),
        ("a length below 1", LengthGroup { add: -4, ..derived }),
    ] {
        assert_eq!(with(group), Err(LoadError::LengthGroup { group: 2 }), "{what}");
    }
}

#[test]
fn the_nodes() {
    let refused = |node: u16, fault: NodeFault, what: &str, change: &dyn Fn(&mut ModelFile)| {
        assert_eq!(changed(change), Err(LoadError::Node { node, fault }), "{what}");
    };
    use NodeFault::*;
    refused(0, Record, "an output that is not there", &|file| file.nodes[0].output = 3);
    refused(1, Record, "an input that is not there", &|file| file.nodes[1].inputs[1] = 3);
    refused(0, Record, "parameters that are cut", &|file| file.nodes[0].parameters.clear());
    refused(0, Record, "parameters and more", &|file| file.nodes[0].parameters.push(0));
    let unknown = changed(|file| file.nodes[1].code = 127);
    assert_eq!(unknown, Err(LoadError::UnknownOp { node: 1, code: 127 }));
    let first_node = field(48) as usize;
    let count_of_inputs = patched(first_node + 2, &[0x7f]);
    assert_eq!(count_of_inputs, Err(LoadError::Node { node: 0, fault: Record }), "more inputs than the record has bytes");

    // The first node's code with a bit beyond 16, in a section of its own at the file's end.
    let mut bytes = file().to_bytes();
    let nodes = &bytes[first_node..][..field(52) as usize];
    let code = [nodes[1] | 0x80, 0x80, 4];
    let section = [&[nodes[0] + 2][..], &code, &nodes[2..]].concat();
    let (total, length) = (bytes.len() as u32, section.len() as u32);
    bytes.extend(section);
    bytes.resize(bytes.len().next_multiple_of(16), 0);
    for (at, value) in [(12, bytes.len() as u32), (48, total), (52, length)] {
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    repair_crc(&mut bytes);
    assert_eq!(parse(&bytes), Err(LoadError::Node { node: 0, fault: Record }), "a code of 17 bits");

    refused(1, Scratch, "scratch at no multiple of 16", &|file| {
        (file.nodes[1].scratch_offset, file.nodes[1].scratch_bytes) = (84, 8);
    });
    refused(1, Scratch, "scratch beyond the arena", &|file| file.nodes[1].scratch_bytes = 17);
    refused(1, Scratch, "scratch whose end overflows", &|file| file.nodes[1].scratch_bytes = u32::MAX - 15);
    refused(1, Scratch, "scratch in the state", &|file| file.nodes[1].scratch_offset = 0);
    for (offset, what) in [(32, "the first input"), (48, "the second input"), (64, "the output")] {
        refused(1, Scratch, what, &|file| file.nodes[1].scratch_offset = offset);
    }

    assert_eq!(changed(|file| file.tensors[1].offset = 32), Ok(()), "in place on the only input");
    refused(0, Alias, "half on the only input", &|file| file.tensors[1].offset = 40);
    assert_eq!(changed(|file| file.nodes[1].inputs = vec![1, 2]), Ok(()), "in place on the second input");
    refused(1, Alias, "on both inputs", &|file| file.nodes[1].inputs = vec![2, 2]);
    refused(1, Alias, "half on the second input", &|file| file.tensors[2].offset = 56);

    refused(1, State, "a state on another node's", &|file| file.nodes[1].state_bytes = 16);
    let misplaced = |offset: u32| {
        move |file: &mut ModelFile| {
            (file.nodes[1].state_offset, file.nodes[1].state_bytes, file.arena_bytes) = (offset, 8, 256);
            file.tensors.iter_mut().for_each(|tensor| tensor.offset += 64);
            file.nodes.iter_mut().for_each(|node| node.scratch_offset += 64);
        }
    };
    assert_eq!(changed(misplaced(16)), Ok(()));
    refused(1, State, "a state at no multiple of 16", &misplaced(20));
    refused(1, State, "a place without a state", &|file| file.nodes[1].state_offset = 16);
    let state_bytes = patched(80, &0u32.to_le_bytes());
    assert_eq!(state_bytes, Err(LoadError::Node { node: 0, fault: State }), "a state that the header does not have");
    let largest = patched(92, &6u32.to_le_bytes());
    assert_eq!(largest, Err(LoadError::Node { node: 0, fault: Work }), "more work than the header says");

    refused(1, InputCount, "one input", &|file| file.nodes[1].inputs.truncate(1));
    refused(1, InputCount, "three inputs", &|file| file.nodes[1].inputs.push(1));
    refused(0, ElementType, "an output of another type", &|file| {
        file.tensors[1] =
            Tensor { element_type: samara_runtime::ElementType::F32, dimensions: [1, 1, 4, 1], scale: 1.0, ..file.tensors[1] };
    });
    refused(0, Shape, "another shape", &|file| file.tensors[1].dimensions = [1, 4, 4, 1]);
    refused(0, Constants, "a table at no multiple of 4", &|file| {
        file.constants.resize(512, 0);
        file.nodes[0].parameters = encode_parameters(&lut::Parameters { table: 2 });
    });
    for offset in [4, u32::MAX - 3] {
        refused(0, Constants, "a table that is not there", &|file| {
            file.nodes[0].parameters = encode_parameters(&lut::Parameters { table: offset });
        });
    }
}
