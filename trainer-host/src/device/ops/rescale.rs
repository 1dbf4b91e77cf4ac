//! From one scale to another, where a shared scale would not do.

use super::{DeviceOpKind, OpExample, encode_lut, rescale};
use crate::device::{Constants, DeviceOp, Encoded, ExportError, NodeContext, Quantization, Rows};
use samara_runtime::ops::reshape::RESHAPE;

/// The same real numbers, with another scale.
#[derive(Debug, Clone, Copy)]
pub struct Rescale;

impl DeviceOp for Rescale {
    fn rows(&self, context: &NodeContext<'_>) -> Rows {
        context.each_row(1)
    }

    fn encode_f32(&self, _: &NodeContext<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&RESHAPE, &()))
    }

    fn encode_i8(
        &self,
        _: &NodeContext<'_>,
        inputs: &[Quantization],
        output: Quantization,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        if inputs[0] == output {
            return Ok(Encoded::new(&RESHAPE, &()));
        }
        Ok(encode_lut(inputs[0], output, constants, |x| x))
    }

    fn takes_i16(&self) -> bool {
        true
    }

    fn encode_i16(
        &self,
        context: &NodeContext<'_>,
        inputs: &[f32],
        output: f32,
        _: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        if inputs[0] == output { Ok(Encoded::new(&RESHAPE, &())) } else { rescale(context, inputs[0], output) }
    }
}

/// A table in int8, nothing in f32: ops of other kinds.
pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "rescale",
    encodings: &[],
    examples,
    #[cfg(test)]
    golden: &[super::golden::vectors("rescale", 0.15, |case| case.model(Rescale))],
};

fn examples() -> Vec<OpExample> {
    vec![OpExample::new("rescale", Rescale, &[&[5, 1, 1, 2]], &[5, 1, 1, 2])]
}
