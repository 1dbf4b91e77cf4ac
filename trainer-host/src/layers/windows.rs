//! Windows that slide over images: padding, strides, dilation. What convolutions and poolings share.
//!
//! Along one axis, tap `k` of the window at output `o` stands at input `o * stride + k * dilation - before`; taps outside
//! the image see zeros (convolutions) or nothing (poolings). `valid` lets no tap outside: `before = 0` and
//! `outputs = (inputs - extent) / stride + 1` with `extent = (kernel - 1) * dilation + 1`. `same`, as TensorFlow has it:
//! `outputs = ceil(inputs / stride)`, `before = max((outputs - 1) * stride + extent - inputs, 0) / 2`, rounded down. `causal`:
//! `outputs = ceil(inputs / stride)`, `before = extent - 1`.
//!
//! A sequence `[steps, channels]` is an image of one row or of one column, the same in memory. The trainer computes with the
//! row, whose pixels convolutions take side by side; the device has the column, whose first dimension is the length.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use crate::device::{DeviceOp, Lowering, Value, ops};
use crate::graph::{LengthRule, Shape};

/// What happens at the borders of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Padding {
    /// Windows lie within the image.
    #[default]
    Valid,
    /// Windows stand at every `stride`-th pixel; the image is surrounded by zeros, half of them before it (rounded down).
    Same,
    /// For sequences: windows end at every `stride`-th step, with zeros before the first one. What a step gives does not depend
    /// on later ones.
    Causal,
}

impl fmt::Display for Padding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "valid",
            Self::Same => "same",
            Self::Causal => "causal",
        })
    }
}

/// A size along height and width: a number means both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size2D(pub [usize; 2]);

impl From<usize> for Size2D {
    fn from(size: usize) -> Self {
        Self([size; 2])
    }
}

impl From<[usize; 2]> for Size2D {
    fn from(sizes: [usize; 2]) -> Self {
        Self(sizes)
    }
}

impl From<(usize, usize)> for Size2D {
    fn from((height, width): (usize, usize)) -> Self {
        Self([height, width])
    }
}

/// The configuration of a window. One that slides along a single axis is one of height 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    /// Axes that it slides along, 1 or 2.
    #[serde(deserialize_with = "one_or_two_axes")]
    pub rank: usize,
    /// Height and width.
    pub kernel: [usize; 2],
    /// Steps from one window to the next.
    pub strides: [usize; 2],
    /// Distances between the taps of a window.
    pub dilation: [usize; 2],
    /// At the borders.
    pub padding: Padding,
}

/// A window along one axis of images of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Axis {
    /// Pixels of the input.
    pub inputs: usize,
    /// Pixels of the output.
    pub outputs: usize,
    /// Taps of the window.
    pub kernel: usize,
    /// Input pixels from one window to the next.
    pub stride: usize,
    /// Input pixels from one tap to the next.
    pub dilation: usize,
    /// Padding before the first pixel.
    pub before: usize,
}

/// A window on images of one shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Axes of the images, 1 or 2; see [`Window`].
    pub rank: usize,
    /// Along the height.
    pub vertical: Axis,
    /// Along the width.
    pub horizontal: Axis,
    /// Channels of the input.
    pub channels: usize,
}

/// What a window, a stride and a dilation may be at most, far beyond any image, so that sizes do not overflow.
const LARGEST_SIZE: usize = 1 << 16;

/// The runtime's limit for the images under a window.
const LARGEST_DEVICE_IMAGE: usize = (1 << 15) - 1;

/// Height, width and channels of a layer's one input, which has this many axes beside the channels (a sequence has a height
/// of 1); or what is wanted instead.
pub(crate) fn image_of(inputs: &[Shape], rank: usize) -> Result<[usize; 3], String> {
    match inputs {
        [shape] => match (rank, &shape[..]) {
            (2, &[height, width, channels]) => Some([height, width, channels]),
            (1, &[steps, channels]) => Some([1, steps, channels]),
            _ => None,
        },
        _ => None,
    }
    .ok_or_else(|| format!("one input of shape [{}, channels]", ["steps", "height, width"][usize::from(rank == 2)]))
}

