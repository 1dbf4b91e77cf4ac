//! MLPerf Tiny's image classification.

use samara_trainer::prelude::*;

/// ResNet-8: a convolution, then three residual blocks of 16, 32 and 64 channels, the last two halving the image and with a
/// 1x1 projection on the short way.
///
/// Input `[32, 32, 3]`; output `[10]`, probabilities. 78,666 parameters, 12,501,632 multiply-accumulates. As published, the
/// kernels of all convolutions have an L2 penalty of 1e-4.
///
/// Source: C. Banbury et al., *MLPerf Tiny Benchmark*, 2021, image classification; K. He et al., *Deep Residual Learning for
/// Image Recognition*, 2016.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn resnet8() -> Result<Model> {
    let image = input([32, 32, 3]).named("image");
    let mut x = relu(&normalized(&image, 16, 1));
    for (filters, stride) in [(16, 1), (32, 2), (64, 2)] {
        let long = normalized(&relu(&normalized(&x, filters, stride)), filters, 1);
        let short = if stride == 1 { x } else { convolution(filters, 1, stride).apply(&x) };
        x = relu(&Add::new().apply([&short, &long]));
    }
    let x = Flatten::new().apply(AveragePooling2D::new(8).apply(&x));
    let y = Dense::new(10).activation(Activation::Softmax).apply(&x);
    Model::new("resnet8", [image], [y])
}

fn normalized(x: &SymbolicTensor, filters: usize, stride: usize) -> SymbolicTensor {
    BatchNormalization::new().apply(convolution(filters, 3, stride).apply(x))
}

fn convolution(filters: usize, kernel: usize, stride: usize) -> Conv2D {
    Conv2D::new(filters, kernel).strides(stride).padding(Padding::Same).kernel_regularizer(L2::new(1e-4))
}

fn relu(x: &SymbolicTensor) -> SymbolicTensor {
    ActivationLayer::new(Activation::Relu).apply(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect;

    #[test]
    fn it_has_the_published_size() {
        let model = resnet8().unwrap();
        assert_eq!((expect::parameters(&model), expect::macs(&model)), (78_666, 12_501_632));
        // The stem, a pair of 3x3 for each block, the two projections; not the classifier.
        assert_eq!(expect::penalized(&model), 432 + 2 * 2304 + 4608 + 9216 + 18_432 + 36_864 + 512 + 2048);
    }
}
