//! Focal losses (Lin et al. 2017): cross-entropies in which what is answered well already counts little, for classes of which some are
//! rare. Categorical: `-sum(alpha (1 - p)^gamma t ln(p))` over the classes (the last axis), mean over a sample's positions, of outputs that are
//! divided by their sum first. Binary: `(1 - q)^gamma` times the cross-entropy, where `q = t p + (1 - t) (1 - p)`, mean over a
//! sample's values.

use std::sync::Arc;

use super::categorical_crossentropy::check_classes;
use super::label_smoothing::{check_smoothing, smoothed};
use super::{BinaryCrossentropy, CategoricalCrossentropy, EPSILON, Loss, LossPass, TargetFault};
use crate::activation::Activation;
use crate::graph::Shape;
use crate::metrics::{Accuracy, Metric};

/// Focal loss of classes, with targets that are distributions over them. Keras's defaults: alpha 0.25, gamma 2.
#[derive(Debug, Clone, PartialEq)]
pub struct CategoricalFocalCrossentropy {
    alpha: Vec<f32>,
    gamma: f32,
    smoothing: f32,
}

/// Focal loss of independent yes-or-no questions. Keras's defaults: gamma 2, no balancing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BinaryFocalCrossentropy {
    alpha: Option<f32>,
    gamma: f32,
    smoothing: f32,
}

impl Default for CategoricalFocalCrossentropy {
    fn default() -> Self {
        Self { alpha: vec![0.25], gamma: 2.0, smoothing: 0.0 }
    }
}

impl CategoricalFocalCrossentropy {
    /// Sets what classes count: one number for all, or one for each.
    pub fn alpha(self, alpha: impl Into<Vec<f32>>) -> Self {
        Self { alpha: alpha.into(), ..self }
    }

    /// Sets how little counts what is answered well; 0 for the cross-entropy.
    pub fn gamma(self, gamma: f32) -> Self {
        Self { gamma, ..self }
    }

    /// Smooths the labels by a share from 0 to 1.
    pub fn label_smoothing(self, smoothing: f32) -> Self {
        Self { smoothing, ..self }
    }
}

impl Default for BinaryFocalCrossentropy {
    fn default() -> Self {
        Self { alpha: None, gamma: 2.0, smoothing: 0.0 }
    }
}

impl BinaryFocalCrossentropy {
    /// Lets a yes count `alpha` and a no `1 - alpha`: Keras's `apply_class_balancing`.
    pub fn balanced(self, alpha: f32) -> Self {
        Self { alpha: Some(alpha), ..self }
    }

    /// Sets how little counts what is answered well; 0 for the cross-entropy.
    pub fn gamma(self, gamma: f32) -> Self {
        Self { gamma, ..self }
    }

    /// Smooths the labels by a share from 0 to 1.
    pub fn label_smoothing(self, smoothing: f32) -> Self {
        Self { smoothing, ..self }
    }
}

fn check_options(alpha: &[f32], gamma: f32, smoothing: f32) -> Result<(), String> {
    let is_wrong = |number: &&f32| !(**number >= 0.0 && number.is_finite());
    if let Some(number) = alpha.iter().find(is_wrong) {
        return Err(format!("alpha is {number}, but must be 0 or a positive number"));
    }
    if let Some(number) = Some(&gamma).filter(is_wrong) {
        return Err(format!("gamma is {number}, but must be 0 or a positive number"));
    }
    check_smoothing(smoothing)
}

/// `(1 - p)^gamma`, and its derivative by `p`.
fn modulation(p: f64, gamma: f64) -> (f64, f64) {
    let rest = 1.0 - p;
    (rest.powf(gamma), if gamma == 0.0 { 0.0 } else { -gamma * rest.powf(gamma - 1.0) })
}

