//! Cosine similarity: `-sum(t y) / (|t| |y|)` over the last axis, mean over a sample's positions: from -1, where outputs have the targets'
//! direction, to 1.

use super::{Loss, LossPass};
use crate::graph::Shape;

/// Makes outputs point where targets do, whatever their lengths.
#[derive(Debug, Clone, Copy, Default)]
pub struct CosineSimilarity;

/// The least length that is divided by.
const LEAST: f64 = 1e-7;

/// The length of a vector, and the cosine between it and another one: 0 where one of them is nothing.
pub(crate) fn length_and_cosine(output: &[f32], target: &[f32]) -> (f64, f64, f64) {
    let length = |values: &[f32]| {
        let length = values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        if length > LEAST { length } else { LEAST }
    };
    let product: f64 = output.iter().zip(target).map(|(&y, &t)| f64::from(y) * f64::from(t)).sum();
    let (own, other) = (length(output), length(target));
    (own, other, product / (own * other))
}

impl Loss for CosineSimilarity {
    fn name(&self) -> &'static str {
        "cosine_similarity_loss"
    }

    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        Ok(output.clone())
    }

    fn evaluate(&self, pass: &mut LossPass<'_>) -> f64 {
        let channels = pass.shape.channels();
        let positions = pass.shape.size() as f64 / channels as f64;
        let scale = f64::from(pass.scale) / positions;
        let mut sum = 0.0;
        for (row, targets) in pass.targets.chunks_exact(channels).enumerate() {
            let range = row * channels..(row + 1) * channels;
            let output = &pass.output[range.clone()];
            let (length, target_length, cosine) = length_and_cosine(output, targets);
            sum -= cosine;
            if let Some(gradient) = &mut pass.gradient {
                for ((value, &y), &t) in gradient[range].iter_mut().zip(output).zip(targets) {
                    let (y, t) = (f64::from(y) / length, f64::from(t) / target_length);
                    *value = (-scale * (t - cosine * y) / length) as f32;
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

    /// Keras 3.15's `CosineSimilarity`.
    #[test]
    fn as_in_keras() {
        let (values, targets) = ([0.5, 1.25, -1.0, 0.0, -4.0, 2.0], [0.0, 1.0, 2.0, 1.0, -1.0, 0.5]);
        let shape = Shape::from([3]);
        let (sum, gradient) = check::evaluate(&CosineSimilarity, &shape, &values, &targets, false);
        assert!((sum / 2.0 + 0.272_678).abs() < 1e-6, "{sum}");
        let expected = [-0.017_777_78, -0.177_777_78, -0.231_111_1, -0.074_535_6, 0.0, 0.0];
        assert!(gradient.iter().zip(expected).all(|(a, b)| (a / 2.0 - b).abs() < 1e-6), "{gradient:?}");
        check::gradient(&CosineSimilarity, &shape, &values, &targets, false);
        let (sum, gradient) = check::evaluate(&CosineSimilarity, &shape, &[0.0; 3], &[1.0; 3], false);
        assert!(sum == 0.0 && gradient.iter().all(|value| value.is_finite()));
    }
}
