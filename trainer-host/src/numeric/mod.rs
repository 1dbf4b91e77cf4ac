//! Numbers: the only matrix product, vectorized loops and sums, aligned memory, counter-based random numbers.

mod aligned;
mod matrix;
pub mod random;
mod sum;
mod vector;

pub use aligned::Aligned;
pub use matrix::{Matrix, multiply};
pub use sum::sum_of;
pub use vector::{dispatch, vectorized};
