//! What `fit` and `compile` can be told: clipping, weights, validation split.

use std::sync::Arc;

use super::{Fit, Model, Objective};
use crate::data::{Dataset, Tensor};
use crate::graph::input;
use crate::layers::{Activation, Apply, Dense};
use crate::losses::*;
use crate::metrics::{Accuracy, Auc, MeanAbsoluteError as MeanAbsoluteErrorMetric};
use crate::numeric::random::Random;
use crate::optimizers::{Optimizer, Sgd};

/// Random points of 12 coordinates and the number of their largest of the first three.
fn three_classes(samples: usize) -> Dataset {
    let mut random = Random::new(5, 1);
    let values: Vec<f32> = (0..samples * 12).map(|_| (random.uniform() * 2.0 - 1.0) as f32).collect();
    let largest = |v: &[f32]| if v[0] > v[1] && v[0] > v[2] { 0 } else { 1 + u8::from(v[2] > v[1]) };
    let labels: Vec<u8> = values.chunks(12).map(largest).collect();
    Dataset::new(Tensor::from_samples([12], values).unwrap(), Tensor::from_labels(&labels)).unwrap()
}

/// One step over all samples in their order.
fn quiet() -> Fit<'static> {
    Fit { batch: 1000, shuffle: false, verbose: false, ..Fit::default() }
}

#[test]
fn clipping_limits_the_step() {
    // The step of plain descent with rate 1 is the gradient itself.
    let step_of = |optimizer: Arc<dyn Optimizer>| {
        let x = input([12]);
        let y = Dense::new(40).activation(Activation::Tanh).apply(&x);
        let mut model = Model::new("clipped", &x, Dense::new(3).apply(&y)).unwrap();
        model.compile_with(optimizer, SparseCategoricalCrossentropyFromLogits).unwrap();
        let names = ["dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"];
        let before = names.map(|name| model.parameter(name).unwrap());
        model.fit(&three_classes(100), quiet()).unwrap();
        let mut steps = names.map(|name| model.parameter(name).unwrap());
        for (value, before) in steps.iter_mut().flatten().zip(before.iter().flatten()) {
            *value = before - *value;
        }
        steps
    };
    let norm = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
    let plain = step_of(Arc::new(Sgd::new(1.0)));
    let limit = norm(&plain[0]) * 0.5;
    let by_norm = step_of(Arc::new(Sgd::new(1.0).clip_norm(limit)));
    for (clipped, plain) in by_norm.iter().zip(&plain) {
        let expected = if norm(plain) > limit { limit } else { norm(plain) };
        assert!((norm(clipped) - expected).abs() < 1e-4, "{} {expected}", norm(clipped));
    }
    let whole = step_of(Arc::new(Sgd::new(1.0).clip_global_norm(0.1))).concat();
    assert!((norm(&whole) - 0.1).abs() < 1e-4, "{}", norm(&whole));
    let by_value = step_of(Arc::new(Sgd::new(1.0).clip_value(0.01))).concat();
    for (clipped, plain) in by_value.iter().zip(plain.concat()) {
        assert!((clipped - plain.clamp(-0.01, 0.01)).abs() < 1e-5, "{clipped} {plain}");
    }
    let mut model = {
        let x = input([1]);
        Model::new("refused", &x, Dense::new(2).apply(&x)).unwrap()
    };
    let error = model.compile(Sgd::new(0.1).clip_norm(-1.0), SparseCategoricalCrossentropyFromLogits).unwrap_err();
    assert_eq!(error.to_string(), "the limit of the clipping is -1, but must be a positive number");
}

/// A line through two points: outputs 1 * 2 = 2 and 1 * 4 = 4, targets 0 and 1.
fn line() -> (Model, Tensor, Tensor) {
    let x = input([1]);
    let mut model = Model::new("line", &x, Dense::new(1).without_bias().apply(&x)).unwrap();
    model.compile(Sgd::new(0.1), MeanSquaredError).unwrap();
    model.set_parameter("dense/kernel", &[1.0]).unwrap();
    let samples = |values: &[f32]| Tensor::new([2, 1], values.to_vec()).unwrap();
    (model, samples(&[2.0, 4.0]), samples(&[0.0, 1.0]))
}

#[test]
fn sample_weights_scale_losses_and_gradients() {
    let (mut model, inputs, targets) = line();
    let data = Dataset::new(inputs, targets).unwrap().with_weights(vec![3.0, 0.5]).unwrap();
    // (3 * 2^2 + 0.5 * 3^2) / 2; gradient (3 * 2 * 2 * 2 + 0.5 * 2 * 3 * 4) / 2 = 18.
    assert_eq!(model.evaluate(&data).unwrap().get("loss"), Some(8.25));
    let history = model.fit(&data, Fit { shuffle: true, ..quiet() }).unwrap();
    assert_eq!(history.last("loss"), Some(8.25));
    assert!((model.parameter("dense/kernel").unwrap()[0] + 0.8).abs() < 1e-6);
}

#[test]
fn class_weights_count_in_training_alone() {
    let (mut model, inputs, targets) = line();
    let data = Dataset::new(inputs, targets).unwrap().with_weights(vec![3.0, 0.5]).unwrap();
    let weighted = |weights: &[f32]| Objective::new(MeanSquaredError).class_weights(weights);
    model.compile(Sgd::new(0.1), weighted(&[1.0, 4.0])).unwrap();
    let history = model.fit(&data, Fit { validation: Some(&data), ..quiet() }).unwrap();
    // (3 * 2^2 + 4 * 0.5 * 3^2) / 2; gradient (24 + 48) / 2 = 36: the kernel is 1 - 3.6, the outputs -5.2 and -10.4.
    assert_eq!(history.last("loss"), Some(15.0));
    assert!((model.parameter("dense/kernel").unwrap()[0] + 2.6).abs() < 1e-6);
    let expected = (3.0 * 5.2 * 5.2 + 0.5 * 11.4 * 11.4) / 2.0;
    assert!((history.last("val_loss").unwrap() - expected).abs() < 1e-3);
    model.compile(Sgd::new(0.1), weighted(&[1.0])).unwrap();
    let error = model.fit(&data, quiet()).unwrap_err();
    assert_eq!(error.to_string(), "class_weights is a list of 1, but must be at least 2: sample 1 has the class 1");
}

