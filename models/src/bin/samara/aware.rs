//! Training on with a net rounded as its int8 file will be.

use anyhow::Result;
use samara_trainer::Model;
use samara_trainer::data::Tensor;
use samara_trainer::data::sources::Splits;
use samara_trainer::losses::Loss;
use samara_trainer::optimizers::Adam;
use samara_trainer::quantize::Options;
use samara_trainer::{EpochLog, Fit};
use std::sync::Arc;

use crate::{names, output};

/// The arguments that say whether and how.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct AwareArguments {
    /// First train on for so many epochs with weights and values rounded as the file will have them (fake quantization); batch-norms
    /// keep their statistics in the last third of them. Then --equalize free stands for off
    #[arg(long, value_name = "EPOCHS", value_parser = names::count)]
    pub aware: Option<usize>,
    /// Learning rate of --aware with Adam at its beginning; it falls to 0 like a cosine
    #[arg(long, value_name = "NUMBER", default_value = "0.001", value_parser = names::positive, requires = "aware")]
    learning_rate: f32,
    /// Samples per step of --aware
    #[arg(long, default_value = "64", value_parser = names::count, requires = "aware")]
    batch: usize,
    /// Where --aware gets its random numbers from
    #[arg(long, default_value = "1", requires = "aware")]
    seed: u64,
}

impl AwareArguments {
    /// Trains, if that is asked for. Ranges are taken anew before each epoch.
    ///
    /// # Errors
    /// If the model cannot be quantized, or training diverges.
    pub fn train(
        self,
        model: &mut Model,
        splits: &Splits,
        loss: Arc<dyn Loss>,
        (samples, options): (&[Tensor], Options<'_>),
    ) -> Result<()> {
        let Some(epochs) = self.aware else { return Ok(()) };
        model.compile(Adam::new(self.learning_rate), loss)?;
        for epoch in 0..epochs {
            let done = epoch as f32 / epochs as f32;
            model.set_learning_rate_factor("", 0.5 + 0.5 * (std::f32::consts::PI * done).cos())?;
            if done >= 2.0 / 3.0 {
                freeze_norms(model);
            }
            model.follow_quantization(samples, options)?;
            let seed = self.seed.wrapping_add(epoch as u64);
            let fit = Fit { batch: self.batch, validation: Some(&splits.validation), seed, verbose: false, ..Fit::default() };
            let history = model.fit(&splits.train, fit)?;
            let measured = history.epochs.last().map(shown).unwrap_or_default();
            output::note(&format!("rounded, epoch {} of {epochs}: {measured}", epoch + 1));
        }
        Ok(())
    }
}

/// What was measured in an epoch, in a line.
fn shown(log: &EpochLog) -> String {
    let measured = log.measurements.iter().map(|(name, value)| format!("{name} {value:.4}"));
    measured.collect::<Vec<_>>().join(", ")
}

/// Lets batch-norms keep their statistics, as they will in the file.
fn freeze_norms(model: &Model) {
    let layers = model.graph().nodes.iter().filter_map(|node| node.layer.as_ref());
    layers.filter(|layer| layer.kind() == "BatchNormalization").for_each(|layer| layer.set_trainable(false));
}
