//! L1: `penalty = l1 * sum |w|`, gradient `l1 * sign(w)`, with `sign(0) = 0`. Draws weights to zero (Tibshirani 1996).

use serde::{Deserialize, Serialize};

use super::{Regularizer, check_factor};
use crate::numeric::{sum_of, vectorized};

/// A penalty on sizes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct L1 {
    l1: f32,
}

impl L1 {
    /// A penalty of `l1` times the sum of sizes, from 0 on.
    pub fn new(l1: f32) -> Self {
        Self { l1 }
    }
}

impl Default for L1 {
    /// Keras's factor: 0.01.
    fn default() -> Self {
        Self::new(0.01)
    }
}

impl Regularizer for L1 {
    fn penalty(&self, values: &[f32]) -> f64 {
        f64::from(self.l1) * sum_of(values, f64::abs)
    }

    fn add_gradient(&self, values: &[f32], gradient: &mut [f32]) {
        let l1 = self.l1;
        vectorized!({
            for (gradient, &value) in gradient.iter_mut().zip(values) {
                let sign = f32::from(u8::from(value > 0.0)) - f32::from(u8::from(value < 0.0));
                *gradient += l1 * sign;
            }
        });
    }

    fn check(&self) -> Result<(), String> {
        check_factor("l1", self.l1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let (values, mut gradient) = ([-2.0, 0.0, 0.5, -0.0], [1.0; 4]);
        assert_eq!(L1::new(0.5).penalty(&values), 1.25);
        L1::new(0.5).add_gradient(&values, &mut gradient);
        assert_eq!(gradient, [0.5, 1.0, 1.5, 1.0]);
        assert_eq!(L1::default(), L1::new(0.01));
    }
}
