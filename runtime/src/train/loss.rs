//! What a head is trained to make small, for a sample with outputs `z_k`, `k = 0..K`, before any activation:
//!
//! - softmax cross-entropy, for a class `c`: `w_c * (ln(sum_k exp(z_k)) - z_c)`; the derivative `w_c * (softmax(z)_k - [k = c])`;
//! - sigmoid cross-entropy, for `t_k` from 0 to 1: the mean over k of `w_k * t_k * softplus(-z_k) + (1 - t_k) * softplus(z_k)`,
//!   `softplus(z) = ln(1 + exp(z))`; the derivative `((1 - t_k) * s - w_k * t_k * (1 - s)) / K`, `s = sigmoid(z_k)`;
//! - mean squared error, for `t_k`: the mean over k of `w_k * (z_k - t_k)^2`; the derivative `2 * w_k * (z_k - t_k) / K`.
//!
//! `w` are the weights of classes, 1 if there are none. An output of negative infinity is a class that was never seen: its probability is
//! 0, and nothing is learned of it.

use super::TrainError;
use crate::math::{Exact, Functions};

/// What is made small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Loss {
    /// One class of several; the outputs' probabilities sum to 1.
    SoftmaxCrossEntropy,
    /// Each output is true or false for itself. A weight of a class says how much more a 1 counts there than a 0.
    SigmoidCrossEntropy,
    /// Each output is a number. A weight of a class is that of an output.
    MeanSquaredError,
}

/// What a sample's outputs should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target<'t> {
    /// The class, from 0 on. For sigmoids its output is 1, all others 0.
    Class(usize),
    /// A value for each output: from 0 to 1 for sigmoids, any for the squared error.
    Values(&'t [f32]),
}

impl Loss {
    /// Words that a target takes.
    pub(super) const fn target_words(self, outputs: usize) -> usize {
        match self {
            Self::SoftmaxCrossEntropy => 1,
            Self::SigmoidCrossEntropy | Self::MeanSquaredError => outputs,
        }
    }

    /// The bias of a class that was never seen.
    pub(super) const fn bias_of_the_unseen(self) -> f32 {
        match self {
            Self::MeanSquaredError => 0.0,
            Self::SoftmaxCrossEntropy | Self::SigmoidCrossEntropy => f32::NEG_INFINITY,
        }
    }

    /// Writes a target to the first words of `to`: the class's number, or a value for each of `outputs`.
    pub(super) fn encode(self, target: Target<'_>, outputs: usize, to: &mut [f32]) -> Result<(), TrainError> {
        let fits = |value: &f32| match self {
            Self::SigmoidCrossEntropy => *value >= 0.0 && *value <= 1.0,
            _ => value.is_finite(),
        };
        match (self, target) {
            (Self::SoftmaxCrossEntropy | Self::SigmoidCrossEntropy, Target::Class(class)) if class >= outputs => {
                Err(TrainError::NoSuchClass { capacity: outputs as u32, found: u32::try_from(class).unwrap_or(u32::MAX) })
            }
            (Self::SoftmaxCrossEntropy, Target::Class(class)) => {
                to.iter_mut().take(1).for_each(|word| *word = class as f32);
                Ok(())
            }
            (Self::SigmoidCrossEntropy, Target::Class(class)) => {
                to.iter_mut().enumerate().for_each(|(k, word)| *word = if k == class { 1.0 } else { 0.0 });
                Ok(())
            }
            (Self::SigmoidCrossEntropy | Self::MeanSquaredError, Target::Values(values))
                if values.len() == outputs && values.iter().all(fits) =>
            {
                to.iter_mut().zip(values).for_each(|(word, &value)| *word = value);
                Ok(())
            }
            _ => Err(TrainError::Target),
        }
    }

    /// Whether the target says that something of output `k` is to be found.
    pub(super) fn names(self, target: &[f32], k: usize) -> bool {
        match self {
            Self::SoftmaxCrossEntropy => class_of(target) == k,
            Self::SigmoidCrossEntropy | Self::MeanSquaredError => target.get(k).is_some_and(|&value| value != 0.0),
        }
    }

