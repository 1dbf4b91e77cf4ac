//! What a net takes on a device: known from its plan, before any training.

use anyhow::Result;
use clap::ValueEnum;
use samara_runtime::format::writer::ModelFile;
use samara_trainer::Model;
use samara_trainer::device::run::DeviceModel;

use super::Tuning;
use super::recipe::Recipe;
use crate::{budget, cost, export, output};

/// Something that a device has so much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Cost {
    /// Bytes of the arena
    Ram,
    /// Bytes of the file
    Flash,
    /// Multiply-accumulates of an inference
    Macs,
    /// Instructions of an inference on a Cortex-M4F, about
    Instructions,
    /// Bytes beside the arena for learning, in the cheapest way
    TrainingRam,
}

impl Cost {
    /// What it is called in a study's notes.
    pub fn key(self) -> &'static str {
        match self {
            Self::Ram => "arena",
            Self::Flash => "file",
            Self::Macs => "macs",
            Self::Instructions => "instructions",
            Self::TrainingRam => "training",
        }
    }

    /// So much of it, in words.
    fn told(self, amount: u64) -> String {
        let amount = output::thousands(amount);
        match self {
            Self::Ram => format!("an arena of {amount} bytes"),
            Self::Flash => format!("a file of {amount} bytes"),
            Self::Macs => format!("{amount} multiply-accumulates"),
            Self::Instructions => format!("about {amount} instructions"),
            Self::TrainingRam => format!("{amount} bytes to learn in"),
        }
    }
}

/// What a net takes: a value for each cost that is known.
#[derive(Debug, Clone)]
pub struct Size(Vec<(Cost, u64)>);

impl Size {
    /// Each cost that is known, with its value.
    pub fn costs(&self) -> &[(Cost, u64)] {
        &self.0
    }

    /// Of one that is known.
    pub fn of(&self, cost: Cost) -> Option<u64> {
        self.0.iter().find(|(known, _)| *known == cost).map(|(_, value)| *value)
    }
}

impl Tuning {
    /// The file of a net that is not trained yet, as large and as quick as it will be.
    pub(super) fn planned(model: &Model, recipe: &Recipe) -> Result<Vec<u8>> {
        recipe.numbers.export(&export::as_if_trained(model)?, &export::random_samples(model, 1)?)
    }

    /// What a net takes, from its plan.
    pub(super) fn size(&self, model: &Model, recipe: &Recipe) -> Result<Size> {
        let bytes = Self::planned(model, recipe)?;
        let file = ModelFile::from_bytes(&bytes)?;
        let mut size =
            Size(vec![(Cost::Ram, file.arena_bytes.into()), (Cost::Flash, bytes.len() as u64), (Cost::Macs, file.macs())]);
        let device = DeviceModel::new(&bytes)?;
        size.0.push((Cost::Instructions, cost::instructions(&device)));
        if self.plan.wants(Cost::TrainingRam) {
            size.0.push((Cost::TrainingRam, budget::least_training_bytes(&device)? as u64));
        }
        Ok(size)
    }

    /// What is beyond the limits, in words; nothing if it fits.
    pub(super) fn beyond(&self, size: &Size) -> Option<String> {
        let is_over = |(cost, found): &&(Cost, u64)| self.plan.limit(*cost).is_some_and(|limit| *found > limit);
        size.0.iter().find(is_over).map(|(cost, found)| cost.told(*found))
    }
}
