//! Distillation (Hinton, Vinyals and Dean 2015): a small net learns the classes and, beside them, what a teacher says of each sample, whose
//! small probabilities tell which classes look alike.
//!
//! Targets `[1 + C]`: the number of the class, then the teacher's C probabilities `q`. With the student's logits `z`, its probabilities
//! `p = softmax(z)`, and `x^` for a distribution softened by the temperature T, `x^(1/T)` divided by its sum:
//! `(1 - alpha) * -ln(p[class]) + alpha * T^2 * sum(q^ * ln(q^ / p^))`. `T^2` keeps gradients of one size for every T.

use std::sync::Arc;

use super::categorical_crossentropy::{check_classes, log_sum_exp};
use super::{CategoricalCrossentropy, EPSILON, Loss, LossPass, SparseCategoricalCrossentropy, TargetFault};
use crate::activation::Activation;
use crate::graph::Shape;
use crate::metrics::{Metric, MetricPass, largest};

/// Learns from labels and from a teacher: [`taught`](crate::ensemble::taught) gives the targets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distillation {
    temperature: f32,
    alpha: f32,
}

impl Distillation {
    /// Softens by a temperature from 1 on, such as 4, and gives the teacher a share `alpha` from 0 to 1 of the loss, such as 0.5.
    pub fn new(temperature: f32, alpha: f32) -> Self {
        Self { temperature, alpha }
    }

    /// The loss of a sample, and its gradient of the logits, if wanted.
    fn of_sample(&self, logits: &[f32], target: &[f32], gradient: Option<&mut [f32]>, scale: f32) -> f64 {
        let Self { temperature, alpha } = *self;
        let Some((&label, teacher)) = target.split_first() else { return 0.0 };
        let label = label as usize;
        let softened: Vec<f32> = logits.iter().map(|logit| logit / temperature).collect();
        // The logarithms of the teacher's probabilities are its logits, but for a number that is the same for all classes.
        let teacher: Vec<f32> = teacher.iter().map(|&q| q.clamp(EPSILON, 1.0).ln() / temperature).collect();
        let [plain, own, others] = [logits, &softened, &teacher].map(log_sum_exp);
        let of_label = plain - f64::from(logits[label]);
        let (mut of_teacher, mut gradient) = (0.0, gradient);
        for (class, (&z, &q)) in softened.iter().zip(&teacher).enumerate() {
            let (ln_p, ln_q) = (f64::from(z) - own, f64::from(q) - others);
            of_teacher += ln_q.exp() * (ln_q - ln_p);
            if let Some(gradient) = &mut gradient {
                let from_label = (f64::from(logits[class]) - plain).exp() - if class == label { 1.0 } else { 0.0 };
                let from_teacher = f64::from(temperature) * (ln_p.exp() - ln_q.exp());
                gradient[class] = scale * (f64::from(1.0 - alpha) * from_label + f64::from(alpha) * from_teacher) as f32;
            }
        }
        f64::from(1.0 - alpha) * of_label + f64::from(alpha) * f64::from(temperature).powi(2) * of_teacher
    }
}

impl Loss for Distillation {
    fn name(&self) -> &'static str {
        "distillation"
    }

    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        let Self { temperature, alpha } = self;
        if !(temperature.is_finite() && *temperature >= 1.0) {
            return Err(format!("the temperature is {temperature}, but must be a number from 1 on"));
        }
        if !(0.0..=1.0).contains(alpha) {
            return Err(format!("alpha is {alpha}, but must be from 0 to 1"));
        }
        check_classes(output)?;
        match output[..] {
            [classes] => Ok(Shape::from([1 + classes])),
            _ => Err("expects one list of classes for each sample".to_owned()),
        }
    }

    fn fused_activation(&self) -> Option<Activation> {
        Some(Activation::Softmax)
    }

    fn mismatch(&self, last: Activation) -> Option<String> {
        SparseCategoricalCrossentropy.mismatch(last)
    }

    fn target_fault(&self, target: &[f32], output: &Shape) -> Option<TargetFault> {
        let (label, teacher) = target.split_at(1);
        let fault = SparseCategoricalCrossentropy.target_fault(label, output);
        fault.or_else(|| CategoricalCrossentropy.target_fault(teacher, output))
    }

    fn evaluate(&self, pass: &mut LossPass<'_>) -> f64 {
        let classes = pass.shape.channels();
        let mut sum = 0.0;
        for (sample, target) in pass.targets.chunks_exact(1 + classes).enumerate() {
            let range = sample * classes..(sample + 1) * classes;
            let gradient = pass.gradient.as_deref_mut().map(|gradient| &mut gradient[range.clone()]);
            sum += match pass.before_activation {
                Some(logits) => self.of_sample(&logits[range], target, gradient, pass.scale),
                None => {
                    // Logarithms of probabilities are logits; those of other outputs are, too, of what they are as shares.
                    let outputs = &pass.output[range];
                    let logits: Vec<f32> = outputs.iter().map(|p| p.clamp(EPSILON, f32::MAX).ln()).collect();
                    let mut of_logits = vec![0.0; classes];
                    let loss = self.of_sample(&logits, target, Some(&mut of_logits), pass.scale);
                    for ((to, of_logit), output) in gradient.into_iter().flatten().zip(of_logits).zip(outputs) {
                        *to = if *output >= EPSILON { of_logit / output } else { 0.0 };
                    }
                    loss
                }
            };
        }
        sum
    }

    fn default_metric(&self) -> Option<Arc<dyn Metric>> {
        Some(Arc::new(LabelAccuracy))
    }
}

