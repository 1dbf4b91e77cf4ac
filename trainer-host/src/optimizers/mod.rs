//! Optimizers: one file each. They see all trainable parameters as one flat buffer, a piece at a time.

mod adagrad;
mod adam;
mod adamw;
mod clipping;
mod nadam;
mod rmsprop;
mod sgd;

pub use adagrad::AdaGrad;
pub use adam::Adam;
pub use adamw::AdamW;
pub use clipping::{Clipped, Clipping};
pub use nadam::Nadam;
pub use rmsprop::RmsProp;
pub use sgd::Sgd;

use std::fmt;
use std::ops::RangeBounds;

use crate::error::{Error, Result};

/// How parameters follow their gradients.
pub trait Optimizer: fmt::Debug + Send + Sync {
    /// The name, as on the command line: `"adam"`.
    fn name(&self) -> &'static str;

    /// The learning rate where no schedule sets another.
    fn learning_rate(&self) -> f32;

    /// Values of state per parameter: 2 for Adam.
    fn state_per_parameter(&self) -> usize;

    /// Checks the options but the learning rate and the clipping, which all optimizers have.
    ///
    /// # Errors
    /// The first that makes no sense.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// How gradients are clipped before [`Optimizer::update`] sees them.
    fn clipping(&self) -> Option<Clipping> {
        None
    }

    /// Changes a piece of the parameters. The state is zero before the first step.
    fn update(&self, update: &mut Update<'_>);

    /// Clips each value of the gradients to `-limit..=limit` first. The last clipping set counts.
    fn clip_value(self, limit: f32) -> Clipped<Self>
    where
        Self: Sized,
    {
        Clipped { optimizer: self, clipping: Clipping::Value(limit) }
    }

    /// Clips each parameter's gradient to at most this Euclidean norm first. The last clipping set counts.
    fn clip_norm(self, limit: f32) -> Clipped<Self>
    where
        Self: Sized,
    {
        Clipped { optimizer: self, clipping: Clipping::Norm(limit) }
    }

    /// Clips the gradient of all parameters together to at most this Euclidean norm first. The last clipping set counts.
    fn clip_global_norm(self, limit: f32) -> Clipped<Self>
    where
        Self: Sized,
    {
        Clipped { optimizer: self, clipping: Clipping::GlobalNorm(limit) }
    }
}

/// Checks that an option lies within a range, of which `expected` are the words.
pub(crate) fn check_option(name: &'static str, value: f32, range: impl RangeBounds<f32>, expected: &str) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Error::Argument { name, found: value.to_string(), expected: expected.to_owned() })
}

fn check_not_negative(name: &'static str, value: f32) -> Result<()> {
    check_option(name, value, 0.0..=f32::MAX, "0 or a positive number")
}

/// The check of the optimizers that are kinds of Adam.
fn check_betas(beta_1: f32, beta_2: f32, epsilon: f32) -> Result<()> {
    check_option("beta_1", beta_1, 0.0..1.0, "at least 0 and below 1")?;
    check_option("beta_2", beta_2, 0.0..1.0, "at least 0 and below 1")?;
    check_epsilon(epsilon)
}

/// Without it, a gradient of zero would give 0 / 0.
fn check_epsilon(epsilon: f32) -> Result<()> {
    check_option("epsilon", epsilon, f32::MIN_POSITIVE..=f32::MAX, "a positive number")
}

/// A piece of all trainable parameters.
#[derive(Debug)]
pub struct Update<'a> {
    /// The step, from 1.
    pub step: u64,
    /// The learning rate of this step.
    pub learning_rate: f32,
    /// The parameters.
    pub parameters: &'a mut [f32],
    /// Their gradients.
    pub gradients: &'a [f32],
    /// Their state: all first values, then all second values.
    pub state: &'a mut [f32],
}

#[cfg(test)]
pub(crate) fn two_steps(optimizer: &dyn Optimizer) -> [f32; 2] {
    // One parameter at 1, gradient 0.5 in the first step and -0.25 in the second.
    let (mut parameters, mut state) = ([1.0], vec![0.0; optimizer.state_per_parameter()]);
    let mut values = [0.0; 2];
    for (step, gradient) in [(1, 0.5), (2, -0.25)] {
        optimizer.update(&mut Update {
            step,
            learning_rate: optimizer.learning_rate(),
            parameters: &mut parameters,
            gradients: &[gradient],
            state: &mut state,
        });
        values[step as usize - 1] = parameters[0];
    }
    values
}

/// Compares three steps of four parameters with those of Keras 3.15.
#[cfg(test)]
pub(crate) fn check_steps(optimizer: &dyn Optimizer, expected: [[f32; 4]; 3]) {
    let mut parameters = [1.0, 2.0, -1.0, 0.5];
    let mut state = vec![0.0; 4 * optimizer.state_per_parameter()];
    let gradients = [[0.5, -1.0, 0.25, 4.0], [0.5, 1.0, -0.125, -2.0], [-1.0, 0.5, 0.75, 1.0]];
    for ((step, gradients), expected) in (1..).zip(&gradients).zip(&expected) {
        let learning_rate = optimizer.learning_rate();
        optimizer.update(&mut Update { step, learning_rate, parameters: &mut parameters, gradients, state: &mut state });
        for (found, wanted) in parameters.iter().zip(expected) {
            assert!((found - wanted).abs() < 2e-6, "step {step}: {parameters:?}, expected {expected:?}");
        }
    }
}
