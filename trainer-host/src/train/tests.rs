//! Whole models: gradients against finite differences, sharing, threads, learning.

use super::trainer::Trainer;
use super::{Fit, Model, Objective, on};
use crate::data::{Dataset, Tensor};
use crate::graph::{Node, ParameterKind, Shape, SymbolicTensor, input};
use crate::layers::*;
use crate::losses::*;
use crate::numeric::random::Random;
use crate::optimizers::{Adam, Sgd};

/// Random values in -1..1.
pub(super) fn random_tensor(samples: usize, shape: &Shape, seed: u64) -> Tensor {
    let mut random = Random::new(seed, 1);
    let values = (0..samples * shape.size()).map(|_| (random.uniform() * 2.0 - 1.0) as f32).collect();
    Tensor::from_samples(shape.clone(), values).unwrap()
}

pub(super) fn data_for(model: &Model, samples: usize) -> Dataset {
    let graph = model.graph();
    let tensors = |nodes: &[usize], seed: u64| -> Vec<Tensor> {
        let tensor = |&node: &usize| {
            let mut tensor = random_tensor(samples, &graph.nodes[node].shape, seed + node as u64);
            if let Some(vocabulary) = graph.vocabulary(node) {
                let below = vocabulary as f32 - 0.5;
                tensor.values_mut().iter_mut().for_each(|value| *value = (value.abs() * 3.0 * below).floor() % below.ceil());
            }
            let Node { shape, length_group, .. } = &graph.nodes[node];
            if *length_group > 0 && graph.nodes[node].layer.is_none() {
                return tensor.with_lengths((0..samples).map(|sample| 1 + sample % shape[0])).unwrap();
            }
            tensor
        };
        nodes.iter().map(tensor).collect()
    };
    Dataset::with_many(tensors(&graph.inputs, 10), tensors(&graph.outputs, 50)).unwrap()
}

/// Compiles the model with a mean squared error at each output.
pub(super) fn with_squared_errors(model: &mut Model) {
    let outputs = 0..model.graph().outputs.len();
    let objectives = outputs.map(|output| Objective::new(MeanSquaredError).weight(1.0 + output as f32));
    model.compile(Sgd::new(0.1), objectives.collect::<Vec<_>>()).unwrap();
}

