//! Some consecutive elements.

use super::{DeviceOpKind, OpExample, registry::encoding};
use crate::device::{Constants, DeviceOp, Encoded, ExportError, NodeContext, OutputQuantization};
use samara_runtime::ops::slice::{Parameters, SLICE};

/// The elements from `start` on, as many as the output has.
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    /// Elements before the first.
    pub start: usize,
}

impl DeviceOp for Slice {
    fn output_quantization(&self) -> OutputQuantization {
        OutputQuantization::Shared
    }

    fn encode_f32(&self, _: &NodeContext<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&SLICE, &Parameters { start: self.start as u32 }))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "slice",
    encodings: &[encoding!(SLICE, Parameters, "u32 elements before the first")],
    examples,
    #[cfg(test)]
    golden: &[],
};

fn examples() -> Vec<OpExample> {
    vec![
        OpExample::new("slice", Slice { start: 6 }, &[&[4, 3]], &[2, 3]),
        OpExample::new("slice_odd", Slice { start: 5 }, &[&[3, 4, 5]], &[13]),
    ]
}
