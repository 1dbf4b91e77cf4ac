//! Losses on the command line.

use std::sync::Arc;

use anyhow::{Context, Result};
use clap::ValueEnum;
use samara_trainer::Measurements;
use samara_trainer::data::sources::Targets;
use samara_trainer::losses::{
    BinaryCrossentropy, Huber, Loss, MeanAbsoluteError, MeanSquaredError, SparseCategoricalCrossentropy,
};

/// A loss, its settings Keras's defaults. The first takes class numbers as targets, the others values of the output's shape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LossName {
    /// For class numbers as targets
    #[default]
    SparseCategoricalCrossentropy,
    /// For quantities as targets, as many as the model has outputs
    MeanSquaredError,
    /// The same, where large errors shall count no more than many small ones
    MeanAbsoluteError,
    /// The same, squared for errors below 1
    Huber,
    /// For probabilities from 0 to 1 as targets, as many as the model has outputs
    BinaryCrossentropy,
}

impl LossName {
    /// The loss.
    pub fn build(self) -> Arc<dyn Loss> {
        match self {
            Self::SparseCategoricalCrossentropy => Arc::new(SparseCategoricalCrossentropy),
            Self::MeanSquaredError => Arc::new(MeanSquaredError),
            Self::MeanAbsoluteError => Arc::new(MeanAbsoluteError),
            Self::Huber => Arc::new(Huber::default()),
            Self::BinaryCrossentropy => Arc::new(BinaryCrossentropy),
        }
    }

    /// What it takes as targets.
    pub fn targets(self) -> Targets {
        if self == Self::SparseCategoricalCrossentropy { Targets::Classes } else { Targets::Values }
    }
}

/// How well a model does on test samples.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// The loss.
    pub loss: f64,
    /// The share of right answers, where there are such.
    pub accuracy: Option<f64>,
}

impl Measured {
    /// What the trainer measured.
    ///
    /// # Errors
    /// None in practice: there always is a loss.
    pub fn by_trainer(measurements: &Measurements) -> Result<Self> {
        let loss = measurements.get("loss").context("the model measures no loss")?;
        Ok(Self { loss, accuracy: measurements.get("accuracy") })
    }

    /// What counts: the accuracy where there is one, else the loss. `accuracy 0.8874`.
    pub fn shown(&self) -> (&'static str, String) {
        match self.accuracy {
            Some(accuracy) => ("accuracy", format!("{accuracy:.4}")),
            None => ("loss", format!("{:.4}", self.loss)),
        }
    }
}