/// Compares all gradients with central differences of the loss. Parameters are moved off their initial values, so that
/// zeros and ones hide nothing.
pub(super) fn check_gradients(model: &mut Model, data: &Dataset) {
    let mut random = Random::new(77, 0);
    let weights = model.parameters().iter().filter(|p| p.kind == ParameterKind::Weight);
    let names: Vec<(String, bool)> = weights.map(|p| (p.name.clone(), p.learns())).collect();
    for (name, _) in &names {
        let mut values = model.parameter(name).unwrap();
        values.iter_mut().for_each(|value| *value += (random.uniform() - 0.5) as f32 * 0.4);
        model.set_parameter(name, &values).unwrap();
    }
    let samples = data.samples();
    let order: Vec<u32> = (0..samples as u32).rev().collect();
    let gradients = |model: &Model| {
        let mut trainer = model.trainer(samples, 0).unwrap();
        let (loss, gradients) = trainer.gradients(&model.feed(data, super::feed::Purpose::Evaluate).unwrap(), &order);
        (loss, gradients.to_vec())
    };
    let found = gradients(model).1;
    let loss = |model: &Model| gradients(model).0;
    let mut offset = 0;
    let largest = found.iter().fold(0.0, |a, &b: &f32| if b.abs() > a { b.abs() } else { a });
    assert!(largest > 0.0 || names.is_empty(), "all gradients are zero");
    for (name, learns) in &names {
        let values = model.parameter(name).unwrap();
        if !learns {
            assert!(found[offset..offset + values.len()].iter().all(|&gradient| gradient == 0.0), "{name} is frozen");
            offset += values.len();
            continue;
        }
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

pub(super) fn check_model(inputs: &[SymbolicTensor], outputs: &[SymbolicTensor], samples: usize) {
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
            let learning = inputs.iter().enumerate().map(|(number, input)| {
                let is_of_model = example.layer.vocabulary(number).is_some() || example.layer.padding(number).is_some();
                if is_of_model || !example.layer.passes_gradient() {
                    input.clone()
                } else {
                    BatchNormalization::new().apply(input)
                }
            });
            let learning = learning.collect();
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
pub(super) fn small_net() -> Model {
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
pub(super) fn three_classes(samples: usize) -> Dataset {
    let inputs = random_tensor(samples, &Shape::from([12]), 5);
    let labels: Vec<u8> = (0..samples)
        .map(|sample| {
            let values = inputs.sample(sample).unwrap();
            if values[0] + values[1] > 0.4 { 2 } else { u8::from(values[2] > 0.0) }
        })
        .collect();
    Dataset::new(inputs, Tensor::from_labels(&labels)).unwrap()
}

pub(super) fn quiet(epochs: usize) -> Fit<'static> {
    Fit { epochs, batch: 100, seed: 9, verbose: false, ..Fit::default() }
}

#[test]
fn learns_and_evaluates() {
    let mut model = small_net();
    let (data, test) = (three_classes(2030), three_classes(500));
    let before = model.evaluate(&test).unwrap();
    let history = model.fit(&data, Fit { validation: Some(&test), ..quiet(30) }).unwrap();
    let after = model.evaluate(&test).unwrap();
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
        let (loss, gradients) = trainer
            .gradients(&model.feed(&data, super::feed::Purpose::Evaluate).unwrap(), &[5, 1, 63, 7, 9, 11, 20, 21, 22, 23]);
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
    let second = Model::new("second", &middle, inner.tensor("dense_1").unwrap()).unwrap();
    let halves = second.predict(&first.predict(samples).unwrap()).unwrap();
    for (a, b) in halves.values().iter().zip(inner.predict(samples).unwrap().values()) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
    assert_eq!(second.parameters().len(), 2);
}

#[test]
fn a_layers_name_stands_for_its_activated_output() {
    let x = input([2]);
    let hidden = Dense::new(2).named("hidden").activation(Activation::Relu).apply(&x);
    let outputs =
        [Dense::new(1).named("a").apply(&hidden), Dense::new(1).named("b").activation(Activation::Sigmoid).apply(&hidden)];
    let mut model = Model::new("net", &x, outputs).unwrap();
    model.set_parameter("hidden/kernel", &[1.0, 0.0, 0.0, 1.0]).unwrap();
    let of = |name: &str| {
        let part = Model::new("part", &x, model.tensor(name).unwrap()).unwrap();
        part.predict(&Tensor::new([1, 2], vec![-3.0, 5.0]).unwrap()).unwrap().values().to_vec()
    };
    assert_eq!((of("hidden"), of("hidden/linear"), of("hidden/relu")), (vec![0.0, 5.0], vec![-3.0, 5.0], vec![0.0, 5.0]));
    assert!(model.tensor("a/linear").is_err(), "it has no activation");
    let zeros = |width: usize| Tensor::new([4, width], vec![0.0; 4 * width]).unwrap();
    let data = Dataset::with_many(vec![zeros(2)], vec![zeros(1), zeros(1)]).unwrap();
    model.compile(Sgd::new(0.1), [MeanSquaredError, MeanSquaredError]).unwrap();
    let measured = model.evaluate(&data).unwrap();
    assert_eq!((measured.get("a_loss"), measured.get("b_loss")), (Some(0.0), Some(0.25)));
}

fn predicted(output: impl Fn(&SymbolicTensor) -> SymbolicTensor, shape: &[usize], values: &[f32]) -> Vec<f32> {
    let x = input(shape);
    let model = Model::new("literal", &x, output(&x)).unwrap();
    model.predict(&Tensor::from_samples(shape, values.to_vec()).unwrap()).unwrap().values().to_vec()
}

fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= 1e-6 * (1.0 + b.abs()), "{found:?} is not {expected:?}");
    }
}

#[test]
fn values_of_activations() {
    let values = [-2.0, -0.5, 0.0, 1.0, 7.0];
    for (activation, expected) in [
        (Activation::Linear, values),
        (Activation::Relu, [0.0, 0.0, 0.0, 1.0, 7.0]),
        (Activation::Relu6, [0.0, 0.0, 0.0, 1.0, 6.0]),
        (Activation::LEAKY_RELU, [-0.6, -0.15, 0.0, 1.0, 7.0]),
        (Activation::Selu, [-1.520_166_8, -0.691_758_2, 0.0, 1.050_701, 7.354_907]),
        (Activation::Sigmoid, [0.119_202_92, 0.377_540_67, 0.5, 0.731_058_6, 0.999_089]),
        (Activation::Tanh, [-0.964_027_6, -0.462_117_16, 0.0, 0.761_594_2, 0.999_998_3]),
        (Activation::Softmax, [0.000_122_955_6, 0.000_551_048_3, 0.000_908_525, 0.002_469_627, 0.995_947_8]),
    ] {
        assert_close(&predicted(|x| ActivationLayer::new(activation).apply(x), &[5], &values), &expected);
    }
    // Softmax is over the last axis, and 1000 overflows nothing.
    let rows = predicted(|x| ActivationLayer::new(Activation::Softmax).apply(x), &[2, 2], &[1000.0, 1000.0, 0.0, 3f32.ln()]);
    assert_close(&rows, &[0.5, 0.5, 0.25, 0.75]);
}

