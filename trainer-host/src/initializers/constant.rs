//! One value for all.

use serde::{Deserialize, Serialize};

use super::Initializer;
use crate::numeric::random::Random;

/// Every value the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Constant {
    value: f32,
}

impl Constant {
    /// Initializes with `value`.
    pub fn new(value: f32) -> Self {
        Self { value }
    }
}

impl Initializer for Constant {
    fn fill(&self, _shape: &[usize], _random: &mut Random, values: &mut [f32]) {
        values.fill(self.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills() {
        let mut values = [1.0; 3];
        Constant::new(-0.5).fill(&[3], &mut Random::new(0, 0), &mut values);
        assert_eq!(values, [-0.5; 3]);
    }
}
