//! What can go wrong, in sentences.

use samara_runtime::{InputError, LoadError, SelfTestError, format::writer::GraphError};

use crate::checkpoint::CheckpointError;
use crate::data::sources::SourceError;
use crate::device::ExportError;
use crate::device::run::RunError;
use crate::ensemble::EnsembleError;
use crate::forest::ForestError;
use crate::graph::Shape;
use crate::model_text::ModelTextError;

/// "1 output", "2 outputs".
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {}", if count == 1 { what.trim_end_matches('s') } else { what })
}

/// "1 loss was", "2 input tensors were".
fn given(count: usize, what: &str) -> String {
    let plural = if what.ends_with('s') { "es" } else { "s" };
    if count == 1 { format!("1 {what} was") } else { format!("{count} {what}{plural} were") }
}

/// An error of the trainer: each message names the thing, what was found and what was expected. `?` takes the errors of all
/// else that a program which trains calls: data, export, model files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The graph cannot be built; one sentence for each fault found.
    #[error("model '{model}' cannot be built:{}", faults.iter().map(|fault| format!("\n  - {fault}")).collect::<String>())]
    Graph {
        /// The model's name.
        model: String,
        /// All faults.
        faults: Vec<String>,
    },
    /// `fit` or `evaluate` before `compile`.
    #[error("model '{model}' has no optimizer and loss yet: call `compile` before `{call}`")]
    NotCompiled {
        /// The model's name.
        model: String,
        /// What was called.
        call: &'static str,
    },
    /// What learns stands before a layer that passes no gradient.
    #[error(
        "model '{model}' cannot be trained: '{layer}' ({kind}) passes no gradient, but '{before}' before it is to learn: freeze it with \
         `model.set_trainable(\"{before}\", false)`"
    )]
    NoGradient {
        /// The model's name.
        model: String,
        /// The layer that passes none.
        layer: String,
        /// Its kind.
        kind: &'static str,
        /// The layer that would learn.
        before: String,
    },
    /// The number of losses, inputs or targets is not the model's.
    #[error("model '{model}' has {}, but {} given: give one for each", counted(*expected, what), given(*found, found_what))]
    Count {
        /// The model's name.
        model: String,
        /// What is counted of the model: "inputs", "outputs".
        what: &'static str,
        /// How many the model has.
        expected: usize,
        /// How many there are.
        found: usize,
        /// What was given: "input tensor", "loss".
        found_what: &'static str,
    },
    /// A loss that does not fit an output.
    #[error("loss {loss} for output '{output}' of shape {shape}: {reason}")]
    Loss {
        /// The loss.
        loss: String,
        /// The output's node.
        output: String,
        /// The output's shape.
        shape: Shape,
        /// What is wrong.
        reason: String,
    },
    /// A metric that does not fit an output and its targets.
    #[error("metric {metric} for output '{output}' of shape {shape}: expected {reason}")]
    Metric {
        /// The metric.
        metric: &'static str,
        /// The output's node.
        output: String,
        /// The output's shape.
        shape: Shape,
        /// What the metric expects.
        reason: String,
    },
    /// A tensor of data whose samples have another shape than the model expects.
    #[error("{what} has samples of shape {found}, but {expected} is expected{hint}")]
    SampleShape {
        /// Which tensor: "input 'image'", "target of output 'dense_1'".
        what: String,
        /// Its samples' shape.
        found: Shape,
        /// The shape wanted.
        expected: Shape,
        /// What to do about it, behind a colon, or nothing.
        hint: &'static str,
    },
    /// Values and shape of a tensor do not agree.
    #[error("a tensor of shape {shape} has {expected} values, but {found} were given")]
    TensorSize {
        /// The shape, batch included.
        shape: Shape,
        /// The shape's number of values.
        expected: usize,
        /// The number of values given.
        found: usize,
    },
    /// The tensors of a data set have different numbers of samples.
    #[error("{what} has {found} samples, but the first input has {expected}")]
    SampleCount {
        /// Which tensor.
        what: String,
        /// Its number of samples.
        found: usize,
        /// The first input's.
        expected: usize,
    },
    /// No samples.
    #[error("the data set is empty: {what} has no samples")]
    EmptyData {
        /// Which tensor.
        what: String,
    },
    /// NaN or an infinite value in the data.
    #[error("{what} has the value {value} in sample {sample}, position {position}: all values must be finite")]
    NotFinite {
        /// Which tensor.
        what: String,
        /// The sample.
        sample: usize,
        /// Position within the sample.
        position: usize,
        /// The value.
        value: f32,
    },
    /// A label that is no class number.
    #[error("{what} has the label {label} in sample {sample}, but the model has {classes} classes: 0 to {}", classes - 1)]
    LabelOutOfRange {
        /// Which tensor.
        what: String,
        /// The sample.
        sample: usize,
        /// The label.
        label: f32,
        /// Number of classes.
        classes: usize,
    },
    /// A token that the vocabulary does not have.
    #[error(
        "{what} has the token {token} in sample {sample}, position {position}, but the vocabulary has {vocabulary}: integers from 0 to {}; give `Embedding` more tokens, or replace those that it does not have",
        vocabulary - 1
    )]
    TokenOutOfRange {
        /// Which tensor.
        what: String,
        /// The sample.
        sample: usize,
        /// Position within the sample.
        position: usize,
        /// The token.
        token: f32,
        /// Number of tokens.
        vocabulary: usize,
    },
    /// A target outside what its loss can take.
    #[error("{what} has the value {value} in sample {sample}, but {loss} expects {wanted}")]
    TargetRange {
        /// Which tensor.
        what: String,
        /// The sample.
        sample: usize,
        /// The value.
        value: f32,
        /// The loss.
        loss: String,
        /// What it expects.
        wanted: &'static str,
    },
    /// An argument that makes no sense.
    #[error("{name} is {found}, but must be {expected}")]
    Argument {
        /// The argument.
        name: &'static str,
        /// What was given.
        found: String,
        /// What is wanted.
        expected: String,
    },
    /// The loss became NaN or infinite.
    #[error("the loss became {loss} in epoch {epoch}, step {step}: training has diverged; try a smaller learning rate")]
    Diverged {
        /// The loss.
        loss: f64,
        /// The epoch, from 1.
        epoch: usize,
        /// The step within the epoch, from 1.
        step: usize,
    },
    /// A layer, or the loss or a metric of its output, panicked: one that is written outside, most likely.
    #[error("layer '{layer}' of kind {kind} failed in {doing}: {reason}")]
    Panic {
        /// The layer's name.
        layer: String,
        /// Its kind.
        kind: &'static str,
        /// What it was doing: "its forward pass".
        doing: &'static str,
        /// The panic's message.
        reason: String,
    },
    /// Something is given twice for one input or output.
    #[error("the {thing} for the {what} '{name}' is given twice")]
    GivenTwice {
        /// What is given: "loss", "tensor".
        thing: &'static str,
        /// For what: "input", "output".
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Nothing is given for an input or output.
    #[error(
        "model '{model}' has the {what} '{name}', but no {thing} is given for it, only for {given}: give one under that name"
    )]
    Missing {
        /// The model's name.
        model: String,
        /// "input" or "output".
        what: &'static str,
        /// Its name.
        name: String,
        /// What is missing: "loss", "tensor", "target".
        thing: &'static str,
        /// For what there is one.
        given: String,
    },
    /// Models that cannot answer together.
    #[error(transparent)]
    Ensemble(#[from] EnsembleError),
    /// No forest grows.
    #[error(transparent)]
    Forest(#[from] ForestError),
    /// A file of weights or of a training's state.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A text file of a model's graph.
    #[error(transparent)]
    ModelText(#[from] ModelTextError),
    /// A parameter, layer or tensor of that name does not exist.
    #[error("model '{model}' has no {what} named '{name}'; it has {known}")]
    NotFound {
        /// The model's name.
        model: String,
        /// What was looked for.
        what: &'static str,
        /// Its name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Data cannot be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A model cannot be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The runtime refuses a model file.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A session's golden samples did not come out as they should.
    #[error(transparent)]
    SelfTest(#[from] SelfTestError),
    /// What is in a model file cannot be read, or not be written.
    #[error(transparent)]
    ModelFile(#[from] GraphError),
    /// A model file was not run on samples.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The runtime refuses an input.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A file was not read or written.
    #[error(transparent)]
    File(#[from] std::io::Error),
}

/// The trainer's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
