//! Cross-entropies of outputs that are logits: models that end without sigmoid or softmax. (A model that ends in one
//! loses nothing: the plan computes loss and activation together.)

use std::sync::Arc;

use super::categorical_crossentropy::log_sum_exp;
use super::{BinaryCrossentropy, CategoricalCrossentropy, Loss, LossPass, SparseCategoricalCrossentropy, TargetFault};
use crate::graph::Shape;
use crate::metrics::{Accuracy, BinaryAccuracy, Metric};

/// Binary cross-entropy of logits, `max(z, 0) - t * z + ln(1 + exp(-|z|))`, mean over a sample's values.
#[derive(Debug, Clone, Copy, Default)]
pub struct BinaryCrossentropyFromLogits;

/// Categorical cross-entropy of logits, `sum(t * (ln(sum(exp(z))) - z))` over the classes (the last axis), mean over a
/// sample's positions. Targets are probabilities of the classes.
#[derive(Debug, Clone, Copy, Default)]
pub struct CategoricalCrossentropyFromLogits;

/// Categorical cross-entropy of logits, `ln(sum(exp(z))) - z[t]`, mean over a sample's positions. Targets are class
/// numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SparseCategoricalCrossentropyFromLogits;

impl Loss for BinaryCrossentropyFromLogits {
    fn name(&self) -> &'static str {
        "binary_crossentropy_from_logits"
    }

    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        BinaryCrossentropy.target_shape(output)
    }

    fn target_fault(&self, target: &[f32], output: &Shape) -> Option<TargetFault> {
        BinaryCrossentropy.target_fault(target, output)
    }

    fn evaluate(&self, pass: &mut LossPass<'_>) -> f64 {
        let size = pass.shape.size() as f32;
        let scale = pass.scale / size;
        let mut sum = 0.0;
        for (position, (&z, &t)) in pass.output.iter().zip(pass.targets).enumerate() {
            let (wide, small) = (f64::from(z), (-f64::from(z).abs()).exp());
            sum += if z > 0.0 { wide } else { 0.0 } - f64::from(t) * wide + small.ln_1p();
            if let Some(gradient) = &mut pass.gradient {
                // exp(-|z|) cannot overflow, whichever side of the sigmoid it is.
                let probability = if z > 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) };
                gradient[position] = scale * (probability as f32 - t);
            }
        }
        sum / f64::from(size)
    }

    fn default_metric(&self) -> Option<Arc<dyn Metric>> {
        // A probability of one half is a logit of 0.
        Some(Arc::new(BinaryAccuracy::new(0.0)))
    }
}

/// The gradient of `total * ln(sum(exp(z)))` over one position's classes, where `all` is that logarithm.
fn softmax_gradient(gradient: &mut [f32], logits: &[f32], all: f64, factor: f32) {
    for (value, &logit) in gradient.iter_mut().zip(logits) {
        *value = factor * (f64::from(logit) - all).exp() as f32;
    }
}

impl Loss for CategoricalCrossentropyFromLogits {
    fn name(&self) -> &'static str {
        "categorical_crossentropy_from_logits"
    }

    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        CategoricalCrossentropy.target_shape(output)
    }

    fn target_fault(&self, target: &[f32], output: &Shape) -> Option<TargetFault> {
        CategoricalCrossentropy.target_fault(target, output)
    }

    fn evaluate(&self, pass: &mut LossPass<'_>) -> f64 {
        let classes = pass.shape.channels();
        let positions = (pass.shape.size() / classes) as f64;
        let scale = pass.scale / positions as f32;
        let mut sum = 0.0;
        let rows = pass.output.chunks_exact(classes).zip(pass.targets.chunks_exact(classes));
        for (row, (logits, targets)) in rows.enumerate() {
            let all = log_sum_exp(logits);
            sum += logits.iter().zip(targets).map(|(&z, &t)| f64::from(t) * (all - f64::from(z))).sum::<f64>();
            if let Some(gradient) = &mut pass.gradient {
                let gradient = &mut gradient[row * classes..(row + 1) * classes];
                softmax_gradient(gradient, logits, all, scale * targets.iter().sum::<f32>());
                for (value, &target) in gradient.iter_mut().zip(targets) {
                    *value -= scale * target;
                }
            }
        }
        sum / positions
    }

    fn default_metric(&self) -> Option<Arc<dyn Metric>> {
        Some(Arc::new(Accuracy))
    }
}

