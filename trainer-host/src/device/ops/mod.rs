//! The host's twins of the runtime's ops, one file each: the op in real numbers, how it is encoded, and what the registry says of it.

mod activation;
mod add;
mod concat;
mod conv2d_add;
mod convert;
mod delay;
mod dot;
mod embedding;
mod forest;
#[cfg(test)]
mod golden;
mod gru;
mod layer_normalization;
mod linear;
mod lstm;
mod maximum;
mod mean;
mod moves;
mod multiply;
mod pool;
mod prelu;
mod recurrent;
mod registry;
mod rescale;
mod scale_shift;
mod simple_rnn;
mod slice;
mod softmax;
mod upsample;
mod weights;
mod wide;

pub use activation::Activation;
pub use add::Add;
pub use concat::{Concat, Gather};
pub use delay::Delay;
pub use dot::Dot;
pub use embedding::Embedding;
pub use forest::Forest;
pub use gru::Gru;
pub use layer_normalization::LayerNormalization;
pub use linear::{Kind, Linear};
pub use lstm::Lstm;
pub use maximum::Maximum;
pub use mean::Mean;
pub use moves::{Pad, Reshape};
pub use multiply::Multiply;
pub use pool::{Pool, PoolKind};
pub use prelu::Prelu;
pub(crate) use recurrent::HIDDEN;
pub use recurrent::{Kernels, Order};
pub use registry::{DeviceOpKind, Encoding, OpExample, Reading};
pub use rescale::Rescale;
pub use scale_shift::ScaleShift;
pub use simple_rnn::SimpleRnn;
pub use slice::Slice;
pub use softmax::Softmax;
pub use upsample::Upsample;
pub use weights::WeightBits;
pub(super) use wide::rescale;

use super::{Constants, DeviceOp, Encoded, ExportError, Quantization, Rows};
use samara_runtime::{
    ops::{lut, window::Window},
    quant,
};

/// Every twin: between them they have every op of the runtime.
pub static ALL_DEVICE_OPS: &[&DeviceOpKind] = &[
    &activation::KIND,
    &add::KIND,
    &concat::KIND,
    &conv2d_add::KIND,
    &convert::KIND,
    &delay::KIND,
    &dot::KIND,
    &embedding::KIND,
    &forest::KIND,
    &gru::KIND,
    &layer_normalization::KIND,
    &linear::KIND,
    &lstm::KIND,
    &maximum::KIND,
    &mean::KIND,
    &moves::KIND,
    &multiply::KIND,
    &pool::KIND,
    &prelu::KIND,
    &rescale::KIND,
    &scale_shift::KIND,
    &simple_rnn::KIND,
    &slice::KIND,
    &softmax::KIND,
    &upsample::KIND,
    &wide::KIND,
];

/// The window of a pointwise convolution.
pub const POINTWISE: Window = Window { kernel: [1; 2], stride: [1; 2], dilation: [1; 2], padding: [0; 2] };

/// A window from pairs of `[vertical, horizontal]`.
pub const fn window(kernel: [u16; 2], stride: [u16; 2], dilation: [u16; 2], padding: [u16; 2]) -> Window {
    Window { kernel, stride, dilation, padding }
}

/// How a window slides along rows.
fn window_rows(window: &Window) -> Rows {
    let [[kernel, _], [stride, _], [dilation, _], [padding, _]] =
        [window.kernel, window.stride, window.dilation, window.padding].map(|pair| pair.map(usize::from));
    Rows::Windows { extent: (kernel - 1) * dilation + 1, stride, padding }
}

/// A 3x3 window with a padding of one.
const fn window_3x3(stride: u16) -> Window {
    window([3; 2], [stride; 2], [1; 2], [1; 2])
}

/// A table for `function` between two int8 tensors.
fn encode_lut(input: Quantization, output: Quantization, constants: &mut Constants, function: impl Fn(f64) -> f64) -> Encoded {
    let table: Vec<i8> = (-128..=127i32)
        .map(|q| {
            let real = f64::from(input.scale) * f64::from(q - i32::from(input.zero_point));
            quant::quantize(function(real) as f32, output.scale, output.zero_point)
        })
        .collect();
    Encoded::new(&lut::LUT_I8, &lut::Parameters { table: constants.push_i8(&table) })
}
