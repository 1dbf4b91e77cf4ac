//! Penalties of parameters in losses and gradients.

use std::sync::Arc;

use super::tests::check_model;
use super::{Fit, Model, Objective};
use crate::data::{Dataset, Tensor};
use crate::graph::input;
use crate::layers::*;
use crate::losses::MeanSquaredError;
use crate::optimizers::{Optimizer, Sgd};
use crate::regularizers::{L1, L1L2, L2};

fn tensor<const N: usize>(shape: [usize; N], values: &[f32]) -> Tensor {
    Tensor::new(shape, values.to_vec()).unwrap()
}

#[test]
fn gradients_of_the_whole_loss() {
    // A penalty that is missing in the loss or in the gradient, or has another factor there, moves them apart.
    let x = input([6, 5, 2]);
    let convolution = Conv2D::new(4, 3).kernel_regularizer(L1::new(0.3)).bias_regularizer(L2::new(0.2));
    let y = convolution.activation(Activation::Tanh).apply(&x);
    let normalization = BatchNormalization::new().gamma_regularizer(L2::new(0.4)).beta_regularizer(L1::new(0.1));
    let y = normalization.apply(&y);
    let separable = SeparableConv2D::new(3, 2).depthwise_regularizer(L2::new(0.5)).pointwise_regularizer(L1L2::new(0.2, 0.3));
    let y = separable.bias_regularizer(L1::new(0.1)).activation(Activation::Tanh).apply(&y);
    let y = DepthwiseConv2D::new(2).depthwise_regularizer(L1L2::new(0.1, 0.2)).bias_regularizer(L2::new(0.3)).apply(&y);
    let dense = Dense::new(2).kernel_regularizer(L1L2::new(0.05, 0.4)).bias_regularizer(L1::new(0.2));
    check_model(&[x], &[dense.apply(Flatten::new().apply(&y))], 9);
}

#[test]
fn a_shared_layer_costs_once_and_outputs_show_their_own_loss() {
    let (a, b) = (input([1]), input([1]));
    let shared = Dense::new(1).without_bias().kernel_regularizer(L1L2::new(0.5, 0.25)).named("shared");
    let (first, second) = (shared.apply(&a), shared.apply(&b));
    let last = Dense::new(1).without_bias().kernel_regularizer(L1::new(2.0)).named("last").apply(&second);
    let mut model = Model::new("sharing", [&a, &b], [&first, &last]).unwrap();
    let objectives = [Objective::new(MeanSquaredError), Objective::new(MeanSquaredError).weight(3.0)];
    model.compile(Sgd::new(0.1), objectives).unwrap();
    model.set_parameter("shared/kernel", &[-2.0]).unwrap();
    model.set_parameter("last/kernel", &[0.5]).unwrap();
    let targets = vec![tensor([2, 1], &[0.0; 2]), tensor([2, 1], &[0.0; 2])];
    let data = Dataset::with_many(vec![tensor([2, 1], &[1.0; 2]), tensor([2, 1], &[2.0; 2])], targets).unwrap();
    // Outputs -2 * 1 and 0.5 * -2 * 2, so squares 4 and 4; penalties 0.5 * 2 + 0.25 * 4 and 2 * 0.5.
    let expected = [("loss", 4.0 + 3.0 * 4.0 + 2.0 + 1.0), ("shared_loss", 4.0), ("last_loss", 4.0)];
    let measured = model.evaluate(&data).unwrap();
    assert_eq!(measured.iter().collect::<Vec<_>>(), expected);
    let history = model.fit(&data, Fit { verbose: false, ..Fit::default() }).unwrap();
    assert_eq!(history.epochs[0].measurements.iter().collect::<Vec<_>>(), expected);
}

#[test]
fn an_epoch_shows_the_penalty_before_each_step() {
    let x = input([1]);
    let dense = Dense::new(1).without_bias().kernel_regularizer(L2::new(0.5));
    let mut model = Model::new("decay", &x, dense.apply(&x)).unwrap();
    model.compile(Sgd::new(0.25), MeanSquaredError).unwrap();
    model.set_parameter("dense/kernel", &[8.0]).unwrap();
    // Three samples of nothing but zeros: all that is left is the penalty, whatever the samples' weights.
    let data = Dataset::new(tensor([3, 1], &[0.0; 3]), tensor([3, 1], &[0.0; 3])).unwrap();
    let data = data.with_weights(vec![3.0, 0.5, 2.0]).unwrap();
    let options = Fit { batch: 2, verbose: false, validation: Some(&data), ..Fit::default() };
    let history = model.fit(&data, options).unwrap();
    // 8, then 8 - 0.25 * 8 = 6, then 6 - 0.25 * 6 = 4.5; two samples saw 0.5 * 8^2, one 0.5 * 6^2.
    assert_eq!(history.last("loss"), Some((2.0 * 32.0 + 18.0) / 3.0));
    assert_eq!(history.last("val_loss"), Some(0.5 * 4.5 * 4.5));
    assert_eq!(model.parameter("dense/kernel").unwrap(), [4.5]);
}

#[test]
fn clipping_sees_the_whole_gradient() {
    let after = |optimizer: Arc<dyn Optimizer>| {
        let x = input([2]);
        let dense = Dense::new(1).without_bias().kernel_regularizer(L2::new(1.0));
        let mut model = Model::new("clipped", &x, dense.apply(&x)).unwrap();
        model.compile_with(optimizer, MeanSquaredError).unwrap();
        model.set_parameter("dense/kernel", &[3.0, 4.0]).unwrap();
        let data = Dataset::new(tensor([1, 2], &[0.0; 2]), tensor([1, 1], &[0.0])).unwrap();
        model.fit(&data, Fit { verbose: false, ..Fit::default() }).unwrap();
        model.parameter("dense/kernel").unwrap()
    };
    // The gradient is [6, 8], of length 10.
    assert_eq!(after(Arc::new(Sgd::new(0.5))), [0.0, 0.0]);
    assert_eq!(after(Arc::new(Sgd::new(0.5).clip_norm(5.0))), [1.5, 2.0]);
    assert_eq!(after(Arc::new(Sgd::new(0.5).clip_value(7.0))), [0.0, 0.5]);
}

#[test]
fn threads_change_no_bit_of_penalties() {
    // The kernel of 60,000 values is changed in several blocks.
    let trained = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let x = input([300]);
            let y = Dense::new(200).kernel_regularizer(L1L2::new(1e-3, 1e-2)).activation(Activation::Tanh).apply(&x);
            let y = Dense::new(1).kernel_regularizer(L2::default()).apply(&y);
            let mut model = Model::new("threads", &x, y).unwrap();
            model.compile(Sgd::new(0.01).clip_global_norm(1.0), MeanSquaredError).unwrap();
            let values = (0..100 * 300u32).map(|number| ((number * 37) % 101) as f32 / 50.0 - 1.0).collect();
            let data = Dataset::new(Tensor::new([100, 300], values).unwrap(), tensor([100, 1], &[1.0; 100])).unwrap();
            let history = model.fit(&data, Fit { epochs: 3, verbose: false, ..Fit::default() }).unwrap();
            let kernel = model.parameter("dense/kernel").unwrap();
            (history.last("loss").unwrap().to_bits(), kernel.iter().map(|value| value.to_bits()).collect::<Vec<_>>())
        })
    };
    let one = trained(1);
    for threads in [2, 3] {
        assert!(trained(threads) == one, "{threads} threads give another model than one");
    }
}
