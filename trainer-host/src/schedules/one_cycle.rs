//! One cycle (Smith 2018): up from a small rate to the full one, then down to almost nothing, both along half a cosine.

use super::{Schedule, along_cosine};
use crate::error::Result;
use crate::optimizers::check_option;

/// Up from a fraction of the learning rate to all of it, then down to a far smaller one; with [`OneCycle::momenta`], the momentum
/// goes the other way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OneCycle {
    rising_share: f32,
    initial_factor: f32,
    final_factor: f32,
    /// Where the rate is small, and where it is large.
    momentum: Option<(f32, f32)>,
}

impl OneCycle {
    /// The first 30 % of the steps rise from 1/25 of the rate; the end is at 1/250,000 of it.
    pub fn new() -> Self {
        Self { rising_share: 0.3, initial_factor: 1.0 / 25.0, final_factor: 4e-6, momentum: None }
    }

    /// Sets the share of the steps that rise, between 0 and 1.
    pub fn rising_share(self, rising_share: f32) -> Self {
        Self { rising_share, ..self }
    }

    /// Sets the fractions of the rate at the beginning and at the end.
    pub fn factors(self, initial_factor: f32, final_factor: f32) -> Self {
        Self { initial_factor, final_factor, ..self }
    }

    /// Sets the optimizer's momentum, too (`beta_1` of the kinds of Adam): from `high`, where the rate is small, to `low`, where it is
    /// large, and back, along half a cosine; such as 0.95 and 0.85.
    pub fn momenta(self, high: f32, low: f32) -> Self {
        Self { momentum: Some((high, low)), ..self }
    }

    /// The value of this step on the way from `start` to `peak` and from there to `end`.
    fn along(&self, step: usize, steps: usize, [start, peak, end]: [f32; 3]) -> f32 {
        let progress = step as f64 / if steps > 1 { steps as f64 - 1.0 } else { 1.0 };
        let [start, top, end, turn] = [start, peak, end, self.rising_share].map(f64::from);
        let value = if progress < turn {
            along_cosine(start, top, progress / turn)
        } else {
            let falling = if turn < 1.0 { (progress - turn) / (1.0 - turn) } else { 0.0 };
            along_cosine(top, end, if falling > 1.0 { 1.0 } else { falling })
        };
        value as f32
    }
}

impl Default for OneCycle {
    fn default() -> Self {
        Self::new()
    }
}

impl Schedule for OneCycle {
    fn factor(&self, step: usize, steps: usize) -> f32 {
        self.along(step, steps, [self.initial_factor, 1.0, self.final_factor])
    }

    fn momentum(&self, step: usize, steps: usize) -> Option<f32> {
        self.momentum.map(|(high, low)| self.along(step, steps, [high, low, high]))
    }

    fn check(&self) -> Result<()> {
        check_option("the rising share of a schedule", self.rising_share, 0.0..=1.0, "from 0 to 1")?;
        let (high, low) = self.momentum.unwrap_or((0.0, 0.0));
        [high, low].into_iter().try_for_each(|value| check_option("momentum", value, 0.0..1.0, "at least 0 and below 1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_along_the_way() {
        let schedule = OneCycle::new();
        assert!((schedule.factor(0, 101) - 0.04).abs() < 1e-6);
        assert!((schedule.factor(30, 101) - 1.0).abs() < 1e-6);
        assert!((schedule.factor(65, 101) - 0.5).abs() < 1e-4);
        assert!(schedule.factor(100, 101) < 1e-5);
        assert!(schedule.factor(15, 101) > 0.5 && schedule.factor(15, 101) < 0.54);
    }

    #[test]
    fn momentum_goes_the_other_way() {
        let schedule = OneCycle::new().momenta(0.95, 0.85);
        let found = [0, 15, 30, 65, 100].map(|step| schedule.momentum(step, 101).unwrap());
        let expected = [0.95, 0.9, 0.85, 0.9, 0.95];
        assert!(found.iter().zip(expected).all(|(found, wanted)| (found - wanted).abs() < 1e-4), "{found:?}");
        assert_eq!(OneCycle::new().momentum(0, 101), None);
        assert!(OneCycle::new().momenta(1.0, 0.5).check().is_err());
    }
}
