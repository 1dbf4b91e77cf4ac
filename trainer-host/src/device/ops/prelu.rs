//! Parametric ReLU.

use super::{
    DeviceOpKind, OpExample,
    linear::{multiplier, multiplier_at},
    registry::{encoding, scattered},
};
use crate::device::{Constants, DeviceOp, Encoded, ExportError, NodeContext, Quantization, Rows};
use samara_runtime::ops::prelu::{LARGEST_SHIFT, PRELU_F32, PRELU_I8, ParametersF32, ParametersI8};

/// `x` for `x >= 0`, else `alpha[c] * x`.
#[derive(Debug, Clone)]
pub struct Prelu {
    /// One slope per channel.
    pub alpha: Vec<f32>,
}

impl Prelu {
    /// The largest factor of an input: 1 for what is not negative.
    fn largest_factor(&self) -> f64 {
        self.alpha.iter().fold(1.0, |largest: f64, &alpha| largest.max(f64::from(alpha.abs())))
    }
}

impl DeviceOp for Prelu {
    fn least_output_scale(&self, inputs: &[Quantization]) -> f32 {
        inputs[0].scale * self.largest_factor() as f32 / (1u32 << (LARGEST_SHIFT - 2)) as f32
    }

    fn rows(&self, context: &NodeContext<'_>) -> Rows {
        context.each_row(self.alpha.len())
    }

    fn encode_f32(&self, _: &NodeContext<'_>, constants: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&PRELU_F32, &ParametersF32 { alpha: constants.push_f32(&self.alpha) }))
    }

    fn encode_i8(
        &self,
        context: &NodeContext<'_>,
        inputs: &[Quantization],
        output: Quantization,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let ratio = f64::from(inputs[0].scale) / f64::from(output.scale);
        let at = |factor: f64, shift| Some(multiplier_at(factor.abs(), shift)? * if factor < 0.0 { -1 } else { 1 });
        let encoded = multiplier(ratio * self.largest_factor(), LARGEST_SHIFT).and_then(|(_, shift)| {
            let negative: Option<Vec<i32>> = self.alpha.iter().map(|&alpha| at(ratio * f64::from(alpha), shift)).collect();
            let (positive, negative) = (at(ratio, shift)?, constants.push_i32(negative?));
            Some(Encoded::new(&PRELU_I8, &ParametersI8 { positive, negative, shift: shift as u8 }))
        });
        encoded.ok_or_else(|| context.error(format!("its output's scale {} is too small for its input's", output.scale)))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "prelu",
    encodings: &[
        encoding!(PRELU_I8, ParametersI8, "i32 multiplier, u32 offset of the channels' multipliers (i32), u8 shift"),
        encoding!(PRELU_F32, ParametersF32, "u32 offset of the channels' slopes (f32)"),
    ],
    examples,
    #[cfg(test)]
    golden: &[super::golden::vectors("prelu", 0.01, |case| case.model(Prelu { alpha: case.field("slopes") }))],
};

fn examples() -> Vec<OpExample> {
    vec![
        OpExample::new("prelu", Prelu { alpha: vec![0.25, -0.5, 1.5] }, &[&[4, 3]], &[4, 3]),
        OpExample::new("prelu_odd", Prelu { alpha: scattered(5, 1.0) }, &[&[3, 4, 5]], &[3, 4, 5]),
    ]
}
