//! Half a cosine from the full rate down (Loshchilov and Hutter 2016), after an optional linear warm-up.

use super::{Schedule, along_cosine};

/// From the optimizer's learning rate down to a fraction of it, along half a cosine.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cosine {
    warm_up_steps: usize,
    final_factor: f32,
}

impl Cosine {
    /// Down to zero, without a warm-up.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rises linearly to the full rate over the first steps.
    pub fn warm_up_steps(self, warm_up_steps: usize) -> Self {
        Self { warm_up_steps, ..self }
    }

    /// Ends at this fraction of the rate.
    pub fn final_factor(self, final_factor: f32) -> Self {
        Self { final_factor, ..self }
    }
}

impl Schedule for Cosine {
    fn factor(&self, step: usize, steps: usize) -> f32 {
        if step < self.warm_up_steps {
            return (step + 1) as f32 / self.warm_up_steps as f32;
        }
        let rest = steps.saturating_sub(self.warm_up_steps);
        let progress = if rest == 0 { 1.0 } else { (step - self.warm_up_steps) as f64 / rest as f64 };
        along_cosine(1.0, f64::from(self.final_factor), if progress > 1.0 { 1.0 } else { progress }) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_along_the_way() {
        let schedule = Cosine::new().final_factor(0.1);
        assert_eq!(schedule.factor(0, 100), 1.0);
        assert!((schedule.factor(50, 100) - 0.55).abs() < 1e-6);
        assert!((schedule.factor(100, 100) - 0.1).abs() < 1e-6);
        let schedule = Cosine::new().warm_up_steps(10);
        assert!((schedule.factor(4, 110) - 0.5).abs() < 1e-6);
        assert_eq!(schedule.factor(10, 110), 1.0);
        assert!((schedule.factor(60, 110) - 0.5).abs() < 1e-6);
    }
}
