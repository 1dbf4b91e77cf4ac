//! Chains of dense layers.

use samara_trainer::{initializers, prelude::*};

/// The first net of the chapter on the functional API, as a chain: 64 values, two layers of 32 units, 10 classes.
///
/// Input `[64]`; output `[10]`, probabilities. 3,466 parameters.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn sequential_mlp() -> Result<Model> {
    Sequential::new("sequential-mlp", [64])
        .add(Dense::new(32).activation(Activation::Relu))
        .add(Dense::new(32).activation(Activation::Relu))
        .add(Dense::new(10).activation(Activation::Softmax))
        .build()
}

/// The same net as [`sequential_mlp`], by the functional API. Its parameters have the same names, so that the weights of
/// one go into the other.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn functional_mlp() -> Result<Model> {
    let values = input([64]);
    let x = Dense::new(32).activation(Activation::Relu).apply(&values);
    let x = Dense::new(32).activation(Activation::Relu).apply(&x);
    let classes = Dense::new(10).activation(Activation::Softmax).apply(&x);
    Model::new("functional-mlp", [values], [classes])
}

/// The net on which optimizers are compared: 784 values, 250 units, 10 classes.
///
/// Input `[28, 28, 1]`, each row of 784 values normalized to length 1; output `[10]`, probabilities. 198,760 parameters.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn benchmark_mlp() -> Result<Model> {
    Sequential::new("benchmark-mlp", [28, 28, 1])
        .add(Flatten::new())
        .add(Dense::new(250).activation(Activation::Relu))
        .add(Dense::new(10).activation(Activation::Softmax))
        .build()
}

/// The net of the experiment with transfer: dense layers of 300, 100, 50, 50 and 50 units with SELU, named `hidden_1` to
/// `hidden_5`, and a layer `output` of `classes` units: with softmax for more than one class, else with sigmoid.
///
/// Input `[28, 28, 1]`, values 0 to 1; output `[classes]`, probabilities. 276,158 parameters for 8 classes.
///
/// # Errors
/// None in practice for at least one class.
pub fn selu_classifier(name: &str, classes: usize) -> Result<Model> {
    let mut model = Sequential::new(name, [28, 28, 1]).add(Flatten::new());
    for (number, units) in [300, 100, 50, 50, 50].into_iter().enumerate() {
        // Keras's default initial weights, as in the book, though SELU would rather have LeCun's.
        let dense = Dense::new(units).kernel_initializer(initializers::glorot_uniform()).activation(Activation::Selu);
        model = model.add(dense.named(&format!("hidden_{}", number + 1)));
    }
    let activation = if classes > 1 { Activation::Softmax } else { Activation::Sigmoid };
    model.add(Dense::new(classes).activation(activation).named("output")).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect;

    #[test]
    fn they_have_the_printed_sizes() {
        assert_eq!(expect::parameters(&sequential_mlp().unwrap()), 3_466);
        assert_eq!(expect::parameters(&functional_mlp().unwrap()), 3_466);
        assert_eq!(expect::parameters(&benchmark_mlp().unwrap()), 784 * 250 + 250 + 250 * 10 + 10);
        assert_eq!(expect::parameters(&selu_classifier("a", 8).unwrap()), 276_158);
        assert_eq!(expect::parameters(&selu_classifier("b", 1).unwrap()), 275_801);
    }

    #[test]
    fn chain_and_graph_compute_the_same_from_the_same_weights() {
        let (mut chain, graph) = (sequential_mlp().unwrap(), functional_mlp().unwrap());
        chain.initialize(7);
        let inputs = Tensor::new([3, 64], (0u8..192).map(|i| f32::from(i % 13) / 13.0).collect()).unwrap();
        let expected = chain.predict(&inputs).unwrap();
        assert_ne!(graph.predict(&inputs).unwrap(), expected);
        for parameter in chain.parameters() {
            graph.set_parameter(&parameter.name, &parameter.values()).unwrap();
        }
        assert_eq!(graph.predict(&inputs).unwrap(), expected);
    }
}
