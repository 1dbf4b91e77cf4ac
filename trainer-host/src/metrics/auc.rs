//! Area under the receiver operating characteristic, by Keras's approximation: rates of true and of false positives at
//! evenly spaced thresholds, and trapezoids between them. With it batches are merged by adding counts; the exact area
//! would need all outputs at once.

use super::{Metric, MetricPass, check_same_shape};
use crate::graph::Shape;

/// How well yes-or-no outputs (probabilities from 0 to 1) order the samples: 1 if every yes lies above every no, 0.5 for
/// guessing. All values of an output are taken together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Auc {
    thresholds: usize,
}

/// Beyond what f32 outputs can tell apart; each threshold is two counts for each lane.
const MOST_THRESHOLDS: usize = 1 << 20;

impl Default for Auc {
    /// 200 thresholds, as in Keras.
    fn default() -> Self {
        Self { thresholds: 200 }
    }
}

impl Auc {
    /// With this many thresholds, from 0 to 1; 2 at least, 1,048,576 at most.
    pub fn new(thresholds: usize) -> Self {
        Self { thresholds: if thresholds < 2 { 2 } else { thresholds } }
    }
}

impl Metric for Auc {
    fn name(&self) -> &'static str {
        "auc"
    }

    fn check(&self, output: &Shape, target: &Shape) -> Result<(), String> {
        check_same_shape(output, target)?;
        if self.thresholds > MOST_THRESHOLDS {
            return Err(format!("at most {MOST_THRESHOLDS} thresholds, not {}", self.thresholds));
        }
        Ok(())
    }

    /// A count of the positives between each two thresholds, then of the negatives.
    fn sums(&self) -> usize {
        2 * (self.thresholds - 1)
    }

    fn add(&self, pass: &MetricPass<'_>, sums: &mut [f64]) {
        let buckets = self.thresholds - 1;
        for (&output, &target) in pass.output.iter().zip(pass.targets) {
            // An output on a threshold is not above it. What is not a number counts as 0.
            let bucket = (output * buckets as f32).ceil() as usize;
            let bucket = bucket.saturating_sub(1).min(buckets - 1);
            sums[if target > 0.5 { bucket } else { buckets + bucket }] += 1.0;
        }
    }

    /// 0 where there is no positive or no negative.
    fn result(&self, sums: &[f64], _samples: usize) -> f64 {
        let (positives, negatives) = sums.split_at(self.thresholds - 1);
        // From the highest threshold down: each bucket adds a trapezoid as wide as its negatives.
        let (mut area, mut above) = (0.0, 0.0);
        for (&positive, &negative) in positives.iter().zip(negatives).rev() {
            area += negative * (above + 0.5 * positive);
            above += positive;
        }
        let all = above * negatives.iter().sum::<f64>();
        if all > 0.0 { area / all } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(output: &[f32], targets: &[f32]) -> f64 {
        let shape = Shape::from([1]);
        Auc::default().value(&MetricPass { samples: output.len(), shape: &shape, output, targets })
    }

    #[test]
    fn as_in_keras() {
        assert_eq!(area(&[0.1, 0.4, 0.35, 0.8], &[0.0, 0.0, 1.0, 1.0]), 0.75);
        let found = area(&[0.5, 0.5, 0.9, 0.2, 0.3, 0.5], &[0.0, 1.0, 1.0, 0.0, 1.0, 0.0]);
        assert!((found - 0.666_666_6).abs() < 1e-6, "{found}");
    }

    #[test]
    fn thresholds_beyond_memory_are_refused() {
        let shape = Shape::from([1]);
        let reason = Auc::new(1 << 40).check(&shape, &shape).unwrap_err();
        assert_eq!(reason, "at most 1048576 thresholds, not 1099511627776");
        assert!(Auc::new(1 << 20).check(&shape, &shape).is_ok());
    }

    #[test]
    fn extremes() {
        assert_eq!(area(&[0.0, 0.2, 0.7, 1.0], &[0.0, 0.0, 1.0, 1.0]), 1.0);
        assert_eq!(area(&[0.0, 0.2, 0.7, 1.0], &[1.0, 1.0, 0.0, 0.0]), 0.0);
        assert_eq!(area(&[0.5; 4], &[1.0, 0.0, 1.0, 0.0]), 0.5);
        assert_eq!(area(&[0.5; 2], &[1.0, 1.0]), 0.0);
        assert_eq!(area(&[-1.0, f32::NAN, 9.0], &[0.0, 0.0, 1.0]), 1.0);
    }
}
