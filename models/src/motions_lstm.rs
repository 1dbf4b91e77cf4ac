//! What the wearer of a smart watch does, by an LSTM.

use samara_trainer::prelude::*;

/// One of four activities, from acceleration and rotation: the data of [`motions`](crate::motions), a normalization, an LSTM and a dense
/// layer. A stream may come step by step; its outputs are those of all steps so far.
///
/// Input `[100, 6]`, ten seconds of three axes each; output `[4]`, probabilities. 3,100 parameters, 288,096 multiply-accumulates.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn motions_lstm() -> Result<Model> {
    let steps = input([100, 6]).named("steps");
    let x = BatchNormalization::new().apply(&steps);
    let x = Dropout::new(0.2).apply(Lstm::new(24).apply(&x));
    let activity = Dense::new(4).activation(Activation::Softmax).named("activity").apply(&x);
    Model::new("motions-lstm", [steps], [activity])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect;

    #[test]
    fn it_has_its_size_and_streams_through() {
        let model = motions_lstm().unwrap();
        assert_eq!((expect::parameters(&model), expect::macs(&model)), (3100, 288_096));
        assert!(model.export_f32_stream(1).is_ok());
    }
}
