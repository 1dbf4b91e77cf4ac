//! What TensorBoard shows.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Callback;
use crate::data::{Dataset, Tensor};
use crate::error::{Error, Result};
use crate::graph::{Graph, ParameterEntry};
use crate::tensorboard::messages::Any;
use crate::tensorboard::runs::{Run, Runs};
use crate::tensorboard::{collect, graph, projector};
use crate::train::{EpochLog, Training};

/// When losses, metrics and the learning rate are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateFreq {
    /// After every epoch.
    Epoch,
    /// After every epoch, and after every so many steps, at least 1, as means since the epoch began.
    Batches(usize),
}

/// A hyperparameter's value: a number, a word, or yes or no.
#[derive(Debug, Clone, PartialEq)]
pub struct Hyperparameter(Any);

impl From<f64> for Hyperparameter {
    fn from(number: f64) -> Self {
        Self(Any::Number(number))
    }
}

impl From<&str> for Hyperparameter {
    fn from(text: &str) -> Self {
        Self(Any::Text(text.to_owned()))
    }
}

impl From<bool> for Hyperparameter {
    fn from(flag: bool) -> Self {
        Self(Any::Flag(flag))
    }
}

/// Writes what TensorBoard shows of a training, with the options and the tags of Keras's callback. In the directory, `train` and
/// `validation` are the runs; `tensorboard --logdir DIRECTORY` shows them.
///
/// Steps of `epoch_*`, histograms, pictures and curves are epochs, from 1; those of `batch_*` count all steps of the training. A training
/// that was resumed writes a file of its own beside the earlier ones, and in it nothing that they have.
///
/// ```
/// use samara_trainer::callbacks::{TensorBoard, UpdateFreq};
/// use samara_trainer::prelude::*;
///
/// # let directory = std::env::temp_dir().join(format!("samara-tensorboard-{}", std::process::id()));
/// # let x = input([2]);
/// # let y = Dense::new(2).activation(Activation::Softmax).apply(&x);
/// # let mut model = Model::new("points", &x, y)?;
/// # model.compile(Sgd::new(0.1), SparseCategoricalCrossentropy)?;
/// # let data = Dataset::new(Tensor::new([2, 2], vec![0.0, 1.0, 1.0, 0.0])?, Tensor::from_labels(&[0u8, 1]))?;
/// let tensorboard = TensorBoard::new(&directory)
///     .update_freq(UpdateFreq::Batches(10))
///     .histogram_freq(1)
///     .samples(data.inputs().to_vec()) // whose activations are shown
///     .pr_curves(data.clone(), 1)
///     .hyperparameter("learning_rate", 0.1);
/// model.fit(&data, Fit { epochs: 2, verbose: false, callbacks: vec![Box::new(tensorboard)], ..Fit::default() })?;
/// assert!(directory.join("train").is_dir());
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct TensorBoard {
    directory: PathBuf,
    update_freq: UpdateFreq,
    histogram_freq: usize,
    embeddings_freq: usize,
    embeddings_metadata: BTreeMap<String, Vec<String>>,
    write_graph: bool,
    write_images: bool,
    samples: Vec<Tensor>,
    curves: Option<(Dataset, usize)>,
    hyperparameters: BTreeMap<String, Any>,
    runs: Runs,
}

