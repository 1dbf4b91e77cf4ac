//! The host's twins of the runtime's ops, one file each.

mod activation;
mod add;
mod concat;
mod linear;
mod moves;
mod pool;
mod rescale;
mod scale_shift;
mod softmax;

pub use activation::Activation;
pub use add::Add;
pub use concat::Concat;
pub use linear::{Kind, Linear};
pub use moves::{Pad, Reshape};
pub use pool::{Pool, PoolKind};
pub use rescale::Rescale;
pub use scale_shift::ScaleShift;
pub use softmax::Softmax;

use super::{Constants, Encoded, Quantization};
use samara_runtime::{ops::lut, quant};

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
