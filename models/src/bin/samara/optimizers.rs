//! Optimizers on the command line.

use std::sync::Arc;

use clap::ValueEnum;
use samara_trainer::optimizers::{AdaGrad, AdaMax, Adam, AdamW, Lion, Nadam, Optimizer, RmsProp, Sgd};

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
    /// RMSprop by deviations from the mean gradient
    RmspropCentered,
    /// AdaGrad
    Adagrad,
    /// Adam
    Adam,
    /// Adam with decoupled weight decay
    Adamw,
    /// Adam with Nesterov's look ahead
    Nadam,
    /// Adam by largest gradients
    Adamax,
    /// Lion: steps of one size
    Lion,
}

impl OptimizerName {
    /// The learning rate where none is given: Keras's.
    pub const fn default_learning_rate(self) -> f32 {
        match self {
            Self::Sgd | Self::Momentum | Self::Nesterov => 0.01,
            _ => 0.001,
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
    /// Share of each weight, times the learning rate, that is taken away in every step [default: 0.004 for adamw, else 0]
    #[arg(long, value_name = "NUMBER", value_parser = names::positive)]
    pub weight_decay: Option<f32>,
    /// Scale each parameter's gradient down to this Euclidean norm where it is larger
    #[arg(long, value_name = "NUMBER", value_parser = names::positive)]
    pub clip_norm: Option<f32>,
}

impl OptimizerArguments {
    /// The optimizer, with its learning rate.
    pub fn build(&self) -> Arc<dyn Optimizer> {
        let Self { name, learning_rate, weight_decay, .. } = *self;
        let learning_rate = learning_rate.unwrap_or(name.default_learning_rate());
        let sgd = Sgd::new(learning_rate);
        match name {
            OptimizerName::Sgd => self.with_options(sgd),
            OptimizerName::Momentum => self.with_options(sgd.momentum(0.9)),
            OptimizerName::Nesterov => self.with_options(sgd.momentum(0.9).nesterov()),
            OptimizerName::Rmsprop => self.with_options(RmsProp::new(learning_rate)),
            OptimizerName::RmspropCentered => self.with_options(RmsProp::new(learning_rate).centered()),
            OptimizerName::Adagrad => self.with_options(AdaGrad::new(learning_rate)),
            OptimizerName::Adam => self.with_options(Adam::new(learning_rate)),
            OptimizerName::Adamw => {
                let adamw = AdamW::new(learning_rate);
                clipped(weight_decay.map_or(adamw.clone(), |decay| adamw.weight_decay(decay)), self.clip_norm)
            }
            OptimizerName::Nadam => self.with_options(Nadam::new(learning_rate)),
            OptimizerName::Adamax => self.with_options(AdaMax::new(learning_rate)),
            OptimizerName::Lion => self.with_options(Lion::new(learning_rate)),
        }
    }

    /// The same with another learning rate.
    pub const fn with_learning_rate(self, rate: f32) -> Self {
        Self { learning_rate: Some(rate), ..self }
    }

    fn with_options(&self, optimizer: impl Optimizer + 'static) -> Arc<dyn Optimizer> {
        match self.weight_decay {
            Some(decay) => clipped(optimizer.with_weight_decay(decay), self.clip_norm),
            None => clipped(optimizer, self.clip_norm),
        }
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

    fn build(arguments: &str) -> Arc<dyn Optimizer> {
        Line::parse_from(format!("line {arguments}").split_whitespace()).optimizer.build()
    }

    /// What a Keras user gets by these names, and without further arguments by none.
    #[test]
    fn names_stand_for_keras_s_optimizers() {
        let expected: [(&str, Arc<dyn Optimizer>); 15] = [
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
            ("--optimizer adamax", Arc::new(AdaMax::new(0.001))),
            ("--optimizer lion", Arc::new(Lion::new(0.001))),
            ("--optimizer rmsprop-centered", Arc::new(RmsProp::new(0.001).centered())),
            ("--optimizer sgd --weight-decay 0.1", Arc::new(Sgd::new(0.01).with_weight_decay(0.1))),
            ("--optimizer sgd --clip-norm 2", Arc::new(Sgd::new(0.01).clip_norm(2.0))),
        ];
        for (arguments, optimizer) in expected {
            assert_eq!(format!("{:?}", build(arguments)), format!("{optimizer:?}"), "{arguments}");
        }
    }
}