impl TensorBoard {
    /// Writes to this directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        Self {
            runs: Runs::new(directory.clone(), false),
            directory,
            update_freq: UpdateFreq::Epoch,
            histogram_freq: 0,
            embeddings_freq: 0,
            embeddings_metadata: BTreeMap::new(),
            write_graph: true,
            write_images: false,
            samples: Vec::new(),
            curves: None,
            hyperparameters: BTreeMap::new(),
        }
    }

    /// When losses, metrics and the learning rate are written; after epochs alone, if not set.
    pub fn update_freq(self, update_freq: UpdateFreq) -> Self {
        Self { update_freq, ..self }
    }

    /// After every so many epochs histograms of all parameters are written, of the gradients of the last step as the optimizer took them,
    /// and, of [`TensorBoard::samples`], of what layers give; 0, if not set: never.
    pub fn histogram_freq(self, epochs: usize) -> Self {
        Self { histogram_freq: epochs, ..self }
    }

    /// After every so many epochs the tables of all `Embedding` layers are written for the projector; 0, if not set: never.
    pub fn embeddings_freq(self, epochs: usize) -> Self {
        Self { embeddings_freq: epochs, ..self }
    }

    /// What the tokens of an `Embedding` layer are called, one name for each.
    pub fn embeddings_metadata(mut self, layer: impl Into<String>, tokens: Vec<String>) -> Self {
        self.embeddings_metadata.insert(layer.into(), tokens);
        self
    }

    /// Writes the model's graph; `true`, if not set.
    pub fn write_graph(self, write: bool) -> Self {
        Self { write_graph: write, ..self }
    }

    /// Writes, whenever histograms are, weights of two to four dimensions as pictures, and once those of [`TensorBoard::samples`] that
    /// are images; `false`, if not set.
    pub fn write_images(self, write: bool) -> Self {
        Self { write_images: write, ..self }
    }

    /// Samples, one tensor for each input of the model, whose activations are shown as histograms, and as pictures.
    pub fn samples(self, inputs: Vec<Tensor>) -> Self {
        Self { samples: inputs, ..self }
    }

    /// After every so many epochs, curves of precision and recall on these samples are written, for each output and class. Outputs must be
    /// probabilities, targets classes or 0 and 1.
    pub fn pr_curves(self, data: Dataset, epochs: usize) -> Self {
        Self { curves: Some((data, epochs)), ..self }
    }

    /// Writes a hyperparameter: runs are compared by them.
    pub fn hyperparameter(mut self, name: impl Into<String>, value: impl Into<Hyperparameter>) -> Self {
        self.hyperparameters.insert(name.into(), value.into().0);
        self
    }

    /// Losses and metrics of an epoch, each in its run.
    fn write_log(&mut self, log: &EpochLog) -> Result<()> {
        let [train, validation] = collect::epoch(log);
        self.runs.of(Run::Train)?.write(log.epoch, train)?;
        if validation.is_empty() { Ok(()) } else { self.runs.of(Run::Validation)?.write(log.epoch, validation) }
    }

    /// The tables of all `Embedding` layers.
    fn write_embeddings(&self, training: &Training<'_>) -> Result<()> {
        let mut tables = Vec::new();
        for (layer, ParameterEntry { name, shape, .. }) in embedding_tables(training.model().graph()) {
            let (values, labels) = (training.parameter(name)?, self.embeddings_metadata.get(layer).map(Vec::as_slice));
            tables.push(projector::Table { name, width: shape.channels(), values, labels });
        }
        projector::write(&self.directory, &tables)
    }

    /// Options that make sense for the model.
    fn check(&self, training: &Training<'_>) -> Result<()> {
        if self.update_freq == UpdateFreq::Batches(0) {
            let expected = "1 or more".to_owned();
            return Err(Error::Argument { name: "the number of steps of `update_freq`", found: "0".to_owned(), expected });
        }
        let tables = embedding_tables(training.model().graph());
        for (layer, labels) in &self.embeddings_metadata {
            let Some((_, entry)) = tables.iter().find(|(name, _)| name == layer) else {
                let names: Vec<&str> = tables.iter().map(|(name, _)| *name).collect();
                return Err(training.model().not_found("Embedding layer", layer, &names));
            };
            if labels.len() != entry.shape[0] {
                let (found, expected) =
                    (labels.len().to_string(), format!("{}, as layer '{layer}' has tokens", entry.shape[0]));
                return Err(Error::Argument { name: "the number of names of tokens", found, expected });
            }
        }
        Ok(())
    }
}

/// The `Embedding` layers' names with their tables.
fn embedding_tables(graph: &Graph) -> Vec<(&str, &ParameterEntry)> {
    let mut tables: Vec<(&str, &ParameterEntry)> = Vec::new();
    for node in graph.nodes.iter().filter(|node| node.layer.as_ref().is_some_and(|layer| layer.kind() == "Embedding")) {
        for entry in &graph.parameters[node.parameters.clone()] {
            if tables.iter().all(|(_, known)| known.name != entry.name) {
                tables.push((&node.name, entry));
            }
        }
    }
    tables
}

/// After `epoch` it is time for what is done after every so many epochs.
fn is_due(epoch: usize, frequency: usize) -> bool {
    frequency > 0 && epoch.is_multiple_of(frequency)
}

impl Callback for TensorBoard {
    fn train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.check(training)?;
        self.runs = Runs::new(self.directory.clone(), training.epoch() > 0);
        // What was measured, but not yet written, when the training was killed.
        for log in &training.history().epochs {
            self.write_log(log)?;
        }
        let graph = training.model().graph();
        if self.write_graph {
            self.runs.of(Run::Train)?.graph(&graph::graph_def(graph))?;
        }
        if self.write_images {
            let images = collect::sample_images(graph, &self.samples);
            self.runs.of(Run::Train)?.write(0, images)?;
        }
        if !self.hyperparameters.is_empty() {
            self.runs.of(Run::Session)?.write(0, [collect::session_start(&self.hyperparameters)])?;
        }
        self.runs.flush()
    }

    fn batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        let UpdateFreq::Batches(steps) = self.update_freq else { return Ok(()) };
        let step = (training.epoch() - 1) * training.steps() + training.step();
        if step.is_multiple_of(steps) { self.runs.of(Run::Train)?.write(step, collect::batch(training)) } else { Ok(()) }
    }

    fn epoch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        let epoch = training.epoch();
        if let Some(log) = training.log() {
            self.write_log(log)?;
        }
        if is_due(epoch, self.histogram_freq) {
            let histograms = collect::histograms(training, &self.samples)?;
            self.runs.of(Run::Train)?.write(epoch, histograms)?;
            if self.write_images {
                self.runs.of(Run::Train)?.write(epoch, collect::weight_images(training)?)?;
            }
        }
        if let Some((data, frequency)) = &self.curves
            && is_due(epoch, *frequency)
        {
            self.runs.of(Run::Validation)?.write(epoch, collect::precision_recall(training, data)?)?;
        }
        if is_due(epoch, self.embeddings_freq) {
            self.write_embeddings(training)?;
        }
        self.runs.flush()
    }

    fn train_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        if !self.hyperparameters.is_empty() {
            self.runs.of(Run::Session)?.write(training.epoch(), [collect::session_end()])?;
        }
        self.runs.flush()
    }
}
