//! Nets and modules for images.

use samara_trainer::prelude::*;

/// The book's net of separable convolutions for a small set of images.
///
/// Input `[64, 64, 3]`; output `[10]`, probabilities. 38,949 parameters.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn separable_classifier() -> Result<Model> {
    let separable = |filters| SeparableConv2D::new(filters, 3).activation(Activation::Relu);
    Sequential::new("separable-classifier", [64, 64, 3])
        .add(separable(32))
        .add(separable(64))
        .add(MaxPooling2D::new(2))
        .add(separable(64))
        .add(separable(128))
        .add(MaxPooling2D::new(2))
        .add(separable(64))
        .add(separable(128))
        .add(GlobalAveragePooling2D::new())
        .add(Dense::new(32).activation(Activation::Relu))
        .add(Dense::new(10).activation(Activation::Softmax))
        .build()
}

/// The module of Inception V3 that the book prints: four branches of convolutions with stride 2, put side by side.
///
/// Input `[H, W, C]`; output `[ceil(H / 2), ceil(W / 2), 512]` with [`Padding::Same`]: `[18, 18, 512]` and 639,872 parameters
/// for 36x36 pixels of 128 channels. With [`Padding::Valid`], as printed, the branches have four different sizes.
///
/// # Errors
/// With [`Padding::Valid`]: the four sizes that do not go together.
pub fn inception_module(shape: [usize; 3], padding: Padding) -> Result<Model> {
    let x = input(shape);
    let conv = |kernel: usize, strides: usize, x: &SymbolicTensor| {
        Conv2D::new(128, kernel).strides(strides).padding(padding).activation(Activation::Relu).apply(x)
    };
    let a = conv(1, 2, &x);
    let b = conv(3, 2, &conv(1, 1, &x));
    let c = conv(3, 1, &AveragePooling2D::new(3).strides(2).padding(padding).apply(&x));
    let d = conv(3, 2, &conv(3, 1, &conv(1, 1, &x)));
    let output = Concatenate::new().apply([&a, &b, &c, &d]);
    Model::new("inception-module", [x], [output])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect;

    #[test]
    fn they_have_the_printed_sizes() {
        assert_eq!(expect::parameters(&separable_classifier().unwrap()), 38_949);
        let module = inception_module([36, 36, 128], Padding::Same).unwrap();
        assert_eq!(expect::parameters(&module), 639_872);
        assert_eq!(module.graph().nodes[module.graph().outputs[0]].shape[..], [18, 18, 512]);
    }

    #[test]
    fn the_module_as_printed_is_refused_with_its_four_sizes() {
        let error = inception_module([36, 36, 128], Padding::Valid).unwrap_err().to_string();
        for size in ["[18, 18, 128]", "[17, 17, 128]", "[15, 15, 128]", "[16, 16, 128]"] {
            assert!(error.contains(size), "{size} is not in: {error}");
        }
        assert!(error.contains("concatenate"), "{error}");
    }
}