impl Loss for SparseCategoricalCrossentropyFromLogits {
    fn name(&self) -> &'static str {
        "sparse_categorical_crossentropy_from_logits"
    }

    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        SparseCategoricalCrossentropy.target_shape(output)
    }

    fn target_fault(&self, target: &[f32], output: &Shape) -> Option<TargetFault> {
        SparseCategoricalCrossentropy.target_fault(target, output)
    }

    fn evaluate(&self, pass: &mut LossPass<'_>) -> f64 {
        let classes = pass.shape.channels();
        let positions = (pass.shape.size() / classes) as f64;
        let scale = pass.scale / positions as f32;
        let mut sum = 0.0;
        for (row, (logits, &target)) in pass.output.chunks_exact(classes).zip(pass.targets).enumerate() {
            let (all, label) = (log_sum_exp(logits), target as usize);
            sum += all - f64::from(logits[label]);
            if let Some(gradient) = &mut pass.gradient {
                let gradient = &mut gradient[row * classes..(row + 1) * classes];
                softmax_gradient(gradient, logits, all, scale);
                gradient[label] -= scale;
            }
        }
        sum / positions
    }

    fn default_metric(&self) -> Option<Arc<dyn Metric>> {
        Some(Arc::new(Accuracy))
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    const LOGITS: [f32; 4] = [0.5, 1.25, 0.0, -4.0];

    #[test]
    fn as_in_keras() {
        let shape = Shape::from([2]);
        let one_hot = [1.0, 0.0, 0.0, 1.0];
        let cases: [(&dyn Loss, &[f32], f64); 3] = [
            (&BinaryCrossentropyFromLogits, &one_hot, 1.671_825_8),
            (&CategoricalCrossentropyFromLogits, &one_hot, 2.577_510_4),
            (&SparseCategoricalCrossentropyFromLogits, &[0.0, 1.0], 2.577_510_4),
        ];
        for (loss, targets, mean) in cases {
            let (sum, _) = check::evaluate(loss, &shape, &LOGITS, targets, false);
            assert!((sum / 2.0 - mean).abs() < 1e-6, "{}: {}", loss.name(), sum / 2.0);
            check::gradient(loss, &shape, &LOGITS, targets, false);
        }
    }

    #[test]
    fn agree_with_the_losses_of_probabilities() {
        let shape = Shape::from([2, 3]);
        let logits = [0.5, -1.0, 0.2, 1.0, 0.0, -0.3];
        let soft = [0.2, 0.3, 0.5, 0.0, 1.0, 0.0];
        let cases: [(&dyn Loss, &dyn Loss, &[f32]); 3] = [
            (&BinaryCrossentropyFromLogits, &BinaryCrossentropy, &soft),
            (&CategoricalCrossentropyFromLogits, &CategoricalCrossentropy, &soft),
            (&SparseCategoricalCrossentropyFromLogits, &SparseCategoricalCrossentropy, &[2.0, 1.0]),
        ];
        for (from_logits, fused, targets) in cases {
            let found = check::evaluate(from_logits, &shape, &logits, targets, false);
            let expected = check::evaluate(fused, &shape, &logits, targets, true);
            assert!((found.0 - expected.0).abs() < 1e-9, "{}", from_logits.name());
            for (a, b) in found.1.iter().zip(&expected.1) {
                assert!((a - b).abs() < 1e-6, "{}: {a} {b}", from_logits.name());
            }
        }
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let (loss, gradient) = check::evaluate(&BinaryCrossentropyFromLogits, &Shape::from([1]), &[-500.0], &[1.0], false);
        assert_eq!((loss, gradient[0]), (500.0, -1.0));
        let shape = Shape::from([2]);
        let (loss, gradient) = check::evaluate(&SparseCategoricalCrossentropyFromLogits, &shape, &[0.0, 1000.0], &[0.0], false);
        assert_eq!((loss, &gradient[..]), (1000.0, &[-1.0, 1.0][..]));
    }
}
