//! Softmax over the last axis, of at most 1,024 classes in int8.
//!
//! int8 (output scale 1/256, zero point -128): with the host's table
//! `T[d] = floor(2^k * exp(-beta * scale * d) + 0.5)`, d = 0..=255, `k = min(23, 31 - ceil(log2 N))`, and `S = sum T[max - x_j]`:
//! `q = min(127, -128 + (256 * T[max - x] + S / 2) / S)`, all in u32. f32: `exp(x - max) / sum`, in order.

use super::{
    Alias, NodeCheck, NodeRun, OpDef,
    node::{as_f32_mut, as_i8_mut, ensure},
};
use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    tensor::ElementType::{F32, I8},
};
use core::num::NonZeroU32;

/// Bytes of the table: 256 u32.
pub const TABLE_BYTES: usize = 1024;
/// Most classes of the int8 op.
pub const MAXIMUM_CLASSES: usize = 1024;

/// Parameters of the int8 op in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    /// Offset of the table in the constants.
    pub table: u32,
}

impl Parameters {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { table: cursor.u32() }
    }
}

/// The table for `classes` inputs of the given scale.
#[cfg(feature = "std")]
pub fn table(scale: f32, classes: usize) -> [u32; 256] {
    let bits = 31 - classes.next_power_of_two().trailing_zeros();
    let one = f64::from(1u32 << if bits < 23 { bits } else { 23 });
    core::array::from_fn(|d| (one * (-f64::from(scale) * d as f64).exp() + 0.5).floor() as u32)
}

fn check_i8(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let [input] = node.inputs(I8)?;
    ensure(input.same_form(&node.output) && input.channels() <= MAXIMUM_CLASSES, NodeFault::Shape)?;
    ensure(
        node.output.scale.to_bits() == (1.0f32 / 256.0).to_bits() && node.output.zero_point == -128,
        NodeFault::Quantization,
    )?;
    let table = node.constants(node.parameters(Parameters::decode)?.table, TABLE_BYTES)?;
    let mut entries = table.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes));
    let first = entries.next().unwrap_or(0);
    let sum_fits = u64::from(first) * input.channels() as u64 <= 1 << 31;
    ensure((1..=1 << 23).contains(&first) && sum_fits && entries.all(|entry| entry <= first), NodeFault::Quantization)
}

fn run_i8(node: &mut NodeRun<'_>) {
    let parameters = Parameters::decode(&mut node.parameters());
    let table: &[u32] = bytemuck::try_cast_slice(node.constants(parameters.table, TABLE_BYTES)).unwrap_or_default();
    let Some(table) = table.first_chunk::<256>() else { return };
    let channels = node.output.channels();
    for row in as_i8_mut(node.buffers_in_place().output).chunks_exact_mut(channels.max(1)) {
        softmax_i8(table, row);
    }
}

fn softmax_i8(table: &[u32; 256], row: &mut [i8]) {
    let largest = row.iter().fold(-128, |largest, &x| if x > largest { x } else { largest });
    #[expect(clippy::indexing_slicing, reason = "256 entries, an index of 8 bits")]
    let entry = |x: i8| table[(largest as u8).wrapping_sub(x as u8) as usize];
    let sum = row.iter().fold(0u32, |sum, &x| sum.wrapping_add(entry(x)));
    let Some(sum) = NonZeroU32::new(sum) else { return };
    for x in row {
        let share = (entry(*x) << 8).wrapping_add(sum.get() >> 1) / sum;
        *x = if share > 255 { 127 } else { (share as i32 - 128) as i8 };
    }
}

fn check_f32(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let [input] = node.inputs(F32)?;
    ensure(input.same_form(&node.output), NodeFault::Shape)?;
    node.parameters(|_| ())
}

fn run_f32(node: &mut NodeRun<'_>) {
    let channels = node.output.channels();
    for row in as_f32_mut(node.buffers_in_place().output).chunks_exact_mut(channels.max(1)) {
        softmax_f32(row);
    }
}

fn softmax_f32(row: &mut [f32]) {
    let largest = row.iter().fold(f32::NEG_INFINITY, |largest, &x| if x > largest { x } else { largest });
    let mut sum = 0.0;
    for x in row.iter_mut() {
        *x = libm::expf(*x - largest);
        sum += *x;
    }
    row.iter_mut().for_each(|x| *x /= sum);
}

/// int8.
pub static SOFTMAX_I8: OpDef = OpDef { code: 13, name: "softmax_i8", alias: Alias::InPlace, check: check_i8, run: run_i8 };
/// f32.
pub static SOFTMAX_F32: OpDef = OpDef { code: 14, name: "softmax_f32", alias: Alias::InPlace, check: check_f32, run: run_f32 };

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn the_shares_sum_to_one_and_the_largest_saturates() {
        let table = table(0.1, 4);
        assert_eq!(table[0], 1 << 23);
        let mut row = [10, 10, 10, 10];
        softmax_i8(&table, &mut row);
        assert_eq!(row, [-64; 4]);
        let mut row = [127, -128, -128, -128];
        softmax_i8(&table, &mut row);
        assert_eq!(row, [127, -128, -128, -128]);
        // exp(0), exp(-1): 0.731, 0.269 of 256 are 187 and 69.
        let mut row = [10, 0];
        softmax_i8(&table, &mut row);
        assert_eq!(row, [187 - 128, 69 - 128].map(|x: i32| x as i8));
    }

    #[test]
    fn f32_is_stable_for_large_inputs() {
        let mut row = [1000.0, 1000.0];
        softmax_f32(&mut row);
        assert_eq!(row, [0.5, 0.5]);
    }
}
