//! Piecewise constant: a factor up to each boundary, and another one behind the last.

use super::Schedule;
use crate::error::{Error, Result};
use crate::optimizers::check_option;

/// One factor of the learning rate after another, as Keras's `PiecewiseConstantDecay`.
#[derive(Debug, Clone, PartialEq)]
pub struct PiecewiseConstant {
    /// The last step with each factor, and the factor.
    pieces: Vec<(usize, f32)>,
    last: f32,
}

impl PiecewiseConstant {
    /// For each piece its last step, counted from 0, and its factor; and the factor of all steps behind.
    ///
    /// ```
    /// use samara_trainer::prelude::*;
    ///
    /// let schedule = PiecewiseConstant::new([(999, 1.0), (1999, 0.5)], 0.1);
    /// assert_eq!([0, 999, 1000, 2000].map(|step| schedule.factor(step, 5000)), [1.0, 1.0, 0.5, 0.1]);
    /// ```
    pub fn new(pieces: impl Into<Vec<(usize, f32)>>, last: f32) -> Self {
        Self { pieces: pieces.into(), last }
    }
}

impl Schedule for PiecewiseConstant {
    fn factor(&self, step: usize, _steps: usize) -> f32 {
        self.pieces.iter().find(|(end, _)| step <= *end).map_or(self.last, |&(_, factor)| factor)
    }

    fn check(&self) -> Result<()> {
        if let Some(pair) = self.pieces.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            let (found, expected) = (format!("{} behind {}", pair[1].0, pair[0].0), "larger than the one before".to_owned());
            return Err(Error::Argument { name: "the last step of a piece", found, expected });
        }
        let factors = self.pieces.iter().map(|(_, factor)| *factor).chain([self.last]);
        factors
            .into_iter()
            .try_for_each(|factor| check_option("the factor of a piece", factor, 0.0..=f32::MAX, "0 or a positive number"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::check_values;
    use super::*;

    /// Keras 3.15's `PiecewiseConstantDecay([3, 5], [1.0, 0.5, 0.1])`.
    #[test]
    fn as_in_keras() {
        let schedule = PiecewiseConstant::new([(3, 1.0), (5, 0.5)], 0.1);
        check_values(&schedule, &[0, 1, 2, 3, 4, 5, 6, 7], &[1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.1, 0.1]);
        let message = PiecewiseConstant::new([(5, 1.0), (5, 0.5)], 0.1).check().unwrap_err().to_string();
        assert_eq!(message, "the last step of a piece is 5 behind 5, but must be larger than the one before");
        assert!(PiecewiseConstant::new([], f32::NAN).check().is_err());
    }
}
