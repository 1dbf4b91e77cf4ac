//! MLPerf Tiny's visual wake words.

use samara_trainer::prelude::*;

/// MobileNetV1 with a quarter of the channels: a strided convolution of 8 channels, then 13 pairs of a depthwise and a
/// pointwise convolution up to 256 channels, each with batch normalization and ReLU, and an average over the whole.
///
/// Input `[96, 96, 3]`; output `[2]`, probabilities of no person and of a person. 221,794 parameters, 7,489,664
/// multiply-accumulates.
///
/// As published, the kernels of the convolutions have an L2 penalty of 1e-4. The depthwise ones have none: the published
/// code gives theirs as `kernel_regularizer`, by which its Keras's depthwise layers went without one.
///
/// Source: C. Banbury et al., *MLPerf Tiny Benchmark*, 2021, visual wake words; A. Howard et al., *MobileNets: Efficient
/// Convolutional Neural Networks for Mobile Vision Applications*, 2017.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn mobilenet_v1() -> Result<Model> {
    let image = input([96, 96, 3]).named("image");
    let convolution = |filters, kernel: usize| Conv2D::new(filters, kernel).kernel_regularizer(L2::new(1e-4));
    let mut x = normalized_relu(&convolution(8, 3).strides(2).padding(Padding::Same).apply(&image));
    let narrow = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)];
    for (filters, stride) in narrow.into_iter().chain([(128, 1); 5]).chain([(256, 2), (256, 1)]) {
        x = normalized_relu(&DepthwiseConv2D::new(3).strides(stride).padding(Padding::Same).apply(&x));
        x = normalized_relu(&convolution(filters, 1).apply(&x));
    }
    let x = Flatten::new().apply(AveragePooling2D::new(3).apply(&x));
    let y = Dense::new(2).activation(Activation::Softmax).apply(&x);
    Model::new("mobilenet-v1", [image], [y])
}

fn normalized_relu(x: &SymbolicTensor) -> SymbolicTensor {
    ActivationLayer::new(Activation::Relu).apply(BatchNormalization::new().apply(x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect;

    #[test]
    fn it_has_the_published_size() {
        let model = mobilenet_v1().unwrap();
        assert_eq!((expect::parameters(&model), expect::macs(&model)), (221_794, 7_489_664));
        // The 3x3 convolution, then pointwise ones from 8 to 256 channels.
        assert_eq!(expect::penalized(&model), 216 + 128 + 512 + 1024 + 2048 + 4096 + 8192 + 5 * 16_384 + 32_768 + 65_536);
    }
}
