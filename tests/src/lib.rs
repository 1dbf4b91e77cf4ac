//! What the whole-stack tests share: models of one op, hostile files, naive references, and the golden vectors.

pub mod golden;
pub mod hostile;
pub mod naive;
pub mod random;
pub mod single;
pub mod small;

use rand::{SeedableRng, rngs::StdRng};

/// A generator that gives the same numbers in every run; each test has a seed of its own.
pub fn generator(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}
