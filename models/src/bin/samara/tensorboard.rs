//! `samara train --tensorboard`: what TensorBoard shows of the training.

use std::path::PathBuf;

use samara_trainer::callbacks::{TensorBoard, UpdateFreq};
use samara_trainer::data::Dataset;
use samara_trainer::data::sources::Splits;

use crate::{names, train};

/// Validation samples whose activations and pictures are shown.
const SAMPLES: usize = 100;

/// The options of Keras's callback.
#[derive(Debug, clap::Args)]
pub struct TensorBoardArguments {
    /// Directory for what `tensorboard --logdir DIR` shows: losses and metrics of each epoch, and the graph
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
    /// Write losses, metrics and the learning rate also after every step (`batch`) or after every so many steps
    #[arg(long = "tensorboard-update-freq", value_name = "epoch|batch|STEPS", value_parser = update_freq)]
    #[arg(default_value = "epoch", requires = "tensorboard")]
    update_freq: UpdateFreq,
    /// Write histograms of parameters, gradients and activations after every so many epochs; 0: never
    #[arg(long = "tensorboard-histogram-freq", value_name = "EPOCHS", default_value = "0", requires = "tensorboard")]
    histogram_freq: usize,
    /// Write the tables of `Embedding` layers for the projector after every so many epochs; 0: never
    #[arg(long = "tensorboard-embeddings-freq", value_name = "EPOCHS", default_value = "0", requires = "tensorboard")]
    embeddings_freq: usize,
    /// Write curves of precision and recall on the validation samples after every so many epochs; 0: never
    #[arg(long = "tensorboard-pr-curves-freq", value_name = "EPOCHS", default_value = "0", requires = "tensorboard")]
    pr_curves_freq: usize,
    /// Write weights as pictures whenever histograms are written, and once validation samples that are images
    #[arg(long = "tensorboard-write-images", requires = "tensorboard")]
    write_images: bool,
    /// Write the graph
    #[arg(long = "tensorboard-write-graph", value_name = "true|false", default_value = "true", requires = "tensorboard")]
    #[arg(action = clap::ArgAction::Set)]
    write_graph: bool,
}

impl TensorBoardArguments {
    /// The callback, if it is wanted.
    pub fn build(&self, splits: &Splits) -> Option<TensorBoard> {
        let validation: &Dataset = &splits.validation;
        let mut tensorboard = TensorBoard::new(self.tensorboard.as_ref()?)
            .update_freq(self.update_freq)
            .histogram_freq(self.histogram_freq)
            .embeddings_freq(self.embeddings_freq)
            .write_graph(self.write_graph)
            .write_images(self.write_images)
            .samples(train::calibration_samples(validation, SAMPLES));
        if self.pr_curves_freq > 0 {
            tensorboard = tensorboard.pr_curves(validation.clone(), self.pr_curves_freq);
        }
        Some(tensorboard)
    }
}

/// `epoch`, `batch` or a number of steps.
fn update_freq(text: &str) -> Result<UpdateFreq, String> {
    match text {
        "epoch" => Ok(UpdateFreq::Epoch),
        "batch" => Ok(UpdateFreq::Batches(1)),
        steps => {
            names::count(steps).map(UpdateFreq::Batches).map_err(|_| "expected epoch, batch or a number of steps".to_owned())
        }
    }
}
