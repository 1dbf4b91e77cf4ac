//! Histograms of many numbers.

/// Buckets of a histogram.
const BUCKETS: usize = 30;

/// Buckets of equal width from the least to the greatest number: where each begins, where it ends, how many are in it. Numbers that
/// are not finite are left out; none for no numbers. Around numbers that are all the same, the buckets span 1.
pub fn buckets(numbers: &[f32]) -> Vec<[f64; 3]> {
    let finite = || numbers.iter().filter(|number| number.is_finite()).map(|&number| f64::from(number));
    let Some(least) = finite().reduce(f64::min) else { return Vec::new() };
    let greatest = finite().fold(least, f64::max);
    let (low, high) = if least < greatest { (least, greatest) } else { (least - 0.5, least + 0.5) };
    let width = (high - low) / BUCKETS as f64;
    let mut counts = [0u64; BUCKETS];
    for number in finite() {
        counts[(((number - low) / width) as usize).min(BUCKETS - 1)] += 1;
    }
    let edge = |bucket: usize| if bucket == BUCKETS { high } else { low + bucket as f64 * width };
    counts.iter().enumerate().map(|(bucket, &count)| [edge(bucket), edge(bucket + 1), count as f64]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_number_is_in_one_bucket() {
        let found = buckets(&[0.0, 0.5, 1.0, 29.0, 30.0, f32::NAN, f32::INFINITY]);
        assert_eq!(found.len(), 30);
        assert_eq!([found[0], found[1], found[29]], [[0.0, 1.0, 2.0], [1.0, 2.0, 1.0], [29.0, 30.0, 2.0]]);
        assert_eq!(found.iter().map(|bucket| bucket[2]).sum::<f64>(), 5.0);
    }

    #[test]
    fn equal_numbers_are_in_the_middle() {
        let found = buckets(&[7.0; 4]);
        assert_eq!((found[0][0], found[29][1], found[15][2]), (6.5, 7.5, 4.0));
        assert!(buckets(&[]).is_empty() && buckets(&[f32::NAN]).is_empty());
    }
}
