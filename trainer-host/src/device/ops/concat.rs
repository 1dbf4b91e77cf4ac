//! Concatenation.

use super::{DeviceOpKind, OpExample, registry::encoding};
use crate::device::{Constants, DeviceOp, Encoded, ExportError, NodeContext, OutputQuantization, Rows, Steps};
use samara_runtime::ops::concat::{CONCAT, Parameters};

/// Concatenation along an axis (0 is the outermost; the batch does not count).
#[derive(Debug, Clone, Copy)]
pub struct Concat {
    /// The axis.
    pub axis: usize,
}

/// All steps of a sequence below each other, each computed for itself: as many as the sequence has whose steps they come from.
#[derive(Debug, Clone, Copy)]
pub struct Gather;

impl DeviceOp for Gather {
    fn output_quantization(&self) -> OutputQuantization {
        OutputQuantization::Shared
    }

    fn takes_i16(&self) -> bool {
        true
    }

    fn steps(&self) -> Steps {
        Steps::Gathered
    }

    fn encode_f32(&self, context: &NodeContext<'_>, constants: &mut Constants) -> Result<Encoded, ExportError> {
        Concat { axis: 0 }.encode_f32(context, constants)
    }
}

impl DeviceOp for Concat {
    fn output_quantization(&self) -> OutputQuantization {
        OutputQuantization::Shared
    }

    fn rows(&self, context: &NodeContext<'_>) -> Rows {
        if self.axis == 0 { Rows::All } else { context.each_row(1) }
    }

    fn takes_i16(&self) -> bool {
        true
    }

    fn encode_f32(&self, _: &NodeContext<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&CONCAT, &Parameters { axis: self.axis as u8 }))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "concat",
    encodings: &[encoding!(CONCAT, Parameters, "u8 axis")],
    examples,
    #[cfg(test)]
    golden: &[super::golden::vectors("concat", 0.0, |case| case.model(Concat { axis: case.field("axis") }))],
};

fn examples() -> Vec<OpExample> {
    vec![
        OpExample::new("concat", Concat { axis: 1 }, &[&[2, 3], &[2, 1], &[2, 4]], &[2, 8]),
        OpExample::new("concat_channels", Concat { axis: 2 }, &[&[3, 4, 5], &[3, 4, 2], &[3, 4, 5]], &[3, 4, 12]),
        OpExample::new("concat_rows", Concat { axis: 0 }, &[&[3, 4, 2], &[3, 4, 2]], &[6, 4, 2]),
        OpExample::new("concat_fewer_rows", Gather, &[&[1, 3], &[2, 3], &[1, 3]], &[2, 3]),
    ]
}
