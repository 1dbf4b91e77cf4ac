//! Freezing, learning rates by layer, and what a layer saves from its forward to its backward pass.

use std::sync::Arc;

use super::plan::{Plan, Step};
use super::tests::{check_model, quiet, random_tensor};
use super::{Fit, Model};
use crate::data::{Dataset, Tensor};
use crate::device::{Lowering, Value};
use crate::graph::{ParameterKind, Shape, input};
use crate::layers::*;
use crate::losses::*;
use crate::numeric::random::Random;
use crate::optimizers::{Adam, Optimizer, Sgd};

/// Every layer with weights, one shared, with gradients by lanes and over the whole batch.
fn net() -> Model {
    let image = input([6, 6, 2]);
    let x = Conv2D::new(4, 3).padding(Padding::Same).kernel_regularizer(crate::regularizers::L2::default()).apply(&image);
    let x = BatchNormalization::new().apply(&x);
    let x = PReLU::new().apply(&x);
    let y = DepthwiseConv2D::new(3).padding(Padding::Same).apply(&x);
    let y = SeparableConv2D::new(4, 3).padding(Padding::Same).apply(&y);
    let shared = Conv2D::new(4, 1).named("shared");
    let x = Add::new().apply([&shared.apply(&x), &shared.apply(&y)]);
    let x = Dropout::new(0.2).apply(Flatten::new().apply(&x));
    let x = Dense::new(7).activation(Activation::Tanh).apply(&x);
    let x = BatchNormalization::new().apply(&x);
    Model::new("net", image, Dense::new(3).apply(&x)).unwrap()
}

fn data() -> Dataset {
    Dataset::new(random_tensor(90, &Shape::from([6, 6, 2]), 3), random_tensor(90, &Shape::from([3]), 4)).unwrap()
}

