//! Transforms between stored and effective weights.

use super::tests::{quiet, small_net, three_classes};
use super::{Fit, Model};
use crate::checkpoint::Weights;
use crate::data::{Dataset, Tensor};
use crate::device::run::DeviceModel;
use crate::graph::{Shape, Transform, input};
use crate::layers::*;
use crate::losses::MeanSquaredError;
use crate::optimizers::Sgd;

/// Pruned weights are zero and have no gradient.
#[derive(Debug)]
struct Mask(Vec<bool>);

impl Transform for Mask {
    fn apply(&self, _shape: &Shape, stored: &[f32], effective: &mut [f32]) {
        for ((to, &value), &kept) in effective.iter_mut().zip(stored).zip(&self.0) {
            *to = if kept { value } else { 0.0 };
        }
    }

    fn change_gradient(&self, first: usize, _stored: &[f32], gradient: &mut [f32]) {
        for (gradient, &kept) in gradient.iter_mut().zip(&self.0[first..]) {
            *gradient = if kept { *gradient } else { 0.0 };
        }
    }
}

/// Each column of the kernel to the steps that int8 has: its largest value over 127.
#[derive(Debug)]
pub(super) struct RoundToInt8;

impl Transform for RoundToInt8 {
    fn apply(&self, shape: &Shape, stored: &[f32], effective: &mut [f32]) {
        let columns = shape.channels();
        for column in 0..columns {
            let values = stored.iter().skip(column).step_by(columns);
            let largest =
                values.clone().fold(0.0, |largest: f32, value| if value.abs() > largest { value.abs() } else { largest });
            let step = if largest > 0.0 { largest / 127.0 } else { 1.0 };
            for (to, value) in effective.iter_mut().skip(column).step_by(columns).zip(values) {
                *to = (value / step).round() * step;
            }
        }
    }
}

#[test]
fn a_pruned_net_learns_and_its_zeros_stay() {
    let data = three_classes(600);
    let mut model = small_net();
    let kept: Vec<bool> = (0..12 * 24).map(|number| number % 3 > 0).collect();
    let start = model.parameter("dense/kernel").unwrap();
    model.set_transform("dense/kernel", Mask(kept.clone())).unwrap();
    let history = model.fit(&data, Fit { validation: Some(&data), ..quiet(20) }).unwrap();
    let losses = history.get("val_loss");
    assert!(losses[19] < 0.6 * losses[0], "{losses:?}");
    // Stored values of pruned weights are those of the beginning: no gradient reached them.
    let stored = model.parameter("dense/kernel").unwrap();
    for ((kept, before), after) in kept.iter().zip(&start).zip(&stored) {
        assert_eq!(*kept, before != after);
    }
    let by_transform = model.predict(&data.inputs()[0]).unwrap();
    let exported = model.export_f32().unwrap();
    // The validation and `evaluate` saw the net that has zeros there.
    assert!((model.evaluate(&data).unwrap().get("loss").unwrap() - losses[19]).abs() < 1e-9);
    model.remove_transform("dense/kernel").unwrap();
    assert_ne!(model.predict(&data.inputs()[0]).unwrap(), by_transform);
    let zeroed: Vec<f32> = stored.iter().zip(&kept).map(|(&value, &kept)| if kept { value } else { 0.0 }).collect();
    model.set_parameter("dense/kernel", &zeroed).unwrap();
    assert_eq!(model.predict(&data.inputs()[0]).unwrap(), by_transform);
    assert!(model.export_f32().unwrap() == exported, "the file is not that of the pruned net");
    DeviceModel::new(&exported).unwrap();
}

#[test]
fn a_net_trained_with_rounded_weights_learns() {
    let data = three_classes(600);
    let mut model = small_net();
    for name in ["dense/kernel", "dense_1/kernel"] {
        model.set_transform(name, RoundToInt8).unwrap();
    }
    let history = model.fit(&data, quiet(30)).unwrap();
    assert!(history.last("accuracy") > Some(0.9), "{:?}", history.get("accuracy"));
    let by_transform = model.predict(&data.inputs()[0]).unwrap();
    // What is saved is what is stored; with the transform it predicts the same.
    let other = small_net();
    Weights::of(&model).restore(&other).unwrap();
    assert_ne!(other.predict(&data.inputs()[0]).unwrap(), by_transform);
    for name in ["dense/kernel", "dense_1/kernel"] {
        other.set_transform(name, RoundToInt8).unwrap();
    }
    assert_eq!(other.predict(&data.inputs()[0]).unwrap(), by_transform);
    assert!(other.set_transform("batch_normalization/moving_mean", RoundToInt8).is_err());
}

