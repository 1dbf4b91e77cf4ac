//! Gradient noise (Neelakantan et al. 2015): each gradient gets a normal number with the variance `eta / (1 + t)^gamma` in step `t`, from 0.

use super::{Clipping, Optimizer, Update, check_not_negative};
use crate::error::Result;
use crate::numeric::random::{derive, normal_at};

/// Noise that fades as training goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradientNoise {
    eta: f32,
    gamma: f32,
}

impl GradientNoise {
    pub(super) const fn new(eta: f32) -> Self {
        Self { eta, gamma: 0.55 }
    }

    /// Adds the noise of a step, from 1, to the gradients of weights of which the first has this number among all.
    pub(crate) fn add(&self, step: u64, seed: u64, first: usize, gradients: &mut [f32]) {
        let deviation = (f64::from(self.eta) / (step as f64).powf(f64::from(self.gamma))).sqrt() as f32;
        let key = derive(derive(seed, step), NOISE);
        for (gradient, position) in gradients.iter_mut().zip(first..) {
            *gradient += deviation * normal_at(key, position);
        }
    }
}

/// Tells these random numbers from all others of a seed.
const NOISE: u64 = 0x6772_6164;

/// An optimizer whose gradients get noise: see [`Optimizer::with_gradient_noise`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noisy<O> {
    pub(super) optimizer: O,
    pub(super) noise: GradientNoise,
}

impl<O> Noisy<O> {
    /// Sets how fast the noise fades; 0.55 by default.
    pub fn gamma(mut self, gamma: f32) -> Self {
        self.noise.gamma = gamma;
        self
    }
}

impl<O: Optimizer> Optimizer for Noisy<O> {
    fn name(&self) -> &'static str {
        self.optimizer.name()
    }

    fn learning_rate(&self) -> f32 {
        self.optimizer.learning_rate()
    }

    fn slots(&self) -> &'static [&'static str] {
        self.optimizer.slots()
    }

    fn check(&self) -> Result<()> {
        check_not_negative("eta", self.noise.eta)?;
        check_not_negative("gamma", self.noise.gamma)?;
        self.optimizer.check()
    }

    fn has_momentum(&self) -> bool {
        self.optimizer.has_momentum()
    }

    fn clipping(&self) -> Option<Clipping> {
        self.optimizer.clipping()
    }

    fn gradient_noise(&self) -> Option<GradientNoise> {
        Some(self.noise)
    }

    fn update(&self, update: &mut Update<'_>) {
        self.optimizer.update(update);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_fades_and_belongs_to_a_weight_and_a_step() {
        let noise = GradientNoise::new(0.09);
        let of = |step: u64, seed: u64, first: usize, count: usize| {
            let mut gradients = vec![0.0; count];
            noise.add(step, seed, first, &mut gradients);
            gradients
        };
        let all = of(1, 3, 0, 10_000);
        let variance = |values: &[f32]| values.iter().map(|value| f64::from(value * value)).sum::<f64>() / values.len() as f64;
        // 0.09 in the first step; 0.09 / 100^0.55 = 0.00715 in the hundredth.
        assert!((variance(&all) - 0.09).abs() < 0.004, "{}", variance(&all));
        assert!((variance(&of(100, 3, 0, 10_000)) - 0.007_15).abs() < 3e-4);
        assert_eq!(of(1, 3, 4_000, 10), all[4_000..4_010]);
        assert!(of(1, 4, 0, 10) != all[..10] && of(2, 3, 0, 10) != all[..10]);
    }
}
