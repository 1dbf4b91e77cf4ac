//! Product of two tensors, with a clamp.

use super::{DeviceOpKind, OpExample, linear::multiplier, registry::encoding, wide};
use crate::device::{Clamp, Constants, DeviceOp, Encoded, ExportError, NodeContext, Quantization, Rows};
use crate::graph::{LengthRule, Shape};
use samara_runtime::ops::{
    linear::ClampF32,
    multiply::{LARGEST_SHIFT, MULTIPLY_F32, MULTIPLY_I8, Parameters},
    wide::multiply::{self as product, MULTIPLY_I16},
};

/// The product of two tensors of one shape, or of a tensor and a vector of its channels.
#[derive(Debug, Clone, Copy)]
pub struct Multiply {
    /// The clamp behind it.
    pub clamp: Clamp,
}

impl DeviceOp for Multiply {
    fn fuse_clamp(&mut self, clamp: Clamp) -> bool {
        self.clamp = self.clamp.then(clamp);
        true
    }

    fn least_output_scale(&self, inputs: &[Quantization]) -> f32 {
        inputs[0].scale * inputs[1].scale / (1u32 << (LARGEST_SHIFT - 2)) as f32
    }

    fn rows(&self, context: &NodeContext<'_>) -> Rows {
        context.each_row(1)
    }

    fn length_rule(&self, context: &NodeContext<'_>) -> Option<LengthRule> {
        // Factors of one row serve all rows.
        let rows = context.output.first();
        let fits = |input: &&Shape| input.len() > 1 && (input.first() == rows || input.first() == Some(&1));
        context.inputs.iter().all(fits).then_some(LengthRule::Kept)
    }

    fn encode_f32(&self, _: &NodeContext<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&MULTIPLY_F32, &ClampF32::from(self.clamp)))
    }

    fn encode_i8(
        &self,
        context: &NodeContext<'_>,
        inputs: &[Quantization],
        output: Quantization,
        _: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let factor = f64::from(inputs[0].scale) * f64::from(inputs[1].scale) / f64::from(output.scale);
        let Some((multiplier, shift)) = multiplier(factor, LARGEST_SHIFT) else {
            return Err(context.error(format!("its output's scale {} is too small for its inputs'", output.scale)));
        };
        let (minimum, maximum) = self.clamp.quantized(output);
        Ok(Encoded::new(&MULTIPLY_I8, &Parameters { multiplier, shift: shift as u8, minimum, maximum }))
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
        let factor = f64::from(inputs[0]) * f64::from(inputs[1]) / f64::from(output);
        let Some((multiplier, shift)) = wide::multiplier(factor, product::LARGEST_SHIFT) else {
            return Err(context.error(format!("its output's scale {output} is too small for its inputs'")));
        };
        let (minimum, maximum) = wide::bounds(self.clamp, output);
        Ok(Encoded::new(&MULTIPLY_I16, &product::Parameters { multiplier, shift: shift as u8, minimum, maximum }))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "multiply",
    encodings: &[
        encoding!(MULTIPLY_I8, Parameters, "i32 multiplier, u8 shift, i8 minimum, i8 maximum"),
        encoding!(MULTIPLY_F32, ClampF32, "clamp"),
        encoding!(MULTIPLY_I16, product::Parameters, "i32 multiplier, u8 shift, i16 minimum, i16 maximum"),
    ],
    examples,
    #[cfg(test)]
    golden: &[
        super::golden::vectors("multiply", 0.02, |case| case.model(Multiply { clamp: case.clamp() })),
        super::golden::vectors("multiply_i16", 0.0, |case| case.model(Multiply { clamp: case.clamp() })),
    ],
};

fn examples() -> Vec<OpExample> {
    let relu6 = Multiply { clamp: Clamp { minimum: 0.0, maximum: 6.0 } };
    let free = Multiply { clamp: Clamp::NONE };
    vec![
        OpExample::new("multiply", relu6, &[&[2, 2, 3], &[2, 2, 3]], &[2, 2, 3]),
        OpExample::new("multiply_vector", relu6, &[&[2, 2, 3], &[1, 1, 3]], &[2, 2, 3]),
        OpExample::new("multiply_odd", free, &[&[3, 4, 5], &[3, 4, 5]], &[3, 4, 5]),
        OpExample::new("multiply_vector_odd", free, &[&[3, 4, 5], &[1, 1, 5]], &[3, 4, 5]),
    ]
}
