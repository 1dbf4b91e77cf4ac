//! Kullback and Leibler's divergence (1951): `sum(t ln(t / p))` over the last axis, mean over a sample's positions.

use super::{EPSILON, Loss, LossPass, TargetFault};
use crate::activation::Activation;
use crate::graph::Shape;
use crate::losses::CategoricalCrossentropy;

/// How far outputs that are distributions are from targets that are such: 0 where they agree.
#[derive(Debug, Clone, Copy, Default)]
pub struct KlDivergence;

impl Loss for KlDivergence {
    fn name(&self) -> &'static str {
        "kl_divergence"
    }

    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        Ok(output.clone())
    }

    fn mismatch(&self, last: Activation) -> Option<String> {
        let is_right = last == Activation::Softmax;
        (!is_right).then(|| "expects distributions: write `.activation(Activation::Softmax)` at the last layer".to_owned())
    }

    fn target_fault(&self, target: &[f32], output: &Shape) -> Option<TargetFault> {
        CategoricalCrossentropy.target_fault(target, output)
    }

    fn evaluate(&self, pass: &mut LossPass<'_>) -> f64 {
        let positions = pass.shape.size() as f64 / pass.shape.channels() as f64;
        let scale = pass.scale / positions as f32;
        let mut sum = 0.0;
        for (position, (&output, &target)) in pass.output.iter().zip(pass.targets).enumerate() {
            let [p, t] = [output, target].map(|value| value.clamp(EPSILON, 1.0));
            sum += f64::from(t) * (f64::from(t) / f64::from(p)).ln();
            if let Some(gradient) = &mut pass.gradient {
                gradient[position] = if p == output { -scale * t / p } else { 0.0 };
            }
        }
        sum / positions
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    /// Keras 3.15's `KLDivergence`.
    #[test]
    fn as_in_keras() {
        let (values, targets) = ([0.2, 0.5, 0.3, 0.6, 0.1, 0.3], [0.1, 0.6, 0.3, 0.7, 0.0, 0.3]);
        let shape = Shape::from([3]);
        let (sum, gradient) = check::evaluate(&KlDivergence, &shape, &values, &targets, false);
        assert!((sum / 2.0 - 0.073_991_16).abs() < 1e-6, "{sum}");
        let expected = [-0.25, -0.6, -0.5, -0.583_333_3, -5e-7, -0.5];
        assert!(gradient.iter().zip(expected).all(|(a, b)| (a / 2.0 - b).abs() < 1e-6), "{gradient:?}");
        check::gradient(&KlDivergence, &shape, &values, &targets, false);
        assert!(KlDivergence.target_fault(&[1.5], &shape).is_some());
    }
}
