//! Pointwise functions: a clamp where they are one, else a table in int8 and code in f32.

use super::{DeviceOpKind, OpExample, encode_lut, registry::encoding, wide};
use crate::device::{Clamp, Constants, DeviceOp, Encoded, ExportError, NodeContext, OutputQuantization, Quantization, Rows};
use samara_runtime::ops::{
    activation::{ACTIVATION_F32, Function, Parameters},
    lut::{self, LUT_I8},
    wide::lut::LUT_I16,
};

/// A pointwise function. Its values are the runtime's, to the bit.
#[derive(Debug, Clone, Copy)]
pub struct Activation(pub Parameters);

impl DeviceOp for Activation {
    fn output_quantization(&self) -> OutputQuantization {
        match self.0.function {
            Function::Sigmoid => OutputQuantization::Fixed(Quantization { scale: 1.0 / 256.0, zero_point: -128 }),
            Function::Tanh => OutputQuantization::Fixed(Quantization { scale: 1.0 / 128.0, zero_point: 0 }),
            _ => OutputQuantization::Free,
        }
    }

    fn as_clamp(&self) -> Option<Clamp> {
        (self.0.function == Function::Relu).then_some(Clamp { minimum: 0.0, maximum: self.0.alpha })
    }

    fn rows(&self, context: &NodeContext<'_>) -> Rows {
        context.each_row(1)
    }

    fn encode_f32(&self, _: &NodeContext<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&ACTIVATION_F32, &self.0))
    }

    fn encode_i8(
        &self,
        _: &NodeContext<'_>,
        inputs: &[Quantization],
        output: Quantization,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        Ok(encode_lut(inputs[0], output, constants, |x| f64::from(self.0.apply(x as f32))))
    }

    fn takes_i16(&self) -> bool {
        true
    }

    fn encode_i16(
        &self,
        _: &NodeContext<'_>,
        inputs: &[f32],
        output: f32,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let function = |x: f64| f64::from(self.0.apply(x as f32));
        Ok(wide::encode_lut(inputs[0], output, constants, function))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "activation",
    encodings: &[
        encoding!(LUT_I8, lut::Parameters, "u32 offset of the table"),
        encoding!(ACTIVATION_F32, Parameters, "u8 function, f32 alpha"),
        encoding!(LUT_I16, lut::Parameters, "u32 offset of the table"),
    ],
    examples,
    #[cfg(test)]
    golden: &[super::golden::vectors("activation", 0.05, |case| {
        let (function, alpha) = match case.field::<String>("function").as_str() {
            "relu" => (Function::Relu, f32::INFINITY),
            "relu6" => (Function::Relu, 6.0),
            "leaky_relu" => (Function::LeakyRelu, case.field("alpha")),
            "sigmoid" => (Function::Sigmoid, 0.0),
            "gelu" => (Function::Gelu, 0.0),
            "hard_swish" => (Function::HardSwish, 0.0),
            "tanh" => (Function::Tanh, 0.0),
            other => panic!("unknown function {other}"),
        };
        case.model(Activation(Parameters { function, alpha }))
    })],
};

fn examples() -> Vec<OpExample> {
    let bounded =
        [("relu6", Function::Relu, 6.0), ("leaky_relu", Function::LeakyRelu, 0.3), ("relu", Function::Relu, f32::INFINITY)];
    let small = bounded.map(|(name, function, alpha)| (name.to_owned(), function, alpha, 9));
    let all = Function::ALL.map(|function| (format!("{function:?}_300").to_lowercase(), function, 2.0, 300));
    let example = |(name, function, alpha, size): (String, Function, f32, usize)| {
        OpExample::new(name, Activation(Parameters { function, alpha }), &[&[size]], &[size])
    };
    small.into_iter().chain(all).map(example).collect()
}
