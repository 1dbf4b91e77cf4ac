//! Data sets whose tensors go by name.

use super::{Dataset, Tensor};
use crate::error::{Error, Result};

/// Collects named tensors: [`Dataset::builder`].
#[derive(Debug, Clone, Default)]
pub struct DatasetBuilder {
    inputs: Vec<(String, Tensor)>,
    targets: Vec<(String, Tensor)>,
    weights: Vec<(String, Vec<f32>)>,
}

impl Dataset {
    /// A data set whose tensors find the model's inputs and outputs by name, in any order:
    ///
    /// ```
    /// use samara_trainer::prelude::*;
    ///
    /// let pictures = Tensor::new([2, 8, 8, 1], vec![0.5; 128])?;
    /// let prices = Tensor::new([2, 1], vec![9.5, 20.0])?;
    /// let data = Dataset::builder()
    ///     .input("picture", pictures)
    ///     .target("price", prices)
    ///     .sample_weights("price", vec![1.0, 0.5])
    ///     .build()?;
    /// assert_eq!(data.samples(), 2);
    /// # Ok::<(), samara_trainer::Error>(())
    /// ```
    pub fn builder() -> DatasetBuilder {
        DatasetBuilder::default()
    }
}

impl DatasetBuilder {
    /// The values of the input of this name.
    pub fn input(mut self, name: &str, tensor: Tensor) -> Self {
        self.inputs.push((name.to_owned(), tensor));
        self
    }

    /// The targets of the output of this name: that of its layer.
    pub fn target(mut self, name: &str, tensor: Tensor) -> Self {
        self.targets.push((name.to_owned(), tensor));
        self
    }

    /// What each sample counts in the loss of the output of this name; see [`Dataset::with_weights`].
    pub fn sample_weights(mut self, target: &str, weights: Vec<f32>) -> Self {
        self.weights.push((target.to_owned(), weights));
        self
    }

    /// The data set.
    ///
    /// # Errors
    /// As [`Dataset::new`]; if a name is given twice, or weights to a target that there is not.
    pub fn build(self) -> Result<Dataset> {
        let Self { inputs, targets, weights } = self;
        let (input_names, inputs): (Vec<_>, Vec<_>) = inputs.into_iter().map(|(name, tensor)| (Some(name), tensor)).unzip();
        let (target_names, targets): (Vec<_>, Vec<_>) = targets.into_iter().map(|(name, tensor)| (Some(name), tensor)).unzip();
        for (what, names) in [("input", &input_names), ("target", &target_names)] {
            if let Some(name) =
                names.iter().enumerate().find(|(place, name)| names[..*place].contains(name)).and_then(|(_, name)| name.clone())
            {
                return Err(Error::GivenTwice { thing: "tensor", what, name });
            }
        }
        let mut data = Dataset::with_names(inputs, input_names, targets, target_names)?;
        let mut weighted = Vec::new();
        for (name, weights) in weights {
            let known = data.target_names();
            let Some(target) = known.iter().position(|own| *own == Some(name.as_str())) else {
                let known = known.into_iter().flatten().collect::<Vec<_>>().join(", ");
                return Err(Error::Argument {
                    name: "the target of sample weights",
                    found: format!("'{name}'"),
                    expected: format!("one of {known}"),
                });
            };
            if weighted.contains(&target) {
                return Err(Error::GivenTwice { thing: "list of sample weights", what: "target", name });
            }
            weighted.push(target);
            data.set_weights(target, weights)?;
        }
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(samples: usize) -> Tensor {
        Tensor::new([samples, 1], vec![0.5; samples]).unwrap()
    }

    #[test]
    fn weights_belong_to_one_target() {
        let builder = || Dataset::builder().input("x", tensor(2)).target("a", tensor(2)).target("b", tensor(2));
        let data = builder().sample_weights("b", vec![1.0, 0.5]).build().unwrap();
        assert_eq!((data.weights(0), data.weights(1)), (None, Some(&[1.0, 0.5][..])));
        let part = data.slice(1..2).unwrap();
        assert_eq!((part.weights(1), part.target_names()), (Some(&[0.5][..]), vec![Some("a"), Some("b")]));
    }

    #[test]
    fn faults_name_the_tensor() {
        let message = |builder: DatasetBuilder| builder.build().unwrap_err().to_string();
        let builder = || Dataset::builder().input("x", tensor(2)).target("a", tensor(2));
        assert_eq!(message(builder().input("x", tensor(2))), "the tensor for the input 'x' is given twice");
        assert_eq!(message(builder().target("a", tensor(2))), "the tensor for the target 'a' is given twice");
        assert_eq!(message(builder().target("b", tensor(3))), "target 'b' has 3 samples, but the first input has 2");
        assert_eq!(
            message(builder().sample_weights("c", vec![1.0; 2])),
            "the target of sample weights is 'c', but must be one of a"
        );
        assert_eq!(
            message(builder().sample_weights("a", vec![1.0; 3])),
            "the list of weights has 3 samples, but the first input has 2"
        );
        let twice = builder().sample_weights("a", vec![1.0; 2]).sample_weights("a", vec![1.0; 2]);
        assert_eq!(message(twice), "the list of sample weights for the target 'a' is given twice");
        assert_eq!(message(Dataset::builder()), "the data set is empty: it has no input, and so has no samples");
    }
}
