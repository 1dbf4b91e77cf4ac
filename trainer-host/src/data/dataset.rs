//! Data sets in memory: see [`super::Source`] for others.

use std::ops::Range;

use super::Tensor;
use crate::error::{Error, Result};

/// Samples with their targets: one tensor for each input and for each output of a model, all with the same number of
/// samples and finite values.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    inputs: Vec<Tensor>,
    input_names: Vec<Option<String>>,
    targets: Vec<Tensor>,
    target_names: Vec<Option<String>>,
    /// Of each target.
    weights: Vec<Option<Vec<f32>>>,
    first_sample: usize,
}

impl Dataset {
    /// A data set for a model with one input and one output.
    ///
    /// # Errors
    /// If it is empty, the numbers of samples differ, or a value is NaN or infinite.
    pub fn new(input: Tensor, target: Tensor) -> Result<Self> {
        Self::with_many(vec![input], vec![target])
    }

    /// A data set for a model with several inputs or outputs, in the model's order. Two of equal shape that are swapped are
    /// not noticed: [`Dataset::builder`] takes names.
    ///
    /// # Errors
    /// As [`Dataset::new`].
    pub fn with_many(inputs: Vec<Tensor>, targets: Vec<Tensor>) -> Result<Self> {
        let (input_names, target_names) = (vec![None; inputs.len()], vec![None; targets.len()]);
        Self::with_names(inputs, input_names, targets, target_names)
    }

    pub(super) fn with_names(
        inputs: Vec<Tensor>,
        input_names: Vec<Option<String>>,
        targets: Vec<Tensor>,
        target_names: Vec<Option<String>>,
    ) -> Result<Self> {
        let expected = inputs.first().map_or(0, Tensor::samples);
        let named = |kind: &'static str, names: &[Option<String>]| -> Vec<String> {
            let named = |(number, name): (usize, &Option<String>)| match name {
                Some(name) => format!("{kind} '{name}'"),
                None => format!("{kind} {number}"),
            };
            names.iter().enumerate().map(named).collect()
        };
        let names = [named("input", &input_names), named("target", &target_names)].concat();
        if inputs.is_empty() {
            return Err(Error::EmptyData { what: "it has no input, and so".to_owned() });
        }
        for (what, tensor) in names.iter().zip(inputs.iter().chain(&targets)) {
            if tensor.samples() == 0 {
                return Err(Error::EmptyData { what: what.clone() });
            }
            if tensor.samples() != expected {
                return Err(Error::SampleCount { what: what.clone(), found: tensor.samples(), expected });
            }
            tensor.check_finite(what)?;
        }
        let weights = vec![None; targets.len()];
        Ok(Self { inputs, input_names, targets, target_names, weights, first_sample: 0 })
    }

    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.inputs.first().map_or(0, Tensor::samples)
    }

    /// The number that the first sample had in the data that [`Dataset::slice`] cut this from, else 0. Errors that name a
    /// sample count from there, so that it is found again in the whole data.
    pub fn first_sample(&self) -> usize {
        self.first_sample
    }

    /// The inputs.
    pub fn inputs(&self) -> &[Tensor] {
        &self.inputs
    }

    /// The targets.
    pub fn targets(&self) -> &[Tensor] {
        &self.targets
    }

    /// The inputs' names, where they go by name.
    pub fn input_names(&self) -> Vec<Option<&str>> {
        self.input_names.iter().map(Option::as_deref).collect()
    }

    /// The targets' names, where they go by name.
    pub fn target_names(&self) -> Vec<Option<&str>> {
        self.target_names.iter().map(Option::as_deref).collect()
    }

    /// The same data with a weight for each sample, 0 or more, which its losses at all outputs are multiplied with, in
    /// training and in evaluation. As in Keras, the loss of a batch is still divided by the number of samples, and metrics are not
    /// weighted.
    ///
    /// # Errors
    /// If there are not as many weights as samples, or one is negative, NaN or infinite.
    pub fn with_weights(mut self, weights: Vec<f32>) -> Result<Self> {
        for target in 0..self.targets.len() {
            self.set_weights(target, weights.clone())?;
        }
        Ok(self)
    }

    pub(super) fn set_weights(&mut self, target: usize, weights: Vec<f32>) -> Result<()> {
        if weights.len() != self.samples() {
            let what = "the list of weights".to_owned();
            return Err(Error::SampleCount { what, found: weights.len(), expected: self.samples() });
        }
        check_weights("a sample's weight", &weights)?;
        self.weights[target] = Some(weights);
        Ok(())
    }

    /// What the samples count in the loss of the output of this target, if weights have been set.
    pub fn weights(&self, target: usize) -> Option<&[f32]> {
        self.weights.get(target)?.as_deref()
    }

    /// The same inputs and weights with another target in place of the first and only one.
    ///
    /// # Errors
    /// If there is not one target, it has another number of samples, or a value is not finite.
    pub fn with_target(&self, target: Tensor) -> Result<Self> {
        if self.targets.len() != 1 {
            let (expected, found) = ("1 target".to_owned(), format!("{} targets", self.targets.len()));
            return Err(Error::Argument { name: "the data set to get another target", found, expected });
        }
        let data = Self::with_names(self.inputs.clone(), self.input_names.clone(), vec![target], self.target_names.clone())?;
        Ok(Self { weights: self.weights.clone(), first_sample: self.first_sample, ..data })
    }

    /// Some consecutive samples as a data set of their own.
    ///
    /// # Errors
    /// If none are left.
    pub fn slice(&self, range: Range<usize>) -> Result<Self> {
        let cut = |tensors: &[Tensor]| tensors.iter().map(|tensor| tensor.slice(range.clone())).collect();
        let (input_names, target_names) = (self.input_names.clone(), self.target_names.clone());
        let data = Self::with_names(cut(&self.inputs), input_names, cut(&self.targets), target_names)?;
        let cut = |weights: &Vec<f32>| weights[range.start..range.start + data.samples()].to_vec();
        let weights = self.weights.iter().map(|weights| weights.as_ref().map(cut)).collect();
        Ok(Self { weights, first_sample: self.first_sample + range.start, ..data })
    }
}

