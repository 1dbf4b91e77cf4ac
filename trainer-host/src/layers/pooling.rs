//! What pools have in common: forward, backward and lowering, for windows and for the whole image.
//!
//! - Maximum: `y[oy, ox, c] = max_ky,kx x[iy, ix, c]` over the taps within the image. The gradient goes to the first of the
//!   largest values of a window, in the order of rows.
//! - Average: `y[oy, ox, c] = sum_ky,kx x[iy, ix, c] / n` over the `n` taps within the image: padding does not count.
//!
//! Inputs `[H, W, C]`, outputs `[OH, OW, C]`, or `[C]` for the whole image. Where tap `ky, kx` stands: windows.rs.

use super::windows::{Geometry, Padding, Window, WindowPixels, checked, image_of};
use super::{Backward, Forward, Requirements};
use crate::device::ops::{Pool, PoolKind};
use crate::device::{Lowering, Value};
use crate::graph::{LengthRule, Shape};
use crate::numeric::{BLOCK, add_column_sums, vectorized};

/// A pool of some kind over windows, or over whole images.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pooling {
    pub kind: PoolKind,
    /// `None`: the whole image.
    pub window: Option<Window>,
    /// Axes of the image: 2, height and width, or 1, the steps of a sequence.
    pub rank: usize,
}

impl Pooling {
    /// Over windows.
    pub fn of(kind: PoolKind, window: Window) -> Self {
        Self { kind, window: Some(window), rank: window.rank }
    }

    /// Over whole images of this many axes.
    pub fn global(kind: PoolKind, rank: usize) -> Self {
        Self { kind, window: None, rank }
    }

    fn geometry(&self, inputs: &[Shape]) -> Result<Geometry, String> {
        match &self.window {
            Some(window) => window.on(inputs),
            None => image_of(inputs, self.rank).map(|image| Geometry::whole(self.rank, image)),
        }
    }

    fn checked(&self, inputs: &[Shape]) -> Geometry {
        checked(self.geometry(inputs))
    }

    pub fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let geometry = self.geometry(inputs)?;
        let channels = geometry.channels;
        Ok(if self.window.is_some() { geometry.output_shape(channels) } else { Shape::from([channels]) })
    }

    pub fn length_rule(&self) -> Result<LengthRule, String> {
        match &self.window {
            None => Ok(LengthRule::Reduced),
            // What lies behind the last step would count as a step.
            Some(window) if window.padding == Padding::Same => Err("valid or causal padding".to_owned()),
            Some(window) => window.length_rule(),
        }
    }

    /// The geometry of one sample: of a sequence that has so many steps, if it may be shorter than others.
    fn of_sample(&self, whole: &Geometry, lengths: Option<&[u32]>, sample: usize) -> Geometry {
        let (None, Some(lengths)) = (&self.window, lengths) else { return *whole };
        let steps = lengths[sample] as usize;
        let Geometry { rank, channels, vertical, horizontal } = *whole;
        let image = if rank == 1 { [1, steps, channels] } else { [steps, horizontal.inputs, channels] };
        debug_assert!(steps <= if rank == 1 { horizontal.inputs } else { vertical.inputs });
        Geometry::whole(rank, image)
    }

    pub fn requirements(&self) -> Requirements {
        let is_maximum = self.kind == PoolKind::Maximum;
        Requirements { backward_reads_inputs: is_maximum, backward_reads_output: is_maximum, ..Requirements::default() }
    }

    pub fn forward(&self, pass: &mut Forward<'_>) {
        let geometry = self.checked(pass.input_shapes);
        let inputs = pass.inputs.get(0).chunks_exact(geometry.input_size());
        for (sample, (input, output)) in inputs.zip(pass.output.chunks_exact_mut(pass.output_shape.size())).enumerate() {
            let geometry = self.of_sample(&geometry, pass.lengths, sample);
            let input = &input[..geometry.input_size()];
            match self.kind {
                PoolKind::Maximum => maxima(&geometry, input, output),
                PoolKind::Average => means(&geometry, input, output),
            }
        }
    }

    pub fn backward(&self, pass: &mut Backward<'_>) {
        let geometry = self.checked(pass.input_shapes);
        let Some(slot) = pass.input_gradients.get_mut(0) else { return };
        // Where each pixel lies in one window, what stands in its place need not be read.
        let varies = self.window.is_none() && pass.lengths.is_some();
        let replace = !slot.accumulate && geometry.is_partition() && !varies;
        let gradients = if replace { slot.values } else { slot.to_add() };
        let (input_size, output_size) = (geometry.input_size(), pass.output_shape.size());
        let gradients = gradients.chunks_exact_mut(input_size).zip(pass.output_gradient.chunks_exact_mut(output_size));
        match self.kind {
            PoolKind::Maximum => {
                let values = pass.inputs.get(0).chunks_exact(input_size).zip(pass.output.chunks_exact(output_size));
                let work = if replace { gradients_of_maxima::<true> } else { gradients_of_maxima::<false> };
                for (sample, ((gradient, output_gradient), values)) in gradients.zip(values).enumerate() {
                    work(&self.of_sample(&geometry, pass.lengths, sample), values, (gradient, output_gradient));
                }
            }
            PoolKind::Average => gradients.enumerate().for_each(|(sample, gradients)| {
                gradients_of_means(&self.of_sample(&geometry, pass.lengths, sample), replace, gradients);
            }),
        }
    }

    pub fn describe(&self) -> String {
        self.window.map(|window| window.describe()).unwrap_or_default()
    }

    pub fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let geometry = self.checked(std::slice::from_ref(lowering.input_shape(0)));
        let pool = Pool { kind: self.kind, window: geometry.for_device()? };
        Ok(geometry.lower(lowering, "pool", geometry.channels, pool))
    }
}

