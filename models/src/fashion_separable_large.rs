//! A net of separable convolutions at full resolution.

use samara_trainer::prelude::*;

/// Four separable convolutions with ReLU, batch normalization behind the first two, two pools, two dense layers: the
/// workload W2 that training speed is compared on.
///
/// Input `[28, 28, 1]`, values 0 to 1; output `[10]`, probabilities. 20,947 parameters, 4,502,224 multiply-accumulates.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn fashion_separable_large() -> Result<Model> {
    let image = input([28, 28, 1]).named("image");
    let separable = |filters| SeparableConv2D::new(filters, 3).padding(Padding::Same).activation(Activation::Relu);
    let x = BatchNormalization::new().apply(separable(32).apply(&image));
    let x = BatchNormalization::new().apply(separable(64).apply(&x));
    let x = MaxPooling2D::new(2).apply(&x);
    let x = separable(128).apply(separable(64).apply(&x));
    let x = MaxPooling2D::new(2).apply(&x);
    let x = GlobalAveragePooling2D::new().apply(&x);
    let x = Dense::new(32).activation(Activation::Relu).apply(&x);
    let y = Dense::new(10).activation(Activation::Softmax).apply(&x);
    Model::new("fashion-separable-large", [image], [y])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect;

    #[test]
    fn it_has_the_size_it_says() {
        let model = fashion_separable_large().unwrap();
        assert_eq!((expect::parameters(&model), expect::macs(&model)), (20_947, 4_502_224));
    }
}
