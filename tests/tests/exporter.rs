//! Models that the exporter once got wrong, and others that it might: what it gives computes what the model computes.

use samara_tests::{
    generator, graphs,
    whole::{Ratios, ratios},
};
use samara_trainer::prelude::*;

fn norm() -> BatchNormalization {
    BatchNormalization::new()
}

/// A model of layers one behind the other with trained weights, and how far its files are from it.
fn chain(shape: impl Into<Shape>, layers: &[&dyn Apply]) -> Ratios {
    let x = input(shape);
    let y = layers.iter().fold(x.clone(), |x, layer| layer.apply_to(vec![x]));
    model(Model::new("chain", &x, y))
}

fn model(model: Result<Model>) -> Ratios {
    let model = model.expect("layers that fit");
    let mut random = generator(7);
    graphs::train(&model, &mut random);
    ratios(&model, &graphs::samples(&model, &mut random)).expect("a model that can be exported")
}

/// Both files are right: in f32 to the last digits, in int8 but for rounding.
fn assert_right(Ratios { f32, int8 }: Ratios) {
    assert!(f32 > 100.0 && int8 > 25.0, "{f32:.1} dB in f32, {int8:.1} dB in int8");
}

#[test]
fn a_norm_stays_before_a_pool_of_channels_that_a_reshape_made_fewer() {
    // Issue 7: 4.1 dB in both files.
    let layers: [&dyn Apply; 5] =
        [&norm(), &Reshape::new([4, 2, 2]), &AveragePooling2D::new(2), &Flatten::new(), &Dense::new(3)];
    assert_right(chain([2, 2, 4], &layers));
}

#[test]
fn a_norm_stays_before_an_upsampling_of_channels_that_a_reshape_made_fewer() {
    // Issue 7: 2.8 dB in both files.
    let hidden = Dense::new(392).activation(Activation::Relu);
    let layers: [&dyn Apply; 6] =
        [&hidden, &norm(), &Reshape::new([7, 7, 8]), &UpSampling2D::new(2), &Flatten::new(), &Dense::new(3)];
    assert_right(chain([6], &layers));
}

#[test]
fn channels_are_evened_out_before_a_depthwise_convolution_of_more_of_them() {
    // Issue 7: 18.9 dB in int8.
    let layers: [&dyn Apply; 5] =
        [&Conv2D::new(4, 1), &Reshape::new([4, 2, 8]), &DepthwiseConv2D::new(1), &Flatten::new(), &Dense::new(3)];
    assert_right(chain([4, 4, 3], &layers));
}

#[test]
fn channels_of_a_norm_behind_a_convolution_are_evened_out_before_more_of_them() {
    // Issue 7: 17.0 dB in int8.
    let layers: [&dyn Apply; 6] =
        [&Conv2D::new(4, 1), &norm(), &Reshape::new([4, 2, 8]), &DepthwiseConv2D::new(2), &Flatten::new(), &Dense::new(3)];
    assert_right(chain([4, 4, 3], &layers));
}

#[test]
fn channels_of_a_norm_are_evened_out_before_a_depthwise_convolution_of_more_of_them() {
    // Issue 7: 2.9 dB in int8.
    let layers: [&dyn Apply; 5] =
        [&norm(), &Reshape::new([4, 2, 8]), &DepthwiseConv2D::new(2), &Flatten::new(), &Dense::new(3)];
    assert_right(chain([4, 4, 4], &layers));
}

#[test]
fn what_is_next_to_nothing_is_exported() {
    // A tensor that is zero but for the rounding of f32, far below its inputs: a PReLU behind it asked for a larger shift than
    // there is, and the export failed. A norm with a shift of its own asks for more still.
    let x = input([14]);
    let third = Average::new().apply([&x, &x, &x]);
    let nothing = Subtract::new().apply([&third, &x]);
    for layer in [&PReLU::new() as &dyn Apply, &norm(), &Dense::new(4)] {
        let y = layer.apply_to(vec![nothing.clone()]);
        model(Model::new("nothing", &x, y));
    }
}

#[test]
fn nets_of_sequences_fold_as_those_of_images_do() {
    // Norms go into the convolutions before them and ReLUs become their clamps, through the reshapes that make images of
    // sequences; of those, one stays at the beginning and one at the end.
    let causal = |filters| Conv1D::new(filters, 3).padding(Padding::Causal);
    let relu = || ActivationLayer::new(Activation::Relu);
    let x = input([16, 3]);
    let layers: [&dyn Apply; 9] = [
        &causal(4),
        &norm(),
        &relu(),
        &DepthwiseConv1D::new(3),
        &norm(),
        &relu(),
        &MaxPooling1D::new(2),
        &SeparableConv1D::new(5, 3).activation(Activation::Relu),
        &GlobalAveragePooling1D::new(),
    ];
    let y = layers.iter().fold(x.clone(), |x, layer| layer.apply_to(vec![x]));
    let model = Model::new("sequences", &x, y).expect("layers that fit");
    graphs::train(&model, &mut generator(7));
    let graph = model.device_graph().expect("a model that can be exported");
    let names: Vec<&str> = graph.nodes.iter().map(|node| node.name.rsplit('/').next().unwrap_or_default()).collect();
    let wanted = ["image", "convolution", "convolution", "pool", "depthwise", "pointwise", "pool", "global_average_pooling1d"];
    assert_eq!(names, wanted);
    assert_right(ratios(&model, &graphs::samples(&model, &mut generator(7))).expect("a model that can be exported"));
}
