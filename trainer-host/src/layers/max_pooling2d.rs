//! Max pooling: `y[oy, ox, c] = max_ky,kx x[iy, ix, c]` over the taps within the image; pooling.rs.
//!
//! Inputs `[H, W, C]`, outputs `[OH, OW, C]`. Where tap `ky, kx` stands: windows.rs.

use serde::{Deserialize, Serialize};

use super::options::window_methods;
use super::pooling::{Pooling, pooling_layer};
use super::windows::{Size2D, Window};
use super::{Example, Layer, LayerBase, Padding};
use crate::device::ops::PoolKind;

/// Keeps the largest value of each window.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MaxPooling2D {
    base: LayerBase,
    window: Window,
}

impl MaxPooling2D {
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
        Pooling::of(PoolKind::Maximum, self.window)
    }
}

impl Layer for MaxPooling2D {
    pooling_layer!("MaxPooling2D");
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(MaxPooling2D::new(2), &[&[5, 6, 3]]),
        Example::new(MaxPooling2D::new(3).strides(2).padding(Padding::Same), &[&[6, 5, 2]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, ramp};
    use super::super::pooling::tests::{check_windows, largest};
    use super::*;
    use crate::graph::Shape;

    #[test]
    fn agrees_with_the_naive_reference() {
        check_windows(|pool, strides, padding| MaxPooling2D::new(pool).strides(strides).padding(padding), largest);
    }

    #[test]
    fn keras_gives_the_same() {
        // Keras 3.15: values of ramps, gradients of the sum of the outputs times a ramp.
        let layer = MaxPooling2D::new(3).strides(2).padding(Padding::Same);
        let mut harness = Harness::new(&layer, &[Shape::from([4, 5, 1])], 1);
        ramp(&mut harness.inputs[0], 11, 5.0);
        ramp(&mut harness.output_gradient, 5, 2.0);
        assert_eq!(harness.forward(), [4.0, 5.0, 5.0, 1.0, 4.0, 5.0]);
        harness.backward(true, false);
        assert_eq!(
            harness.input_gradients[0][..],
            [0.0, 0.0, 0.0, 2.0, 0.0, 0.0, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -2.0, -1.0, 0.0, 1.0, 0.0, 0.0]
        );
    }

    #[test]
    fn the_first_of_equal_values_gets_the_gradient() {
        let layer = MaxPooling2D::new(2);
        let mut harness = Harness::new(&layer, &[Shape::from([2, 5, 1])], 1);
        harness.inputs[0].copy_from_slice(&[1.0, 3.0, -5.0, -2.0, 9.0, 3.0, 3.0, -2.0, -7.0, 9.0]);
        assert_eq!(harness.forward(), [3.0, -2.0]);
        harness.output_gradient.copy_from_slice(&[10.0, 20.0]);
        harness.backward(true, false);
        assert_eq!(harness.input_gradients[0][..], [0.0, 10.0, 0.0, 20.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