/// The first step of lowering: an input that is a sequence becomes an image.
pub(crate) fn lower_input(lowering: &mut Lowering<'_>) {
    if lowering.input_shape(0).len() == 2 {
        let image = image_on_device(1, lowering.input_shape(0));
        let inputs = lowering.inputs.clone();
        lowering.inputs = vec![lowering.part("image", ops::Reshape, &inputs, image)];
    }
}

/// Lowers a layer to an op on images that gives this one. Where the layer's tensors are no images, but sequences or the
/// output of a window that is the whole image, it stands between reshapes under the name of `part`.
pub(crate) fn lower_on_images(lowering: &mut Lowering<'_>, part: &str, op: impl DeviceOp + 'static, output: Shape) -> Value {
    lower_input(lowering);
    if lowering.output_shape == output {
        return lowering.output(op);
    }
    let inputs = lowering.inputs.clone();
    lowering.inputs = vec![lowering.part(part, op, &inputs, output)];
    lowering.output(ops::Reshape)
}

/// The shape that a sequence, or an image of two axes, has as an image on the device.
pub(crate) fn image_on_device(rank: usize, shape: &Shape) -> Shape {
    match shape[..] {
        [steps, channels] if rank == 1 => Shape::from([steps, 1, channels]),
        _ => shape.clone(),
    }
}

/// What inputs that the layer takes give.
///
/// # Panics
/// If it does not: the trainer asks for the output's shape before all else.
pub(crate) fn checked<T>(result: Result<T, String>) -> T {
    result.expect("the output's shape was computed from these inputs")
}

/// Reads the number of axes of an image or a sequence.
pub(super) fn one_or_two_axes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let rank = usize::deserialize(deserializer)?;
    if (1..=2).contains(&rank) { Ok(rank) } else { Err(D::Error::custom(format!("{rank} axes, but there are 1 or 2"))) }
}

/// Sizes along the axes of an image, for messages: `"3x2"`.
pub(crate) fn sizes(sizes: &[usize]) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

impl Window {
    /// A window without dilation that moves one pixel at a time, within the image.
    pub fn new(kernel: Size2D) -> Self {
        Self { rank: 2, kernel: kernel.0, strides: [1; 2], dilation: [1; 2], padding: Padding::Valid }
    }

    /// The same along sequences.
    pub fn along_steps(kernel: usize) -> Self {
        Self { rank: 1, ..Self::new(Size2D([1, kernel])) }
    }