impl Loss for CategoricalFocalCrossentropy {
    fn name(&self) -> &'static str {
        "categorical_focal_crossentropy"
    }

    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        check_classes(output)?;
        check_options(&self.alpha, self.gamma, self.smoothing)?;
        if ![1, output.channels()].contains(&self.alpha.len()) {
            let (found, classes) = (self.alpha.len(), output.channels());
            return Err(format!("alpha has {found} numbers, but must have 1 or one for each of {classes} classes"));
        }
        Ok(output.clone())
    }

    fn mismatch(&self, last: Activation) -> Option<String> {
        let is_right = last == Activation::Softmax;
        (!is_right).then(|| "expects probabilities: write `.activation(Activation::Softmax)` at the last layer".to_owned())
    }

    fn target_fault(&self, target: &[f32], output: &Shape) -> Option<TargetFault> {
        CategoricalCrossentropy.target_fault(target, output)
    }

    fn evaluate(&self, pass: &mut LossPass<'_>) -> f64 {
        let classes = pass.shape.channels();
        let positions = (pass.shape.size() / classes) as f64;
        let (scale, gamma) = (f64::from(pass.scale) / positions, f64::from(self.gamma));
        let mut sum = 0.0;
        for (row, targets) in pass.targets.chunks_exact(classes).enumerate() {
            let range = row * classes..(row + 1) * classes;
            let probabilities = &pass.output[range.clone()];
            let all: f64 = probabilities.iter().map(|&p| f64::from(p)).sum();
            let all = if all > f64::from(EPSILON) { all } else { f64::from(EPSILON) };
            // The loss of a class, and its derivative by the class's share.
            let of_class = |class: usize| {
                let share = f64::from(probabilities[class]) / all;
                let clipped = share.clamp(f64::from(EPSILON), 1.0 - f64::from(EPSILON));
                let alpha = self.alpha[if self.alpha.len() == 1 { 0 } else { class }];
                let weight = f64::from(alpha * smoothed(targets[class], self.smoothing, classes));
                let ((factor, change), logarithm) = (modulation(clipped, gamma), clipped.ln());
                let derivative = -weight * (change * logarithm + factor / clipped);
                (-weight * factor * logarithm, if clipped == share { derivative } else { 0.0 }, share)
            };
            sum += (0..classes).map(|class| of_class(class).0).sum::<f64>();
            if let Some(gradient) = &mut pass.gradient {
                let mean: f64 = (0..classes).map(|class| of_class(class).1 * of_class(class).2).sum();
                for (class, value) in gradient[range].iter_mut().enumerate() {
                    *value = (scale * (of_class(class).1 - mean) / all) as f32;
                }
            }
        }
        sum / positions
    }

    fn default_metric(&self) -> Option<Arc<dyn Metric>> {
        Some(Arc::new(Accuracy))
    }
}

