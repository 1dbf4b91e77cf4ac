//! Who speaks two vowels.

use samara_trainer::prelude::*;

/// One of nine speakers, from an utterance of two vowels: a normalization, an LSTM and a dense layer.
///
/// Input `[29, 12]`, up to 29 frames of 12 LPC cepstrum coefficients; output `[9]`, probabilities. 6,105 parameters, 163,616
/// multiply-accumulates for the longest.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn vowels() -> Result<Model> {
    let frames = input([29, 12]).named("frames").variable_length();
    let x = BatchNormalization::new().apply(&frames);
    let x = Dropout::new(0.3).apply(Lstm::new(32).apply(&x));
    let speaker = Dense::new(9).activation(Activation::Softmax).named("speaker").apply(&x);
    Model::new("vowels", [frames], [speaker])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect;

    #[test]
    fn it_has_its_size_and_streams_through() {
        let model = vowels().unwrap();
        assert_eq!((expect::parameters(&model), expect::macs(&model)), (6105, 163_616));
        assert!(model.export_f32_stream(1).is_ok());
    }
}
