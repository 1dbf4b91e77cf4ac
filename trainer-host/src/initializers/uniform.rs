//! Values drawn evenly from a range.

use serde::{Deserialize, Serialize};

use super::Initializer;
use crate::numeric::random::Random;

/// Uniform between two bounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Uniform {
    minimum: f64,
    maximum: f64,
}

impl Uniform {
    /// From `minimum` to `maximum`.
    pub fn new(minimum: f64, maximum: f64) -> Self {
        Self { minimum, maximum }
    }
}

impl Initializer for Uniform {
    fn fill(&self, _shape: &[usize], random: &mut Random, values: &mut [f32]) {
        let width = self.maximum - self.minimum;
        values.iter_mut().for_each(|value| *value = (self.minimum + width * random.uniform()) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fill_the_range() {
        let mut values = [0.0; 1000];
        Uniform::new(-0.05, 0.15).fill(&[1000], &mut Random::new(3, 0), &mut values);
        assert!(values.iter().all(|value| (-0.05..=0.15).contains(value)));
        let mean = values.iter().sum::<f32>() / 1000.0;
        assert!((mean - 0.05).abs() < 0.01, "the mean is {mean}");
        assert!(values.iter().any(|&value| value < -0.04) && values.iter().any(|&value| value > 0.14));
    }
}
