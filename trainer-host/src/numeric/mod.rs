//! Numbers: the only matrix product, vectorized loops, aligned memory, counter-based random numbers.

mod aligned;
mod matrix;
pub mod random;
mod vector;

pub use aligned::Aligned;
pub use matrix::{Matrix, multiply};
pub use vector::{dispatch, vectorized};
