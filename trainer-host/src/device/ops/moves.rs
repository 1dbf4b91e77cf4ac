//! Ops that move elements without changing them: reshape and pad.

use crate::device::{Constants, DeviceOp, Encoded, ExportError, Quantization, Site, Tie};
use samara_runtime::ops::{pad, reshape};

/// The same elements under another shape.
#[derive(Debug, Clone, Copy)]
pub struct Reshape;

impl DeviceOp for Reshape {
    fn tie(&self) -> Tie {
        Tie::Shared
    }

    fn lets_pass(&self, _: &[f32]) -> bool {
        true
    }

    fn encode_f32(&self, _: &Site<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&reshape::RESHAPE, &()))
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

/// Zeros around an image.
#[derive(Debug, Clone, Copy)]
pub struct Pad {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
}

impl DeviceOp for Pad {
    fn tie(&self) -> Tie {
        Tie::Shared
    }

    fn encode_f32(&self, _: &Site<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&pad::PAD, &pad::Parameters { top: self.top as u32, left: self.left as u32 }))
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
