//! Layers that a model uses several times: one set of int8 constants, unless that costs precision.

use samara_runtime::format::writer::ModelFile;
use samara_tests::{
    generator, graphs,
    whole::{Ratios, ratios},
};
use samara_trainer::prelude::*;
use samara_trainer::quantize::Options;

/// The sizes of a trained model's files in f32 and int8, what the int8 file says, and how far they are from the trainer.
fn exported(model: &Model, samples: &[Tensor]) -> ([usize; 2], ModelFile, Ratios) {
    let f32_file = model.export_f32().expect("a model that can be exported");
    let int8 = model.export_int8(samples, Options::default()).expect("a model that can be exported");
    let sizes = [f32_file.len(), int8.len()];
    let file = ModelFile::from_bytes(&int8).expect("a file that was just made");
    (sizes, file, ratios(model, samples).expect("a model that can be exported"))
}

fn trained(model: Result<Model>) -> (Model, Vec<Tensor>) {
    let model = model.expect("layers that fit");
    let mut random = generator(11);
    graphs::train(&model, &mut random);
    let samples = graphs::samples(&model, &mut random);
    (model, samples)
}

/// Samples of one reach for each input.
fn samples(shape: [usize; 3], reaches: &[f32]) -> Vec<Tensor> {
    use rand::Rng;
    let mut random = generator(12);
    let of_reach = |&reach: &f32| {
        let values = (0..40 * shape.iter().product::<usize>()).map(|_| random.random_range(-reach..reach)).collect();
        Tensor::from_samples(shape, values).expect("whole samples")
    };
    reaches.iter().map(of_reach).collect()
}

/// One set of weights: the constants are hardly larger than the weights in int8.
fn assert_one_set((sizes, file, Ratios { f32, int8 }): ([usize; 2], ModelFile, Ratios), weights: usize) {
    let [in_f32, in_int8] = sizes;
    assert!(in_int8 < in_f32, "{in_int8} bytes in int8, {in_f32} in f32");
    assert!(file.metadata.notes.is_empty(), "{:?}", file.metadata.notes);
    let constants = file.constants.len();
    assert!(constants < weights * 3 / 2, "{constants} bytes of constants, {weights} weights");
    assert!(f32 > 100.0 && int8 > 25.0, "{f32:.1} dB in f32, {int8:.1} dB in int8");
}

/// One set of weights, or what it would have cost, which is more than is allowed; never a loss without a word.
fn assert_one_set_or_told((sizes, file, ratios): ([usize; 2], ModelFile, Ratios), weights: usize) {
    if file.metadata.notes.is_empty() {
        return assert_one_set((sizes, file, ratios), weights);
    }
    assert!(sizes[1] < sizes[0], "{} bytes in int8, {} in f32", sizes[1], sizes[0]);
    for note in &file.metadata.notes {
        let cost = note.rsplit_once("would cost ").and_then(|(_, cost)| cost.strip_suffix(" dB")?.parse::<f64>().ok());
        assert!(cost.is_some_and(|cost| cost >= 0.3), "{note}");
    }
    assert!(ratios.f32 > 100.0 && ratios.int8 > 25.0, "{:.1} dB in f32, {:.1} dB in int8", ratios.f32, ratios.int8);
}

#[test]
fn a_dense_layer_used_twice() {
    let x = input([64]);
    let dense = Dense::new(64).activation(Activation::Tanh);
    let y = Dense::new(5).apply(dense.apply(dense.apply(&x)));
    let (model, samples) = trained(Model::new("twice", &x, y));
    assert_one_set(exported(&model, &samples), 64 * 64 + 64 * 5);
}

/// The same convolutions on two pictures.
fn two_pictures() -> (Model, usize) {
    let (a, b) = (input([8, 8, 4]), input([8, 8, 4]));
    let (first, second) = (Conv2D::new(16, 3).activation(Activation::Relu), DepthwiseConv2D::new(3));
    let third = Conv2D::new(32, 3);
    let base = |x: &SymbolicTensor| GlobalAveragePooling2D::new().apply(third.apply(second.apply(first.apply(x))));
    let y = Dense::new(3).apply(Subtract::new().apply([base(&a), base(&b)]));
    let (model, _) = trained(Model::new("pictures", [a, b], y));
    (model, 4 * 9 * 16 + 9 * 16 + 16 * 9 * 32 + 32 * 3)
}

#[test]
fn convolutions_on_two_inputs_of_one_range() {
    let (model, weights) = two_pictures();
    assert_one_set_or_told(exported(&model, &samples([8, 8, 4], &[1.0, 1.0])), weights);
}

#[test]
fn convolutions_on_two_inputs_of_other_ranges_keep_their_precision_and_say_so() {
    let (model, _) = two_pictures();
    let ([in_f32, in_int8], file, Ratios { f32, int8 }) = exported(&model, &samples([8, 8, 4], &[8.0, 0.05]));
    assert!(in_int8 < in_f32, "{in_int8} bytes in int8, {in_f32} in f32");
    // Bits of the small picture are lost in the large one's output: what is asked is that nothing is lost by sharing.
    assert!(f32 > 100.0 && int8 > 25.0, "{f32:.1} dB in f32, {int8:.1} dB in int8");
    for note in &file.metadata.notes {
        assert!(note.contains("int8 constants for each of its uses: one set would cost") && note.contains("dB"), "{note}");
    }
}

#[test]
fn a_dense_layer_on_values_of_other_sizes_says_what_one_set_would_cost() {
    // The first output is a hundred times the second: with one scale, this would have few steps left.
    let (a, b) = (input([16]), input([16]));
    let dense = Dense::new(16);
    let (model, _) = trained(Model::new("sizes", [&a, &b], [dense.apply(&a), dense.apply(&b)]));
    let [large, small] = [10.0, 0.1].map(|reach| {
        let values = samples([1, 1, 16], &[reach]).remove(0).values().to_vec();
        Tensor::from_samples([16], values).expect("whole samples")
    });
    let (_, file, Ratios { f32, int8 }) = exported(&model, &[large, small]);
    assert_eq!(file.metadata.notes.len(), 1, "{:?}", file.metadata.notes);
    assert!(file.metadata.notes[0].starts_with("\"dense\" has int8 constants"), "{:?}", file.metadata.notes);
    assert!(f32 > 100.0 && int8 > 30.0, "{f32:.1} dB in f32, {int8:.1} dB in int8");
}

#[test]
fn a_model_used_twice_in_another() {
    let x = input([32]);
    let hidden = BatchNormalization::new().apply(Dense::new(48).activation(Activation::Swish).apply(&x));
    let inner = Model::new("inner", &x, Dense::new(32).apply(hidden)).expect("layers that fit");
    let y = input([32]);
    let once = inner.apply(&y);
    let twice = inner.apply(&once);
    let (model, samples) = trained(Model::new("outer", &y, Dense::new(4).apply(Add::new().apply([&once, &twice]))));
    assert_one_set_or_told(exported(&model, &samples), 32 * 48 * 2 + 32 * 4);
}
