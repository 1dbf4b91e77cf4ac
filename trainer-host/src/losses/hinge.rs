//! Hinge losses, with targets of -1 and 1, or 0 and 1: `h = max(0, 1 - t y)`, its square, mean over a sample's values; and for classes
//! `max(0, 1 + max((1 - t) y) - sum(t y))` over the last axis, mean over a sample's positions.

use super::{Loss, LossPass, TargetFault};
use crate::graph::Shape;

/// For yes-or-no answers by the sign of outputs, as of support vector machines.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hinge;

/// The same, squared.
#[derive(Debug, Clone, Copy, Default)]
pub struct SquaredHinge;

/// For classes as one-hot targets: the right one's output is to be larger by 1 than all others.
#[derive(Debug, Clone, Copy, Default)]
pub struct CategoricalHinge;

/// The first target that is not of these values.
fn other_than(target: &[f32], values: &[f32], wanted: &'static str) -> Option<TargetFault> {
    target.iter().find(|value| !values.contains(value)).map(|&value| TargetFault::Range { value, wanted })
}

/// The mean over values of `loss(h)`, whose derivative by `h` is `derivative`.
fn evaluate(pass: &mut LossPass<'_>, loss: impl Fn(f64) -> f64, derivative: impl Fn(f32) -> f32) -> f64 {
    let size = pass.shape.size() as f32;
    let scale = pass.scale / size;
    let mut sum = 0.0;
    for (position, (&y, &target)) in pass.output.iter().zip(pass.targets).enumerate() {
        let t = if target > 0.0 { 1.0 } else { -1.0 };
        let rest = 1.0 - t * y;
        let hinge = if rest > 0.0 { rest } else { 0.0 };
        sum += loss(f64::from(hinge));
        if let Some(gradient) = &mut pass.gradient {
            gradient[position] = if rest > 0.0 { -scale * t * derivative(hinge) } else { 0.0 };
        }
    }
    sum / f64::from(size)
}

macro_rules! hinge {
    ($kind:ident, $name:literal, $loss:expr, $derivative:expr) => {
        impl Loss for $kind {
            fn name(&self) -> &'static str {
                $name
            }

            fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
                Ok(output.clone())
            }

            fn target_fault(&self, target: &[f32], _output: &Shape) -> Option<TargetFault> {
                other_than(target, &[-1.0, 0.0, 1.0], "-1 and 1, or 0 and 1")
            }

            fn evaluate(&self, pass: &mut LossPass<'_>) -> f64 {
                evaluate(pass, $loss, $derivative)
            }
        }
    };
}

hinge!(Hinge, "hinge", |hinge| hinge, |_| 1.0);
hinge!(SquaredHinge, "squared_hinge", |hinge| hinge * hinge, |hinge| 2.0 * hinge);

impl Loss for CategoricalHinge {
    fn name(&self) -> &'static str {
        "categorical_hinge"
    }

    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        super::categorical_crossentropy::check_classes(output)?;
        Ok(output.clone())
    }

    fn target_fault(&self, target: &[f32], _output: &Shape) -> Option<TargetFault> {
        other_than(target, &[0.0, 1.0], "0, and 1 for the right class")
    }

    fn evaluate(&self, pass: &mut LossPass<'_>) -> f64 {
        let classes = pass.shape.channels();
        let positions = (pass.shape.size() / classes) as f32;
        let scale = pass.scale / positions;
        let mut sum = 0.0;
        for (row, targets) in pass.targets.chunks_exact(classes).enumerate() {
            let range = row * classes..(row + 1) * classes;
            let output = &pass.output[range.clone()];
            let right: f64 = output.iter().zip(targets).map(|(&y, &t)| f64::from(y) * f64::from(t)).sum();
            let mut strongest = 0;
            let wrong = |class: usize| (1.0 - targets[class]) * output[class];
            for class in 1..classes {
                if wrong(class) > wrong(strongest) {
                    strongest = class;
                }
            }
            let hinge = f64::from(wrong(strongest)) - right + 1.0;
            sum += if hinge > 0.0 { hinge } else { 0.0 };
            if let Some(gradient) = &mut pass.gradient {
                let gradient = &mut gradient[range];
                for (value, &t) in gradient.iter_mut().zip(targets) {
                    *value = if hinge > 0.0 { -scale * t } else { 0.0 };
                }
                if hinge > 0.0 {
                    gradient[strongest] += scale * (1.0 - targets[strongest]);
                }
            }
        }
        sum / f64::from(positions)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    fn near(loss: &dyn Loss, values: &[f32], targets: &[f32], mean: f64, expected: &[f32]) {
        let shape = Shape::from([3]);
        let (sum, gradient) = check::evaluate(loss, &shape, values, targets, false);
        let samples = values.len() / 3;
        assert!((sum / samples as f64 - mean).abs() < 1e-6, "{loss:?}: {sum}");
        assert!(gradient.iter().zip(expected).all(|(a, b)| (a / samples as f32 - b).abs() < 1e-6), "{loss:?}: {gradient:?}");
    }

    const VALUES: [f32; 6] = [0.5, 1.25, -1.0, 0.0, -4.0, 2.0];

    /// Keras 3.15's `Hinge`, `SquaredHinge` and `CategoricalHinge`.
    #[test]
    fn as_in_keras() {
        let sixth = 1.0 / 6.0;
        let gradient = [-sixth, sixth, -sixth, sixth, -sixth, 0.0];
        near(&Hinge, &VALUES, &[1.0, -1.0, 1.0, -1.0, 1.0, 1.0], 1.791_666_7, &gradient);
        near(&Hinge, &VALUES, &[1.0, 0.0, 1.0, 0.0, 1.0, 1.0], 1.791_666_7, &gradient);
        let gradient = [-sixth, 0.75, -0.666_666_7, 0.333_333_3, -1.666_666_7, 0.0];
        near(&SquaredHinge, &VALUES, &[1.0, -1.0, 1.0, -1.0, 1.0, 1.0], 5.885_417, &gradient);
        // Keras has 0.65 for this sample and one whose loss is 0.
        near(&CategoricalHinge, &[0.5, -1.0, 0.2], &[0.0, 0.0, 1.0], 1.3, &[1.0, 0.0, -1.0]);
        near(&CategoricalHinge, &[0.5, -1.0, 2.2], &[0.0, 0.0, 1.0], 0.0, &[0.0; 3]);
        let shape = Shape::from([3]);
        for loss in [&Hinge as &dyn Loss, &SquaredHinge] {
            check::gradient(loss, &shape, &VALUES, &[1.0, -1.0, 1.0, -1.0, 1.0, 1.0], false);
        }
        check::gradient(&CategoricalHinge, &shape, &VALUES, &[0.0, 0.0, 1.0, 1.0, 0.0, 0.0], false);
        assert!(Hinge.target_fault(&[0.5], &shape).is_some() && CategoricalHinge.target_fault(&[-1.0], &shape).is_some());
    }
}
