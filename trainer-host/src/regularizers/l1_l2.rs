//! L1 and L2 together: `penalty = l1 * sum |w| + l2 * sum w^2`, gradient `l1 * sign(w) + 2 * l2 * w`, with `sign(0) = 0`
//! (the elastic net, Zou and Hastie 2005).

use serde::{Deserialize, Serialize};

use super::{L1, L2, Regularizer};

/// A penalty on sizes and squares.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct L1L2 {
    l1: L1,
    l2: L2,
}

impl L1L2 {
    /// A penalty of `l1` times the sum of sizes and `l2` times the sum of squares, both from 0 on.
    pub fn new(l1: f32, l2: f32) -> Self {
        Self { l1: L1::new(l1), l2: L2::new(l2) }
    }
}

impl Regularizer for L1L2 {
    fn penalty(&self, values: &[f32]) -> f64 {
        self.l1.penalty(values) + self.l2.penalty(values)
    }

    fn add_gradient(&self, values: &[f32], gradient: &mut [f32]) {
        self.l1.add_gradient(values, gradient);
        self.l2.add_gradient(values, gradient);
    }

    fn check(&self) -> Result<(), String> {
        self.l1.check().and_then(|()| self.l2.check())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let (values, mut gradient) = ([-2.0, 0.0, 0.5], [1.0; 3]);
        assert_eq!(L1L2::new(2.0, 0.5).penalty(&values), 7.125);
        L1L2::new(2.0, 0.5).add_gradient(&values, &mut gradient);
        assert_eq!(gradient, [-3.0, 1.0, 3.5]);
    }
}