impl Loss for BinaryFocalCrossentropy {
    fn name(&self) -> &'static str {
        "binary_focal_crossentropy"
    }

    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        if let Some(alpha) = self.alpha.filter(|alpha| !(0.0..=1.0).contains(alpha)) {
            return Err(format!("alpha is {alpha}, but must be from 0 to 1"));
        }
        check_options(&[], self.gamma, self.smoothing)?;
        Ok(output.clone())
    }

    fn mismatch(&self, last: Activation) -> Option<String> {
        let is_right = [Activation::Sigmoid, Activation::HardSigmoid].contains(&last);
        (!is_right).then(|| "expects probabilities: write `.activation(Activation::Sigmoid)` at the last layer".to_owned())
    }

    fn target_fault(&self, target: &[f32], output: &Shape) -> Option<TargetFault> {
        BinaryCrossentropy.target_fault(target, output)
    }

    fn evaluate(&self, pass: &mut LossPass<'_>) -> f64 {
        let size = pass.shape.size() as f64;
        let (scale, gamma) = (f64::from(pass.scale) / size, f64::from(self.gamma));
        let mut sum = 0.0;
        for (position, (&output, &target)) in pass.output.iter().zip(pass.targets).enumerate() {
            let clipped = output.clamp(EPSILON, 1.0 - EPSILON);
            let (p, t) = (f64::from(clipped), f64::from(smoothed(target, self.smoothing, 2)));
            let weight = self.alpha.map_or(1.0, |alpha| t * f64::from(alpha) + (1.0 - t) * (1.0 - f64::from(alpha)));
            let (factor, change) = modulation(t * p + (1.0 - t) * (1.0 - p), gamma);
            let entropy = -(t * p.ln() + (1.0 - t) * (1.0 - p).ln());
            sum += weight * factor * entropy;
            if let Some(gradient) = &mut pass.gradient {
                let derivative = change * (2.0 * t - 1.0) * entropy + factor * (p - t) / (p * (1.0 - p));
                gradient[position] = if clipped == output { (scale * weight * derivative) as f32 } else { 0.0 };
            }
        }
        sum / size
    }

    fn default_metric(&self) -> Option<Arc<dyn Metric>> {
        Some(Arc::new(Accuracy))
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    fn near(loss: &dyn Loss, shape: &Shape, values: &[f32], targets: &[f32], mean: f64, gradient: &[f32]) {
        let (sum, found) = check::evaluate(loss, shape, values, targets, false);
        assert!((sum / 2.0 - mean).abs() < 1e-6, "{loss:?}: {}", sum / 2.0);
        assert!(found.iter().zip(gradient).all(|(a, b)| (a / 2.0 - b).abs() < 1e-5), "{loss:?}: {found:?}");
        // Where the loss bends little, as differences want it.
        let mild: Vec<f32> = values.iter().map(|value| 0.5 + (value - 0.5) / 3.0).collect();
        check::gradient(loss, shape, &mild, targets, false);
    }

    /// Keras 3.15's `CategoricalFocalCrossentropy` and `BinaryFocalCrossentropy`.
    #[test]
    fn as_in_keras() {
        let (shape, targets) = (Shape::from([3]), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        let (values, loss) = ([0.2, 0.5, 0.3, 0.6, 0.1, 0.3], CategoricalFocalCrossentropy::default());
        let gradient = [0.124_458_57, 0.124_458_57, -0.290_403_3, -0.033_766_35, 0.050_649_53, 0.050_649_53];
        near(&loss, &shape, &values, &targets, 0.083_959_84, &gradient);
        let other = loss.clone().alpha([0.25, 0.5, 0.75]).gamma(1.5).label_smoothing(0.1);
        let gradient = [0.350_520_2, 0.362_405_2, -0.837_688_8, -0.019_459_02, -0.012_186_56, 0.042_980_23];
        near(&other, &shape, &values, &targets, 0.293_907_02, &gradient);
        let (shape, targets) = (Shape::from([2]), [1.0, 0.0, 1.0, 0.0]);
        let (values, loss) = ([0.3, 0.9, 0.6, 0.2], BinaryFocalCrossentropy::default());
        let gradient = [-0.829_723_8, 3.061_162_5, -0.168_831_77, 0.034_814_35];
        near(&loss, &shape, &values, &targets, 0.636_424_5, &gradient);
        let other = loss.balanced(0.25).gamma(3.0).label_smoothing(0.1);
        let gradient = [-0.166_614_68, 1.882_442_1, -0.023_482_23, 0.009_638_58];
        near(&other, &shape, &values, &targets, 0.281_060_67, &gradient);
    }

    #[test]
    fn without_focus_they_are_cross_entropies() {
        let (values, targets) = ([0.3, 0.9, 0.6, 0.2], [1.0, 0.0, 0.25, 0.75]);
        let shape = Shape::from([2]);
        let focal = check::evaluate(&BinaryFocalCrossentropy::default().gamma(0.0), &shape, &values, &targets, false);
        let plain = check::evaluate(&BinaryCrossentropy, &shape, &values, &targets, false);
        assert!((focal.0 - plain.0).abs() < 1e-6);
        assert!(focal.1.iter().zip(&plain.1).all(|(a, b)| (a - b).abs() < 1e-5));
        let refused = |loss: &dyn Loss| loss.target_shape(&Shape::from([3])).unwrap_err();
        assert_eq!(refused(&BinaryFocalCrossentropy::default().balanced(2.0)), "alpha is 2, but must be from 0 to 1");
        assert_eq!(refused(&BinaryFocalCrossentropy::default().gamma(-1.0)), "gamma is -1, but must be 0 or a positive number");
        let reason = refused(&CategoricalFocalCrossentropy::default().alpha([1.0, 2.0]));
        assert_eq!(reason, "alpha has 2 numbers, but must have 1 or one for each of 3 classes");
    }
}
