//! What fast layers, losses and optimizers are made of: the only matrix product ([`multiply`]), loops compiled for the
//! machine's vectors ([`vectorized!`](vectorized)), sums over rows, random numbers by counter ([`random`]). Beside them, within the crate:
//! aligned memory, sums in f64, exponentials in vectors.
//!
//! A layer of another crate uses the same: `examples/custom_layer.rs`.

mod aligned;
mod functions;
mod matrix;
pub mod random;
mod rows;
mod sum;
mod vector;

pub use crate::vectorized;
pub(crate) use aligned::Aligned;
pub(crate) use functions::{sigmoid, tanh};
pub use matrix::{Matrix, multiply};
pub(crate) use rows::{BLOCK, combine, scale_and_shift};
pub use rows::{add_bias, add_column_sums};
pub(crate) use sum::sum_of;
pub(crate) use vector::dispatch;
#[doc(hidden)]
pub use vector::vectorized;
