//! No negative weights: `w = max(w, 0)`.

use serde::{Deserialize, Serialize};

use super::Constraint;
use crate::graph::Shape;

/// Keeps weights from becoming negative, as Keras's `NonNeg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NonNegative;

impl Constraint for NonNegative {
    fn apply(&self, _shape: &Shape, values: &mut [f32]) {
        values.iter_mut().filter(|value| **value < 0.0).for_each(|value| *value = 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{WEIGHTS, check};
    use super::*;

    /// Keras 3.15's `NonNeg()`.
    #[test]
    fn as_in_keras() {
        check(&NonNegative, &[2, 3], &WEIGHTS, &[1.0, 0.0, 0.1, 2.0, 0.5, 0.0]);
    }
}