    /// Sizes along the axes that there are.
    fn along<'a>(&self, sizes: &'a [usize; 2]) -> &'a [usize] {
        &sizes[2 - self.rank..]
    }

    /// The geometry for the one input of a layer, or what is wanted instead.
    pub fn on(&self, inputs: &[Shape]) -> Result<Geometry, String> {
        for (name, values) in [("window", self.kernel), ("stride", self.strides), ("dilation", self.dilation)] {
            let shown = || sizes(self.along(&values));
            let which = if self.rank == 2 { " in both directions" } else { "" };
            if values.contains(&0) {
                return Err(format!("a {name} of at least 1{which}, not {}", shown()));
            }
            if values.iter().any(|&size| size > LARGEST_SIZE) {
                return Err(format!("a {name} of at most {LARGEST_SIZE}{which}, not {}", shown()));
            }
        }
        if self.padding == Padding::Causal && self.rank == 2 {
            return Err("valid or same padding: causal padding is for sequences".to_owned());
        }
        let [height, width, channels] = image_of(inputs, self.rank)?;
        Ok(Geometry { rank: self.rank, vertical: self.axis(0, height)?, horizontal: self.axis(1, width)?, channels })
    }

    /// How many windows there are along sequences, and images of some rows, of any length; or what is wanted instead.
    pub fn length_rule(&self) -> Result<LengthRule, String> {
        let axis = 2 - self.rank;
        let (stride, extent) = (self.strides[axis] as u16, (self.kernel[axis] - 1) * self.dilation[axis] + 1);
        let add = match self.padding {
            Padding::Valid => i32::from(stride) - extent as i32,
            Padding::Causal => i32::from(stride) - 1,
            Padding::Same if stride == 1 => 0,
            Padding::Same => {
                let wanted = "valid or causal padding: where `same` padding begins depends with a stride on the length";
                return Err(wanted.to_owned());
            }
        };
        Ok(LengthRule::Windows { add, stride })
    }

    /// The output's shape with this many filters, or what is wanted instead.
    pub fn output_shape(&self, inputs: &[Shape], filters: usize) -> Result<Shape, String> {
        if filters == 0 {
            return Err("at least 1 filter".to_owned());
        }
        Ok(self.on(inputs)?.output_shape(filters))
    }

    /// The shape of a kernel: the window's sizes, then these.
    pub fn kernel_shape(&self, last: [usize; 2]) -> Shape {
        Shape::from([self.along(&self.kernel), &last].concat())
    }

    /// The geometry for shapes that [`Window::on`] has accepted.
    pub fn checked(&self, inputs: &[Shape]) -> Geometry {
        checked(self.on(inputs))
    }

    fn axis(&self, axis: usize, inputs: usize) -> Result<Axis, String> {
        let (kernel, stride, dilation) = (self.kernel[axis], self.strides[axis], self.dilation[axis]);
        let extent = (kernel - 1) * dilation + 1;
        let (outputs, before) = match self.padding {
            Padding::Same => {
                let outputs = inputs.div_ceil(stride);
                (outputs, ((outputs.max(1) - 1) * stride + extent).saturating_sub(inputs) / 2)
            }
            Padding::Causal => (inputs.div_ceil(stride), extent - 1),
            Padding::Valid if inputs >= extent => ((inputs - extent) / stride + 1, 0),
            Padding::Valid => {
                let side = if self.rank == 1 { "length" } else { ["height", "width"][axis] };
                return Err(format!("a {side} of at least {extent}, the window's extent, with valid padding"));
            }
        };
        Ok(Axis { inputs, outputs, kernel, stride, dilation, before })
    }

    /// For summaries: `"3x3, strides 2x2, same"`.
    pub fn describe(&self) -> String {
        let mut text = sizes(self.along(&self.kernel));
        for (name, values) in [("strides", self.strides), ("dilation", self.dilation)] {
            if values != [1, 1] {
                text += &format!(", {name} {}", sizes(self.along(&values)));
            }
        }
        format!("{text}, {}", self.padding)
    }
}

impl Axis {
    /// The outputs whose tap `k` stands within the image.
    pub fn outputs_of_tap(&self, k: usize) -> Range<usize> {
        let shift = k * self.dilation;
        let first = self.before.saturating_sub(shift).div_ceil(self.stride);
        // o * stride + shift - before < inputs
        let end = (self.inputs + self.before).saturating_sub(shift).div_ceil(self.stride);
        let end = if end < self.outputs { end } else { self.outputs };
        if first < end { first..end } else { 0..0 }
    }

    /// The input under tap `k` of output `o`; `None` in the padding.
    #[inline(always)]
    pub fn input(&self, o: usize, k: usize) -> Option<usize> {
        (o * self.stride + k * self.dilation).checked_sub(self.before).filter(|&input| input < self.inputs)
    }

    /// The taps of output `o` that stand within the image.
    pub fn taps(&self, o: usize) -> Range<usize> {
        let first = self.before.saturating_sub(o * self.stride).div_ceil(self.dilation);
        let end = (self.inputs + self.before).saturating_sub(o * self.stride).div_ceil(self.dilation);
        let end = if end < self.kernel { end } else { self.kernel };
        if first < end { first..end } else { 0..0 }
    }

    /// `true` if every window is one pixel, the pixel of its output.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1
    }
}

impl Geometry {
    /// A window that is the whole image.
    pub fn whole(rank: usize, [height, width, channels]: [usize; 3]) -> Self {
        let axis = |size| Axis { inputs: size, outputs: 1, kernel: size, stride: 1, dilation: 1, before: 0 };
        Self { rank, vertical: axis(height), horizontal: axis(width), channels }
    }

    /// Lowers a layer to an op with this window and output channels; see [`lower_on_images`].
    pub fn lower(&self, lowering: &mut Lowering<'_>, part: &str, channels: usize, op: impl DeviceOp + 'static) -> Value {
        lower_on_images(lowering, part, op, self.output_image(channels))
    }

