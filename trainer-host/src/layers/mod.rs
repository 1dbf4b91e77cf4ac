//! Layers: one file each, all in the same order: what it computes, configuration, shape, parameters, forward, backward,
//! examples, tests.
//!
//! A layer is a handle: its configuration and, in its [`LayerBase`], the parameters it shares with all its clones and
//! all models it is used in. Applying it twice shares the parameters.
//!
//! Some have the names of the runtime's ops that they are lowered to: the prelude has the layers, and `device::ops::Add` is
//! the op.
//!
//! **Adding a layer** is one file here and one line in [`ALL_LAYERS`]; the trainer knows layers only by the trait
//! [`Layer`], and the conformance tests walk the list. Pools, convolutions and layers that merge tensors are thin fronts of
//! what they have in common (pooling.rs, windows.rs, epilogue.rs, merge.rs), and most layers on sequences of those on images (steps.rs). A layer of another crate implements the same
//! trait: `examples/custom_layer.rs`.

mod convolution;
mod depthwise;
mod epilogue;
#[cfg(test)]
mod harness;
mod merge;
mod noise;
mod options;
mod pooling;
mod recurrent;
mod steps;
mod windows;

mod absolute_difference;
mod activation;
mod add;
mod alpha_dropout;
mod average;
mod average_pooling1d;
mod average_pooling2d;
mod batch_normalization;
mod bidirectional;
mod concatenate;
mod conv1d;
mod conv2d;
mod dense;
mod depthwise_conv1d;
mod depthwise_conv2d;
mod dot;
mod dropout;
mod embedding;
mod flatten;
mod forest;
mod gaussian_dropout;
mod gaussian_noise;
mod global_average_pooling1d;
mod global_average_pooling2d;
mod global_max_pooling1d;
mod global_max_pooling2d;
mod gru;
mod layer_normalization;
mod lstm;
mod masking;
mod max_pooling1d;
mod max_pooling2d;
mod maximum;
mod mean;
mod multiply;
mod prelu;
mod reshape;
mod rrelu;
mod separable_conv1d;
mod separable_conv2d;
mod simple_rnn;
mod slice;
mod spatial_dropout1d;
mod spatial_dropout2d;
mod subtract;
mod time_distributed;
mod upsampling1d;
mod upsampling2d;
mod weighted_sum;
mod zero_padding1d;
mod zero_padding2d;

pub use absolute_difference::AbsoluteDifference;
pub use activation::ActivationLayer;
pub use add::Add;
pub use alpha_dropout::AlphaDropout;
pub use average::Average;
pub use average_pooling1d::AveragePooling1D;
pub use average_pooling2d::AveragePooling2D;
pub use batch_normalization::BatchNormalization;
pub use bidirectional::{Bidirectional, MergeMode, RecurrentLayer};
pub use concatenate::Concatenate;
pub use conv1d::Conv1D;
pub use conv2d::Conv2D;
pub use dense::Dense;
pub use depthwise_conv1d::DepthwiseConv1D;
pub use depthwise_conv2d::DepthwiseConv2D;
pub use dot::Dot;
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use flatten::Flatten;
pub use forest::Forest;
pub use gaussian_dropout::GaussianDropout;
pub use gaussian_noise::GaussianNoise;
pub use global_average_pooling1d::GlobalAveragePooling1D;
pub use global_average_pooling2d::GlobalAveragePooling2D;
pub use global_max_pooling1d::GlobalMaxPooling1D;
pub use global_max_pooling2d::GlobalMaxPooling2D;
pub use gru::Gru;
pub use layer_normalization::LayerNormalization;
pub use lstm::Lstm;
pub use masking::Masking;
pub use max_pooling1d::MaxPooling1D;
pub use max_pooling2d::MaxPooling2D;
pub use maximum::Maximum;
pub use mean::Mean;
pub use multiply::Multiply;
pub use prelu::PReLU;
pub use reshape::Reshape;
pub use rrelu::RReLU;
pub use separable_conv1d::SeparableConv1D;
pub use separable_conv2d::SeparableConv2D;
pub use simple_rnn::SimpleRnn;
pub use slice::Slice;
pub use spatial_dropout1d::SpatialDropout1D;
pub use spatial_dropout2d::SpatialDropout2D;
pub use subtract::Subtract;
pub use time_distributed::TimeDistributed;
pub use upsampling1d::UpSampling1D;
pub use upsampling2d::UpSampling2D;
pub use weighted_sum::WeightedSum;
pub use zero_padding1d::ZeroPadding1D;
pub use zero_padding2d::ZeroPadding2D;

