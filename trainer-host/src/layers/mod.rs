//! Layers: one file each, all in the same order: what it computes, configuration, shape, parameters, forward, backward,
//! examples, tests.
//!
//! A layer is a handle: its configuration and, in its [`LayerBase`], the parameters it shares with all its clones and
//! all models it is used in. Applying it twice shares the parameters.
//!
//! **Adding a layer** is one file here and one line in [`ALL_LAYERS`]; the trainer knows layers only by the trait
//! [`Layer`], and the conformance tests walk the list.

mod base;
mod convolution;
mod depthwise;
#[cfg(test)]
mod harness;
mod merge;
mod options;
mod pass;
mod rows;
mod windows;

mod activation;
mod add;
mod average;
mod average_pooling2d;
mod batch_normalization;
mod concatenate;
mod conv2d;
mod dense;
mod depthwise_conv2d;
mod dropout;
mod flatten;
mod global_average_pooling2d;
mod global_max_pooling2d;
mod max_pooling2d;
mod maximum;
mod multiply;
mod prelu;
mod reshape;
mod rrelu;
mod separable_conv2d;
mod subtract;
mod upsampling2d;
mod zero_padding2d;

pub use activation::{Activation, ActivationLayer, SELU_ALPHA, SELU_SCALE};
pub use add::Add;
pub use average::Average;
pub use average_pooling2d::AveragePooling2D;
pub use batch_normalization::BatchNormalization;
pub use concatenate::Concatenate;
pub use conv2d::Conv2D;
pub use dense::Dense;
pub use depthwise_conv2d::DepthwiseConv2D;
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use global_average_pooling2d::GlobalAveragePooling2D;
pub use global_max_pooling2d::GlobalMaxPooling2D;
pub use max_pooling2d::MaxPooling2D;
pub use maximum::Maximum;
pub use multiply::Multiply;
pub use prelu::PReLU;
pub use reshape::Reshape;
pub use rrelu::RReLU;
pub use separable_conv2d::SeparableConv2D;
pub use subtract::Subtract;
pub use upsampling2d::UpSampling2D;
pub use zero_padding2d::ZeroPadding2D;

#[cfg(test)]
pub(crate) use activation::softmax_rows;
pub(crate) use rows::{add_bias, add_column_sums};

pub use windows::{Padding, Size2D};

use base::Trainable;
pub use base::{Apply, IntoInputs, LayerBase, Named, ParameterSpec, ParameterValue};
pub use pass::{
    Backward, Forward, GradientPlace, GradientSlot, InputGradients, Inputs, ParameterGradients, ParameterPlace, Parameters,
    Place, Prepare, RandomKey, WeightGradient,
};

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::export::Value;
use crate::export::lower::Lowering;
use crate::graph::{Shape, SymbolicTensor};

/// What the trainer has to provide for a node; the answer of [`Layer::requirements`].
#[derive(Debug, Clone, Default)]
pub struct Requirements {
    /// `backward` reads the inputs' values.
    pub backward_reads_inputs: bool,
    /// `backward` reads the output's values.
    pub backward_reads_output: bool,
    /// Forward turns the first input, which stands in `output` already, into the output; backward turns
    /// `output_gradient` into the input's gradient in the same place. Such a layer has one input, of the output's size,
    /// and its `backward` may not read the input.
    pub in_place: bool,
    /// f64 sums over the batch that training needs before `forward` ([`Layer::forward_sums`]).
    pub forward_sums: usize,
    /// f64 sums over the batch that training needs before `backward` ([`Layer::backward_sums`]).
    pub backward_sums: usize,
    /// f32 values that [`Layer::prepare`] leaves for `forward` and `backward` of the same step.
    pub state: usize,
}

/// A layer of one kind, with its configuration: what the trainer, the exporter and the summary need to know of it.
///
/// Passes see some consecutive samples of a batch (a shard), so a layer must treat samples independently; what it needs
/// of the whole batch (batch normalization's moments) goes through the sums.
pub trait Layer: fmt::Debug + Send + Sync + Any {
    /// The kind's name, as the user writes it: `"Dense"`.
    fn kind(&self) -> &'static str;

    /// Name, identity and parameters.
    fn base(&self) -> &LayerBase;

    /// As [`Layer::base`], to set the name before the layer is applied.
    fn base_mut(&mut self) -> &mut LayerBase;

    /// The output's shape, or a sentence's end that says what was wanted: `"inputs of rank 3, [height, width, channels]"`.
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String>;

    /// The parameters, in Keras's order (kernel, bias; gamma, beta, moving_mean, moving_variance).
    fn parameters(&self, inputs: &[Shape]) -> Vec<ParameterSpec> {
        let _ = inputs;
        Vec::new()
    }

    /// What the trainer has to provide.
    fn requirements(&self, inputs: &[Shape]) -> Requirements;

    /// f32 values of scratch memory that forward or backward want for this many samples.
    fn scratch(&self, inputs: &[Shape], samples: usize) -> usize {
        let _ = (inputs, samples);
        0
    }

