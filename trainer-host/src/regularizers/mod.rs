//! Regularizers: what large weights cost; one file each. A parameter's penalty is added to the loss, and its gradient to
//! the parameter's before any clipping.
//!
//! ```
//! use samara_trainer::prelude::*;
//!
//! # fn main() -> Result<()> {
//! let x = input([2]);
//! let y = Dense::new(1).kernel_regularizer(L1L2::new(0.5, 0.25)).apply(&x);
//! let mut model = Model::new("line", &x, y)?;
//! model.compile(Sgd::new(0.1), MeanSquaredError)?;
//! model.set_parameter("dense/kernel", &[-2.0, 4.0])?;
//! let data = Dataset::new(Tensor::new([1, 2], vec![2.0, 1.0])?, Tensor::new([1, 1], vec![1.0])?)?;
//! // The output is 0 and its squared error 1; 0.5 * (2 + 4) + 0.25 * (4 + 16) = 8.
//! assert_eq!(model.evaluate(&data)?.get("loss"), Some(9.0));
//! # Ok(())
//! # }
//! ```

mod l1;
mod l1_l2;
mod l2;

pub use l1::L1;
pub use l1_l2::L1L2;
pub use l2::L2;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::saved::saved_kinds;

/// What a parameter's values add to the loss. Every value counts by itself: the trainer hands a parameter over in pieces.
pub trait Regularizer: fmt::Debug + Send + Sync + Any {
    /// What these values add to the loss.
    fn penalty(&self, values: &[f32]) -> f64;

    /// Adds the penalty's derivative by each value to `gradient`, which is as long as `values`.
    fn add_gradient(&self, values: &[f32], gradient: &mut [f32]);

    /// Whether it makes sense; `Model::new` asks for it.
    ///
    /// # Errors
    /// What was found and what was expected: `"l1 is -1, but must be a finite number of at least 0"`.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A regularizer as layers keep it.
pub type SharedRegularizer = Arc<dyn Regularizer>;

saved_kinds!(SavedRegularizer of Regularizer, "regularizer": L1, L2, L1L2);

/// The check of a penalty's factor.
fn check_factor(name: &str, factor: f32) -> Result<(), String> {
    if factor >= 0.0 && factor.is_finite() {
        return Ok(());
    }
    Err(format!("{name} is {factor}, but must be a finite number of at least 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(factor: f32) -> [Box<dyn Regularizer>; 4] {
        let (first, second) = (L1L2::new(factor, 0.01), L1L2::new(0.01, factor));
        [Box::new(L1::new(factor)), Box::new(L2::new(factor)), Box::new(first), Box::new(second)]
    }

    #[test]
    fn gradients_are_the_penalties_derivatives() {
        // 37 values: whole vectors and a rest.
        let values: Vec<f32> = (0..37u8).map(|number| f32::from(number) / 8.0 - 2.3).collect();
        for regularizer in all(0.3) {
            let mut gradient = vec![7.0; values.len()];
            regularizer.add_gradient(&values, &mut gradient);
            for (position, gradient) in gradient.iter().enumerate() {
                let moved = |width: f32| {
                    let mut values = values.clone();
                    values[position] += width;
                    regularizer.penalty(&values)
                };
                let expected = 7.0 + (moved(1e-2) - moved(-1e-2)) / 2e-2;
                assert!((f64::from(*gradient) - expected).abs() < 1e-4, "{regularizer:?}: {gradient} {expected}");
            }
        }
    }

    #[test]
    fn factors_are_finite_and_not_negative() {
        for factor in [-0.5, f32::NAN, f32::INFINITY] {
            for (regularizer, name) in all(factor).iter().zip(["l1", "l2", "l1", "l2"]) {
                let expected = format!("{name} is {factor}, but must be a finite number of at least 0");
                assert_eq!(regularizer.check(), Err(expected), "{regularizer:?}");
            }
        }
        assert!(all(0.0).iter().chain(&all(3.0)).all(|regularizer| regularizer.check().is_ok()));
    }
}
