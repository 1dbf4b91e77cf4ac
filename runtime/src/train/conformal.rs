//! Where the unknown begins: the limit that a stated share of known samples exceeds, from samples that were not learned
//! (split conformal prediction; Papadopoulos et al. 2002, Vovk et al. 2005).
//!
//! If `n` calibration samples and the next one are exchangeable, the score of the next one exceeds the k-th largest of the
//! `n` scores with probability at most `rate`, `k = floor((n + 1) * rate)`.

/// Which of `samples` scores, counted from the largest one, is the limit for a share of `rate`; `None` if there are too few.
pub fn rank(samples: usize, rate: f32) -> Option<usize> {
    let rank = ((samples + 1) as f32 * rate) as usize;
    (rank > 0 && rank <= samples).then_some(rank)
}

/// Learns a limit on the device from samples that are normal: for heads of one class, reconstruction errors, anything that
/// is larger for what is strange. It keeps the `N` largest scores.
///
/// ```no_run
/// use samara_runtime::train::{Calibrator, ClosedFormHead, TrainError};
///
/// /// Whether a sample is stranger than 19 of 20 normal ones, by a head of one class; none if it calibrated with too few, 18, or with
/// /// too many, 659.
/// fn is_strange(
///     head: &mut ClosedFormHead<'_>,
///     calibrator: &Calibrator<32>,
///     features: &[i8],
/// ) -> Result<Option<bool>, TrainError> {
///     let strangeness = head.classify(features)?.strangeness;
///     Ok(calibrator.limit(0.05).map(|limit| strangeness > limit))
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Calibrator<const N: usize> {
    /// The largest scores, in falling order.
    largest: [f32; N],
    samples: usize,
}

impl<const N: usize> Calibrator<N> {
    /// One that has seen no sample.
    pub const fn new() -> Self {
        Self { largest: [f32::NEG_INFINITY; N], samples: 0 }
    }

    /// Samples seen.
    pub const fn samples(&self) -> usize {
        self.samples
    }

    /// Takes in the score of a normal sample. One that is no number counts as the strangest.
    pub fn add(&mut self, score: f32) {
        let mut score = if score.is_nan() { f32::INFINITY } else { score };
        for kept in &mut self.largest {
            if score > *kept {
                core::mem::swap(kept, &mut score);
            }
        }
        self.samples = self.samples.saturating_add(1);
    }

    /// The limit that a share of `rate` of normal samples exceeds. `None` if there are too few samples for so small a share (at
    /// least `1 / rate - 1`), or too many for what is kept (at most about `N / rate`).
    pub fn limit(&self, rate: f32) -> Option<f32> {
        self.largest.get(rank(self.samples, rate)? - 1).copied()
    }
}

impl<const N: usize> Default for Calibrator<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_kth_largest_score() {
        let mut calibrator = Calibrator::<3>::new();
        for score in [4.0, 1.0, 9.0, 7.0, 3.0, 8.0, 2.0, 6.0, 5.0] {
            calibrator.add(score);
        }
        assert_eq!(calibrator.limit(0.1), Some(9.0));
        assert_eq!(calibrator.limit(0.3), Some(7.0));
        assert_eq!(calibrator.limit(0.05), None, "nine samples say nothing about one in twenty");
        assert_eq!(calibrator.limit(0.4), None, "only three scores were kept");
        assert_eq!(calibrator.samples(), 9);
    }

    #[test]
    fn no_number_is_the_strangest() {
        let mut calibrator = Calibrator::<2>::new();
        calibrator.add(f32::NAN);
        calibrator.add(1.0);
        assert_eq!(calibrator.limit(0.4), Some(f32::INFINITY));
    }
}
