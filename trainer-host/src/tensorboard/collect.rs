//! What is to be shown of a training, as values under tags.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::messages::{Any, AnyValue, SUCCESS, SessionEnd, SessionInfo, SessionStart, Value};
use super::writer::seconds_since_1970;
use super::{curves, histogram, image, values};
use crate::data::{Dataset, Tensor};
use crate::error::{Error, Result};
use crate::graph::{Graph, ParameterEntry};
use crate::train::{EpochLog, Training};

/// What an epoch measured, on what it was trained with and on validation data. A measurement is of the latter if its name begins with
/// `val_`, and there is one of the rest of its name.
pub fn epoch(log: &EpochLog) -> [Vec<Value>; 2] {
    let [mut train, mut validation] = [Vec::new(), Vec::new()];
    for (name, value) in log.measurements.iter() {
        match name.strip_prefix("val_").filter(|name| log.measurements.get(name).is_some()) {
            Some(name) => validation.push(values::scalar(&format!("epoch_{name}"), value)),
            None => train.push(values::scalar(&format!("epoch_{name}"), value)),
        }
    }
    train.push(values::scalar("epoch_learning_rate", log.learning_rate.into()));
    [train, validation]
}

/// What the epoch measured up to this step.
pub fn batch(training: &Training<'_>) -> Vec<Value> {
    let measured = training.measurements();
    let values = measured.iter().map(|(name, value)| values::scalar(&format!("batch_{name}"), value));
    values.chain([values::scalar("batch_learning_rate", training.learning_rate().into())]).collect()
}

/// How parameters, gradients and, for these samples, activations are spread.
pub fn histograms(training: &Training<'_>, samples: &[Tensor]) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    let mut add = |tag: String, numbers: &[f32]| {
        let buckets = histogram::buckets(numbers);
        if !buckets.is_empty() {
            found.push(values::histogram(&tag, &buckets));
        }
    };
    for entry in training.model().parameters() {
        add(format!("{}/histogram", entry.name), &training.parameter(&entry.name)?);
        if entry.learns() {
            add(format!("{}/gradient", entry.name), &training.gradient(&entry.name)?);
        }
    }
    if !samples.is_empty() {
        for (layer, tensor) in training.all_activations(samples)? {
            add(format!("{layer}/activations"), &within_lengths(&tensor));
        }
    }
    Ok(found)
}

/// The values of a tensor's samples without what fills them up.
fn within_lengths(tensor: &Tensor) -> Cow<'_, [f32]> {
    if tensor.lengths().is_none() {
        return Cow::Borrowed(tensor.values());
    }
    let (steps, size) = (tensor.sample_shape()[0], tensor.sample_shape().size());
    let own = |(sample, values): (usize, &[f32])| values[..tensor.length(sample) * size / steps].to_vec();
    tensor.values().chunks_exact(size).enumerate().flat_map(own).collect()
}

/// Weights as pictures.
pub fn weight_images(training: &Training<'_>) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for ParameterEntry { name, shape, .. } in training.model().parameters() {
        if let Some(picture) = image::weight(shape, &training.parameter(name)?) {
            let tag = format!("{name}/image");
            found.push(values::images(&tag, [picture.width, picture.height], vec![picture.to_png()]));
        }
    }
    Ok(found)
}

/// Those samples that are images.
pub fn sample_images(graph: &Graph, samples: &[Tensor]) -> Vec<Value> {
    let value = |(tensor, name): (&Tensor, &str)| {
        let pictures = image::samples(tensor);
        let first = pictures.first()?;
        let bytes = pictures.iter().map(image::Picture::to_png).collect();
        Some(values::images(&format!("samples/{name}"), [first.width, first.height], bytes))
    };
    samples.iter().zip(graph.input_names()).filter_map(value).collect()
}

/// Precision and recall at each output, for each class.
pub fn precision_recall(training: &Training<'_>, data: &Dataset) -> Result<Vec<Value>> {
    let model = training.model();
    let outputs = training.predict(data)?;
    let mut found = Vec::new();
    for ((output, target), name) in outputs.iter().zip(model.targets_of(data)?).zip(model.graph().output_names()) {
        let classes = output.sample_shape().channels();
        for class in 0..classes {
            let rows = curves::precision_recall(answers(name, output, target, class)?);
            let tag = if classes > 1 { format!("{name}/class_{class}") } else { name.to_owned() };
            found.push(values::precision_recall(&tag, &rows));
        }
    }
    Ok(found)
}

