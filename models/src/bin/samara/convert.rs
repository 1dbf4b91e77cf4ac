//! From a trained model to files for the device.

use anyhow::Result;
use samara_trainer::Model;
use samara_trainer::data::Dataset;
use samara_trainer::device::run::DeviceModel;
use samara_trainer::quantize::{Calibration, Options};

/// The model as f32 file.
///
/// # Errors
/// If a layer has no counterpart on the device.
pub fn to_f32(model: &Model) -> Result<DeviceModel> {
    Ok(DeviceModel::new(&model.export_f32()?)?)
}

/// The model as int8 file, calibrated on the first `samples` samples of `data`.
///
/// # Errors
/// If a layer has no counterpart on the device, or cannot be quantized.
pub fn to_int8(model: &Model, data: &Dataset, samples: usize, calibration: Calibration) -> Result<DeviceModel> {
    let inputs: Vec<_> = data.inputs().iter().map(|tensor| tensor.slice(0..samples)).collect();
    Ok(DeviceModel::new(&model.export_int8(&inputs, Options { calibration, ..Options::default() })?)?)
}
