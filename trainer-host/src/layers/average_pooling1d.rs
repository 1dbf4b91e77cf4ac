//! Average pooling along sequences: `y[t, c] = sum_k x[t * stride + k - before, c] / n` over the `n` taps within the sequence: padding does not
//! count; pooling.rs.
//!
//! Inputs `[T, C]`, outputs `[OT, C]`. What stands before the first step: windows.rs.

use serde::{Deserialize, Serialize};

use super::pooling::{Pooling, pooling_layer};
use super::steps::step_window_methods;
use super::windows::Window;
use super::{Example, Layer, LayerBase, Padding};
use crate::device::ops::PoolKind;

/// Averages each window of a sequence.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AveragePooling1D {
    base: LayerBase,
    window: Window,
}

impl AveragePooling1D {
    /// A layer with a window of this many steps that moves by its own size, with valid padding.
    pub fn new(pool: usize) -> Self {
        Self { base: LayerBase::new(), window: Window { strides: [1, pool], ..Window::along_steps(pool) } }
    }

    step_window_methods!(window);

    /// Steps in the window.
    pub fn pool_size(&self) -> usize {
        self.window.kernel[1]
    }

    fn pooling(&self) -> Pooling {
        Pooling::of(PoolKind::Average, self.window)
    }
}

impl Layer for AveragePooling1D {
    pooling_layer!("AveragePooling1D");
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(AveragePooling1D::new(2), &[&[7, 3]]),
        Example::new(AveragePooling1D::new(3).strides(2).padding(Padding::Same), &[&[8, 2]]),
        Example::new(AveragePooling1D::new(3).strides(1).padding(Padding::Causal), &[&[5, 4]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, ramp};
    use super::super::pooling::tests::{check_step_windows, mean};
    use super::*;
    use crate::graph::Shape;

    #[test]
    fn agrees_with_the_naive_reference() {
        check_step_windows(|pool, strides, padding| AveragePooling1D::new(pool).strides(strides).padding(padding), mean);
    }

    #[test]
    fn keras_gives_the_same() {
        // Keras 3.15: values of ramps, gradients of the sum of the outputs times a ramp.
        let layer = AveragePooling1D::new(2).padding(Padding::Same);
        let mut harness = Harness::new(&layer, &[Shape::from([5, 2])], 1);
        ramp(&mut harness.inputs[0], 11, 5.0);
        ramp(&mut harness.output_gradient, 5, 2.0);
        assert_eq!(harness.forward(), [-3.5, 3.5, 2.5, -1.5, -4.0, 3.0]);
        harness.backward(true, false);
        assert_eq!(harness.input_gradients[0][..], [-1.0, 0.0, -1.0, 0.0, 1.0, -0.5, 1.0, -0.5, 1.0, -2.0]);
    }
}
