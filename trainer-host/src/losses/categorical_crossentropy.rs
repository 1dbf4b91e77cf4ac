//! Categorical cross-entropy: `-sum(t * ln(p))` over the classes (the last axis), mean over a sample's positions.
//! Targets are probabilities of the classes, such as one-hot vectors. Outputs that no softmax made are divided by their sum
//! first, as in Keras: else the loss would be least where all of them are large.

use std::sync::Arc;

use super::label_smoothing::{Smooth, smoothed};
use super::{EPSILON, Loss, LossPass, TargetFault, probabilities_from};
use crate::activation::Activation;
use crate::graph::Shape;
use crate::metrics::{Accuracy, Metric};

/// Cross-entropy with targets that are distributions over the classes.
#[derive(Debug, Clone, Copy, Default)]
pub struct CategoricalCrossentropy;

/// The natural logarithm of the sum of exponentials, without overflow.
pub(super) fn log_sum_exp(logits: &[f32]) -> f64 {
    let largest = logits.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
    f64::from(largest) + sum.ln()
}

/// The loss of logits, `sum(t * (ln(sum(exp(z))) - z))` for each position, and its gradient, `sum(t) * p - t`.
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
    for (row, (logits, targets)) in logits.chunks_exact(classes).zip(pass.targets.chunks_exact(classes)).enumerate() {
        let all = log_sum_exp(logits);
        let smooth = |target: f32| smoothed(target, smoothing, classes);
        sum += logits.iter().zip(targets).map(|(&z, &t)| f64::from(smooth(t)) * (all - f64::from(z))).sum::<f64>();
        if let Some(gradient) = &mut pass.gradient {
            let total: f32 = targets.iter().map(|&target| smooth(target)).sum();
            for (position, &t) in (row * classes..).zip(targets) {
                gradient[position] = scale * (total * probability(position, all) - smooth(t));
            }
        }
    }
    sum / positions
}

/// The classes must be at least two: a single softmax output is always 1.
pub(super) fn check_classes(output: &Shape) -> Result<(), String> {
    if output.channels() < 2 {
        return Err("the last axis holds the classes and must be at least 2; for one output use binary_crossentropy".to_owned());
    }
    Ok(())
}

impl Loss for CategoricalCrossentropy {
    fn name(&self) -> &'static str {
        "categorical_crossentropy"
    }

    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        check_classes(output)?;
        Ok(output.clone())
    }

    fn fused_activation(&self) -> Option<Activation> {
        Some(Activation::Softmax)
    }

    fn mismatch(&self, last: Activation) -> Option<String> {
        probabilities_from(&[Activation::Softmax], last, "CategoricalCrossentropyFromLogits")
    }

    fn target_fault(&self, target: &[f32], _output: &Shape) -> Option<TargetFault> {
        let outside = |value: &&f32| !(0.0..=1.0).contains(*value);
        let wanted = "probabilities from 0 to 1 (for class numbers use sparse_categorical_crossentropy)";
        target.iter().find(outside).map(|&value| TargetFault::Range { value, wanted })
    }

    fn evaluate(&self, pass: &mut LossPass<'_>) -> f64 {
        self.evaluate_smoothed(pass, 0.0)
    }

    fn default_metric(&self) -> Option<Arc<dyn Metric>> {
        Some(Arc::new(Accuracy))
    }
}

impl Smooth for CategoricalCrossentropy {
    fn evaluate_smoothed(&self, pass: &mut LossPass<'_>, smoothing: f32) -> f64 {
        if let Some(logits) = pass.before_activation {
            let probabilities = pass.output;
            return of_logits(pass, logits, smoothing, |position, _| probabilities[position]);
        }
        let classes = pass.shape.channels();
        let positions = (pass.shape.size() / classes) as f64;
        let scale = pass.scale / positions as f32;
        let mut sum = 0.0;
        for (row, targets) in pass.targets.chunks_exact(classes).enumerate() {
            let range = row * classes..(row + 1) * classes;
            let probabilities = &pass.output[range.clone()];
            let all: f32 = probabilities.iter().sum();
            let all = if all > EPSILON { all } else { EPSILON };
            let share = |p: f32| (p / all).clamp(EPSILON, 1.0 - EPSILON);
            let pairs = || probabilities.iter().zip(targets.iter().map(|&target| smoothed(target, smoothing, classes)));
            sum -= pairs().map(|(&p, t)| f64::from(t) * f64::from(share(p)).ln()).sum::<f64>();
            if let Some(gradient) = &mut pass.gradient {
                let is_clipped = |p: f32| share(p) != p / all;
                let kept: f32 = pairs().filter(|(p, _)| !is_clipped(**p)).map(|(_, t)| t).sum();
                for (value, (&p, t)) in gradient[range].iter_mut().zip(pairs()) {
                    *value = scale * (kept / all - if is_clipped(p) { 0.0 } else { t / p });
                }
            }
        }
        sum / positions
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn by_hand_and_by_differences() {
        let shape = Shape::from([2]);
        // p = [0.25, 0.75]: -ln 0.75 = 0.287682
        let (loss, gradient) = check::evaluate(&CategoricalCrossentropy, &shape, &[0.25, 0.75], &[0.0, 1.0], false);
        assert!((loss - 0.287_682).abs() < 1e-5);
        assert!((gradient[1] + 0.333_333).abs() < 1e-5 && gradient[0] == 1.0);
        // Logits 0 and 1000: no infinity, loss 1000 for the wrong class.
        let (loss, gradient) = check::evaluate(&CategoricalCrossentropy, &shape, &[0.0, 1000.0], &[1.0, 0.0], true);
        assert_eq!((loss, &gradient[..]), (1000.0, &[-1.0, 1.0][..]));
        let shape = Shape::from([2, 3]);
        let logits = [0.5, -1.0, 0.2, 1.0, 0.0, -0.3];
        check::gradient(&CategoricalCrossentropy, &shape, &logits, &[0.2, 0.3, 0.5, 0.0, 1.0, 0.0], true);
        let probabilities = [0.2, 0.5, 0.3, 0.6, 0.1, 0.3];
        check::gradient(&CategoricalCrossentropy, &shape, &probabilities, &[0.2, 0.3, 0.5, 1.0, 0.0, 0.0], false);
        check::gradient(
            &CategoricalCrossentropy,
            &shape,
            &[0.4, 3.0, 0.2, 1.5, 0.7, 0.9],
            &[0.2, 0.3, 0.5, 1.0, 0.0, 0.0],
            false,
        );
    }

    #[test]
    fn outputs_of_no_softmax_as_in_keras() {
        let shape = Shape::from([3]);
        for (output, wanted_loss, wanted_gradient) in
            [([0.5, 2.0, 1.5], 0.908_908_7, [0.25, 0.125, -0.25]), ([0.5, 0.0, 2.0], 4.196_881_3, [0.3, 0.3, -0.075])]
        {
            let (loss, gradient) = check::evaluate(&CategoricalCrossentropy, &shape, &output, &[0.0, 0.25, 0.75], false);
            assert!((loss - wanted_loss).abs() < 1e-5, "{loss}");
            assert!(gradient.iter().zip(wanted_gradient).all(|(a, b)| (a - b).abs() < 1e-6), "{gradient:?}");
        }
        let (loss, gradient) = check::evaluate(&CategoricalCrossentropy, &shape, &[0.0; 3], &[0.0, 1.0, 0.0], false);
        assert!(loss.is_finite() && gradient == [0.0; 3], "{loss} {gradient:?}");
    }
}