/// The layers with parameters, by name.
fn layers(model: &Model) -> Vec<String> {
    let nodes = model.graph().nodes.iter();
    nodes.filter(|node| !node.parameters.is_empty() && !node.name.contains('@')).map(|node| node.name.clone()).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Where each parameter lies, and its value in each slot of the optimizer, by bits.
fn places(model: &Model) -> Vec<(String, std::ops::Range<usize>)> {
    let plan = Plan::new(model.graph(), 30, &[], true);
    let of_node = |(node, planned): (&crate::graph::Node, &super::plan::PlanNode)| {
        let names = model.graph().parameters[node.parameters.clone()].iter().map(|entry| entry.name.clone());
        names.zip(planned.parameters.iter().map(|place| place.range.clone())).collect::<Vec<_>>()
    };
    model.graph().nodes.iter().zip(&plan.nodes).flat_map(of_node).collect()
}

#[test]
fn freezing_any_layers_amid_training_moves_nothing_and_keeps_them() {
    let data = data();
    let mut random = Random::new(11, 0);
    let optimizers: [Arc<dyn Optimizer>; 3] = [
        Arc::new(Adam::new(0.01)),
        Arc::new(Sgd::new(0.01).momentum(0.9).clip_global_norm(1.0)),
        Arc::new(crate::optimizers::AdamW::new(0.01).clip_norm(1.0)),
    ];
    for round in 0..24 {
        let mut model = net();
        model.compile_with(optimizers[round % 3].clone(), MeanSquaredError).unwrap();
        let fit = || Fit { batch: 30, ..quiet(1) };
        model.fit(&data, fit()).unwrap();
        let before: Vec<_> = model.parameters().iter().map(|entry| bits(&entry.values())).collect();
        let (places_before, slots_before) = (places(&model), model.compiled("").unwrap().state.clone());
        let gradients_before = bits(
            model
                .trainer(30, 5)
                .unwrap()
                .gradients(&model.feed(&data, super::feed::Purpose::Evaluate).unwrap(), &[1, 2, 3, 40, 50, 60])
                .1,
        );

        let names = layers(&model);
        let frozen: Vec<&String> = names.iter().filter(|_| random.below(2) == 0).collect();
        frozen.iter().for_each(|name| model.set_trainable(name, false).unwrap());
        let is_frozen = |name: &str| frozen.iter().any(|layer| name.starts_with(&format!("{layer}/")));
        assert_eq!(places(&model), places_before, "{frozen:?}");
        let learning = model.parameters().iter().filter(|entry| entry.kind == ParameterKind::Weight && !is_frozen(&entry.name));
        assert_eq!(model.trainable_size(), learning.map(|entry| entry.shape.size()).sum::<usize>());
        // Nothing else is changed by freezing, but by what a frozen batch-norm computes.
        let gradients = bits(
            model
                .trainer(30, 5)
                .unwrap()
                .gradients(&model.feed(&data, super::feed::Purpose::Evaluate).unwrap(), &[1, 2, 3, 40, 50, 60])
                .1,
        );
        let norm_is_frozen = frozen.iter().any(|name| name.starts_with("batch"));
        for (entry, (name, range)) in model.parameters().iter().zip(&unique(&places_before)) {
            assert_eq!(entry.name, *name);
            if entry.kind == ParameterKind::Weight && is_frozen(name) {
                assert!(gradients[range.clone()].iter().all(|&gradient| gradient == 0), "{name} has a gradient");
            } else if entry.kind == ParameterKind::Weight && !norm_is_frozen {
                assert_eq!(gradients[range.clone()], gradients_before[range.clone()], "{name}");
            }
        }

        model.fit(&data, fit()).unwrap();
        let slots = &model.compiled("").unwrap().state.slots;
        for ((entry, old), (name, range)) in model.parameters().iter().zip(&before).zip(&unique(&places_before)) {
            let stays = bits(&entry.values()) == *old;
            assert_eq!(stays, is_frozen(name), "{name} with {frozen:?} frozen");
            for (slot, old) in slots.iter().zip(&slots_before.slots) {
                if entry.kind == ParameterKind::Weight {
                    let stays = bits(&slot[range.clone()]) == bits(&old[range.clone()]);
                    assert_eq!(stays, is_frozen(name), "a slot of {name} with {frozen:?} frozen");
                }
            }
        }
        // Free again, all go on.
        frozen.iter().for_each(|name| model.set_trainable(name, true).unwrap());
        let before: Vec<_> = model.parameters().iter().map(|entry| bits(&entry.values())).collect();
        model.fit(&data, fit()).unwrap();
        for (entry, old) in model.parameters().iter().zip(&before) {
            assert_ne!(bits(&entry.values()), *old, "{}", entry.name);
        }
    }
}

/// Once for each parameter: nodes of a shared layer repeat them.
fn unique(places: &[(String, std::ops::Range<usize>)]) -> Vec<(String, std::ops::Range<usize>)> {
    let mut unique: Vec<(String, std::ops::Range<usize>)> = Vec::new();
    for place in places {
        if !unique.contains(place) {
            unique.push(place.clone());
        }
    }
    unique
}

#[test]
fn a_frozen_batch_norm_uses_and_keeps_its_statistics() {
    // (3 - 1) / sqrt(4) * 2 + 0.5 = 2.5 and (-1 - 1) / 2 * 2 + 0.5 = -1.5, whatever the batch's own moments are.
    let x = input([1]);
    let normalization = BatchNormalization::new().epsilon(1e-12).named("norm");
    let y = Dense::new(1).without_bias().named("last").apply(normalization.apply(&x));
    let mut model = Model::new("frozen", &x, y).unwrap();
    for (name, value) in [("gamma", 2.0), ("beta", 0.5), ("moving_mean", 1.0), ("moving_variance", 4.0)] {
        model.set_parameter(&format!("norm/{name}"), &[value]).unwrap();
    }
    model.set_parameter("last/kernel", &[1.0]).unwrap();
    normalization.set_trainable(false);
    model.compile(Sgd::new(0.125), MeanSquaredError).unwrap();
    let column = |values: [f32; 2]| Tensor::new([2, 1], values.to_vec()).unwrap();
    let data = Dataset::new(column([3.0, -1.0]), column([0.0, 0.0])).unwrap();
    let history = model.fit(&data, quiet(1)).unwrap();
    assert_eq!(history.last("loss"), Some((2.5 * 2.5 + 1.5 * 1.5) / 2.0));
    // The gradient of the last weight is 2 (2.5^2 + 1.5^2) / 2 = 8.5.
    assert_eq!(model.parameter("last/kernel").unwrap(), [1.0 - 0.125 * 8.5]);
    let values = |name: &str| model.parameter(&format!("norm/{name}")).unwrap()[0];
    assert_eq!(["gamma", "beta", "moving_mean", "moving_variance"].map(values), [2.0, 0.5, 1.0, 4.0]);
    assert!(model.summary().to_string().ends_with("5 parameters: 1 trainable, 2 frozen, 2 statistics"), "{}", model.summary());
}

#[test]
fn gradients_pass_through_what_is_frozen() {
    // The conformance check compares the gradients of all that learns with differences of the loss.
    let x = input([5, 5, 2]);
    let y = BatchNormalization::new().apply(&x);
    for frozen in [
        Arc::new(Conv2D::new(3, 3)) as Arc<dyn Layer>,
        Arc::new(Conv2D::new(3, 3).strides(2)),
        Arc::new(DepthwiseConv2D::new(3)),
        Arc::new(SeparableConv2D::new(3, 3)),
        Arc::new(PReLU::new()),
        Arc::new(BatchNormalization::new()),
        Arc::new(Dense::new(3)),
    ] {
        frozen.set_trainable(false);
        let z = crate::graph::apply_shared(&frozen, vec![y.clone()]);
        check_model(std::slice::from_ref(&x), &[Flatten::new().apply(&z)], 9);
    }
}

#[test]
fn nothing_runs_backward_before_the_first_layer_that_learns() {
    let model = net();
    let steps = |model: &Model| {
        let losses = [(Arc::new(MeanSquaredError) as Arc<dyn Loss>, 1.0)];
        let plan = Plan::new(model.graph(), 30, &losses, true);
        let names = |step: &Step| match *step {
            Step::Backward { node } => Some(model.graph().nodes[node].name.clone()),
            _ => None,
        };
        let backward: Vec<String> = plan.segments.iter().flat_map(|segment| &segment.steps).filter_map(names).collect();
        (backward, plan.lane_gradients, plan.segments.len(), plan.gradient_sizes.iter().sum::<usize>())
    };
    let all = steps(&model);
    for name in layers(&model).iter().filter(|name| *name != "dense_1") {
        model.set_trainable(name, false).unwrap();
    }
    // Neither do batch-norms make anybody wait.
    let last = steps(&model);
    assert_eq!((last.0, last.1, last.2, last.3), (vec!["dense_1".to_owned()], 0, 1, 3));
    assert!(all.0.len() > 10 && all.1 > 0 && all.2 == 5, "{all:?}");
}

#[test]
fn learning_rates_by_layer() {
    let x = input([1]);
    let dense = |name: &str| Dense::new(1).without_bias().named(name);
    let outputs = [dense("base/a").apply(&x), dense("base/b").apply(&x), dense("baseless").apply(&x)];
    let mut model = Model::new("three", &x, outputs).unwrap();
    let loss: Arc<dyn Loss> = Arc::new(MeanSquaredError);
    model.compile(Sgd::new(0.25), [loss.clone(), loss.clone(), loss]).unwrap();
    for name in ["base/a", "base/b", "baseless"] {
        model.set_parameter(&format!("{name}/kernel"), &[8.0]).unwrap();
    }
    model.set_learning_rate_factor("base/", 0.5).unwrap();
    model.set_learning_rate_factor("base/b", 0.125).unwrap();
    let tensor = |value: f32| Tensor::new([1, 1], vec![value]).unwrap();
    let data = Dataset::with_many(vec![tensor(1.0)], vec![tensor(0.0), tensor(0.0), tensor(0.0)]).unwrap();
    model.fit(&data, quiet(1)).unwrap();
    // 8 - 0.25 * 16, a half and an eighth of the step.
    let kernel = |name: &str| model.parameter(&format!("{name}/kernel")).unwrap()[0];
    assert_eq!(["base/a", "base/b", "baseless"].map(kernel), [6.0, 7.5, 4.0]);
    assert!(model.set_learning_rate_factor("base", -1.0).is_err());
    let message = model.set_trainable("bas", false).unwrap_err().to_string();
    assert_eq!(message, "model 'three' has no layer named 'bas'; it has base/a, base/b, baseless");
}

/// `y = x^3`, whose backward pass reads neither input nor output, only what was saved: x and x^2.
#[derive(Debug, Clone, Default)]
struct Cube {
    base: LayerBase,
}

impl Layer for Cube {
    identity!("Cube");

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0].clone())
    }

    fn requirements(&self, inputs: &[Shape]) -> Requirements {
        Requirements { in_place: true, saved: 2 * inputs[0].size(), ..Requirements::default() }
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        // Without a backward pass there is nothing to save to.
        let mut saved = pass.saved.chunks_exact_mut(2);
        for value in pass.output.iter_mut() {
            if let Some(saved) = saved.next() {
                saved.copy_from_slice(&[*value, *value * *value]);
            }
            *value = *value * *value * *value;
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        for (gradient, saved) in pass.output_gradient.iter_mut().zip(pass.saved.chunks_exact(2)) {
            assert_eq!(saved[0] * saved[0], saved[1], "another tenant wrote to what was saved");
            *gradient *= 3.0 * saved[1];
        }
    }

    fn lower(&self, _lowering: &mut Lowering<'_>) -> Result<Value, String> {
        Err("no counterpart".to_owned())
    }
}

#[test]
fn what_is_saved_stays_until_the_backward_pass() {
    // Twice the same layer, with batch-norms between, so that buffers change hands and segments end.
    let x = input([6]);
    let cube = Cube::default();
    let mut y = cube.apply(BatchNormalization::new().apply(&x));
    for _ in 0..3 {
        y = Dense::new(6).activation(Activation::Tanh).apply(&y);
        y = Add::new().apply([&y, &cube.apply(BatchNormalization::new().apply(&y))]);
    }
    check_model(std::slice::from_ref(&x), &[y], 70);
    // Outside training, and where nothing before learns, there is no such memory.
    let model = Model::new("cubes", &x, cube.apply(&x)).unwrap();
    let values = model.predict(&Tensor::new([1, 6], vec![1.0, 2.0, 3.0, -1.0, -2.0, 0.5]).unwrap()).unwrap();
    assert_eq!(values.values(), [1.0, 8.0, 27.0, -1.0, -8.0, 0.125]);
    let plan = Plan::new(model.graph(), 4, &[], true);
    assert_eq!((plan.nodes[1].saved, &plan.value_sizes[..]), (None, &[6][..]));
}
