//! Small models, at least one for every op of the runtime: what the hostile tests and the fuzzer start from.

use crate::single::{Port, assembled, exported_boxed, tensor};
use rand::{Rng, rngs::StdRng};
use samara_runtime::{
    OpDef, Tensor,
    format::writer::{Metadata, ModelFile, NodeRecord},
    ops::{
        activation::{Function, Parameters},
        quantize::{DEQUANTIZE, QUANTIZE},
        window::Window,
    },
};
use samara_trainer::{
    device::{
        Clamp, Constants, DeviceOp, Quantization, Site,
        ops::{
            Activation, Add, Concat, Kind, Linear, Maximum, Multiply, Pad, Pool, PoolKind, Prelu, Rescale, Reshape, ScaleShift,
            Softmax, Upsample,
        },
    },
    graph::Shape,
};

/// Quantization of the int8 tensors.
pub const QUANTIZATION: Quantization = Quantization { scale: 0.05, zero_point: -3 };

/// A small model.
#[derive(Debug, Clone)]
pub struct Small {
    /// Says what it is.
    pub name: String,
    /// The model.
    pub file: ModelFile,
}

/// An op and its tensors.
struct Part {
    name: String,
    op: Implementation,
    inputs: Vec<Port>,
    output: Port,
}

/// Where an op comes from.
enum Implementation {
    /// The exporter makes it.
    Exported(Box<dyn DeviceOp>),
    /// It has neither parameters nor constants nor scratch memory.
    Plain(&'static OpDef),
}

/// One model for each of a list of ops that has every op of the runtime, in int8 and f32, some of them twice.
///
/// # Panics
/// If the exporter refuses one.
pub fn models() -> Vec<Small> {
    let file_of = |part: Part| match part.op {
        Implementation::Exported(op) => {
            exported_boxed(op, &part.inputs, &part.output).unwrap_or_else(|error| panic!("{}: {error}", part.name))
        }
        Implementation::Plain(op) => assembled(op, vec![], vec![], 0, &part.inputs, &part.output),
    };
    let named = |part: Part| Small { name: part.name.clone(), file: file_of(part) };
    parts().into_iter().map(named).collect()
}

/// The same ops side by side in one model, each with inputs and an output of its own.
///
/// # Panics
/// If the exporter refuses one.
pub fn all_in_one() -> ModelFile {
    let mut file =
        ModelFile { metadata: Metadata { name: "every op".to_owned(), ..Metadata::default() }, ..ModelFile::default() };
    let mut constants = Constants::default();
    for part in parts() {
        let shapes: Vec<Shape> = part.inputs.iter().map(|(shape, _)| Shape::new(shape.clone())).collect();
        let output = Shape::new(part.output.0.clone());
        let site = Site { name: &part.name, inputs: shapes.iter().collect(), output: &output };
        let quantizations: Vec<Quantization> = part.inputs.iter().filter_map(|(_, quantization)| *quantization).collect();
        let encoded = match (&part.op, part.output.1) {
            (Implementation::Plain(op), _) => Ok((op.code, vec![], 0)),
            (Implementation::Exported(op), Some(quantization)) => op
                .encode_i8(&site, &quantizations, quantization, &mut constants)
                .map(|e| (e.op.code, e.parameters, e.scratch_bytes)),
            (Implementation::Exported(op), None) => {
                op.encode_f32(&site, &mut constants).map(|e| (e.op.code, e.parameters, e.scratch_bytes))
            }
        };
        let (code, parameters, scratch_bytes) = encoded.unwrap_or_else(|error| panic!("{}: {error}", part.name));
        let mut push = |port: &Port| -> u32 {
            let tensor: Tensor = tensor(port, file.arena_bytes);
            file.arena_bytes += tensor.bytes().next_multiple_of(16) as u32;
            file.tensors.push(tensor);
            file.metadata.tensors.push(part.name.clone());
            file.tensors.len() as u32 - 1
        };
        let inputs: Vec<u32> = part.inputs.iter().map(&mut push).collect();
        let output = push(&part.output);
        file.inputs.extend(&inputs);
        file.outputs.push(output);
        let (scratch_offset, scratch_bytes) = (file.arena_bytes, scratch_bytes as u32);
        file.arena_bytes += scratch_bytes.next_multiple_of(16);
        file.nodes.push(NodeRecord { code: code.into(), inputs, output, scratch_offset, scratch_bytes, parameters });
        file.metadata.nodes.push(part.name);
        file.metadata.macs.push(0);
    }
    file.constants = constants.into_bytes();
    file
}

fn parts() -> Vec<Part> {
    let mut random = crate::generator(7);
    let mut parts = Vec::new();
    for quantization in [Some(QUANTIZATION), None] {
        every_op(&mut random, quantization, &mut parts);
    }
    let (real, int8): (Port, Port) = ((vec![7], None), (vec![7], Some(QUANTIZATION)));
    let mut push = |name: &str, op, input: &Port, output: &Port| {
        let (inputs, output) = (vec![input.clone()], output.clone());
        parts.push(Part { name: name.to_owned(), op: Implementation::Plain(op), inputs, output });
    };
    push("quantize", &QUANTIZE, &real, &int8);
    push("dequantize", &DEQUANTIZE, &int8, &real);
    parts
}

/// The ops in one element type. What comes later in the history of the runtime stands at the end, since the weights are
/// drawn in this order.
fn every_op(random: &mut StdRng, quantization: Option<Quantization>, parts: &mut Vec<Part>) {
    let clamp = Clamp { minimum: 0.0, maximum: 6.0 };
    let port = |shape: &[usize]| -> Port { (shape.to_vec(), quantization) };
    let mut push = |name: &str, op: Box<dyn DeviceOp>, inputs: &[&[usize]], output: Port| {
        let suffix = if quantization.is_some() { "i8" } else { "f32" };
        let inputs = inputs.iter().map(|shape| port(shape)).collect();
        parts.push(Part { name: format!("{name}_{suffix}"), op: Implementation::Exported(op), inputs, output });
    };
    push("dense", linear(random, Kind::Dense, 5, 3, Clamp::NONE), &[&[5]], port(&[3]));
    push("dense_rows", linear(random, Kind::Dense, 6, 4, clamp), &[&[3, 6]], port(&[3, 4]));
    let same = window([3, 3], [1, 1], [1, 1], [1, 1]);
    push("conv2d", linear(random, Kind::Conv2d(same), 18, 3, clamp), &[&[3, 4, 2]], port(&[3, 4, 3]));
    let dilated = window([2, 3], [2, 1], [1, 2], [1, 2]);
    push("conv2d_dilated", linear(random, Kind::Conv2d(dilated), 12, 2, Clamp::NONE), &[&[4, 5, 2]], port(&[2, 5, 2]));
    let pointwise = window([1, 1], [1, 1], [1, 1], [0, 0]);
    push("conv2d_pointwise", linear(random, Kind::Conv2d(pointwise), 3, 4, Clamp::NONE), &[&[3, 3, 3]], port(&[3, 3, 4]));
    push("depthwise_conv2d", linear(random, Kind::DepthwiseConv2d(same), 9, 3, clamp), &[&[4, 3, 3]], port(&[4, 3, 3]));
    let op = linear(random, Kind::DepthwiseConv2d(dilated), 6, 2, clamp);
    push("depthwise_conv2d_dilated", op, &[&[4, 5, 2]], port(&[2, 5, 2]));
    for (name, kind) in [("max_pool", PoolKind::Maximum), ("average_pool", PoolKind::Average)] {
        let (plain, padded) = (window([2, 2], [2, 2], [1, 1], [0, 0]), window([3, 2], [1, 2], [1, 1], [1, 1]));
        push(name, Box::new(Pool { kind, window: plain }), &[&[4, 4, 3]], port(&[2, 2, 3]));
        push(&format!("{name}_padded"), Box::new(Pool { kind, window: padded }), &[&[3, 4, 2]], port(&[3, 2, 2]));
    }
    for (name, function, alpha) in
        [("relu", Function::Relu, 6.0), ("leaky_relu", Function::LeakyRelu, 0.3), ("selu", Function::Selu, 0.0)]
    {
        push(name, Box::new(Activation(Parameters { function, alpha })), &[&[9]], port(&[9]));
    }
    let shares = quantization.map(|_| Quantization { scale: 1.0 / 256.0, zero_point: -128 });
    push("softmax", Box::new(Softmax), &[&[2, 5]], (vec![2, 5], shares));
    push("add", Box::new(Add { coefficients: [1.0, -0.5], clamp }), &[&[3, 4], &[3, 4]], port(&[3, 4]));
    push("concat", Box::new(Concat { axis: 1 }), &[&[2, 3], &[2, 1], &[2, 4]], port(&[2, 8]));
    push("reshape", Box::new(Reshape), &[&[2, 3, 2]], port(&[12]));
    push("rescale", Box::new(Rescale), &[&[5, 1, 1, 2]], port(&[5, 1, 1, 2]));
    push("pad", Box::new(Pad { top: 1, left: 2 }), &[&[2, 3, 2]], port(&[4, 5, 2]));
    let (scale, shift) = (vec![0.5, -1.5, 1.0], vec![0.25, 1.0, -2.0]);
    push("scale_shift", Box::new(ScaleShift { scale, shift, clamp: Clamp::NONE }), &[&[3, 2, 3]], port(&[3, 2, 3]));
    push("multiply", Box::new(Multiply { clamp }), &[&[2, 2, 3], &[2, 2, 3]], port(&[2, 2, 3]));
    push("multiply_vector", Box::new(Multiply { clamp }), &[&[2, 2, 3], &[1, 1, 3]], port(&[2, 2, 3]));
    push("maximum", Box::new(Maximum), &[&[7], &[7]], port(&[7]));
    push("prelu", Box::new(Prelu { alpha: vec![0.25, -0.5, 1.5] }), &[&[4, 3]], port(&[4, 3]));
    push("upsample", Box::new(Upsample([2, 3])), &[&[2, 2, 3]], port(&[4, 6, 3]));
}

/// A window from pairs of `[vertical, horizontal]`.
pub const fn window(kernel: [u16; 2], stride: [u16; 2], dilation: [u16; 2], padding: [u16; 2]) -> Window {
    Window { kernel, stride, dilation, padding }
}

fn linear(random: &mut StdRng, kind: Kind, fan_in: usize, channels: usize, clamp: Clamp) -> Box<dyn DeviceOp> {
    let mut values = |count| (0..count).map(|_| random.random_range(-1.0..1.0)).collect::<Vec<f32>>();
    let rows = (0..channels).map(|_| values(fan_in)).collect();
    Box::new(Linear { kind, rows, bias: values(channels), clamp })
}