/// The forward pass of one image.
fn maxima(geometry: &Geometry, input: &[f32], output: &mut [f32]) {
    let channels = geometry.channels;
    vectorized!({
        geometry.for_each_window(
            #[inline(always)]
            |pixel, taps| {
                let (blocks, rest) = output[pixel * channels..][..channels].as_chunks_mut::<BLOCK>();
                let first_of_rest = blocks.len() * BLOCK;
                for (number, block) in blocks.iter_mut().enumerate() {
                    *block = largest(&input[number * BLOCK..], channels, taps.clone());
                }
                for (channel, value) in rest.iter_mut().enumerate() {
                    [*value] = largest(&input[first_of_rest + channel..], channels, taps.clone());
                }
            },
        );
    });
}

/// The largest values under a window of the `N` channels with which `input` begins. They stay in registers: a choice
/// between a new value and the one that stands in the output would become a masked store, which is slow on some processors.
#[inline(always)]
fn largest<const N: usize>(input: &[f32], channels: usize, mut taps: WindowPixels) -> [f32; N] {
    let values = |tap: usize| input[tap * channels..].first_chunk::<N>();
    let mut largest = taps.next().and_then(values).copied().unwrap_or([0.0; N]);
    for values in taps.filter_map(values) {
        for lane in 0..N {
            largest[lane] = if values[lane] > largest[lane] { values[lane] } else { largest[lane] };
        }
    }
    largest
}

