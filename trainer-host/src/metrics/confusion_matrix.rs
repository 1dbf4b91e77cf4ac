//! Confusion matrix: how often samples of each class are taken for each.

use std::fmt;

use super::largest;
use crate::data::Tensor;
use crate::error::{Error, Result};

/// How often samples of each class, by rows, are taken for each class, by columns. It prints as a table.
///
/// ```
/// use samara_trainer::metrics::ConfusionMatrix;
/// use samara_trainer::prelude::*;
///
/// let probabilities = Tensor::new([3, 2], vec![0.9, 0.1, 0.2, 0.8, 0.6, 0.4])?;
/// let matrix = ConfusionMatrix::new(&probabilities, &Tensor::from_labels(&[0u8, 1, 1]))?;
/// assert_eq!(matrix.counts(), [[1, 0], [1, 1]]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionMatrix {
    counts: Vec<Vec<usize>>,
}

impl ConfusionMatrix {
    /// Counts outputs `[samples, classes]`, as [`Model::predict`](crate::Model::predict) gives them, with class numbers `[samples]` or values for
    /// each class as targets; of either, the largest value is the class.
    ///
    /// # Errors
    /// If the shapes do not fit, or a class number is none.
    pub fn new(outputs: &Tensor, targets: &Tensor) -> Result<Self> {
        let (samples, classes) = (outputs.samples(), outputs.sample_shape().size());
        if targets.samples() != samples {
            let (what, found) = ("the target".to_owned(), targets.samples());
            return Err(Error::SampleCount { what, found, expected: samples });
        }
        let per_sample = targets.sample_shape().size();
        if outputs.sample_shape().len() != 1 || ![1, classes].contains(&per_sample) {
            let (found, expected) = (targets.sample_shape().clone(), outputs.sample_shape().clone());
            return Err(Error::SampleShape { what: "the target".to_owned(), found, expected, hint: "" });
        }
        let mut counts = vec![vec![0; classes]; classes];
        for (output, target) in outputs.values().chunks_exact(classes).zip(targets.values().chunks_exact(per_sample)) {
            let class = if per_sample == 1 && classes > 1 { target[0] as usize } else { largest(target) };
            let row = counts.get_mut(class).filter(|_| per_sample > 1 || target[0] == class as f32);
            let row = row.ok_or_else(|| Error::Argument {
                name: "a label",
                found: target[0].to_string(),
                expected: format!("a class number from 0 to {}", classes.saturating_sub(1)),
            })?;
            row[largest(output)] += 1;
        }
        Ok(Self { counts })
    }

    /// The counts, a row for each class, a column for what its samples are taken for.
    pub fn counts(&self) -> &[Vec<usize>] {
        &self.counts
    }
}

/// A row for each class.
impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let largest = self.counts.iter().flatten().copied().chain([self.counts.len()]).max().unwrap_or(0);
        let width = largest.to_string().len() + 1;
        write!(f, "{:width$}", "")?;
        (0..self.counts.len()).try_for_each(|class| write!(f, " {class:>width$}"))?;
        for (class, row) in self.counts.iter().enumerate() {
            write!(f, "\n{class:>width$}")?;
            row.iter().try_for_each(|count| write!(f, " {count:>width$}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_table() {
        let outputs = Tensor::new([4, 3], vec![0.2, 0.5, 0.3, 0.6, 0.1, 0.3, 0.1, 0.2, 0.7, 0.3, 0.4, 0.3]).unwrap();
        let matrix = ConfusionMatrix::new(&outputs, &Tensor::from_labels(&[2u8, 0, 2, 1])).unwrap();
        assert_eq!(matrix.counts(), [[1, 0, 0], [0, 1, 0], [0, 1, 1]]);
        let one_hot = Tensor::new([4, 3], vec![0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0]).unwrap();
        assert_eq!(ConfusionMatrix::new(&outputs, &one_hot).unwrap(), matrix);
        assert_eq!(matrix.to_string(), "    0  1  2\n 0  1  0  0\n 1  0  1  0\n 2  0  1  1");
        let message = ConfusionMatrix::new(&outputs, &Tensor::from_labels(&[2u8, 0, 2, 3])).unwrap_err().to_string();
        assert_eq!(message, "a label is 3, but must be a class number from 0 to 2");
        assert!(ConfusionMatrix::new(&outputs, &Tensor::from_labels(&[2u8, 0, 2])).is_err());
    }
}