/// What an output gives for a class, and whether it is that class, for each sample, or each step of it. A target is the class's
/// number, or a part for each class, 1 for those that are true.
fn answers(name: &str, output: &Tensor, target: &Tensor, class: usize) -> Result<Vec<(f32, bool)>> {
    let (size, classes) = (output.sample_shape().size(), output.sample_shape().channels());
    let rows_of = |sample: usize| match output.lengths() {
        Some(_) => output.length(sample) * size / classes / output.sample_shape()[0],
        None => size / classes,
    };
    let has_parts = target.sample_shape().size() == size;
    let mut answers = Vec::new();
    for sample in 0..output.samples() {
        let (Some(probabilities), Some(wanted)) = (output.sample(sample), target.sample(sample)) else { break };
        for row in 0..rows_of(sample) {
            let probability = probabilities[row * classes + class];
            if !(0.0..=1.0).contains(&probability) {
                let (found, expected) = (format!("{probability}"), "a probability, from 0 to 1".to_owned());
                return Err(Error::Argument {
                    name: "an output of which precision and recall are to be shown",
                    found,
                    expected,
                });
            }
            let is_true = match wanted.get(if has_parts { row * classes + class } else { row }) {
                Some(&part) if has_parts => part > 0.5,
                Some(&label) => label == class as f32,
                None => {
                    let found = format!("of shape {} at output '{name}'", target.sample_shape());
                    let expected = "a class, or a value for each".to_owned();
                    return Err(Error::Argument {
                        name: "the target of which precision and recall are to be shown",
                        found,
                        expected,
                    });
                }
            };
            answers.push((probability, is_true));
        }
    }
    Ok(answers)
}

/// The beginning of a session with these hyperparameters.
pub fn session_start(hyperparameters: &BTreeMap<String, Any>) -> Value {
    let entry = |(name, value): (&String, &Any)| (name.clone(), AnyValue { value: Some(value.clone()) });
    let hyperparameters = hyperparameters.iter().map(entry).collect();
    let start = SessionStart { hyperparameters, start_seconds: seconds_since_1970() };
    values::session("_hparams_/session_start_info", SessionInfo::Start(start))
}

/// The end of a session.
pub fn session_end() -> Value {
    let end = SessionEnd { status: SUCCESS, end_seconds: seconds_since_1970() };
    values::session("_hparams_/session_end_info", SessionInfo::End(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Measurements;

    fn tags(values: &[Value]) -> Vec<&str> {
        values.iter().map(|value| value.tag.as_str()).collect()
    }

    /// An output may itself be called `val_`.
    #[test]
    fn measurements_go_to_their_runs() {
        let mut measurements = Measurements::default();
        for name in ["loss", "val_price_loss", "val_loss", "val_val_price_loss"] {
            measurements.push(name.to_owned(), 0.5);
        }
        let [train, validation] = epoch(&EpochLog { epoch: 1, learning_rate: 0.25, seconds: 1.0, measurements });
        assert_eq!(tags(&train), ["epoch_loss", "epoch_val_price_loss", "epoch_learning_rate"]);
        assert_eq!(tags(&validation), ["epoch_loss", "epoch_val_price_loss"]);
    }

    #[test]
    fn answers_are_compared_with_labels_and_with_parts() {
        let output = Tensor::new([2, 3], vec![0.5, 0.25, 0.25, 0.0, 0.0, 1.0]).unwrap();
        let labels = answers("kind", &output, &Tensor::from_labels(&[1u8, 2]), 1).unwrap();
        assert_eq!(labels, [(0.25, true), (0.0, false)]);
        let parts = Tensor::new([2, 3], vec![1.0, 1.0, 0.0, 0.0, 0.0, 1.0]).unwrap();
        assert_eq!(answers("kind", &output, &parts, 0).unwrap(), [(0.5, true), (0.0, false)]);
        let one = Tensor::new([2, 1], vec![0.75, 0.25]).unwrap();
        assert_eq!(answers("yes", &one, &Tensor::from_labels(&[1u8, 0]), 0).unwrap(), [(0.75, true), (0.25, false)]);
    }

    /// Two samples of two steps, of which the first has one.
    #[test]
    fn what_fills_samples_up_does_not_count() {
        let output = Tensor::new([2, 2, 1], vec![0.5, 9.0, 0.25, 1.0]).unwrap().with_lengths([1, 2]).unwrap();
        assert_eq!(*within_lengths(&output), [0.5, 0.25, 1.0]);
        let target = Tensor::new([2, 2, 1], vec![1.0, 0.0, 0.0, 1.0]).unwrap();
        assert_eq!(answers("steps", &output, &target, 0).unwrap(), [(0.5, true), (0.25, false), (1.0, true)]);
    }

    #[test]
    fn what_is_no_probability_is_told() {
        let output = Tensor::new([1, 1], vec![3.5]).unwrap();
        let message = answers("price", &output, &Tensor::from_labels(&[1u8]), 0).unwrap_err().to_string();
        assert_eq!(
            message,
            "an output of which precision and recall are to be shown is 3.5, but must be a probability, from 0 to 1"
        );
    }
}
