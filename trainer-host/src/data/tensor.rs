//! Tensors of samples.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use crate::error::{Error, Result};
use crate::graph::Shape;

/// Samples of one shape, one after another: f32 values, or bytes that become values when they are taken.
#[derive(Clone)]
pub struct Tensor {
    samples: usize,
    sample_shape: Shape,
    storage: Storage,
    lengths: Option<Vec<u32>>,
}

#[derive(Clone)]
enum Storage {
    F32(Vec<f32>),
    /// Each value is a byte over the divisor. `values` are all of them as f32, once someone asked for them.
    U8 {
        bytes: Vec<u8>,
        divisor: f32,
        values: OnceLock<Vec<f32>>,
    },
}

impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        let is_alike =
            self.sample_shape == other.sample_shape && self.samples == other.samples && self.lengths == other.lengths;
        is_alike && self.values() == other.values()
    }
}

/// Number of samples and their shape, and the first values: all may be many.
impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        let Self { samples, sample_shape, storage, .. } = self;
        let more = if self.len() > SHOWN { ", .." } else { "" };
        let shown: Vec<String> = match storage {
            Storage::F32(values) => values.iter().take(SHOWN).map(f32::to_string).collect(),
            Storage::U8 { bytes, divisor, .. } => bytes.iter().take(SHOWN).map(|byte| format!("{byte}/{divisor}")).collect(),
        };
        write!(f, "Tensor({samples} x {sample_shape}: {}{more})", shown.join(", "))
    }
}

impl Tensor {
    /// A tensor of this shape, whose first dimension counts the samples: `[60000, 28, 28, 1]`.
    ///
    /// # Errors
    /// If the number of values is not the shape's.
    pub fn new(shape: impl Into<Shape>, values: Vec<f32>) -> Result<Self> {
        Self::with_storage(shape.into(), Storage::F32(values))
    }

    /// A tensor of this shape, whose first dimension counts the samples, of bytes that stay bytes: images as cameras give them
    /// take a quarter of the memory. A value is its byte over `divisor`: 255 for values from 0 to 1. Training, evaluation and
    /// prediction convert a batch at a time; [`Tensor::values`] converts all.
    ///
    /// # Errors
    /// If the number of bytes is not the shape's, or `divisor` is not at least 1.
    pub fn from_bytes(shape: impl Into<Shape>, bytes: Vec<u8>, divisor: f32) -> Result<Self> {
        if !(divisor >= 1.0 && divisor.is_finite()) {
            let (found, expected) = (divisor.to_string(), "a number of at least 1".to_owned());
            return Err(Error::Argument { name: "the divisor of bytes", found, expected });
        }
        Self::with_storage(shape.into(), Storage::U8 { bytes, divisor, values: OnceLock::new() })
    }

    fn with_storage(shape: Shape, storage: Storage) -> Result<Self> {
        let (samples, sample_shape) = match shape.split_first() {
            Some((&samples, rest)) => (samples, Shape::from(rest)),
            None => (1, Shape::default()),
        };
        let tensor = Self { samples, sample_shape, storage, lengths: None };
        if shape.size() != tensor.len() {
            return Err(Error::TensorSize { expected: shape.size(), shape, found: tensor.len() });
        }
        Ok(tensor)
    }

    /// Number of values.
    fn len(&self) -> usize {
        match &self.storage {
            Storage::F32(values) => values.len(),
            Storage::U8 { bytes, .. } => bytes.len(),
        }
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
        Self { samples: values.len(), sample_shape: Shape::default(), storage: Storage::F32(values), lengths: None }
    }

