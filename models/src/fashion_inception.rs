//! A net around an inception module.

use samara_trainer::prelude::*;

/// Filters of the four branches of an inception module.
#[derive(Clone, Copy)]
struct Branches {
    /// Of the 1x1 convolution that is a branch of its own.
    point: usize,
    /// Of the 1x1 convolution that narrows, and of the 3x3 behind it.
    three: [usize; 2],
    /// Of the 1x1 convolution that narrows, and of the 5x5 behind it.
    five: [usize; 2],
    /// Of the 1x1 convolution behind the 3x3 maximum.
    pooled: usize,
}

/// A strided convolution, then two inception modules with a quarter of GoogLeNet's channels (its modules 3a and 3b), a pool
/// between them: windows of 1x1, 3x3 and 5x5 side by side, their channels stacked.
///
/// Input `[28, 28, 1]`, values 0 to 1; output `[10]`, probabilities. 36,406 parameters, 3,275,184 multiply-accumulates.
///
/// Source: C. Szegedy et al., *Going Deeper with Convolutions*, 2014.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn fashion_inception() -> Result<Model> {
    let image = input([28, 28, 1]).named("image");
    let x = convolution(48, 3).strides(2).apply(&image);
    let x = inception(&x, Branches { point: 16, three: [24, 32], five: [4, 8], pooled: 8 });
    let x = MaxPooling2D::new(3).strides(2).padding(Padding::Same).apply(&x);
    let x = inception(&x, Branches { point: 32, three: [32, 48], five: [8, 24], pooled: 16 });
    let x = GlobalAveragePooling2D::new().apply(&x);
    let y = Dense::new(10).activation(Activation::Softmax).apply(&x);
    Model::new("fashion-inception", [image], [y])
}

fn convolution(filters: usize, kernel: usize) -> Conv2D {
    Conv2D::new(filters, kernel).padding(Padding::Same).activation(Activation::Relu)
}

fn inception(x: &SymbolicTensor, filters: Branches) -> SymbolicTensor {
    let narrowed = |[narrow, wide]: [usize; 2], kernel| convolution(wide, kernel).apply(convolution(narrow, 1).apply(x));
    let point = convolution(filters.point, 1).apply(x);
    let (three, five) = (narrowed(filters.three, 3), narrowed(filters.five, 5));
    let largest = MaxPooling2D::new(3).strides(1).padding(Padding::Same).apply(x);
    let pooled = convolution(filters.pooled, 1).apply(&largest);
    Concatenate::new().apply([&point, &three, &five, &pooled])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect;

    #[test]
    fn it_has_the_size_it_says() {
        let model = fashion_inception().unwrap();
        assert_eq!((expect::parameters(&model), expect::macs(&model)), (36_406, 3_275_184));
    }

    /// Table 1 of the paper gives module 3a as 159 K parameters, counted without biases in units of 1,024.
    #[test]
    fn the_module_has_the_published_size() {
        let x = input([28, 28, 192]);
        let y = inception(&x, Branches { point: 64, three: [96, 128], five: [16, 32], pooled: 32 });
        let model = Model::new("3a", [x], [y]).unwrap();
        let biases = 64 + 96 + 128 + 16 + 32 + 32;
        assert_eq!(expect::parameters(&model) - biases, 163_328);
    }
}
