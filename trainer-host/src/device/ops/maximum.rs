//! The larger of two tensors, element by element.

use crate::device::{Constants, DeviceOp, Encoded, ExportError, Quantization, Site, Tie};
use samara_runtime::ops::maximum::{MAXIMUM_F32, MAXIMUM_I8};

/// The larger of two tensors of one shape.
#[derive(Debug, Clone, Copy)]
pub struct Maximum;

impl DeviceOp for Maximum {
    fn tie(&self) -> Tie {
        Tie::Shared
    }

    fn encode_f32(&self, _: &Site<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&MAXIMUM_F32, &()))
    }

    fn encode_i8(&self, _: &Site<'_>, _: &[Quantization], _: Quantization, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&MAXIMUM_I8, &()))
    }
}
