//! Tensors of samples.

use std::fmt;

use crate::error::{Error, Result};
use crate::graph::Shape;

/// Samples of one shape, one after another.
#[derive(Clone, PartialEq)]
pub struct Tensor {
    samples: usize,
    sample_shape: Shape,
    values: Vec<f32>,
}

/// Number of samples and their shape, and the first values: all may be many.
impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        let Self { samples, sample_shape, values } = self;
        let more = if values.len() > SHOWN { ", .." } else { "" };
        let shown: Vec<String> = values.iter().take(SHOWN).map(f32::to_string).collect();
        write!(f, "Tensor({samples} x {sample_shape}: {}{more})", shown.join(", "))
    }
}

impl Tensor {
    /// A tensor of this shape, whose first dimension counts the samples: `[60000, 28, 28, 1]`.
    ///
    /// # Errors
    /// If the number of values is not the shape's.
    pub fn new(shape: impl Into<Shape>, values: Vec<f32>) -> Result<Self> {
        let shape = shape.into();
        let (samples, sample_shape) = match shape.split_first() {
            Some((&samples, rest)) => (samples, Shape::from(rest)),
            None => (1, Shape::default()),
        };
        if shape.size() != values.len() {
            return Err(Error::TensorSize { expected: shape.size(), shape, found: values.len() });
        }
        Ok(Self { samples, sample_shape, values })
    }

    /// Samples of `sample_shape`, as many as the values make.
    ///
    /// # Errors
    /// If the last sample is not whole.
    pub fn from_samples(sample_shape: impl Into<Shape>, values: Vec<f32>) -> Result<Self> {
        let sample_shape = sample_shape.into();
        let samples = values.len() / if sample_shape.size() == 0 { 1 } else { sample_shape.size() };
        let mut shape = vec![samples];
        shape.extend_from_slice(&sample_shape);
        Self::new(shape, values)
    }

    /// Class numbers as targets.
    pub fn from_labels<T: Copy + Into<f64>>(labels: &[T]) -> Self {
        let values: Vec<f32> = labels.iter().map(|&label| label.into() as f32).collect();
        Self { samples: values.len(), sample_shape: Shape::default(), values }
    }

    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The shape of one sample.
    pub fn sample_shape(&self) -> &Shape {
        &self.sample_shape
    }

    /// All values, sample by sample.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All values, to be changed.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The values of one sample; `None` beyond the last.
    pub fn sample(&self, sample: usize) -> Option<&[f32]> {
        let size = self.sample_shape.size();
        (sample < self.samples).then(|| &self.values[sample * size..(sample + 1) * size])
    }

    /// Some consecutive samples as a tensor of their own; what lies beyond the last is left out.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let limit = |end: usize| if end < self.samples { end } else { self.samples };
        let (start, end) = (limit(range.start), limit(range.end));
        let samples = end.saturating_sub(start);
        let size = self.sample_shape.size();
        let values = self.values[start * size..(start + samples) * size].to_vec();
        Self { samples, sample_shape: self.sample_shape.clone(), values }
    }

    /// The first value that is NaN or infinite, as an error that names it.
    pub(crate) fn check_finite(&self, what: &str) -> Result<()> {
        let Some(position) = self.values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
        let size = self.sample_shape.size();
        Err(Error::NotFinite {
            what: what.to_owned(),
            sample: position / size,
            position: position % size,
            value: self.values[position],
        })
    }

    /// Checks that samples have the wanted shape; trailing dimensions of 1 make no difference.
    pub(crate) fn check_shape(&self, what: &str, expected: &Shape) -> Result<()> {
        fn trimmed(shape: &[usize]) -> &[usize] {
            let kept = shape.iter().rposition(|&dimension| dimension != 1).map_or(0, |last| last + 1);
            &shape[..kept]
        }
        if trimmed(&self.sample_shape) == trimmed(expected) {
            return Ok(());
        }
        let (found, expected) = (self.sample_shape.clone(), expected.clone());
        Err(Error::SampleShape { what: what.to_owned(), found, expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked() {
        let tensor = Tensor::new([2, 3], (0..6u8).map(f32::from).collect()).unwrap();
        assert_eq!((tensor.samples(), tensor.sample(1)), (2, Some(&[3.0, 4.0, 5.0][..])));
        assert_eq!((tensor.sample(2), tensor.sample(usize::MAX)), (None, None));
        assert_eq!(tensor.slice(1..9).values(), [3.0, 4.0, 5.0]);
        let error = Tensor::new([2, 3], vec![0.0; 5]).unwrap_err();
        assert_eq!(error.to_string(), "a tensor of shape [2, 3] has 6 values, but 5 were given");
        assert!(Tensor::from_samples([4], vec![0.0; 6]).is_err());
    }

    #[test]
    fn values_that_are_not_finite_are_named() {
        let mut tensor = Tensor::new([2, 2], vec![0.0; 4]).unwrap();
        assert!(tensor.check_finite("input 'x'").is_ok());
        tensor.values_mut()[3] = f32::NAN;
        assert_eq!(
            tensor.check_finite("input 'x'").unwrap_err().to_string(),
            "input 'x' has the value NaN in sample 1, position 1: all values must be finite"
        );
    }
}
