//! Loops over rows that several layers share: biases and their gradients.

use crate::numeric::vectorized;

/// Adds the bias to every row.
pub(crate) fn add_bias(values: &mut [f32], bias: &[f32]) {
    vectorized(
        #[inline(always)]
        || {
            for row in values.chunks_exact_mut(bias.len()) {
                for (value, &bias) in row.iter_mut().zip(bias) {
                    *value += bias;
                }
            }
        },
    );
}

/// Adds every row to `sums`.
pub(crate) fn add_column_sums(sums: &mut [f32], values: &[f32]) {
    vectorized(
        #[inline(always)]
        || {
            for row in values.chunks_exact(sums.len()) {
                for (sum, &value) in sums.iter_mut().zip(row) {
                    *sum += value;
                }
            }
        },
    );
}
