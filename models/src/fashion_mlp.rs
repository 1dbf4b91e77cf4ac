//! The textbook's dense net with batch normalization.

use samara_trainer::prelude::*;

/// Dense layers of 300, 100 and 10 units, batch normalization before the first and behind the others: the workload W1 that
/// training speed and accuracy are compared on.
///
/// Input `[28, 28, 1]`, values 0 to 1; output `[10]`, probabilities. 271,346 parameters, 2,368 of them moving averages.
///
/// Source: A. Géron, *Hands-On Machine Learning with Scikit-Learn, Keras, and TensorFlow*, chapter 11.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn fashion_mlp() -> Result<Model> {
    let dense = |units| Dense::new(units).activation(Activation::Relu);
    Sequential::new("fashion-mlp", [28, 28, 1])
        .add(Flatten::new())
        .add(BatchNormalization::new())
        .add(dense(300))
        .add(BatchNormalization::new())
        .add(dense(100))
        .add(BatchNormalization::new())
        .add(Dense::new(10).activation(Activation::Softmax))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect;

    #[test]
    fn it_has_the_published_size() {
        let model = fashion_mlp().unwrap();
        assert_eq!((expect::parameters(&model), model.trainable_size()), (271_346, 268_978));
        assert_eq!(expect::macs(&model), 784 * 300 + 300 * 100 + 100 * 10);
    }
}
