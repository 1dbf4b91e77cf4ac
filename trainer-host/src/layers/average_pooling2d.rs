//! Average pooling: `y[oy, ox, c] = sum_ky,kx x[iy, ix, c] / n` over the `n` taps within the image: padding does not count.
//!
//! Inputs `[H, W, C]`, outputs `[OH, OW, C]`. Where tap `ky, kx` stands: windows.rs.

use super::options::window_methods;
use super::windows::{Size2D, Window};
use super::{Backward, Example, Forward, Layer, LayerBase, Padding, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::Shape;
use crate::numeric::vectorized;

/// Averages each window.
#[derive(Debug, Clone)]
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
}

impl Layer for AveragePooling2D {
    identity!("AveragePooling2D");

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let geometry = self.window.on(inputs)?;
        Ok(geometry.output_shape(geometry.channels))
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let geometry = self.geometry(pass.input_shapes);
        let channels = geometry.channels;
        let inputs = pass.inputs.get(0).chunks_exact(geometry.input_size());
        for (input, output) in inputs.zip(pass.output.chunks_exact_mut(pass.output_shape.size())) {
            vectorized(
                #[inline(always)]
                || {
                    geometry.for_each_window(
                        #[inline(always)]
                        |pixel, taps| {
                            let output = &mut output[pixel * channels..][..channels];
                            let factor = 1.0 / taps.clone().count() as f32;
                            output.fill(0.0);
                            for tap in taps {
                                for (sum, &value) in output.iter_mut().zip(&input[tap * channels..][..channels]) {
                                    *sum += value;
                                }
                            }
                            for sum in output {
                                *sum *= factor;
                            }
                        },
                    );
                },
            );
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let geometry = self.geometry(pass.input_shapes);
        let channels = geometry.channels;
        let Some(slot) = pass.input_gradients.get_mut(0) else { return };
        let input_gradients = slot.to_add().chunks_exact_mut(geometry.input_size());
        for (input_gradient, output_gradient) in
            input_gradients.zip(pass.output_gradient.chunks_exact(pass.output_shape.size()))
        {
            vectorized(
                #[inline(always)]
                || {
                    geometry.for_each_window(
                        #[inline(always)]
                        |pixel, taps| {
                            let gradient = &output_gradient[pixel * channels..][..channels];
                            let factor = 1.0 / taps.clone().count() as f32;
                            for tap in taps {
                                let sums = &mut input_gradient[tap * channels..][..channels];
                                for (sum, &gradient) in sums.iter_mut().zip(gradient) {
                                    *sum += gradient * factor;
                                }
                            }
                        },
                    );
                },
            );
        }
    }

    fn describe(&self) -> String {
        self.window.describe()
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let window = self.window.checked(std::slice::from_ref(lowering.input_shape(0))).for_device()?;
        Ok(lowering.output(ops::Pool { kind: ops::PoolKind::Average, window }))
    }
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
    use super::super::harness::{Harness, check};
    use super::*;

    fn naive(layer: &AveragePooling2D, shape: &Shape, input: &[f64]) -> Vec<f64> {
        let geometry = layer.window.checked(std::slice::from_ref(shape));
        let mut output = vec![0.0; geometry.output_pixels() * geometry.channels];
        let columns = geometry.horizontal.outputs;
        for (place, output) in output.iter_mut().enumerate() {
            let (pixel, channel) = (place / geometry.channels, place % geometry.channels);
            let mut count = 0.0;
            for ky in 0..geometry.vertical.kernel {
                for kx in 0..geometry.horizontal.kernel {
                    let row = geometry.vertical.input(pixel / columns, ky);
                    if let (Some(row), Some(column)) = (row, geometry.horizontal.input(pixel % columns, kx)) {
                        *output += input[(row * geometry.horizontal.inputs + column) * geometry.channels + channel];
                        count += 1.0;
                    }
                }
            }
            *output /= count;
        }
        output
    }

    #[test]
    fn agrees_with_the_naive_reference() {
        let layers = [
            AveragePooling2D::new(2),
            AveragePooling2D::new(3).strides(2).padding(Padding::Same),
            AveragePooling2D::new([1, 3]).strides([2, 1]),
            AveragePooling2D::new(2).padding(Padding::Same),
        ];
        for layer in layers {
            for shape in [[4, 6, 3], [5, 7, 2], [7, 5, 1], [3, 3, 17]] {
                let shape = [Shape::from(shape)];
                check(&layer, &shape, &|inputs, _| naive(&layer, &shape[0], &inputs[0]));
            }
        }
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
