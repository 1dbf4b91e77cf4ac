//! What `fit` and `compile` can be told: clipping, weights, validation split.

use std::sync::Arc;

use super::{Fit, Model};
use crate::data::{Dataset, Tensor};
use crate::graph::input;
use crate::layers::{Activation, Apply, Dense};
use crate::losses::*;
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
