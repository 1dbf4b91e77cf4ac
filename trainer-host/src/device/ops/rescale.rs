//! From one scale to another, where a shared scale would not do.

use super::encode_lut;
use crate::device::{Constants, DeviceOp, Encoded, ExportError, Quantization, Site};
use samara_runtime::ops::reshape::RESHAPE;

/// The same real numbers, in int8 with another scale.
#[derive(Debug, Clone, Copy)]
pub struct Rescale;

impl DeviceOp for Rescale {
    fn encode_f32(&self, _: &Site<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&RESHAPE, &()))
    }

    fn encode_i8(
        &self,
        _: &Site<'_>,
        inputs: &[Quantization],
        output: Quantization,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        Ok(encode_lut(inputs[0], output, constants, |x| x))
    }
}
