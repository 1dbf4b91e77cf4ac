//! Feeds damaged model files to the runtime as firmware would: parse, and if the file is accepted, run it.

use samara_runtime::{
    ALL_OPS, ElementType, LengthGroup, LoadError, Model, Session, Tensor,
    arena::AlignedBuffer,
    format::writer::{ModelFile, NodeRecord, encode_parameters},
    ops::{
        add::{self, ADD_I8},
        lut::{self, LUT_I8},
    },
};

/// Largest arena that a damaged file gets. Files that ask for more are checked, but not run.
pub const LARGEST_ARENA: usize = 1 << 20;
/// Most steps of a run in tests; [`cost`] is their number, roughly. Files that need more are checked, but not run.
pub const LARGEST_COST: u64 = 1 << 24;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was refused.
    Refused(LoadError),
    /// It was accepted, but asks for more memory or time than a test has.
    TooLarge,
    /// It was accepted, and ran.
    Ran,
}

/// Memory for files and arenas, used again and again.
#[derive(Debug)]
pub struct Victim {
    file: AlignedBuffer,
    arena: AlignedBuffer,
    largest_cost: u64,
}

impl Default for Victim {
    fn default() -> Self {
        Self::new(LARGEST_COST)
    }
}

impl Victim {
    /// One that does not run what takes more than `largest_cost` steps.
    pub fn new(largest_cost: u64) -> Self {
        Self { file: AlignedBuffer::default(), arena: AlignedBuffer::default(), largest_cost }
    }

    /// Parses `bytes` as they are, runs what is accepted on inputs full of `fill`, and looks at everything that a host or
    /// firmware would look at.
    pub fn attack(&mut self, bytes: &[u8], fill: u8) -> Fate {
        if self.file.as_slice().len() != bytes.len() {
            self.file = AlignedBuffer::zeros(bytes.len());
        }
        self.file.as_mut_slice().copy_from_slice(bytes);
        let model = match Model::parse(self.file.as_slice(), ALL_OPS) {
            Ok(model) => model,
            Err(error) => return Fate::Refused(error),
        };
        // The host's reader may refuse names that the device skips, but it must not panic.
        drop(ModelFile::from_bytes(bytes));
        if model.arena_bytes() > LARGEST_ARENA || cost(&model) > self.largest_cost {
            let too_small = Session::new(model, &mut []).is_err();
            assert!(too_small || model.arena_bytes() == 0, "an empty arena was accepted for {} bytes", model.arena_bytes());
            return Fate::TooLarge;
        }
        if self.arena.as_slice().len() < model.arena_bytes() {
            self.arena = AlignedBuffer::zeros(model.arena_bytes());
        }
        let mut session = Session::new(model, self.arena.as_mut_slice()).expect("an arena that is large enough");
        let mut number = 0u8;
        while let Ok(input) = session.input_bytes_mut(number.into()) {
            input.iter_mut().enumerate().for_each(|(i, byte)| *byte = fill.wrapping_mul(i as u8 | 1).wrapping_add(number));
            number = number.saturating_add(1);
            if number == u8::MAX {
                break;
            }
        }
        // What may be done with a session, in an order that a user would choose, and in others.
        for group in 1..4 {
            let _ = session.set_length(group, u32::from(fill % 5));
        }
        let stopped = session.run_until(u16::from(fill % 3));
        assert_eq!(session.output(0).is_some(), !stopped && model.output(0).is_some(), "outputs are there at the end alone");
        while !session.run_for(u32::from(fill)) {}
        let state = session.state().to_vec();
        session.run();
        session.set_state(&state).expect("the model's own state");
        let _ = session.self_test();
        session.run();
        for number in 0..4 {
            if let Some(values) = session.output_f32(number) {
                std::hint::black_box(values.fold(0.0, |sum, value| sum + value));
            }
            std::hint::black_box(session.output_i8(number));
        }
        Fate::Ran
    }
}

/// Steps of a run, an upper bound: each output of a node may look at all of its inputs.
pub fn cost(model: &Model<'_>) -> u64 {
    let elements = |tensor: u32| model.tensor(tensor).elements() as u64;
    let of_node = |node: samara_runtime::format::node::Node<'_>| {
        let inputs: u64 = node.inputs().map(elements).sum();
        elements(node.output).saturating_mul(inputs.max(1)).saturating_add(node.scratch_bytes as u64)
    };
    model.nodes().map(of_node).fold(0, u64::saturating_add)
}

fn tensor(offset: u32) -> Tensor {
    let (element_type, dimensions) = (ElementType::I8, [2, 2, 4, 1]);
    Tensor { element_type, rank: 3, zero_point: 0, dimensions, scale: 0.5, offset, length_group: 0 }
}

/// `x + lut(x)`: input at 32, the table's output at 48, the sum at 64, scratch from 80 to 96; 16 bytes of state.
///
/// # Panics
/// Never: the sum's scales are fixed.
pub fn two_nodes() -> ModelFile {
    let table = encode_parameters(&lut::Parameters { table: 0 });
    let sum = add::factors([(0.5, 0), (0.5, 0)], [1.0; 2], (0.5, 0), (-128, 127)).expect("scales that fit");
    let node = |code: u8, inputs: &[u32], output, parameters| NodeRecord {
        code: code.into(),
        inputs: inputs.to_vec(),
        output,
        scratch_offset: 80,
        scratch_bytes: 16,
        parameters,
        ..NodeRecord::default()
    };
    let mut first = node(LUT_I8.code, &[0], 1, table);
    (first.state_bytes, first.macs) = (16, 7);
    ModelFile {
        tensors: vec![tensor(32), tensor(48), tensor(64)],
        nodes: vec![first, node(ADD_I8.code, &[0, 1], 2, encode_parameters(&sum))],
        inputs: vec![0],
        outputs: vec![2],
        constants: vec![0; 256],
        arena_bytes: 96,
        ..ModelFile::default()
    }
}

/// As [`two_nodes`], with rows of one length.
pub fn two_nodes_of_a_length() -> ModelFile {
    let mut file = two_nodes();
    file.length_groups.push(LengthGroup::own(4));
    for tensor in &mut file.tensors {
        (tensor.rank, tensor.dimensions, tensor.length_group) = (2, [4, 4, 1, 1], 1);
    }
    file
}
