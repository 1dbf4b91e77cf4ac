//! The host's twins of the runtime's ops, one file each.

mod activation;
mod add;
mod concat;
mod linear;
mod maximum;
mod moves;
mod multiply;
mod pool;
mod prelu;
mod rescale;
mod scale_shift;
mod softmax;
mod upsample;

pub use activation::Activation;
pub use add::Add;
pub use concat::Concat;
pub use linear::{Kind, Linear};
pub use maximum::Maximum;
pub use moves::{Pad, Reshape};
pub use multiply::Multiply;
pub use pool::{Pool, PoolKind};
pub use prelu::Prelu;
pub use rescale::Rescale;
pub use scale_shift::ScaleShift;
pub use softmax::Softmax;
pub use upsample::Upsample;

use super::{Constants, Encoded, Quantization};
use samara_runtime::{
    ops::{lut, window::Window},
    quant,
};

/// The window of a pointwise convolution.
pub const POINTWISE: Window = Window { kernel: [1; 2], stride: [1; 2], dilation: [1; 2], padding: [0; 2] };

/// A window that covers an image.
///
/// # Errors
/// If the image is larger than windows can be.
pub fn whole_image(height: usize, width: usize) -> Result<Window, String> {
    match (u16::try_from(height), u16::try_from(width)) {
        (Ok(height), Ok(width)) if height <= 4096 && width <= 4096 => Ok(Window { kernel: [height, width], ..POINTWISE }),
        _ => Err(format!("on the device, a pool is at most 4096x4096, not {height}x{width}")),
    }
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