#[cfg(test)]
pub(crate) use activation::softmax_rows;

pub use windows::{Padding, Size2D};

pub use crate::activation::{Activation, SELU_ALPHA, SELU_SCALE};
pub use crate::graph::pass::{
    Backward, Forward, GradientPlace, GradientSlot, InputGradients, Inputs, ParameterGradients, ParameterPlace, Parameters,
    Place, Prepare, RandomKey, WeightGradient,
};
pub use crate::graph::{
    Apply, IntoInputs, Layer, LayerBase, LayerOptions, LengthRule, Named, ParameterKind, ParameterSpec, ParameterValue,
    Requirements,
};
pub use crate::identity;

use std::sync::Arc;

use crate::graph::{Shape, SymbolicTensor, Trainable, apply_shared};

/// A kind of layer: saved models are read by it, and tests and tables go through all of them.
#[derive(Debug)]
pub struct LayerKind {
    /// The name, as [`Layer::kind`] gives it.
    pub name: &'static str,
    /// Layers of this kind that between them use every option, small enough for finite differences.
    pub examples: fn() -> Vec<Example>,
    /// A layer of this kind with all that is set by default: text files leave out what is equal in it.
    pub plain: fn() -> Arc<dyn Layer>,
    /// What has no default, by its names in text files.
    pub required: &'static [&'static str],
}

const fn kind(
    name: &'static str,
    examples: fn() -> Vec<Example>,
    plain: fn() -> Arc<dyn Layer>,
    required: &'static [&'static str],
) -> LayerKind {
    LayerKind { name, examples, plain, required }
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
        apply_shared(&self.layer, inputs)
    }
}

/// All that a forest is made of.
const FOREST: &[&str] =
    &["outputs", "width", "biases", "roots", "firsts", "features", "thresholds", "below", "above", "leaves"];

