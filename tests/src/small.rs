//! Small models, at least one for every op of the runtime: what the hostile tests and the fuzzer start from.

use crate::single::{Port, assembled, exported};
use rand::{Rng, rngs::StdRng};
use samara_runtime::{
    format::writer::ModelFile,
    ops::{
        activation::{Function, Parameters},
        quantize::{DEQUANTIZE, QUANTIZE},
        window::Window,
    },
};
use samara_trainer::export::{
    Clamp, DeviceOp, Quantization,
    ops::{Activation, Add, Concat, Kind, Linear, Pad, Pool, PoolKind, Rescale, Reshape, ScaleShift, Softmax},
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

/// The models.
///
/// # Panics
/// If the exporter refuses one.
pub fn models() -> Vec<Small> {
    let mut random = crate::generator(7);
    let mut models = Vec::new();
    for quantization in [Some(QUANTIZATION), None] {
        every_op(&mut random, quantization, &mut models);
    }
    let (real, int8) = ((vec![7], None), (vec![7], Some(QUANTIZATION)));
    let mut push = |name: &str, file| models.push(Small { name: name.to_owned(), file });
    push("quantize", assembled(&QUANTIZE, vec![], vec![], 0, std::slice::from_ref(&real), &int8));
    push("dequantize", assembled(&DEQUANTIZE, vec![], vec![], 0, &[int8], &real));
    models
}

fn every_op(random: &mut StdRng, quantization: Option<Quantization>, models: &mut Vec<Small>) {
    let softmax_quantization = quantization.map(|_| Quantization { scale: 1.0 / 256.0, zero_point: -128 });
    let clamp = Clamp { minimum: 0.0, maximum: 6.0 };
    let mut push = |name: &str, file: Result<ModelFile, _>| {
        let suffix = if quantization.is_some() { "i8" } else { "f32" };
        let file = file.unwrap_or_else(|error| panic!("{name}: {error}"));
        models.push(Small { name: format!("{name}_{suffix}"), file });
    };
    let port = |shape: &[usize]| -> Port { (shape.to_vec(), quantization) };
    let one = |op: Op, from: &[usize], to: &[usize]| op.export(&[port(from)], &port(to));
    push("dense", one(linear(random, Kind::Dense, 5, 3, Clamp::NONE), &[5], &[3]));
    push("dense_rows", one(linear(random, Kind::Dense, 6, 4, clamp), &[3, 6], &[3, 4]));
    let same = window([3, 3], [1, 1], [1, 1], [1, 1]);
    push("conv2d", one(linear(random, Kind::Conv2d(same), 18, 3, clamp), &[3, 4, 2], &[3, 4, 3]));
    let dilated = window([2, 3], [2, 1], [1, 2], [1, 2]);
    push("conv2d_dilated", one(linear(random, Kind::Conv2d(dilated), 12, 2, Clamp::NONE), &[4, 5, 2], &[2, 5, 2]));
    let pointwise = window([1, 1], [1, 1], [1, 1], [0, 0]);
    push("conv2d_pointwise", one(linear(random, Kind::Conv2d(pointwise), 3, 4, Clamp::NONE), &[3, 3, 3], &[3, 3, 4]));
    push("depthwise_conv2d", one(linear(random, Kind::DepthwiseConv2d(same), 9, 3, clamp), &[4, 3, 3], &[4, 3, 3]));
    push("depthwise_conv2d_dilated", one(linear(random, Kind::DepthwiseConv2d(dilated), 6, 2, clamp), &[4, 5, 2], &[2, 5, 2]));
    for (name, kind) in [("max_pool", PoolKind::Maximum), ("average_pool", PoolKind::Average)] {
        let pool = |window| Op::new(Pool { kind, window });
        push(name, one(pool(window([2, 2], [2, 2], [1, 1], [0, 0])), &[4, 4, 3], &[2, 2, 3]));
        push(&format!("{name}_padded"), one(pool(window([3, 2], [1, 2], [1, 1], [1, 1])), &[3, 4, 2], &[3, 2, 2]));
    }
    for (name, function, alpha) in
        [("relu", Function::Relu, 6.0), ("leaky_relu", Function::LeakyRelu, 0.3), ("selu", Function::Selu, 0.0)]
    {
        push(name, one(Op::new(Activation(Parameters { function, alpha })), &[9], &[9]));
    }
    push("softmax", Op::new(Softmax).export(&[port(&[2, 5])], &(vec![2, 5], softmax_quantization)));
    push("add", Op::new(Add { clamp }).export(&[port(&[3, 4]), port(&[3, 4])], &port(&[3, 4])));
    push("concat", Op::new(Concat { axis: 1 }).export(&[port(&[2, 3]), port(&[2, 1]), port(&[2, 4])], &port(&[2, 8])));
    push("reshape", one(Op::new(Reshape), &[2, 3, 2], &[12]));
    push("rescale", one(Op::new(Rescale), &[5, 1, 1, 2], &[5, 1, 1, 2]));
    push("pad", one(Op::new(Pad { top: 1, left: 2 }), &[2, 3, 2], &[4, 5, 2]));
    let (scale, shift) = (vec![0.5, -1.5, 1.0], vec![0.25, 1.0, -2.0]);
    push("scale_shift", one(Op::new(ScaleShift { scale, shift, clamp: Clamp::NONE }), &[3, 2, 3], &[3, 2, 3]));
}

/// An op whose type is forgotten.
struct Op(Box<dyn FnOnce(&[Port], &Port) -> Exported>);

type Exported = Result<ModelFile, samara_trainer::export::ExportError>;

impl Op {
    fn new(op: impl DeviceOp + 'static) -> Self {
        Self(Box::new(|inputs, output| exported(op, inputs, output)))
    }

    fn export(self, inputs: &[Port], output: &Port) -> Exported {
        (self.0)(inputs, output)
    }
}

/// A window from pairs of `[vertical, horizontal]`.
pub const fn window(kernel: [u16; 2], stride: [u16; 2], dilation: [u16; 2], padding: [u16; 2]) -> Window {
    Window { kernel, stride, dilation, padding }
}

fn linear(random: &mut StdRng, kind: Kind, fan_in: usize, channels: usize, clamp: Clamp) -> Op {
    let mut values = |count| (0..count).map(|_| random.random_range(-1.0..1.0)).collect::<Vec<f32>>();
    let rows = (0..channels).map(|_| values(fan_in)).collect();
    Op::new(Linear { kind, rows, bias: values(channels), clamp })
}
