//! Cross-entropies of outputs that are logits: models that end without sigmoid or softmax. (A model that ends in one
//! loses nothing: the plan computes loss and activation together.)

use std::sync::Arc;

use super::label_smoothing::Smooth;
use super::{BinaryCrossentropy, CategoricalCrossentropy, Loss, LossPass, SparseCategoricalCrossentropy, TargetFault};
use super::{binary_crossentropy, categorical_crossentropy, sparse_categorical_crossentropy};
use crate::activation::Activation;
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

/// What a loss of logits has from the loss of probabilities, beside its name, default metric and value.
macro_rules! from_logits {
    ($loss:ident, $of_probabilities:ident, $name:literal, $metric:expr, $evaluate:expr) => {
        impl Loss for $loss {
            fn name(&self) -> &'static str {
                $name
            }

            fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
                $of_probabilities.target_shape(output)
            }

            fn target_fault(&self, target: &[f32], output: &Shape) -> Option<TargetFault> {
                $of_probabilities.target_fault(target, output)
            }

            fn mismatch(&self, last: Activation) -> Option<String> {
                let is_probability = [Activation::Sigmoid, Activation::HardSigmoid, Activation::Softmax].contains(&last);
                let wrong =
                    concat!("expects logits: leave the last activation out, or use `", stringify!($of_probabilities), "`");
                is_probability.then(|| wrong.to_owned())
            }

            fn evaluate(&self, pass: &mut LossPass<'_>) -> f64 {
                self.evaluate_smoothed(pass, 0.0)
            }

            fn default_metric(&self) -> Option<Arc<dyn Metric>> {
                Some(Arc::new($metric))
            }
        }

        impl Smooth for $loss {
            fn evaluate_smoothed(&self, pass: &mut LossPass<'_>, smoothing: f32) -> f64 {
                let logits = pass.output;
                $evaluate(pass, logits, smoothing)
            }
        }
    };
}

from_logits!(
    BinaryCrossentropyFromLogits,
    BinaryCrossentropy,
    "binary_crossentropy_from_logits",
    // A probability of one half is a logit of 0.
    BinaryAccuracy::new(0.0),
    |pass, logits: &[f32], smoothing| binary_crossentropy::of_logits(pass, logits, smoothing, |position| sigmoid(
        logits[position]
    ))
);

from_logits!(
    CategoricalCrossentropyFromLogits,
    CategoricalCrossentropy,
    "categorical_crossentropy_from_logits",
    Accuracy,
    |pass, logits: &[f32], smoothing| categorical_crossentropy::of_logits(pass, logits, smoothing, |position, all| exp(
        logits[position],
        all
    ))
);

from_logits!(
    SparseCategoricalCrossentropyFromLogits,
    SparseCategoricalCrossentropy,
    "sparse_categorical_crossentropy_from_logits",
    Accuracy,
    |pass, logits: &[f32], smoothing| sparse_categorical_crossentropy::of_logits(pass, logits, smoothing, |position, all| exp(
        logits[position],
        all
    ))
);

/// The probability of a logit; `exp(-|z|)` cannot overflow, whichever side of the sigmoid it is.
fn sigmoid(logit: f32) -> f32 {
    let small = (-f64::from(logit).abs()).exp();
    (if logit > 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) }) as f32
}

/// The probability of a class, where `all` is the logarithm of the sum of all exponentials.
fn exp(logit: f32, all: f64) -> f32 {
    (f64::from(logit) - all).exp() as f32
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
    fn gradients_are_those_of_the_formulas() {
        // Two samples of two positions with three classes; a loss is the mean over the positions, or over all values.
        let shape = Shape::from([2, 3]);
        let logits: [f32; 12] = [0.5, -1.0, 0.2, 1.0, 0.0, -0.3, 7.0, -6.5, 0.01, 3.0, 3.0, -2.0];
        let soft: [f32; 12] = [0.2, 0.3, 0.5, 0.0, 1.0, 0.0, 0.7, 0.1, 0.1, 0.0, 0.25, 0.5];
        let labels: [f32; 4] = [2.0, 1.0, 0.0, 2.0];
        let softmax = |at: usize| {
            let row = &logits[at / 3 * 3..at / 3 * 3 + 3];
            f64::from(logits[at]).exp() / row.iter().map(|&z| f64::from(z).exp()).sum::<f64>()
        };
        let binary = |at: usize| (1.0 / (1.0 + (-f64::from(logits[at])).exp()) - f64::from(soft[at])) / 6.0;
        let dense = |at: usize| {
            let total = soft[at / 3 * 3..at / 3 * 3 + 3].iter().map(|&t| f64::from(t)).sum::<f64>();
            (total * softmax(at) - f64::from(soft[at])) / 2.0
        };
        let sparse = |at: usize| (softmax(at) - f64::from(u8::from(labels[at / 3] as usize == at % 3))) / 2.0;
        type Case<'a> = (&'a dyn Loss, &'a [f32], &'a dyn Fn(usize) -> f64, bool);
        let cases: [Case<'_>; 6] = [
            (&BinaryCrossentropyFromLogits, &soft, &binary, false),
            (&BinaryCrossentropy, &soft, &binary, true),
            (&CategoricalCrossentropyFromLogits, &soft, &dense, false),
            (&CategoricalCrossentropy, &soft, &dense, true),
            (&SparseCategoricalCrossentropyFromLogits, &labels, &sparse, false),
            (&SparseCategoricalCrossentropy, &labels, &sparse, true),
        ];
        for (loss, targets, expected, fused) in cases {
            let (_, gradient) = check::evaluate(loss, &shape, &logits, targets, fused);
            for (at, &found) in gradient.iter().enumerate() {
                let difference = (f64::from(found) - expected(at)).abs();
                assert!(difference < 1e-7, "{} {at}: {found} instead of {}", loss.name(), expected(at));
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
