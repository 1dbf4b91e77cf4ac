//! Concatenation.

use crate::device::{Constants, DeviceOp, Encoded, ExportError, Quantization, Site, Tie};
use samara_runtime::ops::concat::{CONCAT, Parameters};

/// Concatenation along an axis (0 is the outermost; the batch does not count).
#[derive(Debug, Clone, Copy)]
pub struct Concat {
    /// The axis.
    pub axis: usize,
}

impl DeviceOp for Concat {
    fn tie(&self) -> Tie {
        Tie::Shared
    }

    fn encode_f32(&self, _: &Site<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&CONCAT, &Parameters { axis: self.axis as u8 }))
    }

    fn encode_i8(
        &self,
        site: &Site<'_>,
        _: &[Quantization],
        _: Quantization,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        self.encode_f32(site, constants)
    }
}