    /// The window as the runtime has it.
    pub fn for_device(&self) -> Result<samara_runtime::ops::window::Window, String> {
        let pair = |of: fn(&Axis) -> usize| -> Result<[u16; 2], String> {
            let size = |axis: &Axis| {
                let size = of(axis);
                u16::try_from(size).ok().filter(|&size| size <= 4096).ok_or_else(|| {
                    format!("on the device, kernels, strides, dilations and paddings are at most 4096, not {size}")
                })
            };
            let [first, second] = self.device_axes();
            Ok([size(&first)?, size(&second)?])
        };
        for axis in [self.vertical, self.horizontal] {
            let size = if axis.inputs > axis.outputs { axis.inputs } else { axis.outputs };
            if size > LARGEST_DEVICE_IMAGE {
                return Err(format!(
                    "on the device, windows slide over images of at most {LARGEST_DEVICE_IMAGE} pixels a side, not {size}"
                ));
            }
        }
        Ok(samara_runtime::ops::window::Window {
            kernel: pair(|axis| axis.kernel)?,
            stride: pair(|axis| axis.stride)?,
            dilation: pair(|axis| axis.dilation)?,
            padding: pair(|axis| axis.before)?,
        })
    }

    /// Both axes as the device has them.
    fn device_axes(&self) -> [Axis; 2] {
        if self.rank == 1 { [self.horizontal, self.vertical] } else { [self.vertical, self.horizontal] }
    }

    /// Values of one input image.
    pub fn input_size(&self) -> usize {
        self.vertical.inputs * self.horizontal.inputs * self.channels
    }

    /// Pixels of one output image.
    pub fn output_pixels(&self) -> usize {
        self.vertical.outputs * self.horizontal.outputs
    }

    /// Taps of the window.
    pub fn taps(&self) -> usize {
        self.vertical.kernel * self.horizontal.kernel
    }

    /// The output's shape, with this many channels.
    pub fn output_shape(&self, channels: usize) -> Shape {
        if self.rank == 1 { Shape::from([self.horizontal.outputs, channels]) } else { self.output_image(channels) }
    }

    /// The output's shape as the device's image, also where it is a sequence.
    pub fn output_image(&self, channels: usize) -> Shape {
        let [first, second] = self.device_axes();
        Shape::from([first.outputs, second.outputs, channels])
    }

    /// Calls `visit` for each pixel of the output, with the input pixels under its window, row by row.
    #[inline(always)]
    pub fn for_each_window(&self, mut visit: impl FnMut(usize, WindowPixels)) {
        for output_row in 0..self.vertical.outputs {
            let rows = self.vertical.taps(output_row);
            for output_column in 0..self.horizontal.outputs {
                let columns = self.horizontal.taps(output_column);
                let input = |axis: &Axis, output, taps: &Range<usize>| axis.input(output, taps.start).unwrap_or(0);
                let first = input(&self.vertical, output_row, &rows) * self.horizontal.inputs
                    + input(&self.horizontal, output_column, &columns);
                visit(
                    output_row * self.horizontal.outputs + output_column,
                    WindowPixels {
                        row: first,
                        rows: if columns.is_empty() { 0 } else { rows.len() },
                        columns: columns.len(),
                        column: 0,
                        next_row: self.vertical.dilation * self.horizontal.inputs,
                        next_column: self.horizontal.dilation,
                    },
                );
            }
        }
    }

    /// `true` if each pixel of the input lies in exactly one window.
    pub fn is_partition(&self) -> bool {
        [self.vertical, self.horizontal].iter().all(|axis| {
            let apart = axis.outputs == 1 || axis.stride == axis.kernel;
            apart && axis.dilation == 1 && (axis.outputs - 1) * axis.stride + axis.kernel >= axis.inputs + axis.before
        })
    }

    /// `true` if there is one window, and it is the image.
    pub fn is_whole(&self) -> bool {
        [self.vertical, self.horizontal].iter().all(|axis| (axis.outputs, axis.kernel, axis.before) == (1, axis.inputs, 0))
    }

    /// With strides 1, the geometry of the convolution that computes the input's gradient from the output's, which has
    /// this many channels, by the kernel back to front.
    pub fn turned(&self, channels: usize) -> Self {
        let turn = |axis: Axis| Axis {
            inputs: axis.outputs,
            outputs: axis.inputs,
            before: (axis.kernel - 1) * axis.dilation - axis.before,
            ..axis
        };
        Self { vertical: turn(self.vertical), horizontal: turn(self.horizontal), channels, ..*self }
    }

