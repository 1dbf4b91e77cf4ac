//! The ops: one file each, all in the same order: what it computes, parameters, check, kernels, definitions, tests.
//!
//! An op has one code per element type, so that int8 firmware links no floating point. Adding one is a file here, its
//! definitions in [`ALL_OPS`], and its twin in the trainer.

pub mod activation;
pub mod add;
pub mod concat;
pub mod conv2d;
pub mod conv2d_add;
pub mod delay;
pub mod dense;
pub mod depthwise_conv2d;
pub mod dot;
pub mod embedding;
pub mod forest;
pub mod gru;
pub mod layer_normalization;
pub mod linear;
pub mod lstm;
pub mod lut;
pub mod matrix;
pub mod maximum;
pub mod mean;
pub mod multiply;
pub mod pad;
pub mod pool;
pub mod prelu;
pub mod quantize;
pub mod recurrent;
pub mod reshape;
pub mod scale_shift;
pub mod simple_rnn;
pub mod slice;
pub mod softmax;
pub mod upsample;
pub mod wide;
pub mod window;

use crate::{
    format::header::{assert_header, ops_of},
    op::OpDef,
};

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
    &mean::MEAN_I8,
    &mean::MEAN_F32,
    &embedding::EMBEDDING,
    &layer_normalization::LAYER_NORMALIZATION_I8,
    &layer_normalization::LAYER_NORMALIZATION_F32,
    &dot::DOT_I8,
    &dot::DOT_F32,
    &delay::DELAY,
    &lstm::LSTM_I8,
    &lstm::LSTM_F32,
    &gru::GRU_I8,
    &gru::GRU_F32,
    &simple_rnn::SIMPLE_RNN_I8,
    &simple_rnn::SIMPLE_RNN_F32,
    &slice::SLICE,
    &dense::DENSE_I4,
    &conv2d::CONV2D_I4,
    &forest::FOREST_I8,
    &forest::FOREST_F32,
    &wide::dense::DENSE_I16,
    &wide::conv2d::CONV2D_I16,
    &wide::depthwise_conv2d::DEPTHWISE_CONV2D_I16,
    &wide::rescale::RESCALE,
    &wide::convert::QUANTIZE_I16,
    &wide::convert::DEQUANTIZE_I16,
    &wide::add::ADD_I16,
    &wide::pool::MAX_POOL_I16,
    &wide::pool::AVERAGE_POOL_I16,
    &wide::lut::LUT_I16,
    &wide::softmax::SOFTMAX_I16,
    &wide::multiply::MULTIPLY_I16,
    &wide::scale_shift::SCALE_SHIFT_I16,
    &conv2d_add::CONV2D_ADD_I8,
];

/// Number of ops that `model` uses: the length of the table that [`select_ops`] makes. Meant for compile time.
///
/// # Panics
/// As [`arena_bytes`](crate::arena_bytes).
pub const fn op_count(model: &[u8]) -> usize {
    assert_header(model);
    ops_of(model).count_ones() as usize
}

/// The table of the ops that `model` uses. Only the kernels in it are linked. Meant for compile time.
///
/// # Panics
/// As [`arena_bytes`](crate::arena_bytes); if `N` is not [`op_count`]; if `model` uses an op that this runtime does not have.
#[expect(clippy::panic, clippy::indexing_slicing, reason = "meant for compile time, where the panic is the error message")]
pub const fn select_ops<const N: usize>(model: &[u8]) -> [&'static OpDef; N] {
    assert_header(model);
    let used = ops_of(model);
    let mut table = [ALL_OPS[0]; N];
    let mut found = 0;
    let mut i = 0;
    while i < ALL_OPS.len() {
        if used >> ALL_OPS[i].code & 1 == 1 {
            table[found] = ALL_OPS[i];
            found += 1;
        }
        i += 1;
    }
    if found != N || found != used.count_ones() as usize {
        panic!("the model uses an op that this runtime does not have");
    }
    table
}
