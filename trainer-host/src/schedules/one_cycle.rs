//! One cycle (Smith 2018): up from a small rate to the full one, then down to almost nothing, both along half a cosine.

use super::{Schedule, along_cosine};

/// Up from a fraction of the optimizer's learning rate to all of it, then down to a far smaller one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OneCycle {
    rising_share: f32,
    initial_factor: f32,
    final_factor: f32,
}

impl OneCycle {
    /// The first 30 % of the steps rise from 1/25 of the rate; the end is at 1/250,000 of it.
    pub fn new() -> Self {
        Self { rising_share: 0.3, initial_factor: 1.0 / 25.0, final_factor: 4e-6 }
    }

    /// Sets the share of the steps that rise, between 0 and 1.
    pub fn rising_share(self, rising_share: f32) -> Self {
        Self { rising_share, ..self }
    }

    /// Sets the fractions of the rate at the beginning and at the end.
    pub fn factors(self, initial_factor: f32, final_factor: f32) -> Self {
        Self { initial_factor, final_factor, ..self }
    }
}

impl Default for OneCycle {
    fn default() -> Self {
        Self::new()
    }
}

impl Schedule for OneCycle {
    fn factor(&self, step: usize, steps: usize) -> f32 {
        let progress = step as f64 / if steps > 1 { steps as f64 - 1.0 } else { 1.0 };
        let peak = f64::from(self.rising_share);
        let factor = if progress < peak {
            along_cosine(f64::from(self.initial_factor), 1.0, progress / peak)
        } else {
            let falling = if peak < 1.0 { (progress - peak) / (1.0 - peak) } else { 0.0 };
            along_cosine(1.0, f64::from(self.final_factor), if falling > 1.0 { 1.0 } else { falling })
        };
        factor as f32
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
}
