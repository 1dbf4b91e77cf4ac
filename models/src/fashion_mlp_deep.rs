//! The textbook's dense net to compare optimizers on.

use samara_trainer::{initializers, prelude::*};

/// Three dense layers of 100 ReLU units with He et al.'s (2015) initial weights, and a softmax: deep enough that optimizers
/// differ, small enough to train it with each of them.
///
/// Input `[28, 28, 1]`, values 0 to 1; output `[10]`, probabilities. 99,710 parameters, 99,400 multiply-accumulates.
///
/// Source: A. Géron, *Hands-On Machine Learning with Scikit-Learn, Keras, and TensorFlow*, third edition, chapter 11.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn fashion_mlp_deep() -> Result<Model> {
    let mut model = Sequential::new("fashion-mlp-deep", [28, 28, 1]).add(Flatten::new());
    for _ in 0..3 {
        model = model.add(Dense::new(100).activation(Activation::Relu).kernel_initializer(initializers::he_normal()));
    }
    model.add(Dense::new(10).activation(Activation::Softmax)).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect;

    #[test]
    fn it_has_the_published_size() {
        let model = fashion_mlp_deep().unwrap();
        assert_eq!((expect::parameters(&model), expect::macs(&model)), (99_710, 99_400));
    }

    /// Keras's default, of variance 2 / (100 + 100), would be half as large.
    #[test]
    fn initial_weights_are_he_s() {
        let mut model = fashion_mlp_deep().unwrap();
        model.initialize(1);
        for parameter in model.parameters().iter().filter(|parameter| parameter.shape[..] == [100, 100]) {
            let values = parameter.values();
            let variance = values.iter().map(|weight| f64::from(weight * weight)).sum::<f64>() / values.len() as f64;
            assert!((variance * 50.0 - 1.0).abs() < 0.05, "{}: {variance}, expected {}", parameter.name, 2.0 / 100.0);
        }
    }
}
