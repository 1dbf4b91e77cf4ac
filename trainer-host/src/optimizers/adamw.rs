//! AdamW (Loshchilov and Hutter 2017): `p -= rate * decay * p`, then Adam's step. The decay is apart from the gradient, so
//! that Adam's division does not undo it.

use super::decay::Decay;
use super::{Adam, Optimizer, Update};
use crate::error::Result;

/// Adam with decoupled weight decay, which as in Keras applies to all trainable parameters but those with a decay of their own. Keras's
/// defaults: decay 0.004, the rest as [`Adam`].
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    adam: Adam,
    decay: Decay,
}

impl AdamW {
    /// AdamW with a learning rate; 0.001 is Keras's default.
    pub fn new(learning_rate: f32) -> Self {
        Self { adam: Adam::new(learning_rate), decay: Decay::new(0.004) }
    }

    /// Sets the share of each parameter, times the learning rate, that is taken away in every step.
    pub fn weight_decay(mut self, weight_decay: f32) -> Self {
        self.decay.everywhere = weight_decay;
        self
    }

    /// Gives a group of parameters its own decay, as [`Decayed::group`](super::Decayed::group) does.
    pub fn group(mut self, name: &str, weight_decay: f32) -> Self {
        self.decay.groups.push((name.to_owned(), weight_decay));
        self
    }

    /// Sets how slowly the means of gradients and of their squares follow.
    pub fn betas(self, beta_1: f32, beta_2: f32) -> Self {
        Self { adam: self.adam.betas(beta_1, beta_2), ..self }
    }

    /// Sets the guard against division by zero.
    pub fn epsilon(self, epsilon: f32) -> Self {
        Self { adam: self.adam.epsilon(epsilon), ..self }
    }
}

impl Optimizer for AdamW {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn learning_rate(&self) -> f32 {
        self.adam.learning_rate()
    }

    fn slots(&self) -> &'static [&'static str] {
        self.adam.slots()
    }

    fn check(&self) -> Result<()> {
        self.decay.check()?;
        self.adam.check()
    }

    fn has_momentum(&self) -> bool {
        true
    }

    fn update(&self, update: &mut Update<'_>) {
        self.decay.apply(update);
        self.adam.update(update);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_as_in_keras() {
        super::super::check_steps(
            &AdamW::new(0.1).weight_decay(0.05),
            [
                [0.895_001_3, 2.089_999, -1.094_998_1, 0.397_500_75],
                [0.790_527_76, 2.074_286, -1.116_156_2, 0.368_879_83],
                [0.794_140_04, 2.038_771_2, -1.177_625, 0.332_992_64],
            ],
        );
    }

    #[test]
    fn without_decay_it_is_adam() {
        let steps = super::super::two_steps(&AdamW::new(0.1).weight_decay(0.0));
        assert_eq!(steps, super::super::two_steps(&Adam::new(0.1)));
    }
}
