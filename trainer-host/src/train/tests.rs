//! Whole models: gradients against finite differences, sharing, threads, learning.

use super::trainer::Trainer;
use super::{Fit, Model};
use crate::data::{Dataset, Tensor};
use crate::graph::{Shape, SymbolicTensor, input};
use crate::layers::*;
use crate::losses::*;
use crate::numeric::random::Random;
use crate::optimizers::{Adam, Sgd};

/// Random values in -1..1.
fn random_tensor(samples: usize, shape: &Shape, seed: u64) -> Tensor {
    let mut random = Random::new(seed, 1);
    let values = (0..samples * shape.size()).map(|_| (random.uniform() * 2.0 - 1.0) as f32).collect();
    Tensor::from_samples(shape.clone(), values).unwrap()
}

fn data_for(model: &Model, samples: usize) -> Dataset {
    let graph = model.graph();
    let tensors = |nodes: &[usize], seed: u64| -> Vec<Tensor> {
        nodes.iter().map(|&node| random_tensor(samples, &graph.nodes[node].shape, seed + node as u64)).collect()
    };
    Dataset::with_many(tensors(&graph.inputs, 10), tensors(&graph.outputs, 50)).unwrap()
}

/// Compiles the model with a mean squared error at each output.
fn with_squared_errors(model: &mut Model) {
    let loss: std::sync::Arc<dyn Loss> = std::sync::Arc::new(MeanSquaredError);
    let weights = (0..model.graph().outputs.len()).map(|output| (loss.clone(), 1.0 + output as f32)).collect::<Vec<_>>();
    model.compile(Sgd::new(0.1), weights).unwrap();
}

/// Compares all gradients with central differences of the loss. Parameters are moved off their initial values, so that
/// zeros and ones hide nothing.
fn check_gradients(model: &mut Model, data: &Dataset) {
    let mut random = Random::new(77, 0);
    let names: Vec<String> = model.parameters().iter().filter(|p| p.trainable).map(|p| p.name.clone()).collect();
    for name in &names {
        let mut values = model.parameter(name).unwrap();
        values.iter_mut().for_each(|value| *value += (random.uniform() - 0.5) as f32 * 0.4);
        model.set_parameter(name, &values).unwrap();
    }
    let samples = data.samples();
    let order: Vec<u32> = (0..samples as u32).rev().collect();
    let found: Vec<f32> = model.trainer(samples, 0).unwrap().gradients(data, &order).1.to_vec();
    let loss = |model: &Model| model.trainer(samples, 0).unwrap().gradients(data, &order).0;
    let mut offset = 0;
    let largest = found.iter().fold(0.0, |a, &b: &f32| if b.abs() > a { b.abs() } else { a });
    assert!(largest > 0.0 || names.is_empty(), "all gradients are zero");
    for name in &names {
        let values = model.parameter(name).unwrap();
        let steps = if values.len() > 12 { values.len() / 12 } else { 1 };
        for position in (0..values.len()).step_by(steps) {
            let difference = |width: f32| {
                let mut moved = values.clone();
                moved[position] = values[position] + width;
                model.set_parameter(name, &moved).unwrap();
                let above = loss(model);
                moved[position] = values[position] - width;
                model.set_parameter(name, &moved).unwrap();
                (above - loss(model)) / (2.0 * f64::from(width))
            };
            // Two widths: a kink of an activation within one of them is no fault of the gradient.
            let (wide, narrow) = (difference(4e-3), difference(1e-3));
            model.set_parameter(name, &values).unwrap();
            let gradient = f64::from(found[offset + position]);
            let bound = 4e-3 * (gradient.abs() + f64::from(largest));
            let good = (gradient - wide).abs() < bound || (gradient - narrow).abs() < bound;
            assert!(good, "{name}[{position}]: gradient {gradient}, differences {wide} and {narrow}");
        }
        offset += values.len();
    }
    assert_eq!(offset, found.len());
}

fn check_model(inputs: &[SymbolicTensor], outputs: &[SymbolicTensor], samples: usize) {
    let mut model = Model::new("checked", inputs, outputs).unwrap();
    with_squared_errors(&mut model);
    let data = data_for(&model, samples);
    check_gradients(&mut model, &data);
}

