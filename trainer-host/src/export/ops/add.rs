//! Sum of two tensors, with a clamp.

use crate::export::{Clamp, Constants, DeviceOp, Encoded, ExportError, Quantization, Site};
use samara_runtime::ops::{
    add::{ADD_F32, ADD_I8, factors},
    linear::ClampF32,
};

/// The sum of two tensors of one shape.
#[derive(Debug, Clone, Copy)]
pub struct Add {
    /// The clamp behind it.
    pub clamp: Clamp,
}

impl DeviceOp for Add {
    fn fuse_clamp(&mut self, clamp: Clamp) -> bool {
        self.clamp = self.clamp.then(clamp);
        true
    }

    fn least_output_scale(&self, inputs: &[Quantization]) -> f32 {
        let [a, b] = [inputs[0].scale, inputs[1].scale];
        (if a > b { a } else { b }) / 32.0
    }

    fn encode_f32(&self, _: &Site<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&ADD_F32, &ClampF32 { minimum: self.clamp.minimum, maximum: self.clamp.maximum }))
    }

    fn encode_i8(
        &self,
        site: &Site<'_>,
        inputs: &[Quantization],
        output: Quantization,
        _: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let pair = |quantization: Quantization| (quantization.scale, quantization.zero_point);
        let bounds = self.clamp.quantized(output);
        match factors([pair(inputs[0]), pair(inputs[1])], pair(output), bounds) {
            Some(parameters) => Ok(Encoded::new(&ADD_I8, &parameters)),
            None => Err(site.error(format!(
                "the sum's scale {} is more than 32 times below an input's ({}, {})",
                output.scale, inputs[0].scale, inputs[1].scale
            ))),
        }
    }
}