#[test]
fn weights_of_classes_are_repeated_samples() {
    // A weight of 2 for class 1 is each of its samples twice, but for the number of samples that is divided by.
    let data = three_classes(150);
    let labels = data.targets()[0].values();
    let (mut values, mut repeated) = (Vec::new(), Vec::new());
    for (sample, &label) in labels.iter().enumerate() {
        for _ in 0..if label == 1.0 { 2 } else { 1 } {
            values.extend_from_slice(&data.inputs()[0].sample(sample).unwrap());
            repeated.push(label);
        }
    }
    let twice = Dataset::new(Tensor::from_samples([12], values).unwrap(), Tensor::from_labels(&repeated)).unwrap();
    let factor = repeated.len() as f32 / 150.0;
    let kernel = |data: &Dataset, rate: f32, class_weights: [f32; 3]| {
        let x = input([12]);
        let mut model = Model::new("weighted", &x, Dense::new(3).activation(Activation::Softmax).apply(&x)).unwrap();
        let objective = Objective::new(SparseCategoricalCrossentropy).class_weights(class_weights);
        model.compile(Sgd::new(rate), objective).unwrap();
        model.fit(data, quiet()).unwrap();
        model.parameter("dense/kernel").unwrap()
    };
    let expected = kernel(&twice, 0.5 * factor, [1.0; 3]);
    for (a, b) in kernel(&data, 0.5, [1.0, 2.0, 1.0]).iter().zip(&expected) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn the_last_samples_are_split_off() {
    let data = three_classes(50);
    let fitted = |data: &Dataset, options: Fit<'_>| {
        let x = input([12]);
        let mut model = Model::new("split", &x, Dense::new(3).activation(Activation::Softmax).apply(&x)).unwrap();
        model.compile(Sgd::new(0.5), SparseCategoricalCrossentropy).unwrap();
        model.fit(data, options)
    };
    let options = || Fit { epochs: 3, batch: 16, ..quiet() };
    let found = fitted(&data, Fit { validation_split: 0.2, ..options() }).unwrap();
    let (first, last) = (data.slice(0..40).unwrap(), data.slice(40..50).unwrap());
    let expected = fitted(&first, Fit { validation: Some(&last), ..options() }).unwrap();
    for name in ["loss", "accuracy", "val_loss", "val_accuracy"] {
        assert_eq!(found.get(name), expected.get(name), "{name}");
        assert_eq!(found.get(name).len(), 3);
    }
    for (split, wanted) in [(1.0, "at least 0 and below 1"), (0.999, "some are trained on"), (0.000_01, "some validated on")] {
        let error = fitted(&data, Fit { validation_split: split, ..options() }).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
    let both = Fit { validation_split: 0.5, validation: Some(&last), ..options() };
    let error = fitted(&data, both).unwrap_err().to_string();
    assert_eq!(error, "validation_split is 0.5, but must be 0 where `validation` is given too");
}

#[test]
fn metrics_are_merged_over_shards_and_batches() {
    let x = input([1]);
    let mut model = Model::new("scores", &x, Dense::new(1).without_bias().apply(&x)).unwrap();
    let objective = Objective::new(MeanSquaredError).metric(MeanAbsoluteErrorMetric).metric(Auc::default()).metric(Accuracy);
    model.compile(Sgd::new(0.0), objective).unwrap();
    model.set_parameter("dense/kernel", &[1.0]).unwrap();
    // Scores 0 to 0.99, of which every third is a yes below 0.5 and every second above.
    let scores: Vec<f32> = (0..100u8).map(|number| f32::from(number) / 100.0).collect();
    let is_yes = |number: usize| if number < 50 { number.is_multiple_of(3) } else { number.is_multiple_of(2) };
    let targets: Vec<f32> = (0..100).map(|number| f32::from(is_yes(number))).collect();
    let (mut ordered, mut pairs) = (0, 0);
    for yes in (0..100).filter(|&number| is_yes(number)) {
        for no in (0..100).filter(|&number| !is_yes(number)) {
            ordered += usize::from(yes > no);
            pairs += 1;
        }
    }
    let absolute: f32 = scores.iter().zip(&targets).map(|(a, b)| (a - b).abs()).sum();
    let data = Dataset::new(Tensor::new([100, 1], scores).unwrap(), Tensor::new([100, 1], targets).unwrap()).unwrap();
    for batch in [100, 33, 7] {
        let measured = model.evaluate_in_batches(&data, batch).unwrap();
        // Thresholds lie 1 / 199 apart, so no two scores share a bucket and the area is exact.
        let area = f64::from(ordered as u32) / f64::from(pairs as u32);
        assert!((measured.get("auc").unwrap() - area).abs() < 1e-9, "{measured} {area}");
        assert!((measured.get("mean_absolute_error").unwrap() - f64::from(absolute) / 100.0).abs() < 1e-5, "{measured}");
        // Wrong are 17 yes below (0 to 48), and above 25 no (odd numbers) and 50, which is not above 0.5.
        assert_eq!(measured.get("accuracy"), Some(0.57), "{measured}");
    }
}
