//! Learning-rate schedules: one file each.

mod cosine;
mod one_cycle;

pub use cosine::Cosine;
pub use one_cycle::OneCycle;

use std::fmt;

/// The learning rate over the steps of a training.
pub trait Schedule: fmt::Debug + Send + Sync {
    /// What to multiply the optimizer's learning rate with in this step (from 0) of `steps` in all.
    fn factor(&self, step: usize, steps: usize) -> f32;
}

/// From `from` to `to` along half a cosine; `progress` from 0 to 1.
fn along_cosine(from: f64, to: f64, progress: f64) -> f64 {
    to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
}