/// Weights must be finite and not negative.
pub(crate) fn check_weights(name: &'static str, weights: &[f32]) -> Result<()> {
    match weights.iter().find(|weight| !(**weight >= 0.0 && weight.is_finite())) {
        None => Ok(()),
        Some(wrong) => {
            let expected = "0 or a positive number".to_owned();
            Err(Error::Argument { name, found: wrong.to_string(), expected })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_named() {
        let tensor = |samples: usize| Tensor::new([samples, 2], vec![0.5; samples * 2]).unwrap();
        let message = |result: Result<Dataset>| result.unwrap_err().to_string();
        assert_eq!(Dataset::new(tensor(3), Tensor::from_labels(&[0u8, 1, 2])).unwrap().samples(), 3);
        assert_eq!(
            message(Dataset::new(tensor(3), Tensor::from_labels(&[0u8, 1]))),
            "target 0 has 2 samples, but the first input has 3"
        );
        assert_eq!(
            message(Dataset::new(tensor(0), Tensor::from_labels::<u8>(&[]))),
            "the data set is empty: input 0 has no samples"
        );
        let infinite = Tensor::new([1, 2], vec![1.0, f32::INFINITY]).unwrap();
        assert_eq!(
            message(Dataset::new(infinite, Tensor::from_labels(&[0u8]))),
            "input 0 has the value inf in sample 0, position 1: all values must be finite"
        );
    }

    #[test]
    fn slices_know_where_they_begin() {
        let whole = Dataset::new(Tensor::new([6, 1], vec![0.5; 6]).unwrap(), Tensor::from_labels(&[0u8; 6])).unwrap();
        let part = whole.slice(2..6).unwrap();
        assert_eq!([whole.first_sample(), part.first_sample(), part.slice(3..4).unwrap().first_sample()], [0, 2, 5]);
    }

    #[test]
    fn another_target_stands_with_the_same_inputs() {
        let whole = Dataset::new(Tensor::new([4, 1], vec![0.5; 4]).unwrap(), Tensor::from_labels(&[0u8, 1, 0, 1])).unwrap();
        let part = whole.with_weights(vec![1.0, 2.0, 3.0, 4.0]).unwrap().slice(2..4).unwrap();
        let other = part.with_target(Tensor::new([2, 2], vec![0.25; 4]).unwrap()).unwrap();
        assert_eq!((other.inputs(), other.first_sample()), (part.inputs(), 2));
        assert_eq!((other.targets()[0].values(), other.weights(0)), (&[0.25; 4][..], Some(&[3.0, 4.0][..])));
        let message = part.with_target(Tensor::from_labels(&[1u8; 3])).unwrap_err().to_string();
        assert_eq!(message, "target 0 has 3 samples, but the first input has 2");
    }

    #[test]
    fn weights_go_with_their_samples() {
        let data = || {
            let inputs = Tensor::new([3, 1], vec![0.5; 3]).unwrap();
            Dataset::new(inputs, Tensor::from_labels(&[0u8, 1, 2])).unwrap()
        };
        let weighted = data().with_weights(vec![1.0, 2.0, 0.0]).unwrap();
        assert_eq!(weighted.slice(1..9).unwrap().weights(0), Some(&[2.0, 0.0][..]));
        assert_eq!(data().slice(0..2).unwrap().weights(0), None);
        let message = |weights: &[f32]| data().with_weights(weights.to_vec()).unwrap_err().to_string();
        assert_eq!(message(&[1.0]), "the list of weights has 1 samples, but the first input has 3");
        assert_eq!(message(&[1.0, -1.0, 1.0]), "a sample's weight is -1, but must be 0 or a positive number");
        assert_eq!(message(&[1.0, f32::NAN, 1.0]), "a sample's weight is NaN, but must be 0 or a positive number");
    }
}
