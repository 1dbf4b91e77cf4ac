//! Optimizers on the command line.

use std::sync::Arc;

use anyhow::{Result, bail};
use clap::ValueEnum;
use samara_trainer::optimizers::{AdaGrad, Adam, AdamW, Nadam, Optimizer, RmsProp, Sgd};

use crate::names;

/// An optimizer, its other settings Keras's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OptimizerName {
    /// Stochastic gradient descent
    Sgd,
    /// The same with a momentum of 0.9
    Momentum,
    /// The same with a momentum of 0.9 that looks ahead
    Nesterov,
    /// RMSprop with rho 0.9
    Rmsprop,
    /// AdaGrad
    Adagrad,
    /// Adam
    Adam,
    /// Adam with decoupled weight decay
    Adamw,
    /// Adam with Nesterov's look ahead
    Nadam,
}

impl OptimizerName {
    /// The learning rate where none is given: Keras's.
    pub const fn default_learning_rate(self) -> f32 {
        match self {
            Self::Sgd | Self::Momentum | Self::Nesterov => 0.01,
            Self::Rmsprop | Self::Adagrad | Self::Adam | Self::Adamw | Self::Nadam => 0.001,
        }
    }
}

/// The arguments that choose an optimizer.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct OptimizerArguments {
    /// Optimizer
    #[arg(long = "optimizer", value_name = "OPTIMIZER", value_enum, default_value = "adam")]
    pub name: OptimizerName,
    /// Learning rate [default: 0.01 for sgd, momentum and nesterov, 0.001 for the others]
    #[arg(long, value_name = "NUMBER", value_parser = names::positive)]
    pub learning_rate: Option<f32>,
    /// Share of each weight, times the learning rate, that adamw takes away in every step [default: 0.004]
    #[arg(long, value_name = "NUMBER", value_parser = names::positive)]
    pub weight_decay: Option<f32>,
    /// Scale each parameter's gradient down to this Euclidean norm where it is larger
    #[arg(long, value_name = "NUMBER", value_parser = names::positive)]
    pub clip_norm: Option<f32>,
}

impl OptimizerArguments {
    /// The optimizer, with its learning rate.
    ///
    /// # Errors
    /// If it has no weight decay, but one is given.
    pub fn build(&self) -> Result<Arc<dyn Optimizer>> {
        if self.weight_decay.is_some() && self.name != OptimizerName::Adamw {
            bail!("--weight-decay is given with the optimizer {}, but only adamw has one", names::shown(self.name));
        }
        let Self { name, learning_rate, clip_norm, weight_decay } = *self;
        let learning_rate = learning_rate.unwrap_or(name.default_learning_rate());
        let (sgd, adamw) = (Sgd::new(learning_rate), AdamW::new(learning_rate));
        Ok(match name {
            OptimizerName::Sgd => clipped(sgd, clip_norm),
            OptimizerName::Momentum => clipped(sgd.momentum(0.9), clip_norm),
            OptimizerName::Nesterov => clipped(sgd.momentum(0.9).nesterov(), clip_norm),
            OptimizerName::Rmsprop => clipped(RmsProp::new(learning_rate), clip_norm),
            OptimizerName::Adagrad => clipped(AdaGrad::new(learning_rate), clip_norm),
            OptimizerName::Adam => clipped(Adam::new(learning_rate), clip_norm),
            OptimizerName::Adamw => clipped(weight_decay.map_or(adamw, |decay| adamw.weight_decay(decay)), clip_norm),
            OptimizerName::Nadam => clipped(Nadam::new(learning_rate), clip_norm),
        })
    }
}

fn clipped(optimizer: impl Optimizer + 'static, norm: Option<f32>) -> Arc<dyn Optimizer> {
    match norm {
        Some(limit) => Arc::new(optimizer.clip_norm(limit)),
        None => Arc::new(optimizer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        optimizer: OptimizerArguments,
    }

    fn build(arguments: &str) -> Result<Arc<dyn Optimizer>> {
        Line::parse_from(format!("line {arguments}").split_whitespace()).optimizer.build()
    }

    /// What a Keras user gets by these names, and without further arguments by none.
    #[test]
    fn names_stand_for_keras_s_optimizers() {
        let expected: [(&str, Arc<dyn Optimizer>); 11] = [
            ("", Arc::new(Adam::new(0.001))),
            ("--optimizer sgd", Arc::new(Sgd::new(0.01))),
            ("--optimizer momentum", Arc::new(Sgd::new(0.01).momentum(0.9))),
            ("--optimizer nesterov", Arc::new(Sgd::new(0.01).momentum(0.9).nesterov())),
            ("--optimizer rmsprop", Arc::new(RmsProp::new(0.001))),
            ("--optimizer adagrad", Arc::new(AdaGrad::new(0.001))),
            ("--optimizer adam --learning-rate 0.5", Arc::new(Adam::new(0.5))),
            ("--optimizer adamw", Arc::new(AdamW::new(0.001).weight_decay(0.004))),
            ("--optimizer adamw --weight-decay 0.25", Arc::new(AdamW::new(0.001).weight_decay(0.25))),
            ("--optimizer nadam", Arc::new(Nadam::new(0.001))),
            ("--optimizer sgd --clip-norm 2", Arc::new(Sgd::new(0.01).clip_norm(2.0))),
        ];
        for (arguments, optimizer) in expected {
            assert_eq!(format!("{:?}", build(arguments).unwrap()), format!("{optimizer:?}"), "{arguments}");
        }
    }

    #[test]
    fn only_adamw_decays() {
        let message = build("--optimizer sgd --weight-decay 0.1").unwrap_err().to_string();
        assert_eq!(message, "--weight-decay is given with the optimizer sgd, but only adamw has one");
    }
}
