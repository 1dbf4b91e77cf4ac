//! Ops on int16 activations with int8 weights (16x8): `real = scale * q`, the zero point being 0.
//!
//! For layers whose activations need more than 8 bits. Files mix them with int8 and f32: [`rescale`] and [`convert`] stand where two meet.
//! How sums are rounded is said in [`quant`](crate::quant). Reshape, pad, concat, slice, upsample and delay move int16 as they
//! move everything.

pub mod add;
pub mod conv2d;
pub mod convert;
pub mod dense;
pub mod depthwise_conv2d;
pub mod linear;
pub mod lut;
pub mod multiply;
pub mod pool;
pub mod rescale;
pub mod scale_shift;
pub mod softmax;