/// The share of right answers, of targets that begin with the class.
#[derive(Debug, Clone, Copy)]
struct LabelAccuracy;

impl Metric for LabelAccuracy {
    fn name(&self) -> &'static str {
        "accuracy"
    }

    fn add(&self, pass: &MetricPass<'_>, sums: &mut [f64]) {
        let classes = pass.shape.channels();
        let answers = pass.output.chunks_exact(classes).zip(pass.targets.chunks_exact(1 + classes));
        sums[0] += answers.filter(|(output, target)| largest(output) == target[0] as usize).count() as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    const TARGETS: [f32; 8] = [2.0, 0.1, 0.3, 0.6, 0.0, 0.7, 0.3, 0.0];
    const LOGITS: [f32; 6] = [0.5, -1.0, 0.2, 1.0, 0.0, -0.3];

    #[test]
    fn values_of_two_samples() {
        let shape = Shape::from([3]);
        let value = |temperature: f32, alpha: f32| {
            check::evaluate(&Distillation::new(temperature, alpha), &shape, &LOGITS, &TARGETS, true).0
        };
        // Without a teacher: the cross-entropy.
        let labels = check::evaluate(&SparseCategoricalCrossentropy, &shape, &LOGITS, &[2.0, 0.0], true).0;
        assert!((value(4.0, 0.0) - labels).abs() < 1e-6);
        // By the teacher alone, at 1: KL([0.1, 0.3, 0.6], [0.5092, 0.1136, 0.3772]) + KL([0.7, 0.3, 0], [0.6096, 0.2243, 0.1661]), where
        // the teacher's 0 counts as 1e-7.
        assert!((value(1.0, 1.0) - (0.407_011 + 0.184_081)).abs() < 1e-5, "{}", value(1.0, 1.0));
        // Both halves.
        assert!((value(1.0, 0.5) - 0.5 * (labels + value(1.0, 1.0))).abs() < 1e-6);
    }

    #[test]
    fn gradients_are_those_of_the_values() {
        let shape = Shape::from([3]);
        for (temperature, alpha) in [(1.0, 1.0), (2.0, 0.5), (4.0, 0.9), (3.0, 0.0)] {
            check::gradient(&Distillation::new(temperature, alpha), &shape, &LOGITS, &TARGETS, true);
            let mild = [0.3, 0.4, 0.3, 0.35, 0.3, 0.35];
            check::gradient(&Distillation::new(temperature, alpha), &shape, &mild, &TARGETS, false);
        }
    }

    #[test]
    fn one_who_says_what_the_teacher_says_has_nothing_to_learn_from_it() {
        let (shape, q) = (Shape::from([3]), [0.2f32, 0.5, 0.3]);
        let logits = q.map(|q| q.ln() + 3.0);
        let (loss, gradient) = check::evaluate(&Distillation::new(5.0, 1.0), &shape, &logits, &[0.0, 0.2, 0.5, 0.3], true);
        assert!(loss.abs() < 1e-5 && gradient.iter().all(|value| value.abs() < 1e-5), "{loss} {gradient:?}");
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let reason = |temperature: f32, alpha: f32| Distillation::new(temperature, alpha).target_shape(&Shape::from([3]));
        assert_eq!(reason(4.0, 0.5), Ok(Shape::from([4])));
        assert_eq!(reason(0.5, 0.5).unwrap_err(), "the temperature is 0.5, but must be a number from 1 on");
        assert_eq!(reason(2.0, 1.5).unwrap_err(), "alpha is 1.5, but must be from 0 to 1");
        let fault = |target: &[f32]| Distillation::new(2.0, 0.5).target_fault(target, &Shape::from([2]));
        assert_eq!(fault(&[1.0, 0.5, 0.5]), None);
        assert_eq!(fault(&[2.0, 0.5, 0.5]), Some(TargetFault::Label { label: 2.0, classes: 2 }));
        assert!(matches!(fault(&[1.0, 1.5, 0.5]), Some(TargetFault::Range { .. })));
    }
}
