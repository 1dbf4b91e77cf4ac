//! Global max pooling: `y[c] = max_h,w x[h, w, c]`; pooling.rs.
//!
//! Inputs `[H, W, C]`, outputs `[C]`.

use serde::{Deserialize, Serialize};

use super::pooling::{Pooling, pooling_layer};
use super::{Example, Layer, LayerBase};
use crate::device::ops::PoolKind;

/// Keeps the largest value of each channel of the whole image.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct GlobalMaxPooling2D {
    base: LayerBase,
}

impl GlobalMaxPooling2D {
    /// The layer.
    pub fn new() -> Self {
        Self::default()
    }

    fn pooling(&self) -> Pooling {
        Pooling::global(PoolKind::Maximum, 2)
    }
}

impl Layer for GlobalMaxPooling2D {
    pooling_layer!("GlobalMaxPooling2D");
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(GlobalMaxPooling2D::new(), &[&[4, 3, 5]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::Harness;
    use super::super::pooling::tests::{check_global, largest};
    use super::*;
    use crate::graph::Shape;

    #[test]
    fn agrees_with_the_naive_reference() {
        check_global(&GlobalMaxPooling2D::new(), largest);
    }

    #[test]
    fn the_first_of_equal_values_gets_the_gradient() {
        let layer = GlobalMaxPooling2D::new();
        let mut harness = Harness::new(&layer, &[Shape::from([2, 2, 2])], 1);
        harness.inputs[0].copy_from_slice(&[1.0, -1.0, 3.0, -2.0, 3.0, -3.0, 2.0, -1.0]);
        assert_eq!(harness.forward(), [3.0, -1.0]);
        harness.output_gradient.copy_from_slice(&[4.0, 8.0]);
        harness.backward(true, false);
        assert_eq!(harness.input_gradients[0][..], [0.0, 8.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
