//! Sparse categorical cross-entropy: `-ln(p[t])`, where the target is the number of a class (the last axis), mean over a
//! sample's positions. Outputs that no softmax made are divided by their sum first, as in Keras: else the loss would be least
//! where all of them are large.

use std::sync::Arc;

use super::categorical_crossentropy::{check_classes, log_sum_exp};
use super::label_smoothing::{Smooth, smoothed};
use super::{EPSILON, Loss, LossPass, TargetFault, probabilities_from};
use crate::activation::Activation;
use crate::graph::Shape;
use crate::metrics::{Accuracy, Metric};

/// Cross-entropy with class numbers as targets.
#[derive(Debug, Clone, Copy, Default)]
pub struct SparseCategoricalCrossentropy;

/// The loss of logits, `ln(sum(exp(z))) - z[t]` for each position, and its gradient, `p`, less 1 for the target's class.
/// `probability` gives the `p` of the logit with this number, whose position has this logarithm of the sum. Targets are smoothed first.
pub(super) fn of_logits(
    pass: &mut LossPass<'_>,
    logits: &[f32],
    smoothing: f32,
    probability: impl Fn(usize, f64) -> f32,
) -> f64 {
    let classes = pass.shape.channels();
    let positions = (pass.shape.size() / classes) as f64;
    let scale = pass.scale / positions as f32;
    let mut sum = 0.0;
    for (row, (logits, &target)) in logits.chunks_exact(classes).zip(pass.targets).enumerate() {
        let (all, label) = (log_sum_exp(logits), target as usize);
        let [own, other] = [1.0, 0.0].map(|target| smoothed(target, smoothing, classes));
        sum += all - f64::from(own - other) * f64::from(logits[label]);
        if smoothing > 0.0 {
            sum -= f64::from(other) * logits.iter().map(|&logit| f64::from(logit)).sum::<f64>();
        }
        if let Some(gradient) = &mut pass.gradient {
            let range = row * classes..(row + 1) * classes;
            for position in range.clone() {
                gradient[position] = scale * (probability(position, all) - other);
            }
            gradient[range][label] -= scale * (own - other);
        }
    }
    sum / positions
}

impl Loss for SparseCategoricalCrossentropy {
    fn name(&self) -> &'static str {
        "sparse_categorical_crossentropy"
    }

    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        check_classes(output)?;
        let positions = output.split_last().map_or(&[][..], |(_, positions)| positions);
        Ok(Shape::from(positions))
    }

    fn fused_activation(&self) -> Option<Activation> {
        Some(Activation::Softmax)
    }

    fn mismatch(&self, last: Activation) -> Option<String> {
        probabilities_from(&[Activation::Softmax], last, "SparseCategoricalCrossentropyFromLogits")
    }

    fn target_fault(&self, target: &[f32], output: &Shape) -> Option<TargetFault> {
        let classes = output.channels();
        let wrong = |label: &&f32| !(**label >= 0.0 && (**label as usize) < classes && label.fract() == 0.0);
        target.iter().find(wrong).map(|&label| TargetFault::Label { label, classes })
    }

    fn evaluate(&self, pass: &mut LossPass<'_>) -> f64 {
        self.evaluate_smoothed(pass, 0.0)
    }

    fn default_metric(&self) -> Option<Arc<dyn Metric>> {
        Some(Arc::new(Accuracy))
    }
}

impl Smooth for SparseCategoricalCrossentropy {
    fn evaluate_smoothed(&self, pass: &mut LossPass<'_>, smoothing: f32) -> f64 {
        if let Some(logits) = pass.before_activation {
            let probabilities = pass.output;
            return of_logits(pass, logits, smoothing, |position, _| probabilities[position]);
        }
        let classes = pass.shape.channels();
        let positions = (pass.shape.size() / classes) as f64;
        let scale = pass.scale / positions as f32;
        let mut sum = 0.0;
        for (row, (probabilities, &target)) in pass.output.chunks_exact(classes).zip(pass.targets).enumerate() {
            let label = target as usize;
            let clipped = |probability: f32| probability.clamp(EPSILON, 1.0 - EPSILON);
            let all: f32 = probabilities.iter().map(|&probability| clipped(probability)).sum();
            let [own, other] = [1.0, 0.0].map(|target| smoothed(target, smoothing, classes));
            let of_class = |probability: f32| (f64::from(all) / f64::from(clipped(probability))).ln();
            sum += f64::from(own - other) * of_class(probabilities[label]);
            if smoothing > 0.0 {
                sum += f64::from(other) * probabilities.iter().map(|&probability| of_class(probability)).sum::<f64>();
            }
            if let Some(gradient) = &mut pass.gradient {
                for (class, (value, &probability)) in gradient[row * classes..].iter_mut().zip(probabilities).enumerate() {
                    let target = if class == label { own } else { other };
                    let own = target / probability;
                    *value = if clipped(probability) == probability { scale * (1.0 / all - own) } else { 0.0 };
                }
            }
        }
        sum / positions
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CategoricalCrossentropy, check};
    use super::*;

    #[test]
    fn agrees_with_one_hot_targets() {
        let shape = Shape::from([3]);
        let values = [0.2, 0.5, 0.3, 0.6, 0.1, 0.3];
        for fused in [false, true] {
            let sparse = check::evaluate(&SparseCategoricalCrossentropy, &shape, &values, &[2.0, 0.0], fused);
            let one_hot = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
            let dense = check::evaluate(&CategoricalCrossentropy, &shape, &values, &one_hot, fused);
            assert!((sparse.0 - dense.0).abs() < 1e-6, "{} {}", sparse.0, dense.0);
            for (a, b) in sparse.1.iter().zip(&dense.1) {
                assert!((a - b).abs() < 1e-6, "{a} {b}");
            }
            check::gradient(&SparseCategoricalCrossentropy, &shape, &values, &[2.0, 0.0], fused);
        }
        // Uniform logits over 3 classes: ln 3.
        let (loss, _) = check::evaluate(&SparseCategoricalCrossentropy, &shape, &[7.0; 3], &[1.0], true);
        assert!((loss - 3f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn outputs_of_no_softmax_as_in_keras() {
        for (output, wanted_loss, wanted_gradient) in [
            ([0.5, 0.9, 0.8], 1.011_601, [0.454_545_4, 0.454_545_4, -0.795_454_5]),
            ([0.5, 2.0, 1.5], 0.916_290_8, [0.4, 0.0, 0.0]),
        ] {
            let (loss, gradient) = check::evaluate(&SparseCategoricalCrossentropy, &Shape::from([3]), &output, &[2.0], false);
            assert!((loss - wanted_loss).abs() < 1e-5, "{loss}");
            assert!(gradient.iter().zip(wanted_gradient).all(|(a, b)| (a - b).abs() < 1e-6), "{gradient:?}");
        }
    }

    #[test]
    fn labels_out_of_range() {
        let shape = Shape::from([3]);
        let fault = |label| SparseCategoricalCrossentropy.target_fault(&[label], &shape);
        assert_eq!(fault(2.0), None);
        for label in [3.0, -1.0, 0.5] {
            assert_eq!(fault(label), Some(TargetFault::Label { label, classes: 3 }));
        }
        assert!(SparseCategoricalCrossentropy.target_shape(&Shape::from([1])).is_err());
    }
}
