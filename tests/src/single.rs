//! Models of one op, made as the exporter makes them, and run as a device runs them.

use samara_runtime::{
    ALL_OPS, ElementType, Model, OpDef, Session, Tensor,
    arena::AlignedBuffer,
    format::writer::{ModelFile, NodeRecord},
};
use samara_trainer::{
    device::{
        DeviceGraph, DeviceOp, ExportError, Quantization,
        encode::{Numbers, encode},
    },
    graph::Shape,
};

/// A shape `[..., C]` and, for int8, its quantization.
pub type Port = (Vec<usize>, Option<Quantization>);

/// A model of `op` alone, written by the exporter: int8 if the ports have a quantization, else f32.
///
/// # Errors
/// If the exporter refuses the op.
pub fn exported(op: impl DeviceOp + 'static, inputs: &[Port], output: &Port) -> Result<ModelFile, ExportError> {
    let shapes: Vec<Shape> = inputs.iter().map(|(shape, _)| shape.clone().into()).collect();
    let graph = DeviceGraph::single("op", op, &shapes, output.0.clone().into());
    let quantizations: Option<Vec<Quantization>> =
        inputs.iter().chain([output]).map(|(_, quantization)| *quantization).collect();
    match &quantizations {
        Some(quantizations) => encode(&graph, Numbers::I8 { quantizations, float_ports: false }),
        None => encode(&graph, Numbers::F32),
    }
}

/// The record of a tensor.
pub fn tensor((shape, quantization): &Port, offset: u32) -> Tensor {
    let mut dimensions = [1; 4];
    dimensions.iter_mut().zip(shape).for_each(|(to, &from)| *to = from as u32);
    Tensor {
        element_type: if quantization.is_some() { ElementType::I8 } else { ElementType::F32 },
        rank: shape.len() as u8,
        zero_point: quantization.map_or(0, |quantization| quantization.zero_point),
        dimensions,
        scale: quantization.map_or(1.0, |quantization| quantization.scale),
        offset,
        length_group: 0,
    }
}

/// A model of one node from its parts. Tensors lie one behind the other; scratch memory follows.
pub fn assembled(
    op: &OpDef,
    parameters: Vec<u8>,
    constants: Vec<u8>,
    scratch_bytes: usize,
    inputs: &[Port],
    output: &Port,
) -> ModelFile {
    let mut offset = 0;
    let tensors: Vec<Tensor> = inputs
        .iter()
        .chain([output])
        .map(|port| {
            let tensor = tensor(port, offset);
            offset += tensor.bytes().next_multiple_of(16) as u32;
            tensor
        })
        .collect();
    let ports = inputs.len() as u32;
    let node = NodeRecord {
        code: op.code.into(),
        inputs: (0..ports).collect(),
        output: ports,
        scratch_offset: offset,
        scratch_bytes: scratch_bytes as u32,
        parameters,
        ..NodeRecord::default()
    };
    ModelFile {
        tensors,
        nodes: vec![node],
        inputs: (0..ports).collect(),
        outputs: vec![ports],
        constants,
        arena_bytes: offset + (scratch_bytes as u32).next_multiple_of(16),
        ..ModelFile::default()
    }
}

/// Runs a model file on the bytes of its inputs, the arena full of garbage before, and gives the bytes of its first output.
///
/// # Panics
/// If the runtime refuses the file, an input has another size, or a model of one node writes outside its output, scratch and state
/// region.
pub fn run(file: &ModelFile, inputs: &[&[u8]]) -> Vec<u8> {
    let bytes = AlignedBuffer::copy_of(&file.to_bytes());
    let model = Model::parse(bytes.as_slice(), ALL_OPS).unwrap_or_else(|error| panic!("{file:?} was refused: {error}"));
    let mut arena = AlignedBuffer::zeros(model.arena_bytes());
    arena.as_mut_slice().fill(0xa5);
    let mut session = Session::new(model, arena.as_mut_slice()).expect("an arena of the size that the model asks for");
    for (number, input) in inputs.iter().enumerate() {
        session.input_bytes_mut(number).expect("an input of that number").copy_from_slice(input);
    }
    let snapshot = |session: &Session<'_>| -> Vec<u8> {
        file.inputs.iter().flat_map(|&input| session.tensors().get(input).1.to_vec()).collect()
    };
    let before = snapshot(&session);
    session.run();
    let output = session.output_bytes(0).expect("an output").to_vec();
    let after = snapshot(&session);
    if let [node] = file.nodes.as_slice() {
        let place = |tensor: u32| file.tensors[tensor as usize].range();
        let apart = node
            .inputs
            .iter()
            .all(|&input| place(input).end <= place(node.output).start || place(node.output).end <= place(input).start);
        assert!(!apart || before == after, "op {} changed its inputs", node.code);
        let scratch = node.scratch_offset as usize..(node.scratch_offset + node.scratch_bytes) as usize;
        let state = node.state_offset as usize..(node.state_offset + node.state_bytes).next_multiple_of(16) as usize;
        let own = |place: &usize| scratch.contains(place) || state.contains(place);
        let ours = |place: &usize| own(place) || file.tensors.iter().any(|tensor| tensor.range().contains(place));
        let stray = (0..arena.as_slice().len()).filter(|place| !ours(place)).find(|&place| arena.as_slice()[place] != 0xa5);
        assert_eq!(stray, None, "op {} wrote to that byte of the arena, which is not its own", node.code);
    }
    output
}

/// The bytes of f32 values.
pub fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The f32 values of bytes.
pub fn f32_values(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

/// The int8 values of bytes.
pub fn i8_values(bytes: &[u8]) -> Vec<i8> {
    bytes.iter().map(|&byte| byte as i8).collect()
}

/// Gives every tensor and scratch region a place of its own: the plan that is too simple to be wrong, and keeps all tensors to
/// be looked at after a run.
pub fn spread(file: &mut ModelFile) {
    let mut next = (file.state_bytes() + 4 * file.length_groups.len()).next_multiple_of(16) as u32;
    let mut take = |bytes: u32| {
        let offset = next;
        next += bytes.next_multiple_of(16);
        offset
    };
    file.tensors.iter_mut().for_each(|tensor| tensor.offset = take(tensor.bytes() as u32));
    for node in file.nodes.iter_mut().filter(|node| node.scratch_bytes > 0) {
        node.scratch_offset = take(node.scratch_bytes);
    }
    file.arena_bytes = next;
}