/// Doubles the weight.
#[derive(Debug)]
struct Double;

impl Transform for Double {
    fn apply(&self, _shape: &Shape, stored: &[f32], effective: &mut [f32]) {
        effective.iter_mut().zip(stored).for_each(|(to, value)| *to = 2.0 * value);
    }
}

/// One sample of one value.
fn one(input: f32, target: f32) -> Dataset {
    let column = |value: f32| Tensor::new([1, 1], vec![value]).unwrap();
    Dataset::new(column(input), column(target)).unwrap()
}

#[test]
fn gradients_go_straight_through() {
    let x = input([1]);
    let mut model = Model::new("line", &x, Dense::new(1).without_bias().apply(&x)).unwrap();
    model.compile(Sgd::new(0.125), MeanSquaredError).unwrap();
    model.set_parameter("dense/kernel", &[4.0]).unwrap();
    model.set_transform("dense/kernel", Double).unwrap();
    // The output is 8, its loss 64, the gradient 16: not doubled, since it goes straight through.
    assert_eq!(model.fit(&one(1.0, 0.0), quiet(1)).unwrap().last("loss"), Some(64.0));
    assert_eq!(model.parameter("dense/kernel").unwrap(), [2.0]);
}

#[test]
fn a_shared_weight_is_transformed_once_and_gets_the_gradients_of_all_uses() {
    let x = input([1]);
    let shared = Dense::new(1).without_bias().named("shared");
    let once = Model::new("once", &x, shared.apply(&x)).unwrap();
    let mut model = Model::new("twice", &x, shared.apply(shared.apply(&x))).unwrap();
    model.compile(Sgd::new(1.0 / 64.0), MeanSquaredError).unwrap();
    model.set_parameter("shared/kernel", &[1.0]).unwrap();
    model.set_transform("shared/kernel", Double).unwrap();
    // The output is (2 * 1)^2 = 4, the loss 16; the gradient of the effective weight is 2 * 4 * (2 + 2) = 32.
    assert_eq!(model.fit(&one(1.0, 0.0), quiet(1)).unwrap().last("loss"), Some(16.0));
    assert_eq!(model.parameter("shared/kernel").unwrap(), [0.5]);
    // Another model of the same layer sees it, too.
    assert_eq!(once.predict(&one(3.0, 0.0).inputs()[0]).unwrap().values(), [3.0]);
    let file = DeviceModel::new(&model.export_f32().unwrap()).unwrap();
    let output = |session: &samara_runtime::Session<'_>, _: usize| session.output_f32(0).unwrap().collect::<Vec<_>>();
    assert_eq!(file.run_each(1, |session, _| session.write_f32(0, &[3.0]), output).unwrap(), [[3.0]]);
}

/// Weights are changed in blocks: a mask finds its place in each.
#[test]
fn pruned_weights_of_a_kernel_in_pieces_stay() {
    let (inputs, outputs) = (300, 257);
    let x = input([inputs]);
    let mut model = Model::new("wide", &x, Dense::new(outputs).without_bias().apply(&x)).unwrap();
    model.compile(Sgd::new(0.1), MeanSquaredError).unwrap();
    let kept: Vec<bool> = (0..inputs * outputs).map(|number| number % 7 != 3).collect();
    model.set_transform("dense/kernel", Mask(kept.clone())).unwrap();
    let before = model.parameter("dense/kernel").unwrap();
    let (input, target) = (vec![1.0; inputs], vec![50.0; outputs]);
    let data = Dataset::new(Tensor::new([1, inputs], input).unwrap(), Tensor::new([1, outputs], target).unwrap()).unwrap();
    model.fit(&data, quiet(1)).unwrap();
    let after = model.parameter("dense/kernel").unwrap();
    assert!(before.iter().zip(&after).zip(&kept).all(|((before, after), kept)| (before != after) == *kept));
}
