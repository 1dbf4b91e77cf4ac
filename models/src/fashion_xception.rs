//! A small Xception.

use samara_trainer::prelude::*;

/// A 5x5 convolution, then blocks of 16, 32 and 64 channels: two separable convolutions, each behind batch normalization and
/// ReLU, and a strided maximum, beside a strided 1x1 convolution as the short way.
///
/// Input `[28, 28, 1]`, values 0 to 1; output `[10]`, probabilities. 14,346 parameters, 1,301,248 multiply-accumulates.
/// The first batch normalization of a block does not fold, since the short way takes what lies before it.
///
/// Source: F. Chollet, *Xception: Deep Learning with Depthwise Separable Convolutions*, 2017, and the small form in his
/// *Deep Learning with Python*, 2nd edition, chapter 9.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn fashion_xception() -> Result<Model> {
    let image = input([28, 28, 1]).named("image");
    let x = base(&image, 16, &[16, 32, 64]);
    let y = Dense::new(10).activation(Activation::Softmax).apply(&x);
    Model::new("fashion-xception", [image], [y])
}

/// From images to features: all before the classes.
fn base(image: &SymbolicTensor, stem: usize, blocks: &[usize]) -> SymbolicTensor {
    let mut x = Conv2D::new(stem, 5).without_bias().apply(image);
    for &filters in blocks {
        let long = separable(&separable(&x, filters), filters);
        let long = MaxPooling2D::new(3).strides(2).padding(Padding::Same).apply(&long);
        let short = Conv2D::new(filters, 1).strides(2).padding(Padding::Same).without_bias().apply(&x);
        x = Add::new().apply([&long, &short]);
    }
    Dropout::new(0.5).apply(GlobalAveragePooling2D::new().apply(&x))
}

fn separable(x: &SymbolicTensor, filters: usize) -> SymbolicTensor {
    let x = ActivationLayer::new(Activation::Relu).apply(BatchNormalization::new().apply(x));
    SeparableConv2D::new(filters, 3).padding(Padding::Same).without_bias().apply(&x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect;

    #[test]
    fn it_has_the_size_it_says() {
        let model = fashion_xception().unwrap();
        assert_eq!((expect::parameters(&model), expect::macs(&model)), (14_346, 1_301_248));
    }

    /// The book's net for cats and dogs: 180x180x3, blocks of 32 to 512 channels, one class.
    #[test]
    fn the_base_has_the_published_size() {
        let image = input([180, 180, 3]);
        let y = Dense::new(1).activation(Activation::Sigmoid).apply(base(&image, 32, &[32, 64, 128, 256, 512]));
        assert_eq!(expect::parameters(&Model::new("book", [image], [y]).unwrap()), 721_857);
    }
}
