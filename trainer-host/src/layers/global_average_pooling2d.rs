//! Global average pooling: `y[c] = sum_h,w x[h, w, c] / (H * W)`; pooling.rs.
//!
//! Inputs `[H, W, C]`, outputs `[C]`.

use serde::{Deserialize, Serialize};

use super::pooling::{Pooling, pooling_layer};
use super::{Example, Layer, LayerBase};
use crate::device::ops::PoolKind;

/// Averages each channel over the whole image.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct GlobalAveragePooling2D {
    base: LayerBase,
}

impl GlobalAveragePooling2D {
    /// The layer.
    pub fn new() -> Self {
        Self::default()
    }

    fn pooling(&self) -> Pooling {
        Pooling::global(PoolKind::Average, 2)
    }
}

impl Layer for GlobalAveragePooling2D {
    pooling_layer!("GlobalAveragePooling2D");
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(GlobalAveragePooling2D::new(), &[&[4, 3, 5]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::Harness;
    use super::super::pooling::tests::{check_global, mean};
    use super::*;
    use crate::graph::Shape;

    #[test]
    fn agrees_with_the_naive_reference() {
        check_global(&GlobalAveragePooling2D::new(), mean);
    }

    #[test]
    fn means_of_two_channels() {
        let layer = GlobalAveragePooling2D::new();
        let mut harness = Harness::new(&layer, &[Shape::from([2, 2, 2])], 1);
        harness.inputs[0].copy_from_slice(&[1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 4.0, -6.0]);
        assert_eq!(harness.forward(), [2.5, -3.0]);
        harness.output_gradient.copy_from_slice(&[4.0, 8.0]);
        harness.backward(true, false);
        assert_eq!(harness.input_gradients[0][..], [1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
    }
}
