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
}

impl LayerKind {
    /// A layer of this kind, to read others of it.
    pub(crate) fn any(&self) -> Arc<dyn Layer> {
        (self.examples)().swap_remove(0).layer
    }
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

/// Every kind of layer.
pub static ALL_LAYERS: &[LayerKind] = &[
    LayerKind { name: "AbsoluteDifference", examples: absolute_difference::examples },
    LayerKind { name: "Activation", examples: activation::examples },
    LayerKind { name: "Add", examples: add::examples },
    LayerKind { name: "AlphaDropout", examples: alpha_dropout::examples },
    LayerKind { name: "Average", examples: average::examples },
    LayerKind { name: "AveragePooling1D", examples: average_pooling1d::examples },
    LayerKind { name: "AveragePooling2D", examples: average_pooling2d::examples },
    LayerKind { name: "BatchNormalization", examples: batch_normalization::examples },
    LayerKind { name: "Concatenate", examples: concatenate::examples },
    LayerKind { name: "Conv1D", examples: conv1d::examples },
    LayerKind { name: "Conv2D", examples: conv2d::examples },
    LayerKind { name: "Dense", examples: dense::examples },
    LayerKind { name: "DepthwiseConv1D", examples: depthwise_conv1d::examples },
    LayerKind { name: "DepthwiseConv2D", examples: depthwise_conv2d::examples },
    LayerKind { name: "Dot", examples: dot::examples },
    LayerKind { name: "Dropout", examples: dropout::examples },
    LayerKind { name: "Embedding", examples: embedding::examples },
    LayerKind { name: "Flatten", examples: flatten::examples },
    LayerKind { name: "GaussianDropout", examples: gaussian_dropout::examples },
    LayerKind { name: "GaussianNoise", examples: gaussian_noise::examples },
    LayerKind { name: "GlobalAveragePooling1D", examples: global_average_pooling1d::examples },
    LayerKind { name: "GlobalAveragePooling2D", examples: global_average_pooling2d::examples },
    LayerKind { name: "GlobalMaxPooling1D", examples: global_max_pooling1d::examples },
    LayerKind { name: "GlobalMaxPooling2D", examples: global_max_pooling2d::examples },
    LayerKind { name: "LayerNormalization", examples: layer_normalization::examples },
    LayerKind { name: "GRU", examples: gru::examples },
    LayerKind { name: "MaxPooling1D", examples: max_pooling1d::examples },
    LayerKind { name: "LSTM", examples: lstm::examples },
    LayerKind { name: "Masking", examples: masking::examples },
    LayerKind { name: "MaxPooling2D", examples: max_pooling2d::examples },
    LayerKind { name: "Maximum", examples: maximum::examples },
    LayerKind { name: "Mean", examples: mean::examples },
    LayerKind { name: "Multiply", examples: multiply::examples },
    LayerKind { name: "PReLU", examples: prelu::examples },
    LayerKind { name: "RReLU", examples: rrelu::examples },
    LayerKind { name: "Reshape", examples: reshape::examples },
    LayerKind { name: "SeparableConv1D", examples: separable_conv1d::examples },
    LayerKind { name: "SeparableConv2D", examples: separable_conv2d::examples },
    LayerKind { name: "SimpleRNN", examples: simple_rnn::examples },
    LayerKind { name: "Slice", examples: slice::examples },
    LayerKind { name: "SpatialDropout1D", examples: spatial_dropout1d::examples },
    LayerKind { name: "SpatialDropout2D", examples: spatial_dropout2d::examples },
    LayerKind { name: "Subtract", examples: subtract::examples },
    LayerKind { name: "TimeDistributed", examples: time_distributed::examples },
    LayerKind { name: "UpSampling1D", examples: upsampling1d::examples },
    LayerKind { name: "UpSampling2D", examples: upsampling2d::examples },
    LayerKind { name: "ZeroPadding1D", examples: zero_padding1d::examples },
    LayerKind { name: "ZeroPadding2D", examples: zero_padding2d::examples },
];
