//! [Max and average](crate::ops::pool) over windows of `[H, W, C]` of int16, each channel for itself. Padding does not count; the
//! output's scale is the input's. The average is `floor((2 * sum + n) / (2 * n))` over the `n` real elements.

use crate::{
    op::{Lengths, OpDef, disjoint},
    ops::pool::{average, check, fold_maximum, slide},
    quant,
    tensor::ElementType::I16,
};

/// Maximum.
pub static MAX_POOL_I16: OpDef = OpDef {
    code: 71,
    name: "max_pool_i16",
    alias: disjoint,
    lengths: Lengths::Checked,
    check: |node| check(node, I16),
    run: |node| slide(node, fold_maximum::<i16>),
};
/// Average.
pub static AVERAGE_POOL_I16: OpDef = OpDef {
    code: 72,
    name: "average_pool_i16",
    alias: disjoint,
    lengths: Lengths::Checked,
    check: |node| check(node, I16),
    run: |node| slide::<i16>(node, |rows, out| average(rows, out, quant::mean_i16)),
};
