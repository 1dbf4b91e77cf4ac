//! Xception at its full size, and two cameras that share it.

use samara_trainer::prelude::*;

/// Xception without its classes: what an image contains, 2,048 features at each of its last places.
///
/// Input `[size, size, 3]`; output `[size / 32, size / 32, 2048]`, rounded up: `[8, 8, 2048]` for 250 pixels. 20,861,480
/// parameters, 54,528 of them moving averages.
///
/// Source: F. Chollet, *Xception: Deep Learning with Depthwise Separable Convolutions*, 2017, figure 5.
///
/// # Errors
/// If the image is too small for the first convolutions.
pub fn xception_base(size: usize) -> Result<Model> {
    let image = input([size, size, 3]).named("image");
    let features = features(&image);
    Model::new("xception", [image], [features])
}

/// [`xception_base`] for images of 299 x 299 pixels, the mean over all places, and 1,000 classes.
///
/// Input `[299, 299, 3]`; output `[1000]`, probabilities. 22,910,480 parameters.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn xception() -> Result<Model> {
    let image = input([299, 299, 3]).named("image");
    let x = GlobalAveragePooling2D::new().apply(features(&image));
    let classes = Dense::new(1000).activation(Activation::Softmax).named("predictions").apply(&x);
    Model::new("xception", [image], [classes])
}

/// One base that sees with two cameras: the features of the left image and those of the right, side by side.
///
/// Inputs `left` and `right`, `[250, 250, 3]`; output `[8, 8, 4096]`. The base's 20,861,480 parameters are there once.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn dual_camera() -> Result<Model> {
    let base = xception_base(250)?;
    let (left, right) = (input([250, 250, 3]).named("left"), input([250, 250, 3]).named("right"));
    let both = Concatenate::new().apply([&base.apply(&left), &base.apply(&right)]);
    Model::new("dual-camera", [left, right], [both])
}

fn features(image: &SymbolicTensor) -> SymbolicTensor {
    let conv = |filters, strides, x: &SymbolicTensor| {
        relu(&BatchNormalization::new().apply(Conv2D::new(filters, 3).strides(strides).without_bias().apply(x)))
    };
    let mut x = conv(64, 1, &conv(32, 2, image));
    // The first block has no ReLU of its own: its input comes out of one.
    x = shrink(&x, &separable(128, &x), 128);
    for filters in [256, 728] {
        x = shrink(&x, &separable(filters, &relu(&x)), filters);
    }
    for _ in 0..8 {
        let long = (0..3).fold(x.clone(), |long, _| separable(728, &relu(&long)));
        x = Add::new().apply([&long, &x]);
    }
    x = shrink(&x, &separable(728, &relu(&x)), 1024);
    relu(&separable(2048, &relu(&separable(1536, &x))))
}

/// The end of a block that halves the image: one more separable convolution and a maximum, beside a strided 1x1 convolution.
fn shrink(x: &SymbolicTensor, long: &SymbolicTensor, filters: usize) -> SymbolicTensor {
    let long = separable(filters, &relu(long));
    let long = MaxPooling2D::new(3).strides(2).padding(Padding::Same).apply(&long);
    let short = Conv2D::new(filters, 1).strides(2).padding(Padding::Same).without_bias().apply(x);
    Add::new().apply([&long, &BatchNormalization::new().apply(&short)])
}

fn separable(filters: usize, x: &SymbolicTensor) -> SymbolicTensor {
    BatchNormalization::new().apply(SeparableConv2D::new(filters, 3).padding(Padding::Same).without_bias().apply(x))
}

fn relu(x: &SymbolicTensor) -> SymbolicTensor {
    ActivationLayer::new(Activation::Relu).apply(x)
}

#[cfg(test)]
mod tests {
    use samara_trainer::graph::ParameterKind;

    use super::*;
    use crate::expect;

    #[test]
    fn they_have_the_published_sizes() {
        assert_eq!(expect::parameters(&xception().unwrap()), 22_910_480);
        let dual = dual_camera().unwrap();
        assert_eq!(expect::parameters(&dual), 20_861_480);
        let averages = dual.parameters().iter().filter(|parameter| parameter.kind == ParameterKind::Statistic);
        assert_eq!(averages.map(|parameter| parameter.shape.size()).sum::<usize>(), 54_528);
        assert_eq!(dual.graph().nodes[dual.graph().outputs[0]].shape[..], [8, 8, 4096]);
    }
}
