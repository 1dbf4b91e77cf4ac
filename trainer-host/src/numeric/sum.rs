//! Sums over many values.

use super::vectorized;

/// The sum of what `term` makes of each value, in f64: terms may be far apart in size. `term` is best
/// `#[inline(always)]`; see [`vectorized!`](crate::vectorized).
pub fn sum_of(values: &[f32], term: impl Fn(f64) -> f64) -> f64 {
    // Eight sums side by side, in one order on every machine.
    let mut sums = [0.0f64; 8];
    let chunks = values.chunks_exact(8);
    for (sum, &value) in sums.iter_mut().zip(chunks.remainder()) {
        *sum += term(f64::from(value));
    }
    vectorized!({
        for chunk in chunks {
            for (sum, &value) in sums.iter_mut().zip(chunk) {
                *sum += term(f64::from(value));
            }
        }
    });
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_any_length() {
        for length in [0, 1, 7, 8, 9, 30] {
            let values: Vec<f32> = (1..=length).map(|value| value as f32).collect();
            let expected: usize = (1..=length).map(|value| value * value).sum();
            assert_eq!(sum_of(&values, |value| value * value), expected as f64, "{length}");
        }
    }
}