    /// The loss of a sample with these outputs.
    pub(super) fn value(self, outputs: impl Iterator<Item = f32>, target: &[f32], weights: &[f32]) -> f32 {
        if self == Self::SoftmaxCrossEntropy {
            let (class, mut own, mut sum) = (class_of(target), 0.0, ExpSum::NONE);
            for (k, z) in outputs.enumerate() {
                own = if k == class { z } else { own };
                sum.add(z);
            }
            return weight(weights, class) * (sum.logarithm() - own);
        }
        let terms = outputs.zip(target).enumerate().map(|(k, (z, &t))| self.term(z, t, weight(weights, k)).0);
        terms.fold(0.0, |sum, term| sum + term) / target.len() as f32
    }

    /// Turns a row that begins with the target into the derivatives with respect to the outputs, and gives the loss.
    pub(super) fn derive(self, outputs: impl Iterator<Item = f32>, row: &mut [f32], weights: &[f32]) -> f32 {
        if self == Self::SoftmaxCrossEntropy {
            let (class, mut sum) = (class_of(row), ExpSum::NONE);
            for (to, z) in row.iter_mut().zip(outputs) {
                *to = z;
                sum.add(z);
            }
            let weight = weight(weights, class);
            let loss = weight * (sum.logarithm() - row.get(class).copied().unwrap_or(0.0));
            for (k, z) in row.iter_mut().enumerate() {
                *z = weight * (sum.share(*z) - if k == class { 1.0 } else { 0.0 });
            }
            return loss;
        }
        let (count, mut loss) = (row.len() as f32, 0.0);
        for (k, (place, z)) in row.iter_mut().zip(outputs).enumerate() {
            let (term, slope) = self.term(z, *place, weight(weights, k));
            loss += term;
            *place = slope / count;
        }
        loss / count
    }

    /// An output's part of the loss, and its derivative, but for the mean over outputs.
    fn term(self, z: f32, t: f32, weight: f32) -> (f32, f32) {
        if self == Self::MeanSquaredError {
            return (weight * (z - t) * (z - t), 2.0 * weight * (z - t));
        }
        let falling = Exact::exp(-z.abs());
        let (larger, smaller) = (1.0 / (1.0 + falling), falling / (1.0 + falling));
        let (is, is_not) = if z >= 0.0 { (larger, smaller) } else { (smaller, larger) };
        let bend = Exact::ln_one_plus(falling);
        let (mut loss, mut slope) = (0.0, 0.0);
        // A class that was never seen is infinitely far from 1, which is no matter where it is not to be found.
        if t > 0.0 {
            loss += weight * t * (bend + if z < 0.0 { -z } else { 0.0 });
            slope -= weight * t * is_not;
        }
        if t < 1.0 {
            loss += (1.0 - t) * (bend + if z > 0.0 { z } else { 0.0 });
            slope += (1.0 - t) * is;
        }
        (loss, slope)
    }

    /// Turns outputs into what they say: probabilities, or for the squared error the numbers that they are.
    pub(super) fn activate(self, row: &mut [f32]) {
        match self {
            Self::SoftmaxCrossEntropy => {
                let mut sum = ExpSum::NONE;
                row.iter().for_each(|&z| sum.add(z));
                row.iter_mut().for_each(|z| *z = sum.share(*z));
            }
            Self::SigmoidCrossEntropy => row.iter_mut().for_each(|z| {
                let falling = Exact::exp(-z.abs());
                *z = (if *z >= 0.0 { 1.0 } else { falling }) / (1.0 + falling);
            }),
            Self::MeanSquaredError => {}
        }
    }
}

/// The class that the first word of a target says.
fn class_of(target: &[f32]) -> usize {
    target.first().map_or(0, |&class| class as usize)
}

fn weight(weights: &[f32], class: usize) -> f32 {
    weights.get(class).copied().unwrap_or(1.0)
}

/// `sum(exp(z))` in one pass, relative to the largest z so far.
#[derive(Clone, Copy)]
struct ExpSum {
    largest: f32,
    sum: f32,
}

impl ExpSum {
    const NONE: Self = Self { largest: f32::NEG_INFINITY, sum: 0.0 };

    fn add(&mut self, z: f32) {
        if z == f32::NEG_INFINITY {
            return;
        }
        if z > self.largest {
            (self.sum, self.largest) = (self.sum * Exact::exp(self.largest - z) + 1.0, z);
        } else {
            self.sum += Exact::exp(z - self.largest);
        }
    }

    /// The logarithm of the sum.
    fn logarithm(self) -> f32 {
        self.largest + Exact::ln(self.sum)
    }

    /// The share of `exp(z)`.
    fn share(self, z: f32) -> f32 {
        Exact::exp(z - self.largest) / self.sum
    }
}
