//! Constraints: what weights are kept within after each step; one file each. A weight's vectors are its columns: the values that go into
//! one unit or channel, which is the last axis; a bias is one vector.
//!
//! ```
//! use samara_trainer::prelude::*;
//!
//! let x = input([2]);
//! let mut model = Model::new("line", &x, Dense::new(1).without_bias().apply(&x))?;
//! model.compile(Sgd::new(0.5), MeanSquaredError)?;
//! model.set_parameter("dense/kernel", &[3.0, 4.0])?;
//! model.set_constraint("dense/kernel", MaxNorm::new(1.0))?;
//! let data = Dataset::new(Tensor::new([1, 2], vec![0.0, 0.0])?, Tensor::new([1, 1], vec![1.0])?)?;
//! model.fit(&data, Fit { verbose: false, ..Fit::default() })?;
//! assert_eq!(model.parameter("dense/kernel")?, [0.6, 0.8]);
//! # Ok::<(), Error>(())
//! ```

mod max_norm;
mod non_negative;
mod unit_norm;

pub use max_norm::MaxNorm;
pub use non_negative::NonNegative;
pub use unit_norm::UnitNorm;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::graph::Shape;
use crate::saved::saved_kinds;

/// What a weight is kept within, after each step of the optimizer.
pub trait Constraint: fmt::Debug + Send + Sync + Any {
    /// Changes the values of a weight of this shape.
    fn apply(&self, shape: &Shape, values: &mut [f32]);
}

/// A constraint that models share.
pub type SharedConstraint = Arc<dyn Constraint>;

saved_kinds!(SavedConstraint of Constraint, "constraint": MaxNorm, NonNegative, UnitNorm);

/// Multiplies each vector with what `factor` says of its Euclidean norm.
fn scale_vectors(shape: &Shape, values: &mut [f32], factor: impl Fn(f64) -> f64) {
    let vectors = if shape.len() > 1 { shape.channels() } else { 1 };
    for vector in 0..vectors {
        let norm = values.iter().skip(vector).step_by(vectors).map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        let factor = factor(norm) as f32;
        values.iter_mut().skip(vector).step_by(vectors).for_each(|value| *value *= factor);
    }
}

#[cfg(test)]
fn check(constraint: &dyn Constraint, shape: &[usize], values: &[f32], expected: &[f32]) {
    let mut found = values.to_vec();
    constraint.apply(&Shape::from(shape), &mut found);
    let is_near = found.iter().zip(expected).all(|(found, wanted)| (found - wanted).abs() < 2e-6);
    assert!(is_near && expected.len() == values.len(), "{constraint:?}: {found:?}");
}

/// The weights of the tests, `[2, 3]`.
#[cfg(test)]
const WEIGHTS: [f32; 6] = [1.0, -2.0, 0.1, 2.0, 0.5, -0.2];
