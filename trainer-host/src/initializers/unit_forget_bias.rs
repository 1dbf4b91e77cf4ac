//! Biases of an LSTM that remembers at first (Jozefowicz et al. 2015).

use serde::{Deserialize, Serialize};

use super::Initializer;
use crate::numeric::random::Random;

/// Zeros, but ones for the second quarter: of the biases `[4 units]` of an LSTM, the forget gate's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitForgetBias;

impl Initializer for UnitForgetBias {
    fn fill(&self, _shape: &[usize], _random: &mut Random, values: &mut [f32]) {
        let units = values.len() / 4;
        values.fill(0.0);
        values[units..2 * units].fill(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_quarter_is_one() {
        let mut values = [9.0; 8];
        UnitForgetBias.fill(&[8], &mut Random::new(0, 0), &mut values);
        assert_eq!(values, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
