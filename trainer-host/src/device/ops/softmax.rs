//! Softmax over the last axis.

use super::{DeviceOpKind, OpExample, registry::encoding};
use crate::device::{Constants, DeviceOp, Encoded, ExportError, NodeContext, OutputQuantization, Quantization, Rows};
use samara_runtime::ops::{
    softmax::{MAXIMUM_CLASSES, Parameters, SOFTMAX_F32, SOFTMAX_I8, table},
    wide::softmax::{SOFTMAX_I16, tables},
};

/// Softmax over the last axis.
#[derive(Debug, Clone, Copy)]
pub struct Softmax;

impl DeviceOp for Softmax {
    fn output_quantization(&self) -> OutputQuantization {
        OutputQuantization::Fixed(Quantization { scale: 1.0 / 256.0, zero_point: -128 })
    }

    fn rows(&self, context: &NodeContext<'_>) -> Rows {
        context.each_row(1)
    }

    fn encode_f32(&self, _: &NodeContext<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&SOFTMAX_F32, &()))
    }

    fn encode_i8(
        &self,
        context: &NodeContext<'_>,
        inputs: &[Quantization],
        _: Quantization,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let classes = context.output.channels();
        if classes > MAXIMUM_CLASSES {
            return Err(context.error(format!("an int8 softmax has at most {MAXIMUM_CLASSES} classes, this one has {classes}")));
        }
        let table = table(inputs[0].scale, classes);
        Ok(Encoded::new(&SOFTMAX_I8, &Parameters { table: constants.push_i32(table.map(|entry| entry as i32)) }))
    }

    fn takes_i16(&self) -> bool {
        true
    }

    fn encode_i16(
        &self,
        _: &NodeContext<'_>,
        inputs: &[f32],
        _: f32,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let table = constants.push_i32(tables(inputs[0]).map(|entry| entry as i32));
        Ok(Encoded::new(&SOFTMAX_I16, &Parameters { table }))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "softmax",
    encodings: &[
        encoding!(SOFTMAX_I8, Parameters, "u32 offset of the table"),
        encoding!(SOFTMAX_F32),
        encoding!(SOFTMAX_I16, Parameters, "u32 offset of the tables"),
    ],
    examples,
    #[cfg(test)]
    golden: &[super::golden::vectors("softmax", 0.01, |case| case.model(Softmax))],
};

fn examples() -> Vec<OpExample> {
    let example = |name, shape: &[usize]| OpExample::new(name, Softmax, &[shape], shape);
    vec![
        example("softmax", &[2, 5]),
        example("softmax_1", &[1]),
        example("softmax_10", &[10]),
        example("softmax_rows", &[4, 3]),
    ]
}
