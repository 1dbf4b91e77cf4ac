//! The textbook's dense net in its other forms: the same 300, 100 and 10 units, and what stands around them.
//!
//! Source of all: A. Géron, *Hands-On Machine Learning with Scikit-Learn, Keras, and TensorFlow*, chapter 11.

use samara_trainer::{initializers, prelude::*};

/// Batch normalization before the activation: the dense layers before it need no bias.
///
/// Input `[28, 28, 1]`, values 0 to 1; output `[10]`, probabilities. 270,946 parameters, 2,368 of them moving averages.
/// Everything folds: on the device it is three dense layers and a softmax.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn fashion_mlp_normalized_first() -> Result<Model> {
    let mut model =
        Sequential::new("fashion-mlp-normalized-first", [28, 28, 1]).add(Flatten::new()).add(BatchNormalization::new());
    for units in [300, 100] {
        let dense = Dense::new(units).without_bias();
        model = model.add(dense).add(BatchNormalization::new()).add(ActivationLayer::new(Activation::Relu));
    }
    model.add(Dense::new(10).activation(Activation::Softmax)).build()
}

/// No normalization, but initial weights as He et al. (2015) want them, and LeakyReLU with a slope of 0.3.
///
/// Input `[28, 28, 1]`, values 0 to 1; output `[10]`, probabilities. 266,610 parameters.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn fashion_mlp_leaky_relu() -> Result<Model> {
    let dense = |units| Dense::new(units).kernel_initializer(initializers::he_normal()).activation(Activation::LEAKY_RELU);
    plain("fashion-mlp-leaky-relu", dense)
}

/// No normalization, since SELU keeps mean and variance on their way through the net: initial weights are LeCun's, and the
/// inputs should have mean 0 and variance 1 (Klambauer et al. 2017); it also learns from values between 0 and 1.
///
/// Input `[28, 28, 1]`; output `[10]`, probabilities. 266,610 parameters.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn fashion_mlp_selu() -> Result<Model> {
    let dense = |units| Dense::new(units).kernel_initializer(initializers::lecun_normal()).activation(Activation::Selu);
    plain("fashion-mlp-selu", dense)
}

fn plain(name: &str, dense: impl Fn(usize) -> Dense) -> Result<Model> {
    Sequential::new(name, [28, 28, 1])
        .add(Flatten::new())
        .add(dense(300))
        .add(dense(100))
        .add(Dense::new(10).activation(Activation::Softmax))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect;

    const MACS: u64 = 784 * 300 + 300 * 100 + 100 * 10;

    #[test]
    fn they_have_the_published_sizes() {
        let model = fashion_mlp_normalized_first().unwrap();
        assert_eq!((expect::parameters(&model), model.trainable_size()), (270_946, 268_578));
        assert_eq!(expect::macs(&model), MACS);
        for model in [fashion_mlp_leaky_relu().unwrap(), fashion_mlp_selu().unwrap()] {
            assert_eq!((expect::parameters(&model), expect::macs(&model)), (266_610, MACS), "{}", model.name());
        }
    }

    /// Keras's defaults instead, of variance 2 / (300 + 100), would differ by a half from either.
    #[test]
    fn initial_weights_have_the_variance_that_the_activation_wants() {
        for (mut model, expected) in
            [(fashion_mlp_leaky_relu().unwrap(), 2.0 / 300.0), (fashion_mlp_selu().unwrap(), 1.0 / 300.0)]
        {
            model.initialize(1);
            let kernels = model.parameters().iter().find(|parameter| parameter.shape[..] == [300, 100]).unwrap().values();
            let variance = kernels.iter().map(|weight| f64::from(weight * weight)).sum::<f64>() / kernels.len() as f64;
            assert!((variance / expected - 1.0).abs() < 0.05, "{}: {variance}, expected {expected}", model.name());
        }
    }
}