    /// The same samples as sequences, of which each has only so many steps, from 1 up to the first dimension of their shape; the rest
    /// fills them up. To inputs of variable length
    /// ([`SymbolicTensor::variable_length`](crate::graph::SymbolicTensor::variable_length)) what fills up does not count; to others, it is
    /// there as all else.
    ///
    /// # Errors
    /// If there are not as many lengths as samples, or a length is 0 or more than there is.
    pub fn with_lengths(mut self, lengths: impl IntoIterator<Item = usize>) -> Result<Self> {
        let most = self.sample_shape.first().copied().unwrap_or(0);
        let mut checked = Vec::with_capacity(self.samples);
        for (sample, length) in lengths.into_iter().enumerate() {
            if !(1..=most).contains(&length) {
                let (found, expected) =
                    (format!("{length}, of sample {sample}"), format!("from 1 to {most}, the steps there are"));
                return Err(Error::Argument { name: "the length of a sequence", found, expected });
            }
            checked.push(length as u32);
        }
        if checked.len() != self.samples {
            let what = "the list of lengths".to_owned();
            return Err(Error::SampleCount { what, found: checked.len(), expected: self.samples });
        }
        self.lengths = Some(checked);
        Ok(self)
    }

    /// How many steps each sample has, if [`Tensor::with_lengths`] said so.
    pub fn lengths(&self) -> Option<&[u32]> {
        self.lengths.as_deref()
    }

    /// How many steps a sample has: its length, or what the shape says.
    pub fn length(&self, sample: usize) -> usize {
        let own = self.lengths.as_ref().and_then(|lengths| lengths.get(sample));
        own.map_or_else(|| self.sample_shape.first().copied().unwrap_or(1), |&length| length as usize)
    }

    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The shape of one sample.
    pub fn sample_shape(&self) -> &Shape {
        &self.sample_shape
    }

    /// All values, sample by sample. The first call for a tensor of bytes converts and keeps them, five times the memory in all.
    pub fn values(&self) -> &[f32] {
        match &self.storage {
            Storage::F32(values) => values,
            Storage::U8 { bytes, divisor, values } => {
                values.get_or_init(|| bytes.iter().map(|&byte| f32::from(byte) / divisor).collect())
            }
        }
    }

    /// All values, to be changed; a tensor of bytes becomes one of f32 values.
    pub fn values_mut(&mut self) -> &mut [f32] {
        if let Storage::U8 { .. } = self.storage {
            self.storage = Storage::F32(self.values().to_vec());
        }
        match &mut self.storage {
            Storage::F32(values) => values,
            Storage::U8 { .. } => &mut [],
        }
    }

    /// Copies the samples of these numbers.
    pub(crate) fn gather(&self, samples: &[u32], to: &mut [f32]) {
        let size = self.sample_shape.size();
        for (to, &sample) in to.chunks_exact_mut(size).zip(samples) {
            let range = sample as usize * size..(sample as usize + 1) * size;
            match &self.storage {
                Storage::F32(values) => to.copy_from_slice(&values[range]),
                Storage::U8 { bytes, divisor, .. } => {
                    for (to, &byte) in to.iter_mut().zip(&bytes[range]) {
                        *to = f32::from(byte) / divisor;
                    }
                }
            }
        }
    }

