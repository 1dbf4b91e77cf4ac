//! Training with a net rounded as its int8 file will be: behind a training in f32, in `samara train` as in `samara quantize`.

use std::sync::Arc;

use samara_trainer::callbacks::QuantizationAware;
use samara_trainer::data::sources::Splits;
use samara_trainer::data::{Source, Tensor};
use samara_trainer::losses::Loss;
use samara_trainer::optimizers::Adam;
use samara_trainer::quantize::{Equalization, Options, Ranges};
use samara_trainer::schedules::Cosine;
use samara_trainer::{Error, Fit, History, Model};

use crate::{names, output};

/// The arguments that say whether and how a trained net is trained on.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct AwareArguments {
    /// Train on for so many epochs with weights and values rounded as the file will have them (fake quantization); batch-norms keep their
    /// statistics in the last third of them. Then --equalize free stands for off. `samara doctor` tries it as a
    /// remedy, with weights of 8 bits and of 4; `samara train --aware` does it as a part of a training, which can be resumed
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
    /// As they are written, none without --aware.
    pub fn arguments(self) -> Vec<String> {
        let Self { aware, learning_rate, batch, seed } = self;
        let all = |epochs| format!("--aware {epochs} --learning-rate {learning_rate} --batch {batch} --seed {seed}");
        aware.map(all).into_iter().collect()
    }

    /// Trains on, if that is asked for; gives the ranges that the net was trained with.
    ///
    /// # Errors
    /// If the model cannot be quantized, or training diverges.
    pub fn train(
        self,
        model: &mut Model,
        (splits, loss): (&Splits, Arc<dyn Loss>),
        rounded: (&[Tensor], Options<'_>),
    ) -> Result<Option<Ranges>, Error> {
        let Self { aware, learning_rate, batch, seed } = self;
        let Some(epochs) = aware else { return Ok(None) };
        model.compile(Adam::new(learning_rate), loss)?;
        let fit = Fit { epochs, batch, seed, validation: Some(&splits.validation), ..Fit::default() };
        Ok(Some(train(model, &splits.train, fit, rounded)?.1))
    }
}

/// What one option says for another: nothing is evened out in a net that is trained to be rounded, where that would be free.
pub fn quantized_as_trained(options: Options<'_>) -> Options<'_> {
    match options.equalization {
        Equalization::Free => Options { equalization: Equalization::Off, ..options },
        _ => options,
    }
}

/// Trains as `fit` says, in the learning rate down to 0 along half a cosine, with ranges taken anew before each epoch from these samples;
/// gives those that belong to the weights which the model ends with. The model then computes in f32 again.
///
/// # Errors
/// If the model cannot be quantized, training diverges, or a callback fails.
pub fn train(
    model: &mut Model,
    data: &dyn Source,
    fit: Fit<'_>,
    (samples, options): (&[Tensor], Options<'_>),
) -> Result<(History, Ranges), Error> {
    let before = fit.resume.as_ref().map_or(fit.follows.epochs.len(), |state| state.before());
    output::note(&format!("rounded as the int8 file will be: {} epochs", fit.epochs.saturating_sub(before)));
    let mut aware = QuantizationAware::new(model, samples, options)?;
    let Fit { mut callbacks, .. } = fit;
    callbacks.push(Box::new(&mut aware));
    let history = model.fit(data, Fit { schedule: Some(Box::new(Cosine::new())), callbacks, ..fit })?;
    model.forget_quantization();
    Ok((history, aware.ranges().clone()))
}
