//! Softmax over the last axis, of at most 1,024 classes in int8.
//!
//! int8 (output scale 1/256, zero point -128): with the host's table
//! `T[d] = floor(2^k * exp(-beta * scale * d) + 0.5)`, d = 0..=255, `k = min(23, 31 - ceil(log2 N))`, and `S = sum T[max - x_j]`:
//! `q = min(127, -128 + (256 * T[max - x] + S / 2) / S)`, all in u32. f32: `exp(x - max) / sum`, in order; with the feature `micromath`
//! less exact, by as much as the table of [activations](super::activation) says.

use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    math::{Functions, OfKernels},
    op::{Lengths, NodeCheck, NodeRun, OpDef, as_f32_mut, as_i8_mut, ensure, in_place},
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
        softmax_f32::<OfKernels>(row);
    }
}

fn softmax_f32<By: Functions>(row: &mut [f32]) {
    let largest = row.iter().fold(f32::NEG_INFINITY, |largest, &x| if x > largest { x } else { largest });
    let mut sum = 0.0;
    for x in row.iter_mut() {
        *x = By::exp(*x - largest);
        sum += *x;
    }
    row.iter_mut().for_each(|x| *x /= sum);
}

/// int8.
pub static SOFTMAX_I8: OpDef =
    OpDef { code: 13, name: "softmax_i8", alias: in_place, lengths: Lengths::Rows, check: check_i8, run: run_i8 };
/// f32.
pub static SOFTMAX_F32: OpDef =
    OpDef { code: 14, name: "softmax_f32", alias: in_place, lengths: Lengths::Rows, check: check_f32, run: run_f32 };

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::{
        math::{Approximate, Exact},
        random::Generator,
    };

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
        softmax_f32::<Exact>(&mut row);
        assert_eq!(row, [0.5, 0.5]);
    }

    #[test]
    fn approximate_shares_are_as_far_off_as_documented_and_sum_to_one() {
        let mut generator = Generator::new(1);
        let mut worst = 0.0;
        for spread in [0.5f32, 1.0, 2.0, 4.0, 8.0, 100.0] {
            for classes in [2, 3, 10].repeat(10_000) {
                let row: Vec<f32> =
                    (0..classes).map(|_| spread * (generator.next_u32() as i32 as f32 / 2f32.powi(31))).collect();
                let mut shares = row.clone();
                softmax_f32::<Approximate>(&mut shares);
                let sum: f32 = shares.iter().sum();
                assert!((sum - 1.0).abs() < 1e-6, "the shares of {row:?} sum to {sum}");
                let whole: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
                for (x, share) in row.iter().zip(shares) {
                    let error = (f64::from(share) - f64::from(*x).exp() / whole).abs();
                    worst = if error > worst { error } else { worst };
                }
            }
        }
        let bound = 6e-4;
        assert!((bound / 2.0..=bound).contains(&worst), "shares are off by {worst}, the table of activations says {bound}");
    }

    #[test]
    fn approximate_shares_of_infinities_are_the_exact_ones() {
        for row in [[f32::NEG_INFINITY, 1.0, 1.0], [-1e38, 3e38, 0.0], [f32::INFINITY, 0.0, 0.0], [f32::NAN, 0.0, 0.0]] {
            let (mut exact, mut approximate) = (row, row);
            softmax_f32::<Exact>(&mut exact);
            softmax_f32::<Approximate>(&mut approximate);
            for (exact, approximate) in exact.into_iter().zip(approximate) {
                assert!(exact == approximate || exact.is_nan() && approximate.is_nan(), "{row:?}: {approximate}, not {exact}");
            }
        }
    }
}
