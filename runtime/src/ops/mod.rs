//! The ops: one file each, all in the same order: what it computes, parameters, check, kernels, definitions, tests.
//!
//! An op has one code per element type, so that int8 firmware links no floating point. Adding one is a file here, its
//! definitions in [`ALL_OPS`], and its twin in the trainer.

mod node;

pub mod activation;
pub mod add;
pub mod concat;
pub mod conv2d;
pub mod dense;
pub mod depthwise_conv2d;
pub mod linear;
pub mod lut;
pub mod maximum;
pub mod multiply;
pub mod pad;
pub mod pool;
pub mod prelu;
pub mod quantize;
pub mod reshape;
pub mod scale_shift;
pub mod softmax;
pub mod upsample;
pub mod window;

pub use node::{Buffers, Inputs, NodeCheck, NodeRun};

use crate::error::NodeFault;

/// Where an op's output may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alias {
    /// The output shares no byte with an input.
    Disjoint,
    /// The output may also be exactly the first input's bytes.
    InPlace,
}

/// What the runtime knows of an op with one element type.
#[derive(Debug)]
pub struct OpDef {
    /// Its number in model files, 1 to 127. Never used twice.
    pub code: u8,
    /// Its name, for people.
    pub name: &'static str,
    /// Where its output may lie.
    pub alias: Alias,
    /// Checks a node of a hostile file: types, shapes, parameters, constants, scratch.
    pub check: fn(&NodeCheck<'_>) -> Result<(), NodeFault>,
    /// Runs a node that was checked.
    pub run: fn(&mut NodeRun<'_>),
}

/// Every op of this version, by code.
pub static ALL_OPS: &[&OpDef] = &[
    &dense::DENSE_I8,
    &dense::DENSE_F32,
    &conv2d::CONV2D_I8,
    &conv2d::CONV2D_F32,
    &depthwise_conv2d::DEPTHWISE_CONV2D_I8,
    &depthwise_conv2d::DEPTHWISE_CONV2D_F32,
    &pool::MAX_POOL_I8,
    &pool::MAX_POOL_F32,
    &pool::AVERAGE_POOL_I8,
    &pool::AVERAGE_POOL_F32,
    &lut::LUT_I8,
    &activation::ACTIVATION_F32,
    &softmax::SOFTMAX_I8,
    &softmax::SOFTMAX_F32,
    &add::ADD_I8,
    &add::ADD_F32,
    &concat::CONCAT,
    &reshape::RESHAPE,
    &pad::PAD,
    &scale_shift::SCALE_SHIFT_I8,
    &scale_shift::SCALE_SHIFT_F32,
    &quantize::QUANTIZE,
    &quantize::DEQUANTIZE,
    &multiply::MULTIPLY_I8,
    &multiply::MULTIPLY_F32,
    &maximum::MAXIMUM_I8,
    &maximum::MAXIMUM_F32,
    &prelu::PRELU_I8,
    &prelu::PRELU_F32,
    &upsample::UPSAMPLE,
];