#[test]
fn values_of_dense_and_add() {
    let x = input([2, 2]);
    let y = Dense::new(3).apply(&x);
    let model = Model::new("literal", &x, Add::new().apply([&y, &y, &y])).unwrap();
    model.set_parameter("dense/kernel", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    model.set_parameter("dense/bias", &[0.5, 0.0, -0.5]).unwrap();
    // [1 2] times the kernel is [9 12 15], [0 -1] is [-4 -5 -6]; plus the bias, three times.
    let found = model.predict(&Tensor::new([1, 2, 2], vec![1.0, 2.0, 0.0, -1.0]).unwrap()).unwrap();
    assert_eq!(found.values(), [28.5, 36.0, 43.5, -10.5, -15.0, -19.5]);
}

#[test]
fn batch_normalization_by_hand() {
    let x = input([2]);
    let mut model = Model::new("literal", &x, BatchNormalization::new().momentum(0.75).apply(&x)).unwrap();
    with_squared_errors(&mut model);
    // Channel 0 has mean 4 and variance 5; channel 1 has mean 10,000 and variance 0.5, which f32 sums would lose.
    let values = vec![1.0, 9_999.0, 3.0, 10_000.0, 5.0, 10_000.0, 7.0, 10_001.0];
    let inputs = Tensor::new([4, 2], values).unwrap();
    let targets = Tensor::new([4, 2], vec![0.0; 8]).unwrap();
    let data = Dataset::new(inputs.clone(), targets).unwrap();
    let history = model.fit(&data, Fit { verbose: false, shuffle: false, ..Fit::default() }).unwrap();
    // The outputs' squares have the means 5 / 5.001 and 0.5 / 0.501.
    let expected = (5.0 / 5.001 + 0.5 / 0.501) / 2.0;
    assert!((history.last("loss").unwrap() - expected).abs() < 1e-4, "{history:?}");
    assert_close(&model.parameter("batch_normalization/moving_mean").unwrap(), &[1.0, 2500.0]);
    assert_close(&model.parameter("batch_normalization/moving_variance").unwrap(), &[2.0, 0.875]);
    // gamma's gradient at gamma 1 is the mean over values and channels of 2 h^2, the rate 0.1.
    let gamma = model.parameter("batch_normalization/gamma").unwrap();
    assert_close(&gamma, &[1.0 - 0.1 * 5.0 / 5.001, 1.0 - 0.1 * 0.5 / 0.501]);
    model.set_parameter("batch_normalization/gamma", &[2.0, 1.0]).unwrap();
    model.set_parameter("batch_normalization/beta", &[-1.0, 0.0]).unwrap();
    let found = model.predict(&inputs.slice(2..3)).unwrap();
    // 2 * (5 - 1) / sqrt(2.001) - 1 and 7500 / sqrt(0.876)
    assert_close(found.values(), &[4.655_441_3, 8_013.259_3]);
}

#[test]
fn dropout_keeps_the_mean_and_only_drops_in_training() {
    let x = input([1000]);
    let mut model = Model::new("dropping", &x, Dropout::new(0.4).apply(&x)).unwrap();
    with_squared_errors(&mut model);
    let ones = Tensor::new([64, 1000], vec![1.0; 64_000]).unwrap();
    let zeros = Tensor::new([64, 1000], vec![0.0; 64_000]).unwrap();
    let data = Dataset::new(ones, zeros).unwrap();
    let history = model.fit(&data, Fit { epochs: 2, verbose: false, ..Fit::default() }).unwrap();
    // 0.6 of the values are 1 / 0.6: the mean square is 1 / 0.6; and each step drops others.
    for loss in history.get("loss") {
        assert!((loss - 1.0 / 0.6).abs() < 0.02, "{loss}");
    }
    assert_ne!(history.get("loss")[0], history.get("loss")[1]);
    assert_eq!(model.evaluate(&data).unwrap().get("loss"), Some(1.0));
}

#[test]
fn schedules_and_momentum_reach_the_optimizer() {
    // One parameter, gradient 2 * (w - 0) for an input of 1 and a target of 0: a rate of 0 leaves it where it is.
    #[derive(Debug)]
    struct Nothing;
    impl crate::schedules::Schedule for Nothing {
        fn factor(&self, _step: usize, _steps: usize) -> f32 {
            0.0
        }
    }
    let x = input([1]);
    let mut model = Model::new("line", &x, Dense::new(1).without_bias().apply(&x)).unwrap();
    model.compile(Sgd::new(0.25), MeanSquaredError).unwrap();
    model.set_parameter("dense/kernel", &[8.0]).unwrap();
    let data = Dataset::new(Tensor::new([2, 1], vec![1.0; 2]).unwrap(), Tensor::new([2, 1], vec![0.0; 2]).unwrap()).unwrap();
    let still = Fit { schedule: Some(Box::new(Nothing)), verbose: false, ..Fit::default() };
    assert_eq!(model.fit(&data, still).unwrap().epochs[0].learning_rate, 0.0);
    assert_eq!(model.parameter("dense/kernel").unwrap(), [8.0]);
    model.fit(&data, Fit { epochs: 2, verbose: false, ..Fit::default() }).unwrap();
    // 8 - 0.25 * 16 = 4, then 2.
    assert_eq!(model.parameter("dense/kernel").unwrap(), [2.0]);
    // The state goes on from fit to fit: with momentum 0.5 a second fit of one epoch makes the second step.
    model.compile(Sgd::new(0.25).momentum(0.5), MeanSquaredError).unwrap();
    model.set_parameter("dense/kernel", &[8.0]).unwrap();
    for expected in [4.0, 0.0] {
        model.fit(&data, Fit { verbose: false, ..Fit::default() }).unwrap();
        assert_eq!(model.parameter("dense/kernel").unwrap(), [expected]);
    }
}

#[test]
fn what_is_printed_of_a_residual_net_has_no_weights_and_not_every_path() {
    let first = input([4]);
    let mut x = first.clone();
    for _ in 0..60 {
        x = Add::new().apply([&x, &Dense::new(4).apply(&x)]);
    }
    let mut model = Model::new("residual", &first, &x).unwrap();
    model.compile(Sgd::new(0.1), MeanSquaredError).unwrap();
    let shown = format!("{model:?}");
    for part in ["name: \"residual\"", "Add [4]", "nodes: 121", "trainable_size: 1200", "compiled: true"] {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
    assert!(shown.len() < 300, "{shown}");
    // A line for each node and parameter, and no values: some 300 bytes each.
    let shown = format!("{:?}", model.graph());
    assert!(shown.len() < 121 * 1000, "{} bytes", shown.len());
    assert!(format!("{:?}", model.trainer(32, 0).unwrap()).contains("weights: Aligned(1200 values)"));
}

/// Were building, naming or planning quadratic, this would take minutes.
#[test]
fn nets_of_thousands_of_layers_are_built_and_planned() {
    const LAYERS: usize = 10_000;
    let shared = Dense::new(1).named("shared");
    let first = input([1]);
    let mut x = first.clone();
    for _ in 0..LAYERS {
        x = Dense::new(1).activation(Activation::Relu).apply(shared.apply(&x));
    }
    let mut model = Model::new("deep", &first, &x).unwrap();
    let graph = model.graph();
    assert_eq!(graph.nodes.len(), 1 + 3 * LAYERS);
    let names = ["input", "shared", "dense", "dense/relu", "shared@1", "dense_1"];
    assert_eq!([0, 1, 2, 3, 4, 5].map(|node| graph.nodes[node].name.as_str()), names);
    assert_eq!(graph.nodes[3 * LAYERS - 2].name, format!("shared@{}", LAYERS - 1));
    assert_eq!(graph.nodes[3 * LAYERS].name, format!("dense_{}/relu", LAYERS - 1));
    model.compile(Sgd::new(0.0), MeanSquaredError).unwrap();
    let one = Tensor::new([1, 1], vec![1.0]).unwrap();
    let data = Dataset::new(one.clone(), one).unwrap();
    model.fit(&data, Fit { verbose: false, ..Fit::default() }).unwrap();
    assert_eq!(format!("{}", model.summary()).lines().count(), 3 * LAYERS + 6);
}

#[test]
fn applied_models_are_scopes_with_names_of_their_own() {
    let base = |units: usize| {
        let x = input([4]);
        let y = Dense::new(units).activation(Activation::Relu).apply(Dense::new(4).named("first").apply(&x));
        Model::new("base", &x, y).unwrap()
    };
    let (one, other) = (base(3), base(5));
    let x = input([4]).named("x");
    let twice = Add::new().apply([&one.apply(&x), &one.apply(&x)]);
    let y = Dense::new(1).apply(Concatenate::new().apply([&twice, &other.apply(&x)]));
    let middle = Model::new("middle", &x, &y).unwrap();
    let nodes = |model: &Model| model.graph().nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>();
    assert_eq!(
        nodes(&middle),
        [
            "x",
            "base/first",
            "base/dense",
            "base/dense/relu",
            "base@1/first",
            "base@1/dense",
            "base@1/dense/relu",
            "add",
            "base_1/first",
            "base_1/dense",
            "base_1/dense/relu",
            "concatenate",
            "dense",
        ]
    );
    let parameters = |model: &Model| model.parameters().iter().map(|entry| entry.name.clone()).collect::<Vec<_>>();
    let expected = ["base/first", "base/dense", "base_1/first", "base_1/dense", "dense"];
    let expected: Vec<String> =
        expected.iter().flat_map(|layer| [format!("{layer}/kernel"), format!("{layer}/bias")]).collect();
    assert_eq!(parameters(&middle), expected);
    // Behind the scope's name, the parameters have the names that they have in the model itself.
    for name in parameters(&one) {
        assert_eq!(middle.parameter(&format!("base/{name}")).unwrap(), one.parameter(&name).unwrap());
    }
    // Scopes within scopes, in summary and names, and what is cut out keeps its name.
    let z = input([4]);
    let outer = Model::new("outer", &z, Dense::new(1).apply(middle.apply(&z))).unwrap();
    let nested = outer.graph().nodes.iter().find(|node| node.name == "middle/base@1/dense").unwrap();
    assert_eq!(nested.scopes, ["middle", "middle/base@1"]);
    let summary = outer.summary().to_string();
    let names: Vec<&str> =
        summary.lines().skip(3).map(|line| line.split("  ").find(|part| !part.is_empty()).unwrap()).collect();
    assert_eq!(names[..5], ["input", "middle", "middle/base", "middle/base/first", "middle/base/dense"]);
    assert!(summary.contains("\n  middle/base   ") && summary.contains("\n    middle/base/first   "), "{summary}");
    let cut = Model::new("cut", &z, outer.tensor("middle/add").unwrap()).unwrap();
    assert_eq!(parameters(&cut)[0], "middle/base/first/kernel");
    // The device's nodes have the names of the trainer's.
    let device = outer.device_graph().unwrap();
    assert!(
        device.nodes.iter().any(|node| node.name == "middle/base@1/first"),
        "{:?}",
        device.nodes.iter().map(|n| &n.name).collect::<Vec<_>>()
    );
}

#[test]
fn data_losses_and_measurements_go_by_name() {
    let (a, b) = (input([1]).named("a"), input([1]).named("b"));
    let sum = Dense::new(1).without_bias().named("sum").apply(&a);
    let other = Dense::new(1).without_bias().named("other").apply(&b);
    let mut model = Model::new("pair", [&a, &b], [&sum, &other]).unwrap();
    // In another order than the model's, and the tensors' shapes are all the same.
    let objectives =
        [on("other", MeanSquaredError).metric(crate::metrics::MeanAbsoluteError), on("sum", MeanSquaredError).weight(0.5)];
    model.compile(Sgd::new(0.25), objectives).unwrap();
    model.set_parameter("sum/kernel", &[1.0]).unwrap();
    model.set_parameter("other/kernel", &[10.0]).unwrap();
    let one = |value: f32| Tensor::new([2, 1], vec![value; 2]).unwrap();
    let data =
        || Dataset::builder().target("other", one(0.0)).input("b", one(2.0)).input("a", one(1.0)).target("sum", one(3.0));
    let data = data().sample_weights("other", vec![1.0, 0.5]).build().unwrap();
    let measured = model.evaluate(&data).unwrap();
    // sum: 1 * 1 - 3 = -2; other: 10 * 2 = 20, whose squares count 1 and 0.5.
    let expected = [("loss", 0.5 * 4.0 + 300.0), ("sum_loss", 4.0), ("other_loss", 300.0), ("other_mean_absolute_error", 20.0)];
    assert_eq!(measured.iter().collect::<Vec<_>>(), expected);
    let history = model.fit(&data, Fit { verbose: false, validation: Some(&data), ..Fit::default() }).unwrap();
    assert_eq!(history.last("sum_loss"), Some(4.0));
    // The gradients of the kernels are 0.5 * 2 * -2 * 1 and 0.75 * 2 * 20 * 2.
    assert_eq!(model.parameter("sum/kernel").unwrap(), [1.5]);
    assert_eq!(model.parameter("other/kernel").unwrap(), [-5.0]);
    assert_eq!(history.last("val_sum_loss"), Some(2.25));
    assert_eq!(history.last("val_other_mean_absolute_error"), Some(10.0));
}