    /// Computes the output of some samples.
    fn forward(&self, pass: &mut Forward<'_>);

    /// Adds the gradients of the inputs that want one, and of the parameters, for some samples.
    fn backward(&self, pass: &mut Backward<'_>);

    /// Adds to `sums` what training needs of these samples' inputs before `forward`.
    fn forward_sums(&self, pass: &Forward<'_>, sums: &mut [f64]) {
        let _ = (pass, sums);
    }

    /// Once per step before `forward`, with the sums over the batch (empty outside training): fills the state and, in
    /// training, updates `statistics` (the parameters that are not trainable, in order).
    fn prepare(&self, pass: &mut Prepare<'_>) {
        let _ = pass;
    }

    /// Adds to `sums` what `backward` needs of these samples.
    fn backward_sums(&self, pass: &Backward<'_>, sums: &mut [f64]) {
        let _ = (pass, sums);
    }

    /// Once per step before `backward`, with the sums over the batch: fills the state, adds the gradients that the sums
    /// give.
    fn prepare_backward(&self, pass: &mut Prepare<'_>) {
        let _ = pass;
    }

    /// `true`: the trainer calls [`Layer::weight_gradient`] over the whole batch, in blocks of rows of each parameter,
    /// after `backward` of all nodes; `backward` itself then leaves the parameters alone. For parameters too large to
    /// have a gradient per lane.
    fn has_batch_weight_gradient(&self) -> bool {
        false
    }

    /// The gradient of some rows of a parameter; see [`Layer::has_batch_weight_gradient`]. Reads the inputs and the
    /// output's gradient.
    fn weight_gradient(&self, pass: &mut WeightGradient<'_>) {
        let _ = pass;
    }

    /// The function, if the layer is an activation that a loss might be computed together with.
    fn as_activation(&self) -> Option<Activation> {
        None
    }

    /// The layer that `apply` puts behind this one as part of it: the one given as `activation`.
    fn activation_layer(&self) -> Option<Arc<dyn Layer>> {
        None
    }

    /// Adds what the layer is on the device to the graph of the runtime's ops, and gives its output; or says why it has no
    /// counterpart there.
    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String>;

    /// The configuration for the summary: `"32 filters, 3x3, same, relu"`.
    fn describe(&self) -> String {
        String::new()
    }
}

/// A kind of layer, for tests and tables that go through all of them.
#[derive(Debug)]
pub struct LayerKind {
    /// The name, as [`Layer::kind`] gives it.
    pub name: &'static str,
    /// Layers of this kind that between them use every option, small enough for finite differences.
    pub examples: fn() -> Vec<Example>,
}

/// A layer with the shapes of inputs it takes.
#[derive(Debug, Clone)]
pub struct Example {
    /// The layer.
    pub layer: Arc<dyn Layer>,
    /// Its inputs.
    pub inputs: Vec<Shape>,
}

impl Example {
    /// A layer on inputs of these shapes.
    pub fn new(layer: impl Layer, inputs: &[&[usize]]) -> Self {
        Self { layer: Arc::new(layer), inputs: inputs.iter().map(|&shape| Shape::from(shape)).collect() }
    }

    /// Applies the layer, with its activation, to fitting tensors.
    pub fn apply(&self, inputs: Vec<SymbolicTensor>) -> SymbolicTensor {
        base::apply_shared(&self.layer, inputs)
    }
}

/// Every kind of layer.
pub static ALL_LAYERS: &[LayerKind] = &[
    LayerKind { name: "Activation", examples: activation::examples },
    LayerKind { name: "Add", examples: add::examples },
    LayerKind { name: "Average", examples: average::examples },
    LayerKind { name: "AveragePooling2D", examples: average_pooling2d::examples },
    LayerKind { name: "BatchNormalization", examples: batch_normalization::examples },
    LayerKind { name: "Concatenate", examples: concatenate::examples },
    LayerKind { name: "Conv2D", examples: conv2d::examples },
    LayerKind { name: "Dense", examples: dense::examples },
    LayerKind { name: "DepthwiseConv2D", examples: depthwise_conv2d::examples },
    LayerKind { name: "Dropout", examples: dropout::examples },
    LayerKind { name: "Flatten", examples: flatten::examples },
    LayerKind { name: "GlobalAveragePooling2D", examples: global_average_pooling2d::examples },
    LayerKind { name: "GlobalMaxPooling2D", examples: global_max_pooling2d::examples },
    LayerKind { name: "MaxPooling2D", examples: max_pooling2d::examples },
    LayerKind { name: "Maximum", examples: maximum::examples },
    LayerKind { name: "Multiply", examples: multiply::examples },
    LayerKind { name: "PReLU", examples: prelu::examples },
    LayerKind { name: "RReLU", examples: rrelu::examples },
    LayerKind { name: "Reshape", examples: reshape::examples },
    LayerKind { name: "SeparableConv2D", examples: separable_conv2d::examples },
    LayerKind { name: "Subtract", examples: subtract::examples },
    LayerKind { name: "UpSampling2D", examples: upsampling2d::examples },
    LayerKind { name: "ZeroPadding2D", examples: zero_padding2d::examples },
];
