//! Nets of residual blocks, the two kinds of short way apart: nothing, or a projection.

use samara_trainer::prelude::*;

/// Three residual blocks of 16 channels whose short way is the input itself; a pool halves the image between them.
///
/// Input `[28, 28, 1]`, values 0 to 1; output `[10]`, probabilities. 14,586 parameters, 4,854,688 multiply-accumulates.
///
/// Source: K. He et al., *Deep Residual Learning for Image Recognition*, 2016 (the identity of figure 2).
///
/// # Errors
/// None in practice: the graph is tested.
pub fn fashion_residual() -> Result<Model> {
    build("fashion-residual", |x, number| {
        let x = if number == 0 { x.clone() } else { MaxPooling2D::new(2).apply(x) };
        residual(&x, &x, 16, 1)
    })
}

/// Three residual blocks of 16, 32 and 64 channels that halve the image; their short way is a 1x1 convolution with the same
/// stride.
///
/// Input `[28, 28, 1]`, values 0 to 1; output `[10]`, probabilities. 78,746 parameters, 2,686,848 multiply-accumulates.
///
/// Source: K. He et al., *Deep Residual Learning for Image Recognition*, 2016 (option B of section 3.3).
///
/// # Errors
/// None in practice: the graph is tested.
pub fn fashion_residual_projected() -> Result<Model> {
    build("fashion-residual-projected", |x, number| {
        let filters = 16 << number;
        let projection = Conv2D::new(filters, 1).strides(2).padding(Padding::Same).without_bias();
        let short = BatchNormalization::new().apply(projection.apply(x));
        residual(x, &short, filters, 2)
    })
}

/// A convolution, `block` for the numbers 0, 1 and 2, and the classes.
fn build(name: &str, block: impl Fn(&SymbolicTensor, usize) -> SymbolicTensor) -> Result<Model> {
    let image = input([28, 28, 1]).named("image");
    let stem = relu(&normalized(&image, 16, 1));
    let x = (0..3).fold(stem, |x, number| block(&x, number));
    let y = Dense::new(10).activation(Activation::Softmax).apply(GlobalAveragePooling2D::new().apply(&x));
    Model::new(name, [image], [y])
}

fn residual(x: &SymbolicTensor, short: &SymbolicTensor, filters: usize, stride: usize) -> SymbolicTensor {
    let long = normalized(&relu(&normalized(x, filters, stride)), filters, 1);
    relu(&Add::new().apply([short, &long]))
}

fn normalized(x: &SymbolicTensor, filters: usize, stride: usize) -> SymbolicTensor {
    let convolved = Conv2D::new(filters, 3).strides(stride).padding(Padding::Same).without_bias().apply(x);
    BatchNormalization::new().apply(&convolved)
}

fn relu(x: &SymbolicTensor) -> SymbolicTensor {
    ActivationLayer::new(Activation::Relu).apply(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect;

    #[test]
    fn they_have_the_sizes_they_say() {
        let model = fashion_residual().unwrap();
        assert_eq!((expect::parameters(&model), expect::macs(&model)), (14_586, 4_854_688));
        let model = fashion_residual_projected().unwrap();
        assert_eq!((expect::parameters(&model), expect::macs(&model)), (78_746, 2_686_848));
    }
}
