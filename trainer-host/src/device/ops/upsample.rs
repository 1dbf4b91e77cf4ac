//! Nearest-neighbour enlargement.

use super::{DeviceOpKind, OpExample, registry::encoding};
use crate::device::{Constants, DeviceOp, Encoded, ExportError, NodeContext, OutputQuantization, Rows};
use samara_runtime::ops::upsample::{Parameters, UPSAMPLE};

/// Each pixel repeated `[vertical, horizontal]` times.
#[derive(Debug, Clone, Copy)]
pub struct Upsample(pub [usize; 2]);

impl DeviceOp for Upsample {
    fn output_quantization(&self) -> OutputQuantization {
        OutputQuantization::Shared
    }

    /// A pixel's channels move together.
    fn lets_pass(&self, context: &NodeContext<'_>, scale: &[f32]) -> bool {
        context.inputs[0].channels().is_multiple_of(scale.len())
    }

    fn rows(&self, context: &NodeContext<'_>) -> Rows {
        context.each_row(1)
    }

    fn takes_i16(&self) -> bool {
        true
    }

    fn encode_f32(&self, _: &NodeContext<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        let [vertical, horizontal] = self.0.map(|factor| factor as u32);
        Ok(Encoded::new(&UPSAMPLE, &Parameters { vertical, horizontal }))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "upsample",
    encodings: &[encoding!(UPSAMPLE, Parameters, "u32 vertical, u32 horizontal")],
    examples,
    #[cfg(test)]
    golden: &[super::golden::vectors("upsample", 0.0, |case| case.model(Upsample(case.field("factors"))))],
};

fn examples() -> Vec<OpExample> {
    vec![
        OpExample::new("upsample", Upsample([2, 3]), &[&[2, 2, 3]], &[4, 6, 3]),
        OpExample::new("upsample_odd", Upsample([2, 3]), &[&[3, 4, 5]], &[6, 12, 5]),
    ]
}
