//! Nearest-neighbour enlargement.

use crate::device::{Constants, DeviceOp, Encoded, ExportError, Quantization, Site, Tie};
use samara_runtime::ops::upsample::{Parameters, UPSAMPLE};

/// Each pixel repeated `[vertical, horizontal]` times.
#[derive(Debug, Clone, Copy)]
pub struct Upsample(pub [usize; 2]);

impl DeviceOp for Upsample {
    fn tie(&self) -> Tie {
        Tie::Shared
    }

    fn lets_pass(&self, _: &[f32]) -> bool {
        true
    }

    fn encode_f32(&self, _: &Site<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        let [vertical, horizontal] = self.0.map(|factor| factor as u32);
        Ok(Encoded::new(&UPSAMPLE, &Parameters { vertical, horizontal }))
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
