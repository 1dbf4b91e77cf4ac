//! Precision and recall by threshold.

/// Thresholds, from 0 to 1.
pub const THRESHOLDS: usize = 201;

/// For each threshold, of all that is given for a class as a probability and whether it is true: true positives, false positives,
/// true negatives, false negatives, precision and recall. Positive is what is at least the threshold; precision is 0 where nothing is, as in
/// TensorBoard.
pub fn precision_recall(answers: impl IntoIterator<Item = (f32, bool)>) -> [Vec<f32>; 6] {
    // How many have a probability from a threshold up to the next one: false ones and true ones.
    let mut counts = [[0u64; 2]; THRESHOLDS];
    for (probability, is_true) in answers {
        let last = THRESHOLDS - 1;
        counts[((probability * last as f32).floor() as usize).min(last)][usize::from(is_true)] += 1;
    }
    let [all_false, all_true] = [0, 1].map(|kind| counts.iter().map(|count| count[kind]).sum::<u64>());
    let mut rows: [Vec<f32>; 6] = Default::default();
    let (mut below_false, mut below_true) = (0, 0);
    for [of_false, of_true] in counts {
        let (false_positives, true_positives) = (all_false - below_false, all_true - below_true);
        let share = |part: u64, whole: u64| part as f32 / whole.max(1) as f32;
        let values = [
            true_positives as f32,
            false_positives as f32,
            below_false as f32,
            below_true as f32,
            share(true_positives, true_positives + false_positives),
            share(true_positives, all_true),
        ];
        rows.iter_mut().zip(values).for_each(|(row, value)| row.push(value));
        (below_false, below_true) = (below_false + of_false, below_true + of_true);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_least_the_threshold_is_positive() {
        let rows = precision_recall([(0.0, false), (0.5, false), (0.5, true), (1.0, true)]);
        let at = |threshold: usize| rows.each_ref().map(|row| row[threshold]);
        assert_eq!(at(0), [2.0, 2.0, 0.0, 0.0, 0.5, 1.0]);
        assert_eq!(at(1), [2.0, 1.0, 1.0, 0.0, 2.0 / 3.0, 1.0]);
        assert_eq!(at(100), at(1), "0.5 is at least the threshold 0.5");
        assert_eq!(at(101), [1.0, 0.0, 2.0, 1.0, 1.0, 0.5]);
        assert_eq!(at(200), at(101));
    }

    #[test]
    fn nothing_to_find_gives_zeros() {
        let rows = precision_recall([(0.2, false)]);
        assert_eq!(rows.each_ref().map(|row| row[100]), [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    }
}