/// Every kind of layer.
pub static ALL_LAYERS: &[LayerKind] = &[
    kind("AbsoluteDifference", absolute_difference::examples, || Arc::new(AbsoluteDifference::new()), &[]),
    kind("Activation", activation::examples, || Arc::new(ActivationLayer::new(Activation::Linear)), &["activation"]),
    kind("Add", add::examples, || Arc::new(Add::new()), &[]),
    kind("AlphaDropout", alpha_dropout::examples, || Arc::new(AlphaDropout::new(0.5)), &["rate"]),
    kind("Average", average::examples, || Arc::new(Average::new()), &[]),
    kind("AveragePooling1D", average_pooling1d::examples, || Arc::new(AveragePooling1D::new(2)), &["pool_size"]),
    kind("AveragePooling2D", average_pooling2d::examples, || Arc::new(AveragePooling2D::new(2)), &["pool_size"]),
    kind("BatchNormalization", batch_normalization::examples, || Arc::new(BatchNormalization::new()), &[]),
    kind("Concatenate", concatenate::examples, || Arc::new(Concatenate::new()), &[]),
    kind("Conv1D", conv1d::examples, || Arc::new(Conv1D::new(1, 1)), &["filters", "kernel"]),
    kind("Conv2D", conv2d::examples, || Arc::new(Conv2D::new(1, 1)), &["filters", "kernel"]),
    kind("Dense", dense::examples, || Arc::new(Dense::new(1)), &["units"]),
    kind("DepthwiseConv1D", depthwise_conv1d::examples, || Arc::new(DepthwiseConv1D::new(1)), &["kernel"]),
    kind("DepthwiseConv2D", depthwise_conv2d::examples, || Arc::new(DepthwiseConv2D::new(1)), &["kernel"]),
    kind("Dot", dot::examples, || Arc::new(Dot::new()), &[]),
    kind("Dropout", dropout::examples, || Arc::new(Dropout::new(0.5)), &["rate"]),
    kind("Embedding", embedding::examples, || Arc::new(Embedding::new(1, 1)), &["vocabulary", "size"]),
    kind("Flatten", flatten::examples, || Arc::new(Flatten::new()), &[]),
    kind("Forest", forest::examples, || forest::examples().swap_remove(0).layer, FOREST),
    kind("GaussianDropout", gaussian_dropout::examples, || Arc::new(GaussianDropout::new(0.5)), &["rate"]),
    kind("GaussianNoise", gaussian_noise::examples, || Arc::new(GaussianNoise::new(1.0)), &["deviation"]),
    kind("GlobalAveragePooling1D", global_average_pooling1d::examples, || Arc::new(GlobalAveragePooling1D::new()), &[]),
    kind("GlobalAveragePooling2D", global_average_pooling2d::examples, || Arc::new(GlobalAveragePooling2D::new()), &[]),
    kind("GlobalMaxPooling1D", global_max_pooling1d::examples, || Arc::new(GlobalMaxPooling1D::new()), &[]),
    kind("GlobalMaxPooling2D", global_max_pooling2d::examples, || Arc::new(GlobalMaxPooling2D::new()), &[]),
    kind("LayerNormalization", layer_normalization::examples, || Arc::new(LayerNormalization::new()), &[]),
    kind("GRU", gru::examples, || Arc::new(Gru::new(1)), &["units"]),
    kind("MaxPooling1D", max_pooling1d::examples, || Arc::new(MaxPooling1D::new(2)), &["pool_size"]),
    kind("LSTM", lstm::examples, || Arc::new(Lstm::new(1)), &["units"]),
    kind("Masking", masking::examples, || Arc::new(Masking::new(0.0)), &[]),
    kind("MaxPooling2D", max_pooling2d::examples, || Arc::new(MaxPooling2D::new(2)), &["pool_size"]),
    kind("Maximum", maximum::examples, || Arc::new(Maximum::new()), &[]),
    kind("Mean", mean::examples, || Arc::new(Mean::over_axis(0)), &["axes"]),
    kind("Multiply", multiply::examples, || Arc::new(Multiply::new()), &[]),
    kind("PReLU", prelu::examples, || Arc::new(PReLU::new()), &[]),
    kind("RReLU", rrelu::examples, || Arc::new(RReLU::new()), &[]),
    kind("Reshape", reshape::examples, || Arc::new(Reshape::new([1])), &["shape"]),
    kind("SeparableConv1D", separable_conv1d::examples, || Arc::new(SeparableConv1D::new(1, 1)), &["filters", "kernel"]),
    kind("SeparableConv2D", separable_conv2d::examples, || Arc::new(SeparableConv2D::new(1, 1)), &["filters", "kernel"]),
    kind("SimpleRNN", simple_rnn::examples, || Arc::new(SimpleRnn::new(1)), &["units"]),
    kind("Slice", slice::examples, || Arc::new(Slice::rows(..)), &[]),
    kind("SpatialDropout1D", spatial_dropout1d::examples, || Arc::new(SpatialDropout1D::new(0.5)), &["rate"]),
    kind("SpatialDropout2D", spatial_dropout2d::examples, || Arc::new(SpatialDropout2D::new(0.5)), &["rate"]),
    kind("Subtract", subtract::examples, || Arc::new(Subtract::new()), &[]),
    kind("TimeDistributed", time_distributed::examples, || time_distributed::examples().swap_remove(0).layer, &[]),
    kind("UpSampling1D", upsampling1d::examples, || Arc::new(UpSampling1D::new(2)), &["size"]),
    kind("UpSampling2D", upsampling2d::examples, || Arc::new(UpSampling2D::new(2)), &["size"]),
    kind("WeightedSum", weighted_sum::examples, || Arc::new(WeightedSum::new([0.5, 0.5])), &["weights"]),
    kind("ZeroPadding1D", zero_padding1d::examples, || Arc::new(ZeroPadding1D::new(1)), &[]),
    kind("ZeroPadding2D", zero_padding2d::examples, || Arc::new(ZeroPadding2D::new(1)), &[]),
];
