//! What watches a training on the command line: when it stops or slows down, what it averages, saves and logs.

use std::path::{Path, PathBuf};

use samara_trainer::callbacks::{
    Callback, CsvLogger, EarlyStopping, ExponentialMovingAverage, JsonLines, ModelCheckpoint, ReduceLROnPlateau, SaveState,
    StochasticWeightAveraging,
};

use crate::interrupt::Interrupt;
use crate::names;

/// The arguments that say what watches a training.
#[derive(Debug, Clone, clap::Args)]
pub struct WatchArguments {
    /// Stop when the monitored measurement has not become better for so many epochs, and end with the weights of the best epoch
    #[arg(long, value_name = "EPOCHS", value_parser = names::count)]
    early_stopping: Option<usize>,
    /// Multiply the learning rate with --reduce-lr-factor when the monitored measurement has not become better for so many epochs
    #[arg(long, value_name = "EPOCHS", value_parser = names::count)]
    reduce_lr: Option<usize>,
    /// What --reduce-lr multiplies the learning rate with
    #[arg(long, value_name = "NUMBER", default_value = "0.1", value_parser = names::positive, requires = "reduce_lr")]
    reduce_lr_factor: f32,
    /// Measurement that --early-stopping, --reduce-lr and --checkpoint-best look at: val_loss, val_accuracy, loss
    #[arg(long, value_name = "NAME", default_value = "val_loss")]
    monitor: String,
    /// How much better that measurement must become to count as better
    #[arg(long, value_name = "NUMBER", default_value = "0")]
    min_delta: f64,
    /// Validate and end with averages of the weights over the steps, with this momentum, such as 0.999
    #[arg(long, value_name = "MOMENTUM", conflicts_with = "swa")]
    ema: Option<f32>,
    /// Validate and end with the mean of the weights at the ends of this epoch and all behind it; with --aware, with that of its epochs
    #[arg(long, value_name = "EPOCH", value_parser = names::count)]
    swa: Option<usize>,
    /// Also save the model after every epoch, to a file whose name may have placeholders: 'DIR/{epoch:02}-{val_loss:.3}.model'
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Save to --checkpoint only the epochs whose monitored measurement is the best so far
    #[arg(long, requires = "checkpoint")]
    checkpoint_best: bool,
    /// Write a CSV file with a row for each epoch
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write a file with an object of JSON for each epoch
    #[arg(long, value_name = "FILE")]
    jsonl: Option<PathBuf>,
    /// Save the training's state within epochs, too: whenever an epoch has made so many steps more [default: after every epoch]
    #[arg(long, value_name = "STEPS", value_parser = names::count)]
    save_every: Option<usize>,
}

impl WatchArguments {
    /// The callbacks of a training behind so many epochs of another, in an order in which those that look at weights see the averages.
    pub fn build(&self, state: &Path, before: usize) -> Vec<Box<dyn Callback>> {
        let monitor = self.monitor.as_str();
        let mut callbacks: Vec<Box<dyn Callback>> = Vec::new();
        if let Some(momentum) = self.ema {
            callbacks.push(Box::new(ExponentialMovingAverage::new(momentum)));
        }
        if let Some(epoch) = self.swa {
            callbacks.push(Box::new(StochasticWeightAveraging::new(if before > 0 { before + 1 } else { epoch })));
        }
        if let Some(patience) = self.reduce_lr {
            let plateau = ReduceLROnPlateau::new(self.reduce_lr_factor, patience).monitor(monitor);
            callbacks.push(Box::new(plateau.min_delta(self.min_delta)));
        }
        if let Some(patience) = self.early_stopping {
            let stop = EarlyStopping::new(patience).monitor(monitor).min_delta(self.min_delta);
            callbacks.push(Box::new(stop.restore_best_weights()));
        }
        if let Some(name) = &self.checkpoint {
            let save = ModelCheckpoint::new(name).monitor(monitor);
            callbacks.push(Box::new(if self.checkpoint_best { save.best_only() } else { save }));
        }
        if let Some(path) = &self.csv {
            callbacks.push(Box::new(CsvLogger::new(path)));
        }
        if let Some(path) = &self.jsonl {
            callbacks.push(Box::new(JsonLines::new(path)));
        }
        let save = SaveState::new(state);
        callbacks.push(Box::new(match self.save_every {
            Some(steps) => save.every_steps(steps),
            None => save,
        }));
        callbacks.push(Box::new(Interrupt::new(state)));
        callbacks
    }
}
