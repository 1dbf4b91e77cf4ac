//! From the same weights and data, the losses of the first 20 steps are Keras's: a wrong default, update rule, padding or
//! batch-norm moment or penalty would show.

use samara_trainer::{optimizers::Optimizer, prelude::*};
use serde_json::Value;

const STEPS: usize = 20;
const SAMPLES: usize = 32;
const CLASSES: usize = 4;

/// `((i * factor + offset) mod 201 - 100) / 256`, as in `keras/losses.py`.
fn values(count: usize, factor: usize, offset: usize) -> Vec<f32> {
    (0..count).map(|i| (((i * factor + offset) % 201) as f32 - 100.0) / 256.0).collect()
}

fn norm(x: &SymbolicTensor) -> SymbolicTensor {
    BatchNormalization::new().apply(x)
}

fn relu(x: &SymbolicTensor) -> SymbolicTensor {
    ActivationLayer::new(Activation::Relu).apply(x)
}

fn mlp() -> Result<Model> {
    let input = input([12]);
    let x = norm(&Dense::new(16).activation(Activation::Relu).apply(&input));
    let x = norm(&Dense::new(8).activation(Activation::Relu).apply(&x));
    Model::new("mlp", &input, Dense::new(CLASSES).activation(Activation::Softmax).apply(&x))
}

fn separable() -> Result<Model> {
    let input = input([9, 8, 2]);
    let layer = |filters, x: &SymbolicTensor| {
        SeparableConv2D::new(filters, 3).padding(Padding::Same).activation(Activation::Relu).apply(x)
    };
    let x = MaxPooling2D::new(2).apply(norm(&layer(6, &input)));
    let x = GlobalAveragePooling2D::new().apply(layer(8, &x));
    Model::new("separable", &input, Dense::new(CLASSES).activation(Activation::Softmax).apply(&x))
}

fn residual() -> Result<Model> {
    let input = input([8, 8, 3]);
    let conv = |filters, kernel: usize, strides: usize, x: &SymbolicTensor| {
        Conv2D::new(filters, kernel).strides(strides).padding(Padding::Same).apply(x)
    };
    let x = relu(&norm(&conv(6, 3, 1, &input)));
    let y = relu(&norm(&conv(8, 3, 2, &x)));
    let y = norm(&conv(8, 3, 1, &y));
    let x = relu(&Add::new().apply([&conv(8, 1, 2, &x), &y]));
    let x = Flatten::new().apply(AveragePooling2D::new(4).apply(&x));
    Model::new("residual", &input, Dense::new(CLASSES).activation(Activation::Softmax).apply(&x))
}

fn regularized() -> Result<Model> {
    let input = input([6, 7, 2]);
    let x = Conv2D::new(5, 3).kernel_regularizer(L1L2::new(0.002, 0.01)).bias_regularizer(L2::new(0.1));
    let x = x.activation(Activation::Relu).apply(&input);
    let x = BatchNormalization::new().gamma_regularizer(L1::new(0.001)).beta_regularizer(L2::default()).apply(&x);
    let y = SeparableConv2D::new(6, 2).depthwise_regularizer(L2::new(0.02)).pointwise_regularizer(L1L2::new(0.003, 0.02));
    let x = y.activation(Activation::Relu).apply(&x);
    let x = DepthwiseConv2D::new(2).depthwise_regularizer(L1::default()).apply(&x);
    let y = Dense::new(CLASSES).kernel_regularizer(L1L2::new(0.01, 0.02)).activation(Activation::Softmax);
    Model::new("regularized", &input, y.apply(Flatten::new().apply(&x)))
}

fn check(model: Result<Model>, optimizer: impl Optimizer + 'static) -> Result<()> {
    let mut model = model?;
    let shape = model.graph().nodes[model.graph().inputs[0]].shape.clone();
    let inputs = values(SAMPLES * shape.size(), 73, 5).into_iter().map(|value| value * 4.0).collect();
    let labels: Vec<u8> = (0..SAMPLES).map(|i| ((i * 5 + i / 7) % CLASSES) as u8).collect();
    let data = Dataset::new(Tensor::from_samples(shape, inputs)?, Tensor::from_labels(&labels))?;
    for entry in model.parameters() {
        // Kernels by the formula; all else keeps its first values, zeros and ones as in Keras.
        if entry.name.ends_with("kernel") {
            model.set_parameter(&entry.name, &values(entry.shape.size(), 31 + 2 * entry.index, 7))?;
        }
    }
    model.compile(optimizer, SparseCategoricalCrossentropy)?;
    let options = Fit { epochs: STEPS, batch: SAMPLES, shuffle: false, verbose: false, ..Fit::default() };
    let history = model.fit(&data, options)?;
    let expected: Value = serde_json::from_str(include_str!("../keras/losses.json")).expect("JSON");
    let name = model.name();
    for (step, (epoch, expected)) in history.epochs.iter().zip(expected[name].as_array().expect("losses")).enumerate() {
        let (found, expected) = (epoch.measurements.get("loss").expect("a loss"), expected.as_f64().expect("a number"));
        let difference = (found - expected).abs() / expected;
        assert!(difference < 1e-4, "{name}, step {step}: loss {found}, Keras has {expected}, {difference:.1e} apart");
    }
    assert_eq!(history.epochs.len(), STEPS);
    Ok(())
}

#[test]
fn a_perceptron_with_batch_norm_and_sgd() -> Result<()> {
    check(mlp(), Sgd::new(0.05))
}

#[test]
fn a_separable_net_with_adam() -> Result<()> {
    check(separable(), Adam::new(0.01))
}

#[test]
fn a_residual_net_with_rmsprop() -> Result<()> {
    check(residual(), RmsProp::new(0.003))
}

#[test]
fn a_net_with_penalties_clipping_and_momentum() -> Result<()> {
    check(regularized(), Sgd::new(0.05).momentum(0.9).clip_norm(0.05))
}
