//! What the wearer of a smart watch does.

use samara_trainer::prelude::*;

/// One of four activities, from acceleration and rotation: two convolutions along time that take every second step, an average over
/// all and a dense layer. Without padding, so that a stream gives what the last 100 steps give as a whole; a hop has a multiple of
/// four steps.
///
/// Input `[100, 6]`, ten seconds of three axes each; output `[4]`, probabilities. 3,388 parameters, 79,488 multiply-accumulates.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn motions() -> Result<Model> {
    let steps = input([100, 6]).named("steps");
    let x = BatchNormalization::new().apply(&steps);
    let convolution = |filters, x: &SymbolicTensor| {
        let x = Conv1D::new(filters, 5).strides(2).without_bias().apply(x);
        ActivationLayer::new(Activation::Relu).apply(BatchNormalization::new().apply(x))
    };
    let x = convolution(32, &convolution(16, &x));
    let x = Dropout::new(0.2).apply(GlobalAveragePooling1D::new().apply(&x));
    let activity = Dense::new(4).activation(Activation::Softmax).named("activity").apply(&x);
    Model::new("motions", [steps], [activity])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect;

    #[test]
    fn it_has_its_size_and_streams_through() {
        let model = motions().unwrap();
        assert_eq!((expect::parameters(&model), expect::macs(&model)), (3388, 79_488));
        assert!(model.export_f32_stream(4).is_ok());
    }
}
