//! Ops that move elements without changing them: reshape and pad.

use super::{DeviceOpKind, OpExample, registry::encoding};
use crate::device::{Constants, DeviceOp, Encoded, ExportError, NodeContext, OutputQuantization, Rows};
use samara_runtime::ops::{
    pad::{self, PAD},
    reshape::RESHAPE,
};

/// The same elements under another shape.
#[derive(Debug, Clone, Copy)]
pub struct Reshape;

impl DeviceOp for Reshape {
    fn is_reshape(&self) -> bool {
        true
    }

    fn output_quantization(&self) -> OutputQuantization {
        OutputQuantization::Shared
    }

    fn lets_pass(&self, _: &NodeContext<'_>, _: &[f32]) -> bool {
        true
    }

    fn rows(&self, context: &NodeContext<'_>) -> Rows {
        context.each_row(1)
    }

    fn takes_i16(&self) -> bool {
        true
    }

    fn encode_f32(&self, _: &NodeContext<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&RESHAPE, &()))
    }
}

/// Zeros around an image.
#[derive(Debug, Clone, Copy)]
pub struct Pad {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
}

impl DeviceOp for Pad {
    fn output_quantization(&self) -> OutputQuantization {
        OutputQuantization::Shared
    }

    fn takes_i16(&self) -> bool {
        true
    }

    fn encode_f32(&self, _: &NodeContext<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&PAD, &pad::Parameters { top: self.top as u32, left: self.left as u32 }))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "moves",
    encodings: &[encoding!(RESHAPE), encoding!(PAD, pad::Parameters, "u32 rows above, u32 columns to the left")],
    examples,
    #[cfg(test)]
    golden: &[
        super::golden::vectors("reshape", 0.0, |case| case.model(Reshape)),
        super::golden::vectors("pad", 0.0, |case| {
            let [top, left] = case.field("padding");
            case.model(Pad { top, left })
        }),
    ],
};

fn examples() -> Vec<OpExample> {
    vec![
        OpExample::new("reshape", Reshape, &[&[2, 3, 2]], &[12]),
        OpExample::new("reshape_odd", Reshape, &[&[3, 4, 5]], &[5, 12]),
        OpExample::new("pad", Pad { top: 1, left: 2 }, &[&[2, 3, 2]], &[4, 5, 2]),
        OpExample::new("pad_odd", Pad { top: 1, left: 2 }, &[&[3, 4, 5]], &[6, 7, 5]),
    ]
}