    /// The values of one sample; `None` beyond the last.
    pub fn sample(&self, sample: usize) -> Option<Cow<'_, [f32]>> {
        let size = self.sample_shape.size();
        let range = || sample * size..(sample + 1) * size;
        (sample < self.samples).then(|| match &self.storage {
            Storage::F32(values) => Cow::Borrowed(&values[range()]),
            Storage::U8 { bytes, divisor, .. } => bytes[range()].iter().map(|&byte| f32::from(byte) / divisor).collect(),
        })
    }

    /// Some consecutive samples as a tensor of their own; what lies beyond the last is left out.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let limit = |end: usize| if end < self.samples { end } else { self.samples };
        let (start, end) = (limit(range.start), limit(range.end));
        let samples = end.saturating_sub(start);
        let size = self.sample_shape.size();
        let range = start * size..(start + samples) * size;
        let storage = match &self.storage {
            Storage::F32(values) => Storage::F32(values[range].to_vec()),
            Storage::U8 { bytes, divisor, .. } => {
                Storage::U8 { bytes: bytes[range].to_vec(), divisor: *divisor, values: OnceLock::new() }
            }
        };
        let lengths = self.lengths.as_ref().map(|lengths| lengths[start..start + samples].to_vec());
        Self { samples, sample_shape: self.sample_shape.clone(), storage, lengths }
    }

    /// The first value that is NaN or infinite, as an error that names it.
    pub(crate) fn check_finite(&self, what: &str) -> Result<()> {
        // Bytes over a divisor of at least 1 are.
        let Storage::F32(values) = &self.storage else { return Ok(()) };
        let Some(position) = values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
        let size = self.sample_shape.size();
        Err(Error::NotFinite {
            what: what.to_owned(),
            sample: position / size,
            position: position % size,
            value: values[position],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked() {
        let tensor = Tensor::new([2, 3], (0..6u8).map(f32::from).collect()).unwrap();
        assert_eq!((tensor.samples(), tensor.sample(1)), (2, Some([3.0, 4.0, 5.0][..].into())));
        assert_eq!((tensor.sample(2), tensor.sample(usize::MAX)), (None, None));
        assert_eq!(tensor.slice(1..9).values(), [3.0, 4.0, 5.0]);
        let error = Tensor::new([2, 3], vec![0.0; 5]).unwrap_err();
        assert_eq!(error.to_string(), "a tensor of shape [2, 3] has 6 values, but 5 were given");
        assert!(Tensor::from_samples([4], vec![0.0; 6]).is_err());
    }

    #[test]
    fn lengths_go_with_their_samples() {
        let tensor = |lengths: Vec<usize>| Tensor::new([3, 2, 1], vec![0.5; 6])?.with_lengths(lengths);
        let whole = tensor(vec![2, 1, 2]).unwrap();
        assert_eq!((whole.lengths(), whole.length(1)), (Some(&[2, 1, 2][..]), 1));
        assert_eq!(whole.slice(1..9).lengths(), Some(&[1, 2][..]));
        assert_ne!(whole, Tensor::new([3, 2, 1], vec![0.5; 6]).unwrap());
        let message = |lengths: Vec<usize>| tensor(lengths).unwrap_err().to_string();
        assert_eq!(message(vec![2, 1]), "the list of lengths has 2 samples, but the first input has 3");
        for wrong in [0, 3] {
            let expected =
                format!("the length of a sequence is {wrong}, of sample 1, but must be from 1 to 2, the steps there are");
            assert_eq!(message(vec![2, wrong, 1]), expected);
        }
    }

    #[test]
    fn bytes_stay_bytes_until_they_are_taken() {
        let mut tensor = Tensor::from_bytes([2, 2], vec![0, 51, 102, 255], 255.0).unwrap();
        assert_eq!(tensor, Tensor::new([2, 2], vec![0.0, 0.2, 0.4, 1.0]).unwrap());
        assert_eq!(tensor.sample(1), Some([0.4, 1.0][..].into()));
        assert_eq!(tensor.slice(1..2).values(), [0.4, 1.0]);
        let mut taken = [9.0; 4];
        tensor.gather(&[1, 1], &mut taken);
        assert_eq!(taken, [0.4, 1.0, 0.4, 1.0]);
        assert_eq!(format!("{tensor:?}"), "Tensor(2 x [2]: 0/255, 51/255, 102/255, 255/255)");
        tensor.values_mut()[0] = 7.0;
        assert_eq!(tensor.values(), [7.0, 0.2, 0.4, 1.0]);
        let message = |shape: [usize; 2], divisor| Tensor::from_bytes(shape, vec![1], divisor).unwrap_err().to_string();
        assert_eq!(message([1, 2], 1.0), "a tensor of shape [1, 2] has 2 values, but 1 were given");
        assert_eq!(message([1, 1], 0.0), "the divisor of bytes is 0, but must be a number of at least 1");
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
