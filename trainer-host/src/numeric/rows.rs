//! Loops over rows that several layers share: a row is the values of one position, one for each channel.
//!
//! They walk a row in blocks of 16, a vector register each: with a row's length unknown, the compiler unrolls for rows of
//! 64 and more, and leaves shorter ones to a scalar loop (four times slower for 16 channels). A block is computed aside and
//! then stored as a whole: stored value by value it might change what the next value is made of, for all that the compiler
//! knows, and stays scalar.

use super::vectorized;

/// Values of a block.
pub(crate) const BLOCK: usize = 16;

/// Adds the bias to every row.
pub fn add_bias(values: &mut [f32], bias: &[f32]) {
    vectorized!({
        let (bias_blocks, bias_rest) = bias.as_chunks::<BLOCK>();
        for row in values.chunks_exact_mut(bias.len()) {
            let (blocks, rest) = row.as_chunks_mut::<BLOCK>();
            for (values, bias) in blocks.iter_mut().zip(bias_blocks) {
                let mut sums = *values;
                for lane in 0..BLOCK {
                    sums[lane] += bias[lane];
                }
                *values = sums;
            }
            for (value, bias) in rest.iter_mut().zip(bias_rest) {
                *value += bias;
            }
        }
    });
}

/// Adds every row to `sums`.
pub fn add_column_sums(sums: &mut [f32], values: &[f32]) {
    let channels = sums.len();
    vectorized!({
        let (blocks, rest) = sums.as_chunks_mut::<BLOCK>();
        let rest_start = blocks.len() * BLOCK;
        for (number, sums) in blocks.iter_mut().enumerate() {
            // The sums of a block stay in a register while all rows pass by.
            let mut totals = *sums;
            for row in values.chunks_exact(channels) {
                if let Some(row) = row[number * BLOCK..].first_chunk::<BLOCK>() {
                    for lane in 0..BLOCK {
                        totals[lane] += row[lane];
                    }
                }
            }
            *sums = totals;
        }
        for row in values.chunks_exact(channels) {
            for (sum, value) in rest.iter_mut().zip(&row[rest_start..]) {
                *sum += value;
            }
        }
    });
}

/// `output = (input - center) * scale + shift` for every row.
pub(crate) fn scale_and_shift(output: &mut [f32], input: &[f32], [center, scale, shift]: [&[f32]; 3]) {
    let channels = scale.len();
    vectorized!({
        let (center_blocks, center_rest) = center.as_chunks::<BLOCK>();
        let (scale_blocks, scale_rest) = scale.as_chunks::<BLOCK>();
        let (shift_blocks, shift_rest) = shift.as_chunks::<BLOCK>();
        for (output, input) in output.chunks_exact_mut(channels).zip(input.chunks_exact(channels)) {
            let (output_blocks, output_rest) = output.as_chunks_mut::<BLOCK>();
            let (input_blocks, input_rest) = input.as_chunks::<BLOCK>();
            let factors = center_blocks.iter().zip(scale_blocks).zip(shift_blocks);
            for ((output, input), ((center, scale), shift)) in output_blocks.iter_mut().zip(input_blocks).zip(factors) {
                let mut values = *input;
                for lane in 0..BLOCK {
                    values[lane] = (values[lane] - center[lane]) * scale[lane] + shift[lane];
                }
                *output = values;
            }
            let factors = center_rest.iter().zip(scale_rest).zip(shift_rest);
            for ((output, input), ((center, scale), shift)) in output_rest.iter_mut().zip(input_rest).zip(factors) {
                *output = (input - center) * scale + shift;
            }
        }
    });
}

/// `output += a * scale + (b - center) * factor + shift` for every row, or `=` without `ACCUMULATE`.
pub(crate) fn combine<const ACCUMULATE: bool>(
    output: &mut [f32],
    [a, b]: [&[f32]; 2],
    [scale, center, factor, shift]: [&[f32]; 4],
) {
    let channels = scale.len();
    vectorized!({
        let (scale_blocks, scale_rest) = scale.as_chunks::<BLOCK>();
        let (center_blocks, center_rest) = center.as_chunks::<BLOCK>();
        let (factor_blocks, factor_rest) = factor.as_chunks::<BLOCK>();
        let (shift_blocks, shift_rest) = shift.as_chunks::<BLOCK>();
        let rows = output.chunks_exact_mut(channels).zip(a.chunks_exact(channels)).zip(b.chunks_exact(channels));
        for ((output, a), b) in rows {
            let (output_blocks, output_rest) = output.as_chunks_mut::<BLOCK>();
            let ((a_blocks, a_rest), (b_blocks, b_rest)) = (a.as_chunks::<BLOCK>(), b.as_chunks::<BLOCK>());
            let values = output_blocks.iter_mut().zip(a_blocks).zip(b_blocks);
            let factors = scale_blocks.iter().zip(center_blocks).zip(factor_blocks).zip(shift_blocks);
            for (((output, a), b), (((scale, center), factor), shift)) in values.zip(factors) {
                let mut values = *a;
                for lane in 0..BLOCK {
                    values[lane] = values[lane] * scale[lane] + (b[lane] - center[lane]) * factor[lane] + shift[lane];
                    if ACCUMULATE {
                        values[lane] += output[lane];
                    }
                }
                *output = values;
            }
            let values = output_rest.iter_mut().zip(a_rest).zip(b_rest);
            let factors = scale_rest.iter().zip(center_rest).zip(factor_rest).zip(shift_rest);
            for (((output, a), b), (((scale, center), factor), shift)) in values.zip(factors) {
                let value = a * scale + (b - center) * factor + shift;
                *output = if ACCUMULATE { *output + value } else { value };
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agree_with_plain_loops_for_any_number_of_channels() {
        for channels in [1, 3, 15, 16, 17, 40] {
            let rows = 5;
            let numbers = |factor: usize| -> Vec<f32> {
                (0..rows * channels).map(|number| ((number * factor) % 23) as f32 - 9.0).collect()
            };
            let (a, b, per_channel) = (numbers(7), numbers(5), numbers(3));
            let [scale, center, factor, shift] = [0, 1, 2, 3].map(|row| &per_channel[row * channels..(row + 1) * channels]);
            let (mut biased, mut sums, mut scaled) = (a.clone(), vec![1.0; channels], vec![f32::NAN; a.len()]);
            let (mut replaced, mut added) = (vec![f32::NAN; a.len()], b.clone());
            add_bias(&mut biased, shift);
            add_column_sums(&mut sums, &a);
            scale_and_shift(&mut scaled, &a, [center, scale, shift]);
            combine::<false>(&mut replaced, [&a, &b], [scale, center, factor, shift]);
            combine::<true>(&mut added, [&a, &b], [scale, center, factor, shift]);
            for (position, &value) in a.iter().enumerate() {
                let channel = position % channels;
                let combined = value * scale[channel] + (b[position] - center[channel]) * factor[channel] + shift[channel];
                assert_eq!(biased[position], value + shift[channel]);
                assert_eq!(scaled[position], (value - center[channel]) * scale[channel] + shift[channel]);
                assert_eq!(replaced[position], combined);
                assert_eq!(added[position], b[position] + combined);
            }
            for (channel, &sum) in sums.iter().enumerate() {
                assert_eq!(sum, 1.0 + (0..rows).map(|row| a[row * channels + channel]).sum::<f32>());
            }
        }
    }
}