    /// `true` if the window moves by one pixel in both directions.
    pub fn has_strides_of_one(&self) -> bool {
        self.vertical.stride == 1 && self.horizontal.stride == 1
    }
}

/// The input pixels under one window, row by row.
#[derive(Debug, Clone)]
pub(crate) struct WindowPixels {
    /// The first pixel of the current row of taps.
    row: usize,
    /// Rows of taps left.
    rows: usize,
    /// Taps in a row.
    columns: usize,
    /// Taps given of the current row.
    column: usize,
    next_row: usize,
    next_column: usize,
}

impl Iterator for WindowPixels {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.rows == 0 {
            return None;
        }
        let pixel = self.row + self.column * self.next_column;
        self.column += 1;
        if self.column == self.columns {
            (self.column, self.row, self.rows) = (0, self.row + self.next_row, self.rows - 1);
        }
        Some(pixel)
    }

    #[inline(always)]
    fn count(self) -> usize {
        (self.rows * self.columns).saturating_sub(self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(kernel: usize, stride: usize, dilation: usize, padding: Padding) -> Window {
        Window { rank: 2, kernel: [kernel; 2], strides: [stride; 2], dilation: [dilation; 2], padding }
    }

    fn axis(inputs: usize, kernel: usize, stride: usize, dilation: usize, padding: Padding) -> (usize, usize) {
        let shape = Shape::from([inputs, inputs, 1]);
        let geometry = window(kernel, stride, dilation, padding).on(&[shape]).expect("valid");
        (geometry.vertical.outputs, geometry.horizontal.before)
    }

    #[test]
    fn sizes_and_padding_are_tensorflows() {
        assert_eq!(axis(28, 3, 1, 1, Padding::Same), (28, 1));
        assert_eq!(axis(32, 3, 2, 1, Padding::Same), (16, 0)); // one zero after, none before
        assert_eq!(axis(33, 3, 2, 1, Padding::Same), (17, 1));
        assert_eq!(axis(49, 10, 2, 1, Padding::Same), (25, 4)); // keyword spotting: 4 before, 5 after
        assert_eq!(axis(10, 4, 2, 1, Padding::Same), (5, 1));
        assert_eq!(axis(9, 3, 1, 2, Padding::Same), (9, 2));
        assert_eq!(axis(5, 1, 3, 1, Padding::Same), (2, 0)); // windows smaller than the stride: nothing to pad
        assert_eq!(axis(28, 3, 1, 1, Padding::Valid), (26, 0));
        assert_eq!(axis(7, 2, 2, 1, Padding::Valid), (3, 0));
        assert_eq!(axis(9, 3, 1, 3, Padding::Valid), (3, 0));
        let rectangular = Window { kernel: [10, 4], ..window(1, 2, 1, Padding::Same) };
        let geometry = rectangular.on(&[Shape::from([49, 10, 1])]).expect("valid");
        assert_eq!(geometry.output_shape(64), Shape::from([25, 5, 64]));
        assert_eq!([geometry.vertical.before, geometry.horizontal.before], [4, 1]);
    }

    #[test]
    fn a_sequence_is_an_image_of_one_row_or_column() {
        let window = Window { strides: [1, 2], padding: Padding::Same, ..Window::along_steps(3) };
        let geometry = window.on(&[Shape::from([7, 5])]).expect("valid");
        assert_eq!((geometry.vertical.outputs, geometry.horizontal.outputs, geometry.channels), (1, 4, 5));
        assert_eq!(geometry.output_image(8), Shape::from([4, 1, 8]));
        let on_device = geometry.for_device().expect("small sizes");
        assert_eq!((on_device.kernel, on_device.stride, on_device.padding), ([3, 1], [2, 1], [1, 0]));
        assert_eq!((geometry.output_shape(8), window.kernel_shape([5, 8])), (Shape::from([4, 8]), Shape::from([3, 5, 8])));
        assert_eq!(window.describe(), "3, strides 2, same");
        let wanted = |window: Window, shape: &[usize]| window.on(&[Shape::from(shape)]).expect_err("a fault");
        assert_eq!(wanted(window, &[7, 5, 1]), "one input of shape [steps, channels]");
        assert_eq!(wanted(Window { strides: [1, 0], ..window }, &[7, 5]), "a stride of at least 1, not 0");
        let short = wanted(Window { padding: Padding::Valid, ..window }, &[2, 5]);
        assert_eq!(short, "a length of at least 3, the window's extent, with valid padding");
    }

    #[test]
    fn causal_windows_end_at_their_step() {
        for (inputs, kernel, stride, dilation) in [(7, 3, 1, 1), (8, 3, 2, 1), (9, 2, 3, 4), (2, 5, 1, 2), (6, 1, 4, 1)] {
            let window = Window { strides: [1, stride], dilation: [1, dilation], ..Window::along_steps(kernel) };
            let window = Window { padding: Padding::Causal, ..window };
            let axis = window.on(&[Shape::from([inputs, 3])]).expect("valid").horizontal;
            // As many outputs as multiples of the stride are steps, the last tap on them.
            assert_eq!(axis.outputs, (0..inputs).step_by(stride).count());
            (0..axis.outputs).for_each(|o| assert_eq!(axis.input(o, kernel - 1), Some(o * stride), "{axis:?}"));
        }
        let image = Window { padding: Padding::Causal, ..Window::new(Size2D([3; 2])) };
        let error = image.on(&[Shape::from([5, 5, 1])]).expect_err("no sequence");
        assert_eq!(error, "valid or same padding: causal padding is for sequences");
    }

    #[test]
    fn partitions_hold_each_pixel_once() {
        for inputs in 1..9 {
            for kernel in 1..5 {
                for (stride, padding) in
                    [(kernel, Padding::Valid), (kernel, Padding::Same), (1, Padding::Valid), (2, Padding::Same)]
                {
                    let shape = Shape::from([inputs, inputs, 1]);
                    let Ok(geometry) = window(kernel, stride, 1, padding).on(&[shape]) else { continue };
                    let mut times = vec![0; inputs * inputs];
                    geometry.for_each_window(|_, taps| taps.for_each(|tap| times[tap] += 1));
                    let once = times.iter().all(|&times| times == 1);
                    assert_eq!(geometry.is_partition(), once, "{geometry:?}");
                }
            }
        }
    }

    #[test]
    fn ranges_agree_with_single_taps() {
        for (inputs, kernel, stride, dilation) in [(7, 3, 1, 1), (8, 3, 2, 1), (9, 2, 3, 2), (3, 5, 1, 1), (1, 3, 2, 4)] {
            let shape = Shape::from([inputs, inputs, 1]);
            let axis = window(kernel, stride, dilation, Padding::Same).on(&[shape]).expect("valid").vertical;
            for k in 0..kernel {
                let within: Vec<_> = (0..axis.outputs).filter(|&o| axis.input(o, k).is_some()).collect();
                assert_eq!(axis.outputs_of_tap(k).collect::<Vec<_>>(), within, "{axis:?}, tap {k}");
            }
            for o in 0..axis.outputs {
                let within: Vec<_> = (0..kernel).filter(|&k| axis.input(o, k).is_some()).collect();
                assert_eq!(axis.taps(o).collect::<Vec<_>>(), within, "{axis:?}, output {o}");
            }
        }
    }

    #[test]
    fn faults_say_what_is_wanted() {
        let wanted = |window: Window, shape: Shape| window.on(&[shape]).expect_err("a fault");
        let image = Shape::from([4, 9, 3]);
        let too_large = window(5, 1, 1, Padding::Valid);
        assert_eq!(wanted(too_large, image.clone()), "a height of at least 5, the window's extent, with valid padding");
        let no_stride = window(3, 0, 1, Padding::Same);
        assert_eq!(wanted(no_stride, image.clone()), "a stride of at least 1 in both directions, not 0x0");
        let far = wanted(window(usize::MAX, 1, 1, Padding::Same), image);
        assert_eq!(far, format!("a window of at most 65536 in both directions, not {0}x{0}", usize::MAX));
        let flat = wanted(window(3, 1, 1, Padding::Same), Shape::from([12]));
        assert_eq!(flat, "one input of shape [height, width, channels]");
    }

    #[test]
    fn a_description_leaves_out_what_is_usual() {
        assert_eq!(window(3, 1, 1, Padding::Same).describe(), "3x3, same");
        assert_eq!(window(2, 2, 3, Padding::Valid).describe(), "2x2, strides 2x2, dilation 3x3, valid");
    }
}
