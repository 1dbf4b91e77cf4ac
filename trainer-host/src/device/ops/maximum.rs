//! The larger of two tensors, element by element.

use super::{DeviceOpKind, OpExample, registry::encoding};
use crate::device::{Constants, DeviceOp, Encoded, ExportError, NodeContext, OutputQuantization, Quantization, Rows};
use samara_runtime::ops::maximum::{MAXIMUM_F32, MAXIMUM_I8};

/// The larger of two tensors of one shape.
#[derive(Debug, Clone, Copy)]
pub struct Maximum;

impl DeviceOp for Maximum {
    fn output_quantization(&self) -> OutputQuantization {
        OutputQuantization::Shared
    }

    fn rows(&self, context: &NodeContext<'_>) -> Rows {
        context.each_row(1)
    }

    fn encode_f32(&self, _: &NodeContext<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&MAXIMUM_F32, &()))
    }

    fn encode_i8(
        &self,
        _: &NodeContext<'_>,
        _: &[Quantization],
        _: Quantization,
        _: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&MAXIMUM_I8, &()))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "maximum",
    encodings: &[encoding!(MAXIMUM_I8), encoding!(MAXIMUM_F32)],
    examples,
    #[cfg(test)]
    golden: &[super::golden::vectors("maximum", 0.0, |case| case.model(Maximum))],
};

fn examples() -> Vec<OpExample> {
    let example = |name, shape: &[usize]| OpExample::new(name, Maximum, &[shape, shape], shape);
    vec![example("maximum", &[7]), example("maximum_odd", &[3, 4, 5])]
}
