//! MLPerf Tiny's keyword spotting.

use samara_trainer::prelude::*;

/// DS-CNN: a strided 10x4 convolution, four blocks of a depthwise and a pointwise convolution of 64 channels, each with
/// batch normalization and ReLU, and an average over the whole.
///
/// Input `[49, 10, 1]`, 49 frames of 10 cepstral coefficients; output `[12]`, probabilities. 24,908 parameters, 2,656,768
/// multiply-accumulates.
///
/// As published, the kernels of the convolutions have an L2 penalty of 1e-4. The depthwise ones have none: the published
/// code gives theirs as `kernel_regularizer`, by which its Keras's depthwise layers went without one.
///
/// Source: C. Banbury et al., *MLPerf Tiny Benchmark*, 2021, keyword spotting; Y. Zhang et al., *Hello Edge: Keyword
/// Spotting on Microcontrollers*, 2017.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn ds_cnn() -> Result<Model> {
    let frames = input([49, 10, 1]).named("frames");
    let convolution = |kernel: [usize; 2]| Conv2D::new(64, kernel).kernel_regularizer(L2::new(1e-4));
    let mut x = normalized_relu(&convolution([10, 4]).strides(2).padding(Padding::Same).apply(&frames));
    for _ in 0..4 {
        x = normalized_relu(&DepthwiseConv2D::new(3).padding(Padding::Same).apply(&x));
        x = normalized_relu(&convolution([1, 1]).apply(&x));
    }
    let x = Flatten::new().apply(AveragePooling2D::new((25, 5)).apply(&x));
    let y = Dense::new(12).activation(Activation::Softmax).apply(&x);
    Model::new("ds-cnn", [frames], [y])
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
        let model = ds_cnn().unwrap();
        assert_eq!((expect::parameters(&model), expect::macs(&model)), (24_908, 2_656_768));
        // The 10x4 convolution and four pointwise ones.
        assert_eq!(expect::penalized(&model), 2560 + 4 * 4096);
    }
}
