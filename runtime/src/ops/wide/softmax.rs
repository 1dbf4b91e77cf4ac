//! Softmax over the last axis, from int16 to int16 of scale 2^-15: with the host's tables
//! `A[d] = floor(2^28 * exp(-scale * 256 * d) + 0.5)` and `B[d] = floor(2^31 * exp(-scale * d) + 0.5)`, d = 0..=255,
//! `T(d) = (A[d >> 8] * B[d & 255] + 2^30) >> 31` and `S = sum T(max - x_j)`:
//! `q = min(32767, (2^15 * T(max - x) + S / 2) / S)`, in 64 bits.

use crate::{
    error::NodeFault,
    op::{Lengths, NodeCheck, NodeRun, OpDef, as_i16_mut, ensure, in_place},
    ops::softmax::Parameters,
    quant,
    tensor::ElementType::I16,
};

/// Entries of both tables together.
pub const ENTRIES: usize = 512;

/// `A`, then `B`, for inputs of that scale.
#[cfg(feature = "std")]
pub fn tables(scale: f32) -> [u32; ENTRIES] {
    core::array::from_fn(|i| {
        let (one, steps) = if i < 256 { (f64::from(1u32 << 28), 256 * i) } else { (f64::from(1u32 << 31), i - 256) };
        (one * (-f64::from(scale) * steps as f64).exp() + 0.5).floor() as u32
    })
}

fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let [input] = node.inputs(I16)?;
    ensure(input.same_form(&node.output), NodeFault::Shape)?;
    ensure(node.output.scale.to_bits() == (1.0f32 / 32768.0).to_bits(), NodeFault::Quantization)?;
    node.constants(node.parameters(Parameters::decode)?.table, ENTRIES * 4)?;
    Ok(())
}

fn run(node: &mut NodeRun<'_>) {
    let parameters = Parameters::decode(&mut node.parameters());
    let tables: &[u32] = bytemuck::try_cast_slice(node.constants(parameters.table, ENTRIES * 4)).unwrap_or_default();
    let Some(tables) = tables.first_chunk() else { return };
    let channels = node.output.channels();
    for row in as_i16_mut(node.buffers_in_place().output).chunks_exact_mut(channels.max(1)) {
        softmax(tables, row);
    }
}

fn softmax(tables: &[u32; ENTRIES], row: &mut [i16]) {
    let largest = row.iter().fold(i16::MIN, |largest, &x| if x > largest { x } else { largest });
    #[expect(clippy::indexing_slicing, reason = "512 entries, an index of 8 bits in each half")]
    let entry = |x: i16| {
        let below = (largest as u16).wrapping_sub(x as u16);
        let (coarse, fine) = (tables[usize::from(below >> 8)], tables[256 + usize::from(below & 255)]);
        (u64::from(coarse).wrapping_mul(fine.into()).wrapping_add(1 << 30)) >> 31
    };
    let sum = row.iter().fold(0u64, |sum, &x| sum.wrapping_add(entry(x)));
    for x in row {
        let share = quant::divide((entry(*x) << 15).wrapping_add(sum >> 1), sum);
        *x = if share > 32_767 { 32_767 } else { share as i16 };
    }
}

/// The op.
pub static SOFTMAX_I16: OpDef = OpDef { code: 74, name: "softmax_i16", alias: in_place, lengths: Lengths::Rows, check, run };

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_exp_within_a_unit() {
        let tables = tables(0.001);
        let mut row = [10, 10, 10, 10];
        softmax(&tables, &mut row);
        assert_eq!(row, [8192; 4]);
        let mut row = [i16::MAX, i16::MIN];
        softmax(&tables, &mut row);
        assert_eq!(row, [32_767, 0]);
        let values: [i16; 6] = [-3000, 0, 1, 257, 2500, 2600];
        let mut row = values;
        softmax(&tables, &mut row);
        let all: f64 = values.iter().map(|&x| (f64::from(x) * 0.001).exp()).sum();
        for (x, share) in values.into_iter().zip(row) {
            let exact = (f64::from(x) * 0.001).exp() / all * 32768.0;
            assert!((f64::from(share) - exact).abs() < 0.51, "{share} is not {exact}");
        }
    }
}
