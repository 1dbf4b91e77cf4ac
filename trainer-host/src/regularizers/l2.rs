//! L2: `penalty = l2 * sum w^2`, gradient `2 * l2 * w`. Keeps weights small (Hoerl and Kennard 1970).

use serde::{Deserialize, Serialize};

use super::{Regularizer, check_factor};
use crate::numeric::{sum_of, vectorized};

/// A penalty on squares. The gradient passes through the optimizer: for decay beside it see
/// [`AdamW`](crate::optimizers::AdamW).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct L2 {
    l2: f32,
}

impl L2 {
    /// A penalty of `l2` times the sum of squares, from 0 on.
    pub fn new(l2: f32) -> Self {
        Self { l2 }
    }
}

impl Default for L2 {
    /// Keras's factor: 0.01.
    fn default() -> Self {
        Self::new(0.01)
    }
}

impl Regularizer for L2 {
    fn penalty(&self, values: &[f32]) -> f64 {
        let squares = sum_of(
            values,
            #[inline(always)]
            |value| value * value,
        );
        f64::from(self.l2) * squares
    }

    fn add_gradient(&self, values: &[f32], gradient: &mut [f32]) {
        let factor = 2.0 * self.l2;
        vectorized!({
            for (gradient, &value) in gradient.iter_mut().zip(values) {
                *gradient += factor * value;
            }
        });
    }

    fn check(&self) -> Result<(), String> {
        check_factor("l2", self.l2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let (values, mut gradient) = ([-2.0, 0.0, 0.5], [1.0; 3]);
        assert_eq!(L2::new(0.5).penalty(&values), 2.125);
        L2::new(0.5).add_gradient(&values, &mut gradient);
        assert_eq!(gradient, [-1.0, 1.0, 1.5]);
        assert_eq!(L2::default(), L2::new(0.01));
    }
}
