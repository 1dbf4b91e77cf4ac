//! Binary cross-entropy: `-(t * ln(p) + (1 - t) * ln(1 - p))`, mean over a sample's values.

use std::sync::Arc;

use super::label_smoothing::{Smooth, smoothed};
use super::{EPSILON, Loss, LossPass, TargetFault, probabilities_from};
use crate::activation::Activation;
use crate::graph::Shape;
use crate::metrics::{Accuracy, Metric};

/// Cross-entropy of independent yes-or-no questions.
#[derive(Debug, Clone, Copy, Default)]
pub struct BinaryCrossentropy;

/// The loss of logits, `-t ln s(z) - (1 - t) ln(1 - s(z)) = max(z, 0) - t z + ln(1 + exp(-|z|))`, and its gradient,
/// `s(z) - t`; `probability` gives the `s(z)` of the logit with this number. Targets are smoothed first.
pub(super) fn of_logits(pass: &mut LossPass<'_>, logits: &[f32], smoothing: f32, probability: impl Fn(usize) -> f32) -> f64 {
    let size = pass.shape.size() as f32;
    let scale = pass.scale / size;
    let mut sum = 0.0;
    for (position, (&z, &target)) in logits.iter().zip(pass.targets).enumerate() {
        let t = smoothed(target, smoothing, 2);
        let wide = f64::from(z);
        sum += if z > 0.0 { wide } else { 0.0 } - f64::from(t) * wide + (-wide.abs()).exp().ln_1p();
        if let Some(gradient) = &mut pass.gradient {
            gradient[position] = scale * (probability(position) - t);
        }
    }
    sum / f64::from(size)
}

impl Loss for BinaryCrossentropy {
    fn name(&self) -> &'static str {
        "binary_crossentropy"
    }

    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        Ok(output.clone())
    }

    fn fused_activation(&self) -> Option<Activation> {
        Some(Activation::Sigmoid)
    }

    fn mismatch(&self, last: Activation) -> Option<String> {
        probabilities_from(&[Activation::Sigmoid, Activation::HardSigmoid], last, "BinaryCrossentropyFromLogits")
    }

    fn target_fault(&self, target: &[f32], _output: &Shape) -> Option<TargetFault> {
        let outside = |value: &&f32| !(0.0..=1.0).contains(*value);
        target.iter().find(outside).map(|&value| TargetFault::Range { value, wanted: "probabilities from 0 to 1" })
    }

    fn evaluate(&self, pass: &mut LossPass<'_>) -> f64 {
        self.evaluate_smoothed(pass, 0.0)
    }

    fn default_metric(&self) -> Option<Arc<dyn Metric>> {
        Some(Arc::new(Accuracy))
    }
}

impl Smooth for BinaryCrossentropy {
    fn evaluate_smoothed(&self, pass: &mut LossPass<'_>, smoothing: f32) -> f64 {
        if let Some(logits) = pass.before_activation {
            let probabilities = pass.output;
            return of_logits(pass, logits, smoothing, |position| probabilities[position]);
        }
        let size = pass.shape.size() as f32;
        let scale = pass.scale / size;
        let mut sum = 0.0;
        for (position, (&p, &target)) in pass.output.iter().zip(pass.targets).enumerate() {
            let t = smoothed(target, smoothing, 2);
            let clipped = p.clamp(EPSILON, 1.0 - EPSILON);
            let (wide, t64) = (f64::from(clipped), f64::from(t));
            sum -= t64 * wide.ln() + (1.0 - t64) * (1.0 - wide).ln();
            if let Some(gradient) = &mut pass.gradient {
                gradient[position] = if clipped == p { scale * ((p - t) / (p * (1.0 - p))) } else { 0.0 };
            }
        }
        sum / f64::from(size)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn by_hand_and_by_differences() {
        let shape = Shape::from([1]);
        // -ln(1 - 0.25) = 0.287682
        let (loss, gradient) = check::evaluate(&BinaryCrossentropy, &shape, &[0.25], &[0.0], false);
        assert!((loss - 0.287_682).abs() < 1e-5 && (gradient[0] - 1.333_333).abs() < 1e-5);
        let (loss, gradient) = check::evaluate(&BinaryCrossentropy, &shape, &[-500.0], &[1.0], true);
        assert_eq!((loss, gradient[0]), (500.0, -1.0));
        let shape = Shape::from([3]);
        check::gradient(&BinaryCrossentropy, &shape, &[0.3, -1.0, 2.0], &[1.0, 0.0, 0.25], true);
        check::gradient(&BinaryCrossentropy, &shape, &[0.3, 0.5, 0.8], &[1.0, 0.0, 0.25], false);
        assert!(BinaryCrossentropy.target_fault(&[0.5, 2.0, 0.0], &shape).is_some());
    }
}
