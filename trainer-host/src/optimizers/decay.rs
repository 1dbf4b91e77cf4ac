//! Decoupled weight decay (Loshchilov and Hutter 2017): `p -= rate * decay * p`, then the optimizer's step. Groups of parameters may
//! have their own decay.

use super::{Clipping, GradientNoise, Optimizer, Update, check_not_negative};
use crate::error::Result;
use crate::numeric::vectorized;

/// How much of which parameter decays.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decay {
    pub everywhere: f32,
    /// Of parameters with this as part of their name; the last that fits counts.
    pub groups: Vec<(String, f32)>,
}

impl Decay {
    pub const fn new(everywhere: f32) -> Self {
        Self { everywhere, groups: Vec::new() }
    }

    pub fn check(&self) -> Result<()> {
        let all = [self.everywhere].into_iter().chain(self.groups.iter().map(|(_, decay)| *decay));
        all.into_iter().try_for_each(|decay| check_not_negative("weight_decay", decay))
    }

    fn of(&self, parameter: &str) -> f32 {
        let is_in = |group: &str| {
            parameter.match_indices(group).any(|(start, _)| {
                let (before, behind) = (&parameter[..start], &parameter[start + group.len()..]);
                (before.is_empty() || before.ends_with('/')) && (behind.is_empty() || behind.starts_with('/'))
            })
        };
        self.groups.iter().rev().find(|(group, _)| is_in(group)).map_or(self.everywhere, |(_, decay)| *decay)
    }

    pub fn apply(&self, update: &mut Update<'_>) {
        let factor = self.of(update.name) * update.learning_rate;
        let parameters = &mut *update.parameters;
        vectorized(
            #[inline(always)]
            || {
                for parameter in parameters.iter_mut() {
                    *parameter -= *parameter * factor;
                }
            },
        );
    }
}

/// An optimizer with weight decay: see [`Optimizer::with_weight_decay`].
#[derive(Debug, Clone, PartialEq)]
pub struct Decayed<O> {
    pub(super) optimizer: O,
    pub(super) decay: Decay,
}

impl<O> Decayed<O> {
    /// Gives a group of parameters its own decay: one (`"dense/kernel"`), those of a layer or of an applied model (`"dense"`), or all of a
    /// kind (`"bias"`). Of several groups that a parameter is in, the last that was given counts.
    pub fn group(mut self, name: &str, weight_decay: f32) -> Self {
        self.decay.groups.push((name.to_owned(), weight_decay));
        self
    }
}

impl<O: Optimizer> Optimizer for Decayed<O> {
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
        self.decay.check()?;
        self.optimizer.check()
    }

    fn has_momentum(&self) -> bool {
        self.optimizer.has_momentum()
    }

    fn clipping(&self) -> Option<Clipping> {
        self.optimizer.clipping()
    }

    fn gradient_noise(&self) -> Option<GradientNoise> {
        self.optimizer.gradient_noise()
    }

    fn update(&self, update: &mut Update<'_>) {
        self.decay.apply(update);
        self.optimizer.update(update);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizers::{Adam, AdamW, Sgd};

    #[test]
    fn steps_as_in_keras() {
        super::super::check_steps(
            &Sgd::new(0.1).with_weight_decay(0.05),
            [
                [0.945, 2.09, -1.02, 0.0975],
                [0.890_275, 1.979_55, -1.002_4, 0.297_012_5],
                [0.985_823_6, 1.919_652_3, -1.072_387_9, 0.195_527_46],
            ],
        );
        let gradients = [[0.5, -1.0], [0.5, 1.0]];
        let adam = Adam::new(0.1).with_weight_decay(0.05);
        let adamw = AdamW::new(0.1).weight_decay(0.05);
        let steps = |optimizer: &dyn Optimizer| super::super::steps(optimizer, [1.0, 2.0], &gradients);
        assert_eq!(steps(&adam), steps(&adamw));
    }

    #[test]
    fn groups_are_whole_parts_of_names() {
        let sgd =
            Sgd::new(0.1).with_weight_decay(0.5).group("bias", 0.0).group("base/dense", 0.25).group("base/dense/bias", 0.125);
        let decay = |name: &str| sgd.decay.of(name);
        for (name, expected) in [
            ("dense/kernel", 0.5),
            ("dense/bias", 0.0),
            ("dense/bias_kernel", 0.5),
            ("base/dense/kernel", 0.25),
            ("base/dense_1/kernel", 0.5),
            ("base/dense/bias", 0.125),
            ("other/base/dense/kernel", 0.25),
        ] {
            assert_eq!(decay(name), expected, "{name}");
        }
        assert!(Sgd::new(0.1).with_weight_decay(0.5).group("bias", -1.0).check().is_err());
    }
}
