//! Post-training quantization: int8 activations with one scale per tensor, int8 weights with one per output channel.
//!
//! [`quantize`] runs the f32 graph on given samples with the device's own kernels, evens out the channels of tensors
//! ([`equalize()`]), takes each tensor's range, and gives every tensor a scale and a zero point. Tensors that a concatenation, pool, reshape or pad ties together share one.

mod calibrate;
mod equalize;
mod scales;

pub use calibrate::{Calibration, Observer, Range};
pub use equalize::equalize;
pub use scales::{assign, part_fixed_inputs};

use crate::device::{
    DeviceGraph, ExportError,
    encode::{Numbers, encode},
};
use samara_runtime::format::writer::ModelFile;

/// Options of [`quantize`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Options {
    /// How ranges are taken.
    pub calibration: Calibration,
    /// `true` if inputs and outputs of the file are to be f32, converted on the device.
    pub float_ports: bool,
}

/// Quantizes a simplified graph.
///
/// `inputs` are the calibration samples: for each input of the model, the values of all samples one after the other.
///
/// # Errors
/// If the samples do not fit the model's inputs or are not finite, or an op cannot be quantized.
pub fn quantize(graph: &mut DeviceGraph, inputs: &[&[f32]], options: Options) -> Result<ModelFile, ExportError> {
    part_fixed_inputs(graph);
    let magnitudes = Observer::new(graph, inputs)?.channel_magnitudes()?;
    equalize(graph, &magnitudes);
    let ranges = Observer::new(graph, inputs)?.ranges(options.calibration)?;
    let quantizations = assign(graph, &ranges);
    encode(graph, Numbers::I8 { quantizations: &quantizations, float_ports: options.float_ports })
}