#[test]
fn gradients_of_every_kind_of_layer() {
    for kind in ALL_LAYERS {
        for example in (kind.examples)() {
            assert_eq!(example.layer.kind(), kind.name);
            // A batch-norm before each input learns through the input's gradient.
            let inputs: Vec<SymbolicTensor> = example.inputs.iter().map(|shape| input(shape.clone())).collect();
            let learning = inputs.iter().map(|input| BatchNormalization::new().apply(input)).collect();
            println!("{example:?}");
            check_model(&inputs, &[example.apply(learning)], 11);
        }
    }
}

#[test]
fn gradients_of_dense_chains_with_every_activation() {
    for activation in [
        Activation::Linear,
        Activation::Relu,
        Activation::Relu6,
        Activation::LEAKY_RELU,
        Activation::Selu,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Softmax,
    ] {
        let x = input([7]);
        let y = Dense::new(9).activation(activation).apply(&x);
        let y = Dense::new(4).without_bias().activation(activation).apply(&y);
        check_model(&[x], &[y], 70);
    }
}

#[test]
fn gradients_through_batch_normalization_anywhere() {
    let x = input([5, 6]);
    let y = BatchNormalization::new().apply(&x);
    let y = Dense::new(20).activation(Activation::Tanh).apply(&y);
    let y = BatchNormalization::new().apply(&y);
    let y = BatchNormalization::new().epsilon(0.1).apply(&y);
    let y = Dense::new(3).apply(&y);
    check_model(&[x], &[y], 50);
}

#[test]
fn gradients_where_paths_meet_and_layers_are_shared() {
    let (a, b) = (input([6]), input([6]));
    let shared = Dense::new(6).activation(Activation::Tanh).named("shared");
    let (x, y) = (shared.apply(&a), shared.apply(&b));
    let twice = shared.apply(&x);
    let normalization = BatchNormalization::new();
    let sum = Add::new().apply([&x, &y, &twice, &x]);
    let normalized = normalization.apply(&sum);
    // A tensor with two users in place, one of them an output itself.
    let first = ActivationLayer::new(Activation::Sigmoid).apply(&normalized);
    let second = ActivationLayer::new(Activation::Tanh).apply(&normalized);
    let both = Add::new().apply([&first, &second]);
    let again = normalization.apply(&both);
    check_model(&[a, b], &[Dense::new(2).apply(&again), first], 33);
}

#[test]
fn gradients_through_dropout() {
    let x = input([40]);
    let y = Dense::new(30).activation(Activation::Tanh).apply(&x);
    let y = Dropout::new(0.4).apply(&y);
    check_model(&[x], &[Dense::new(2).apply(&y)], 20);
}

#[test]
fn gradients_of_fused_and_unfused_losses() {
    let x = input([5]);
    let mut random = Random::new(3, 3);
    let labels: Vec<u8> = (0..40).map(|_| random.below(4) as u8).collect();
    for fused in [true, false] {
        let logits = Dense::new(4).apply(&x);
        let mut y = ActivationLayer::new(Activation::Softmax).apply(&logits);
        if !fused {
            // Anything behind the softmax keeps the loss from seeing through it.
            y = Dropout::new(0.0).apply(&y);
        }
        let mut model = Model::new("classes", &x, &y).unwrap();
        model.compile(Adam::new(0.1), SparseCategoricalCrossentropy).unwrap();
        let data = Dataset::new(random_tensor(40, &Shape::from([5]), 1), Tensor::from_labels(&labels)).unwrap();
        check_gradients(&mut model, &data);
    }
    let y = Dense::new(3).activation(Activation::Sigmoid).apply(&x);
    let mut model = Model::new("yes or no", &x, &y).unwrap();
    model.compile(Adam::new(0.1), BinaryCrossentropy).unwrap();
    let targets = (0..60).map(|number| f32::from(number % 7 < 3)).collect();
    let targets = Tensor::from_samples([3], targets).unwrap();
    let data = Dataset::new(random_tensor(20, &Shape::from([5]), 1), targets).unwrap();
    check_gradients(&mut model, &data);
}

/// A small net with everything whose order of summation matters.
fn small_net() -> Model {
    let x = input([12]);
    let y = Dense::new(24).activation(Activation::Relu).apply(&x);
    let y = BatchNormalization::new().apply(&y);
    let y = Dropout::new(0.2).apply(&y);
    let y = Dense::new(3).activation(Activation::Softmax).apply(&y);
    let mut model = Model::new("small", x, y).unwrap();
    model.compile(Adam::new(0.01), SparseCategoricalCrossentropy).unwrap();
    model
}

