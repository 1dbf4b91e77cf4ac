//! How unlike members are: those that err alike help each other little.

use super::Opinions;
use crate::metrics::largest;

/// Two members beside each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The members.
    pub members: [usize; 2],
    /// The share of samples of which they name different classes.
    pub disagreement: f64,
    /// Pearson's correlation of being wrong: 1 where both err about the same samples, 0 where one's errors say nothing of the other's.
    /// `None` where one errs about all or none.
    pub error_correlation: Option<f64>,
}

impl Opinions {
    /// All pairs of members.
    pub fn pairs(&self) -> Vec<Pair> {
        let numbers = 0..self.members();
        let pairs = numbers.clone().flat_map(|first| numbers.clone().skip(first + 1).map(move |second| [first, second]));
        pairs.map(|members| self.pair(members)).collect()
    }

    fn pair(&self, members: [usize; 2]) -> Pair {
        let count = self.labels().len().max(1) as f64;
        let [answers, others] = members.map(|member| self.of_member(member).chunks_exact(self.classes()).map(largest));
        let differ = answers.zip(others).filter(|(one, other)| one != other).count();
        let [first, second] = members.map(|member| self.right(self.of_member(member)));
        let share = |wrong: usize| wrong as f64 / count;
        let of_one = |right: &[bool]| share(right.iter().filter(|&&right| !right).count());
        let (one, other) = (of_one(&first), of_one(&second));
        let both = share(first.iter().zip(&second).filter(|(first, second)| !**first && !**second).count());
        let deviations = (one * (1.0 - one) * other * (1.0 - other)).sqrt();
        let error_correlation = (deviations > 0.0).then(|| (both - one * other) / deviations);
        Pair { members, disagreement: share(differ), error_correlation }
    }
}

#[cfg(test)]
mod tests {
    use super::super::opinions::tests::three;
    use super::*;

    #[test]
    fn errors_that_are_shared_and_such_that_are_not() {
        let pairs = three().pairs();
        assert_eq!(pairs.iter().map(|pair| pair.members).collect::<Vec<_>>(), [[0, 1], [0, 2], [1, 2]]);
        // a and b differ about samples 0 and 4, and are both wrong about 5: (1/6 - 1/3 * 1/3) / (1/3 * 2/3) = 1/4.
        assert_eq!(pairs[0].disagreement, 2.0 / 6.0);
        assert!((pairs[0].error_correlation.unwrap() - 0.25).abs() < 1e-12);
        // a and c are never both wrong: -1/6 / (sqrt(2/9) * 1/2) = -sqrt(1/2).
        assert_eq!(pairs[1].disagreement, 5.0 / 6.0);
        assert!((pairs[1].error_correlation.unwrap() + 0.5f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn one_who_never_errs_has_no_correlation() {
        let members = vec![("sure", vec![1.0, 0.0, 1.0, 0.0]), ("other", vec![1.0, 0.0, 0.0, 1.0])];
        let pairs = Opinions::new(2, &[0.0, 0.0], members).unwrap().pairs();
        assert_eq!(pairs, [Pair { members: [0, 1], disagreement: 0.5, error_correlation: None }]);
    }
}
