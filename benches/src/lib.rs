//! Models and data for the criterion benches, `cargo bench -p samara-benches`, and for the comparison with other frameworks.

pub mod training;

use samara_trainer::{
    device::{
        DeviceGraph, DeviceOp, ExportError, Quantization,
        encode::{Numbers, encode, to_checked_bytes},
        ops::{Kind, Linear},
        run::DeviceModel,
    },
    graph::Shape,
};

/// Weights that differ from each other: `fan_in` per channel, between -1 and 1.
pub fn linear(kind: Kind, channels: usize, fan_in: usize) -> Linear {
    let weight = |channel: usize, k: usize| ((channel * 31 + k * 17) % 255) as f32 / 127.0 - 1.0;
    let rows = (0..channels).map(|channel| (0..fan_in).map(|k| weight(channel, k)).collect()).collect();
    Linear::new(kind, rows, vec![0.25; channels])
}

/// A model file of one op, in int8 if `int8`, else in f32.
///
/// # Errors
/// If the op does not fit the shapes.
pub fn one_op(op: impl DeviceOp + 'static, inputs: &[Shape], output: Shape, int8: bool) -> Result<DeviceModel, ExportError> {
    let graph = DeviceGraph::single("bench", op, inputs, output);
    let quantizations = vec![Quantization { scale: 1.0 / 16.0, zero_point: 3 }; graph.values.len()];
    let numbers = if int8 { Numbers::I8 { quantizations: &quantizations, float_ports: false } } else { Numbers::F32 };
    Ok(DeviceModel::new(&to_checked_bytes(&encode(&graph, numbers)?)?)?)
}
