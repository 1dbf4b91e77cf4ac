//! Optimizers: one file each. They see all weights as one flat buffer, a piece at a time; what they keep of each weight
//! lies in slots, flat buffers like that of the weights.

mod adagrad;
mod adam;
mod adamax;
mod adamw;
mod clipping;
mod decay;
mod lion;
mod moments;
mod nadam;
mod noise;
mod rmsprop;
mod sgd;

pub use adagrad::AdaGrad;
pub use adam::Adam;
pub use adamax::AdaMax;
pub use adamw::AdamW;
pub use clipping::{Clipped, Clipping};
pub use decay::Decayed;
pub use lion::Lion;
pub use nadam::Nadam;
pub use noise::{GradientNoise, Noisy};
pub use rmsprop::RmsProp;
pub use sgd::Sgd;

use std::fmt;
use std::ops::RangeBounds;

use crate::error::{Error, Result};

/// Most slots of an optimizer.
pub const MOST_SLOTS: usize = 8;

/// How parameters follow their gradients.
pub trait Optimizer: fmt::Debug + Send + Sync {
    /// The name, as on the command line: `"adam"`.
    fn name(&self) -> &'static str;

    /// The learning rate where no schedule sets another.
    fn learning_rate(&self) -> f32;

    /// What it keeps from step to step, a value for each weight: `["m", "v"]` for Adam; at most [`MOST_SLOTS`]. The state
    /// of a training is saved under these names: `adam/m/dense/kernel`.
    fn slots(&self) -> &'static [&'static str] {
        &[]
    }

    /// Checks the options but the learning rate and the clipping, which all optimizers have.
    ///
    /// # Errors
    /// The first that makes no sense.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// `true` if it has a momentum that a schedule may change from step to step ([`Update::momentum`]).
    fn has_momentum(&self) -> bool {
        false
    }

    /// How gradients are clipped before [`Optimizer::update`] sees them.
    fn clipping(&self) -> Option<Clipping> {
        None
    }

    /// The noise that gradients get, when they are clipped, before [`Optimizer::update`] sees them.
    fn gradient_noise(&self) -> Option<GradientNoise> {
        None
    }

    /// Changes a piece of the weights. The slots are zero before the first step.
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

    /// Takes this share of each weight, times the learning rate, away in every step, before the optimizer's own: decoupled weight decay, as
    /// Keras's `weight_decay` of any optimizer. [`Decayed::group`] gives groups of parameters their own.
    ///
    /// ```
    /// use samara_trainer::prelude::*;
    ///
    /// // As is usual: no decay of biases and of what batch-norms learn.
    /// let optimizer = Sgd::new(0.1).momentum(0.9).with_weight_decay(5e-4).group("bias", 0.0).group("gamma", 0.0).group("beta", 0.0);
    /// assert_eq!(optimizer.learning_rate(), 0.1);
    /// ```
    fn with_weight_decay(self, weight_decay: f32) -> Decayed<Self>
    where
        Self: Sized,
    {
        Decayed { optimizer: self, decay: decay::Decay::new(weight_decay) }
    }

    /// Adds a normal number with the variance `eta / (1 + t)^0.55` to each gradient in step `t`, from 0; eta is 0.01, 0.3 or 1 in the paper
    /// (Neelakantan et al. 2015).
    fn with_gradient_noise(self, eta: f32) -> Noisy<Self>
    where
        Self: Sized,
    {
        Noisy { optimizer: self, noise: GradientNoise::new(eta) }
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

/// Without it, a gradient of zero would give 0 / 0.
fn check_epsilon(epsilon: f32) -> Result<()> {
    check_option("epsilon", epsilon, f32::MIN_POSITIVE..=f32::MAX, "a positive number")
}

/// A piece of all weights that learn.
#[derive(Debug)]
pub struct Update<'a> {
    /// The name of the parameter that the piece is of: `"dense/kernel"`.
    pub name: &'a str,
    /// The step, from 1.
    pub step: u64,
    /// The learning rate of this step.
    pub learning_rate: f32,
    /// The momentum of this step (`beta_1` of the kinds of Adam), where a schedule sets it.
    pub momentum: Option<f32>,
    /// The weights.
    pub parameters: &'a mut [f32],
    /// Their gradients.
    pub gradients: &'a [f32],
    /// What was kept of them, in the order of [`Optimizer::slots`].
    pub slots: &'a mut [&'a mut [f32]],
}

/// For tests: the parameters after each step with these gradients.
#[cfg(test)]
fn steps<const N: usize>(optimizer: &dyn Optimizer, start: [f32; N], gradients: &[[f32; N]]) -> Vec<[f32; N]> {
    let (mut parameters, mut slots) = (start, [[0.0; N]; MOST_SLOTS]);
    let step = |(step, gradients): (u64, &[f32; N])| {
        optimizer.update(&mut Update {
            name: "dense/kernel",
            step,
            learning_rate: optimizer.learning_rate(),
            momentum: None,
            parameters: &mut parameters,
            gradients,
            slots: &mut slots.each_mut().map(|slot| &mut slot[..])[..optimizer.slots().len()],
        });
        parameters
    };
    (1..).zip(gradients).map(step).collect()
}

/// One parameter at 1, gradient 0.5 in the first step and -0.25 in the second.
#[cfg(test)]
fn two_steps(optimizer: &dyn Optimizer) -> [f32; 2] {
    let found = steps(optimizer, [1.0], &[[0.5], [-0.25]]);
    [found[0][0], found[1][0]]
}

/// Compares three steps of four parameters with those of Keras 3.15.
#[cfg(test)]
fn check_steps(optimizer: &dyn Optimizer, expected: [[f32; 4]; 3]) {
    let gradients = [[0.5, -1.0, 0.25, 4.0], [0.5, 1.0, -0.125, -2.0], [-1.0, 0.5, 0.75, 1.0]];
    let found = steps(optimizer, [1.0, 2.0, -1.0, 0.5], &gradients);
    for (found, wanted) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!((found - wanted).abs() < 2e-6, "{found:?}, expected {expected:?}");
    }
}