/// The forward pass of one image.
fn means(geometry: &Geometry, input: &[f32], output: &mut [f32]) {
    let channels = geometry.channels;
    output.fill(0.0);
    if geometry.is_whole() {
        // All pixels lie side by side, and the sums can stay in registers.
        let factor = 1.0 / geometry.taps() as f32;
        add_column_sums(output, input);
        return output.iter_mut().for_each(|sum| *sum *= factor);
    }
    vectorized!({
        geometry.for_each_window(
            #[inline(always)]
            |pixel, taps| {
                let output = &mut output[pixel * channels..][..channels];
                let factor = 1.0 / taps.clone().count() as f32;
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
    });
}

/// The backward pass of one image.
fn gradients_of_maxima<const REPLACE: bool>(
    geometry: &Geometry,
    (input, output): (&[f32], &[f32]),
    (gradient, output_gradient): (&mut [f32], &[f32]),
) {
    let channels = geometry.channels;
    vectorized!({
        geometry.for_each_window(
            #[inline(always)]
            |pixel, taps| {
                let of_pixel = pixel * channels..(pixel + 1) * channels;
                let (outputs, rest) = output[of_pixel.clone()].as_chunks::<BLOCK>();
                let (parts, rest_of_parts) = output_gradient[of_pixel].as_chunks::<BLOCK>();
                let first_of_rest = outputs.len() * BLOCK;
                for (number, (largest, part)) in outputs.iter().zip(parts).enumerate() {
                    let window = (&input[number * BLOCK..], &mut gradient[number * BLOCK..]);
                    give_to_largest::<REPLACE, BLOCK>(window, channels, taps.clone(), largest, *part);
                }
                for (channel, (&largest, &part)) in rest.iter().zip(rest_of_parts).enumerate() {
                    let window = (&input[first_of_rest + channel..], &mut gradient[first_of_rest + channel..]);
                    give_to_largest::<REPLACE, 1>(window, channels, taps.clone(), &[largest], [part]);
                }
            },
        );
    });
}

/// Gives the gradients of the largest values under a window to the first taps that have them, for the `N` channels with
/// which the slices begin. What is left of the gradients stays in registers; see [`largest`].
#[inline(always)]
fn give_to_largest<const REPLACE: bool, const N: usize>(
    (input, gradient): (&[f32], &mut [f32]),
    channels: usize,
    taps: WindowPixels,
    largest: &[f32; N],
    mut left: [f32; N],
) {
    for tap in taps {
        let at = tap * channels;
        let (Some(values), Some(gradient)) = (input[at..].first_chunk::<N>(), gradient[at..].first_chunk_mut::<N>()) else {
            continue;
        };
        let mut parts = [0.0; N];
        for lane in 0..N {
            let is_largest = values[lane] == largest[lane];
            parts[lane] = if is_largest { left[lane] } else { 0.0 };
            left[lane] = if is_largest { 0.0 } else { left[lane] };
            if !REPLACE {
                parts[lane] += gradient[lane];
            }
        }
        *gradient = parts;
    }
}

/// The backward pass of one image.
fn gradients_of_means(geometry: &Geometry, replace: bool, (gradient, output_gradient): (&mut [f32], &mut [f32])) {
    let channels = geometry.channels;
    vectorized!({
        geometry.for_each_window(
            #[inline(always)]
            |pixel, taps| {
                let factor = 1.0 / taps.clone().count() as f32;
                let parts = &mut output_gradient[pixel * channels..][..channels];
                for part in &mut *parts {
                    *part *= factor;
                }
                for tap in taps {
                    for (sum, &part) in gradient[tap * channels..][..channels].iter_mut().zip(&*parts) {
                        *sum = if replace { part } else { *sum + part };
                    }
                }
            },
        );
    });
}

/// The methods of trait `Layer`, for a kind of pool with a method `pooling`.
macro_rules! pooling_layer {
    ($kind:literal) => {
        $crate::identity!($kind, options);

        fn output_shape(&self, inputs: &[$crate::graph::Shape]) -> Result<$crate::graph::Shape, String> {
            self.pooling().output_shape(inputs)
        }

        fn length_rule(&self, _inputs: &[$crate::graph::Shape]) -> Result<$crate::graph::LengthRule, String> {
            self.pooling().length_rule()
        }

        fn requirements(&self, _inputs: &[$crate::graph::Shape]) -> $crate::layers::Requirements {
            self.pooling().requirements()
        }

        fn forward(&self, pass: &mut $crate::layers::Forward<'_>) {
            self.pooling().forward(pass);
        }

        fn backward(&self, pass: &mut $crate::layers::Backward<'_>) {
            self.pooling().backward(pass);
        }

        fn describe(&self) -> String {
            self.pooling().describe()
        }

        fn lower(&self, lowering: &mut $crate::device::Lowering<'_>) -> Result<$crate::device::Value, String> {
            self.pooling().lower(lowering)
        }
    };
}

pub(super) use pooling_layer;

#[cfg(test)]
pub(super) mod tests {
    use super::super::harness::check;
    use super::super::steps::tests::{STEP_WINDOWS, input_step};
    use super::super::{Layer, Padding, Size2D};
    use super::*;

    /// Checks a pool over many windows and shapes: `reduce` is what it makes of a window's values.
    pub fn check_windows<L: Layer>(new: fn(Size2D, Size2D, Padding) -> L, reduce: fn(&[f64]) -> f64) {
        for (pool, strides, padding) in [
            ([2, 2], [2, 2], Padding::Valid),
            ([3, 3], [2, 2], Padding::Same),
            ([1, 3], [2, 1], Padding::Valid),
            ([2, 2], [2, 2], Padding::Same),
        ] {
            let layer = new(Size2D(pool), Size2D(strides), padding);
            for shape in [[4, 6, 3], [5, 7, 2], [7, 5, 1], [3, 3, 17]] {
                let shape = [Shape::from(shape)];
                let window = Window { strides, padding, ..Window::new(Size2D(pool)) };
                let geometry = window.on(&shape).expect("valid");
                check(&layer, &shape, &|inputs, _| naive(&geometry, &inputs[0], reduce));
            }
        }
    }

    /// Checks a pool over many windows along sequences.
    pub fn check_step_windows<L: Layer>(new: fn(usize, usize, Padding) -> L, reduce: fn(&[f64]) -> f64) {
        for window in STEP_WINDOWS.into_iter().filter(|window| window.dilation == 1) {
            let layer = new(window.kernel, window.stride, window.padding);
            for [steps, channels] in [[7, 3], [8, 1], [9, 17]] {
                let shape = [Shape::from([steps, channels])];
                let outputs = layer.output_shape(&shape).expect("a window that fits")[0];
                check(&layer, &shape, &|inputs, _| {
                    let value = |place: usize| {
                        let (step, channel) = (place / channels, place % channels);
                        let taps = (0..window.kernel).filter_map(|tap| input_step(window, steps, step, tap));
                        reduce(&taps.map(|from| inputs[0][from * channels + channel]).collect::<Vec<_>>())
                    };
                    (0..outputs * channels).map(value).collect()
                });
            }
        }
    }

    /// Checks a pool over whole images.
    pub fn check_global(layer: &dyn Layer, reduce: fn(&[f64]) -> f64) {
        for [height, width, channels] in [[4, 6, 3], [1, 1, 5], [7, 3, 17]] {
            check(layer, &[Shape::from([height, width, channels])], &|inputs, _| {
                let values = |channel: usize| inputs[0].iter().skip(channel).step_by(channels).copied().collect::<Vec<_>>();
                (0..channels).map(|channel| reduce(&values(channel))).collect()
            });
        }
        let error = layer.output_shape(&[Shape::from([5])]).expect_err("no image");
        assert_eq!(error, "one input of shape [height, width, channels]");
    }

    fn naive(geometry: &Geometry, input: &[f64], reduce: fn(&[f64]) -> f64) -> Vec<f64> {
        let Geometry { vertical, horizontal, channels, .. } = *geometry;
        let mut output = Vec::new();
        for place in 0..geometry.output_pixels() * channels {
            let (pixel, channel) = (place / channels, place % channels);
            let mut values = Vec::new();
            for tap in 0..geometry.taps() {
                let row = vertical.input(pixel / horizontal.outputs, tap / horizontal.kernel);
                let column = horizontal.input(pixel % horizontal.outputs, tap % horizontal.kernel);
                if let (Some(row), Some(column)) = (row, column) {
                    values.push(input[(row * horizontal.inputs + column) * channels + channel]);
                }
            }
            output.push(reduce(&values));
        }
        output
    }

    pub fn largest(values: &[f64]) -> f64 {
        values.iter().fold(f64::NEG_INFINITY, |a, &b| if b > a { b } else { a })
    }

    pub fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }
}