/// Three classes that a line each tells apart.
fn three_classes(samples: usize) -> Dataset {
    let inputs = random_tensor(samples, &Shape::from([12]), 5);
    let labels: Vec<u8> = (0..samples)
        .map(|sample| {
            let values = inputs.sample(sample).unwrap();
            if values[0] + values[1] > 0.4 { 2 } else { u8::from(values[2] > 0.0) }
        })
        .collect();
    Dataset::new(inputs, Tensor::from_labels(&labels)).unwrap()
}

fn quiet(epochs: usize) -> Fit<'static> {
    Fit { epochs, batch: 100, seed: 9, verbose: false, ..Fit::default() }
}

#[test]
fn learns_and_evaluates() {
    let mut model = small_net();
    let (data, test) = (three_classes(2030), three_classes(500));
    let before = model.evaluate(&test, 64).unwrap();
    let history = model.fit(&data, Fit { validation: Some(&test), ..quiet(30) }).unwrap();
    let after = model.evaluate(&test, 64).unwrap();
    assert!(after.get("accuracy").unwrap() > 0.95, "{after} from {before}");
    assert!(after.get("loss").unwrap() < 0.2 && history.last("loss").unwrap() < history.get("loss")[0]);
    // The validation at the end of fit and evaluate see the same parameters; batches only change the sums' order.
    assert!((history.last("val_loss").unwrap() - after.get("loss").unwrap()).abs() < 1e-9);
    assert_eq!(history.epochs.len(), 30);
    let predicted = model.predict(&test.inputs()[0]).unwrap();
    assert_eq!((predicted.samples(), predicted.sample_shape()), (500, &Shape::from([3])));
    assert!((predicted.sample(499).unwrap().iter().sum::<f32>() - 1.0).abs() < 1e-5);
}

#[test]
fn one_seed_gives_the_same_bits_for_any_number_of_threads() {
    let trained = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut model = small_net();
            let data = three_classes(530);
            let history = model.fit(&data, Fit { validation: Some(&data), seed, ..quiet(3) }).unwrap();
            let bits = |name: &str| model.parameter(name).unwrap().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            let last = history.last("val_loss").unwrap().to_bits();
            (last, bits("dense/kernel"), bits("dense_1/bias"), bits("batch_normalization/moving_variance"))
        })
    };
    let one = trained(1, 4);
    for threads in [2, 3] {
        assert!(trained(threads, 4) == one, "{threads} threads give another model than one");
    }
    assert!(trained(2, 5) != one, "the seed makes no difference");
}

#[test]
fn the_last_batch_may_be_smaller() {
    // A step on 10 of 64 planned samples is the step on 10 of 10.
    let data = three_classes(64);
    let run = |batch: usize| {
        let model = small_net();
        let mut trainer: Trainer = model.trainer(batch, 0).unwrap();
        let (loss, gradients) = trainer.gradients(&data, &[5, 1, 63, 7, 9, 11, 20, 21, 22, 23]);
        (loss, gradients.to_vec())
    };
    let (whole, part) = (run(10), run(64));
    assert!((whole.0 - part.0).abs() < 1e-7);
    for (a, b) in whole.1.iter().zip(&part.1) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
}

#[test]
fn a_model_is_applied_like_a_layer_and_cut_in_two() {
    let mut inner = small_net();
    let x = input([12]);
    let outer = Model::new("outer", &x, inner.apply(&x)).unwrap();
    let data = three_classes(200);
    inner.fit(&data, quiet(2)).unwrap();
    let samples = &data.inputs()[0];
    assert_eq!(outer.predict(samples).unwrap(), inner.predict(samples).unwrap());
    // The first half gives what the second half continues with.
    let middle = inner.tensor("batch_normalization").unwrap();
    let first = Model::new("first", inner.tensor("input").unwrap(), &middle).unwrap();
    let second = Model::new("second", &middle, inner.tensor("dense_1/softmax").unwrap()).unwrap();
    let halves = second.predict(&first.predict(samples).unwrap()).unwrap();
    for (a, b) in halves.values().iter().zip(inner.predict(samples).unwrap().values()) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
    assert_eq!(second.parameters().len(), 2);
}
