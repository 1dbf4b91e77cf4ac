//! Average pooling: `y[oy, ox, c] = sum_ky,kx x[iy, ix, c] / n` over the `n` taps within the image: padding does not count;
//! pooling.rs.
//!
//! Inputs `[H, W, C]`, outputs `[OH, OW, C]`. Where tap `ky, kx` stands: windows.rs.

use serde::{Deserialize, Serialize};

use super::options::window_methods;
use super::pooling::{Pooling, pooling_layer};
use super::windows::{Size2D, Window};
use super::{Example, Layer, LayerBase, Padding};
use crate::device::ops::PoolKind;

/// Averages each window.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AveragePooling2D {
    base: LayerBase,
    window: Window,
}

impl AveragePooling2D {
    /// A layer with this window (a number or `[height, width]`) that moves by its own size, with valid padding.
    pub fn new(pool: impl Into<Size2D>) -> Self {
        let pool = pool.into();
        Self { base: LayerBase::new(), window: Window { strides: pool.0, ..Window::new(pool) } }
    }

    window_methods!();

    /// Height and width of the window.
    pub fn pool_size(&self) -> [usize; 2] {
        self.window.kernel
    }

    fn pooling(&self) -> Pooling {
        Pooling::of(PoolKind::Average, self.window)
    }
}

impl Layer for AveragePooling2D {
    pooling_layer!("AveragePooling2D");
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(AveragePooling2D::new(2), &[&[5, 6, 3]]),
        Example::new(AveragePooling2D::new(3).strides(2).padding(Padding::Same), &[&[6, 5, 2]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::Harness;
    use super::super::pooling::tests::{check_windows, mean};
    use super::*;
    use crate::graph::Shape;

    #[test]
    fn agrees_with_the_naive_reference() {
        check_windows(|pool, strides, padding| AveragePooling2D::new(pool).strides(strides).padding(padding), mean);
    }

    #[test]
    fn padding_does_not_count() {
        let layer = AveragePooling2D::new(2).padding(Padding::Same);
        let mut harness = Harness::new(&layer, &[Shape::from([3, 3, 1])], 1);
        harness.inputs[0].copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        assert_eq!(harness.forward(), [3.0, 4.5, 7.5, 9.0]);
        harness.output_gradient.copy_from_slice(&[4.0, 2.0, 6.0, 5.0]);
        harness.backward(true, false);
        assert_eq!(harness.input_gradients[0][..], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 3.0, 3.0, 5.0]);
    }
}
