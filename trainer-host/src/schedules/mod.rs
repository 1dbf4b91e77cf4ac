//! Learning-rate schedules: one file each. They count steps; those of Keras have its numbers.

mod cosine;
mod cosine_restarts;
mod exponential_decay;
mod inverse_time_decay;
mod one_cycle;
mod piecewise_constant;
mod polynomial_decay;
mod step_decay;

pub use cosine::Cosine;
pub use cosine_restarts::CosineRestarts;
pub use exponential_decay::ExponentialDecay;
pub use inverse_time_decay::InverseTimeDecay;
pub use one_cycle::OneCycle;
pub use piecewise_constant::PiecewiseConstant;
pub use polynomial_decay::PolynomialDecay;
pub use step_decay::StepDecay;

use std::fmt;

use crate::error::{Error, Result};

/// The learning rate over the steps of a training.
pub trait Schedule: fmt::Debug + Send + Sync {
    /// What to multiply the learning rate with in this step (from 0) of `steps` in all.
    fn factor(&self, step: usize, steps: usize) -> f32;

    /// The momentum of this step, for schedules that change it too. The optimizer must have one.
    fn momentum(&self, step: usize, steps: usize) -> Option<f32> {
        let _ = (step, steps);
        None
    }

    /// Checks the options.
    ///
    /// # Errors
    /// The first that makes no sense.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// From `from` to `to` along half a cosine; `progress` from 0 to 1.
fn along_cosine(from: f64, to: f64, progress: f64) -> f64 {
    to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
}

/// Steps that a schedule divides by.
fn check_steps(name: &'static str, steps: usize) -> Result<()> {
    if steps > 0 {
        return Ok(());
    }
    Err(Error::Argument { name, found: "0".to_owned(), expected: "at least 1".to_owned() })
}

#[cfg(test)]
fn check_values(schedule: &dyn Schedule, steps: &[usize], expected: &[f32]) {
    schedule.check().unwrap();
    let found: Vec<f32> = steps.iter().map(|&step| schedule.factor(step, 100)).collect();
    let is_near = found.iter().zip(expected).all(|(found, wanted)| (found - wanted).abs() < 1e-6);
    assert!(is_near && steps.len() == expected.len(), "{schedule:?}: {found:?}, expected {expected:?}");
}
