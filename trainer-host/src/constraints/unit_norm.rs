//! Norms of 1: `w /= |w|`.

use serde::{Deserialize, Serialize};

use super::{Constraint, scale_vectors};
use crate::graph::Shape;

/// Keeps the Euclidean norm of what goes into each unit at 1, as Keras's `UnitNorm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnitNorm;

/// Keras's guard against division by zero.
const EPSILON: f64 = 1e-7;

impl Constraint for UnitNorm {
    fn apply(&self, shape: &Shape, values: &mut [f32]) {
        scale_vectors(shape, values, |norm| 1.0 / (norm + EPSILON));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{WEIGHTS, check};
    use super::*;

    /// Keras 3.15's `UnitNorm(axis=0)`.
    #[test]
    fn as_in_keras() {
        let expected = [0.447_213_6, -0.970_142_54, 0.447_213_38, 0.894_427_2, 0.242_535_64, -0.894_426_76];
        check(&UnitNorm, &[2, 3], &WEIGHTS, &expected);
        check(&UnitNorm, &[1, 1], &[0.0], &[0.0]);
    }
}
