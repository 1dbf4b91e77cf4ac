//! Label smoothing (Szegedy et al. 2015): targets `t (1 - s) + s / classes`, so that no output has to become 0 or 1; for yes-or-no
//! targets `t (1 - s) + s / 2`.

use std::sync::Arc;

use super::{
    BinaryCrossentropy, BinaryCrossentropyFromLogits, CategoricalCrossentropy, CategoricalCrossentropyFromLogits, Loss,
    LossPass, SparseCategoricalCrossentropy, SparseCategoricalCrossentropyFromLogits, TargetFault,
};
use crate::activation::Activation;
use crate::graph::Shape;
use crate::metrics::Metric;

/// A cross-entropy with smoothed labels; its `label_smoothing` makes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelSmoothing<L> {
    loss: L,
    smoothing: f32,
}

/// A loss whose targets can be smoothed.
pub(super) trait Smooth: Loss + Copy {
    /// As [`Loss::evaluate`], of smoothed targets.
    fn evaluate_smoothed(&self, pass: &mut LossPass<'_>, smoothing: f32) -> f64;
}

/// A target of `classes` that are apart from each other, smoothed.
#[inline(always)]
pub(super) fn smoothed(target: f32, smoothing: f32, classes: usize) -> f32 {
    target * (1.0 - smoothing) + smoothing / classes as f32
}

/// Why a share of smoothing makes no sense, if it does not.
pub(super) fn check_smoothing(smoothing: f32) -> Result<(), String> {
    if (0.0..=1.0).contains(&smoothing) {
        return Ok(());
    }
    Err(format!("label_smoothing is {smoothing}, but must be from 0 to 1"))
}

macro_rules! label_smoothing {
    ($($loss:ident),*) => {
        $(
            impl $loss {
                /// With labels that are smoothed by a share from 0 to 1, such as 0.1.
                pub fn label_smoothing(self, smoothing: f32) -> LabelSmoothing<Self> {
                    LabelSmoothing { loss: self, smoothing }
                }
            }
        )*
    };
}
label_smoothing!(CategoricalCrossentropy, SparseCategoricalCrossentropy, BinaryCrossentropy);
label_smoothing!(CategoricalCrossentropyFromLogits, SparseCategoricalCrossentropyFromLogits, BinaryCrossentropyFromLogits);

impl<L: Smooth> Loss for LabelSmoothing<L> {
    fn name(&self) -> &'static str {
        self.loss.name()
    }

    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        check_smoothing(self.smoothing)?;
        self.loss.target_shape(output)
    }

    fn fused_activation(&self) -> Option<Activation> {
        self.loss.fused_activation()
    }

    fn mismatch(&self, last: Activation) -> Option<String> {
        self.loss.mismatch(last)
    }

    fn target_fault(&self, target: &[f32], output: &Shape) -> Option<TargetFault> {
        self.loss.target_fault(target, output)
    }

    fn evaluate(&self, pass: &mut LossPass<'_>) -> f64 {
        self.loss.evaluate_smoothed(pass, self.smoothing)
    }

    fn default_metric(&self) -> Option<Arc<dyn Metric>> {
        self.loss.default_metric()
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    const ONE_HOT: [f32; 6] = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
    const PROBABILITIES: [f32; 6] = [0.2, 0.5, 0.3, 0.6, 0.1, 0.3];
    const LOGITS: [f32; 6] = [0.5, -1.0, 0.2, 1.0, 0.0, -0.3];

    fn near(loss: &dyn Loss, shape: &Shape, values: &[f32], targets: &[f32], fused: bool, mean: f64, gradient: &[f32]) {
        let (sum, found) = check::evaluate(loss, shape, values, targets, fused);
        assert!((sum / 2.0 - mean).abs() < 1e-6, "{loss:?}: {}", sum / 2.0);
        assert!(found.iter().zip(gradient).all(|(a, b)| (a / 2.0 - b).abs() < 1e-6), "{loss:?}: {found:?}");
        // Where the loss bends little, as differences want it.
        let mild: Vec<f32> = values.iter().map(|value| 0.5 + (value - 0.5) / 3.0).collect();
        check::gradient(loss, shape, &mild, targets, fused);
    }

    /// Keras 3.15's losses with `label_smoothing`, of probabilities and of logits.
    #[test]
    fn as_in_keras() {
        let shape = Shape::from([3]);
        let loss = CategoricalCrossentropy.label_smoothing(0.1);
        let gradient = [0.416_666_7, 0.466_666_7, -1.055_555_6, -0.277_777_7, 0.333_333_4, 0.444_444_5];
        near(&loss, &shape, &PROBABILITIES, &ONE_HOT, false, 0.897_058_4, &gradient);
        let gradient = [0.237_922_5, 0.040_139_85, -0.278_062_4, -0.161_865_03, 0.095_463_6, 0.066_401_47];
        near(&loss, &shape, &LOGITS, &ONE_HOT, true, 0.788_285_3, &gradient);
        // `from_logits=True` is what the softmax within the loss is.
        let loss = CategoricalCrossentropyFromLogits.label_smoothing(0.1);
        near(&loss, &shape, &LOGITS, &ONE_HOT, false, 0.788_285_3, &gradient);
        let loss = SparseCategoricalCrossentropyFromLogits.label_smoothing(0.1);
        near(&loss, &shape, &LOGITS, &[2.0, 0.0], false, 0.788_285_3, &gradient);
        let loss = BinaryCrossentropy.label_smoothing(0.2);
        let (shape, targets) = (Shape::from([2]), [1.0, 0.0, 1.0, 0.0]);
        let gradient = [-0.714_285_7, 2.222_221_9, -0.312_5, 0.156_25];
        near(&loss, &shape, &[0.3, 0.9, 0.6, 0.2], &targets, false, 1.028_812_6, &gradient);
        let gradient = [-0.069_385_18, 0.169_324_96, -0.1, -0.020_503_45];
        near(&loss, &shape, &[0.5, 1.25, 0.0, -4.0], &targets, true, 0.753_075_8, &gradient);
        let loss = BinaryCrossentropyFromLogits.label_smoothing(0.2);
        near(&loss, &shape, &[0.5, 1.25, 0.0, -4.0], &targets, false, 0.753_075_8, &gradient);
    }

    #[test]
    fn class_numbers_are_smoothed_as_one_hot_targets() {
        let shape = Shape::from([3]);
        for (values, fused) in [(&PROBABILITIES, false), (&LOGITS, true)] {
            let loss = SparseCategoricalCrossentropy.label_smoothing(0.3);
            let sparse = check::evaluate(&loss, &shape, values, &[2.0, 0.0], fused);
            let dense = check::evaluate(&CategoricalCrossentropy.label_smoothing(0.3), &shape, values, &ONE_HOT, fused);
            assert!((sparse.0 - dense.0).abs() < 1e-6, "{} {}", sparse.0, dense.0);
            assert!(sparse.1.iter().zip(&dense.1).all(|(a, b)| (a - b).abs() < 1e-6), "{:?} {:?}", sparse.1, dense.1);
        }
        let reason = BinaryCrossentropy.label_smoothing(1.5).target_shape(&shape).unwrap_err();
        assert_eq!(reason, "label_smoothing is 1.5, but must be from 0 to 1");
    }
}
