//! What the whole-stack tests share: models of one op, and the golden vectors.

pub mod golden;
pub mod single;

use rand::{SeedableRng, rngs::StdRng};

/// A generator that gives the same numbers in every run; each test has a seed of its own.
pub fn generator(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}
