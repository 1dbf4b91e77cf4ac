//! Spoken digits, whole or as they come.

use samara_trainer::prelude::*;

/// Digits from log-mel features: a convolution along time, a pool of two frames, two separable convolutions, an average over all and
/// a dense layer. All windows are without padding, so that a stream of frames gives, hop by hop, what the last 49 frames give as a
/// whole; a hop has a multiple of two frames.
///
/// Input `[49, 40]`, frames of 40 bands: 32 ms every 20 ms, nearly a second; output `[10]`, probabilities. 14,474 parameters,
/// 390,208 multiply-accumulates.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn spoken_digits() -> Result<Model> {
    let frames = input([49, 40]).named("frames");
    let x = BatchNormalization::new().apply(&frames);
    let x = normalized_relu(&Conv1D::new(32, 5).without_bias().apply(&x));
    let x = MaxPooling1D::new(2).apply(&x);
    let x = normalized_relu(&SeparableConv1D::new(64, 5).without_bias().apply(&x));
    let x = normalized_relu(&SeparableConv1D::new(64, 5).without_bias().apply(&x));
    let x = Dropout::new(0.3).apply(GlobalAveragePooling1D::new().apply(&x));
    let digit = Dense::new(10).activation(Activation::Softmax).named("digit").apply(&x);
    Model::new("spoken-digits", [frames], [digit])
}

fn normalized_relu(x: &SymbolicTensor) -> SymbolicTensor {
    ActivationLayer::new(Activation::Relu).apply(BatchNormalization::new().apply(x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect;

    #[test]
    fn it_has_its_size_and_streams_through() {
        let model = spoken_digits().unwrap();
        assert_eq!((expect::parameters(&model), expect::macs(&model)), (14_474, 390_208));
        assert!(model.export_f32_stream(2).is_ok());
    }
}
