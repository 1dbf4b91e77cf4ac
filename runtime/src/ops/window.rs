//! Windows that slide over an image `[H, W, C]`: what convolutions and pools share.

use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{NodeCheck, ensure},
    simd,
    tensor::Tensor,
};

/// A window's geometry, `[vertical, horizontal]` each. What lies below and to the right of the image is padding as far as
/// the output's size asks for it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Window {
    /// Size of the kernel.
    pub kernel: [u16; 2],
    /// Step from output to output.
    pub stride: [u16; 2],
    /// Step from tap to tap.
    pub dilation: [u16; 2],
    /// Padding above and to the left.
    pub padding: [u16; 2],
}

/// The part of a window that lies within the image, along one axis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// First tap within the image.
    pub first: usize,
    /// Number of taps within the image.
    pub taps: usize,
    /// Position in the image of the first of them.
    pub start: usize,
}

impl Window {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        let mut pair = || [cursor.u16(), cursor.u16()];
        Self { kernel: pair(), stride: pair(), dilation: pair(), padding: pair() }
    }

    /// Taps of the kernel.
    pub fn taps(&self) -> usize {
        let [height, width] = self.kernel;
        usize::from(height) * usize::from(width)
    }

    /// Inputs of a row of the kernel as int8 convolutions pack them, from `depth` channels: whole groups of four, so that a row is taken
    /// from the image as it lies there, with weights of zero for what lies behind it. Taps that lie apart are packed one by one.
    pub fn packed_row(&self, depth: usize) -> usize {
        let row = usize::from(self.kernel[1]).saturating_mul(depth);
        if self.dilation[1] == 1 { row.saturating_add(3) & !3 } else { row }
    }

    /// Inputs of the whole kernel as int8 convolutions pack them.
    pub fn packed_inputs(&self, depth: usize) -> usize {
        usize::from(self.kernel[0]).saturating_mul(self.packed_row(depth))
    }

    /// `true` if every window is one element, none of them padding: a pointwise convolution.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [0, 0]
    }

    /// Refuses windows that lie outside the image as a whole, sizes whose products could overflow, and padding that would depend
    /// on the length of a sequence of rows.
    pub fn check(&self, node: &NodeCheck<'_>, input: &Tensor) -> Result<(), NodeFault> {
        self.check_sizes(input, &node.output)?;
        if node.is_fixed() { Ok(()) } else { self.check_lengths(node, input) }
    }

    fn check_sizes(&self, input: &Tensor, output: &Tensor) -> Result<(), NodeFault> {
        ensure(input.rank == 3 && output.rank == 3, NodeFault::Shape)?;
        for axis in 0..2 {
            let of = |pair: [u16; 2]| if axis == 0 { pair[0] } else { pair[1] };
            let (kernel, stride) = (u32::from(of(self.kernel)), u32::from(of(self.stride)));
            let (dilation, padding) = (u32::from(of(self.dilation)), u32::from(of(self.padding)));
            let small = |value| (1..=4096).contains(&value);
            ensure(small(kernel) && small(stride) && small(dilation), NodeFault::Parameter)?;
            ensure(padding <= (kernel - 1) * dilation, NodeFault::Parameter)?;
            let (size, count) = match (input.dimensions, output.dimensions) {
                ([size, ..], [count, ..]) if axis == 0 => (size, count),
                ([_, size, ..], [_, count, ..]) => (size, count),
            };
            ensure(size < 1 << 15 && count < 1 << 15, NodeFault::Shape)?;
            // The last window's first tap, and a tap of the first one, are within the image.
            ensure(u64::from(count - 1) * u64::from(stride) < u64::from(size) + u64::from(padding), NodeFault::Shape)?;
        }
        Ok(())
    }

    /// A shorter sequence must give the beginning of what a longer one gives, or the ending where the padding is.
    #[inline(never)]
    fn check_lengths(&self, node: &NodeCheck<'_>, input: &Tensor) -> Result<(), NodeFault> {
        let (add, stride) = node.steps(input).ok_or(NodeFault::Length)?;
        let extent = (i32::from(self.kernel[0]) - 1) * i32::from(self.dilation[0]) + 1;
        let padding = i32::from(self.padding[0]);
        // The last window ends with the sequence; at stride 1, it may also reach beyond it by any number of rows.
        let unpadded_below = padding - extent + i32::from(stride);
        let fits = if stride == 1 { (unpadded_below..=padding).contains(&add) } else { add == unpadded_below };
        ensure(stride == self.stride[0] && fits, NodeFault::Length)
    }

    /// As [`check`](Self::check) for an op whose windows must each hold an element: dilation is 1 there, so they do.
    pub fn check_pool(&self, node: &NodeCheck<'_>, input: &Tensor) -> Result<(), NodeFault> {
        let whole = usize::from(self.kernel[0]) >= input.dimensions[0] as usize && self.padding[0] == 0;
        if whole && node.output.dimensions[0] == 1 && node.output.length_group == 0 {
            // A pool over all rows there are: as many as the sequence has.
            self.check_sizes(input, &node.output)?;
        } else {
            self.check(node, input)?;
        }
        ensure(self.dilation == [1, 1] && self.taps() <= 1 << 16, NodeFault::Parameter)?;
        ensure(input.channels() == node.output.channels(), NodeFault::Shape)
    }

    /// The window with the sizes of the images that it slides over. `None` if one is no image.
    pub(crate) fn over(&self, input: &Tensor, output: &Tensor) -> Option<simd::Window> {
        let ((height, width, _), (rows, columns, _)) = (input.height_width_channels()?, output.height_width_channels()?);
        Some(simd::Window {
            input: [height, width],
            output: [rows, columns],
            kernel: self.kernel.map(usize::from),
            stride: self.stride.map(usize::from),
            dilation: self.dilation.map(usize::from),
            padding: self.padding.map(usize::from),
        })
    }

    /// Taps of output row `row` within an image of `height` rows.
    pub(crate) fn rows(&self, row: usize, height: usize) -> Span {
        span(row, height, self.kernel[0], self.stride[0], self.dilation[0], self.padding[0])
    }

    /// Taps of output column `column` within an image of `width` columns.
    pub(crate) fn columns(&self, column: usize, width: usize) -> Span {
        span(column, width, self.kernel[1], self.stride[1], self.dilation[1], self.padding[1])
    }
}

#[inline(never)] // Called by all ops with windows, twice a pixel: inlined, it is half of a pool.
fn span(position: usize, size: usize, kernel: u16, stride: u16, dilation: u16, padding: u16) -> Span {
    let dilation = usize::from(dilation).max(1);
    let begin = position * usize::from(stride);
    let padding = usize::from(padding);
    let first = div_ceil(padding.saturating_sub(begin), dilation);
    let start = (begin + first * dilation).saturating_sub(padding);
    let end = usize::from(kernel).min(div_ceil((size + padding).saturating_sub(begin), dilation));
    Span { first, taps: end.saturating_sub(first), start }
}

/// Most kernels have no dilation, and M0 no division.
fn div_ceil(value: usize, by: usize) -> usize {
    match by {
        0 | 1 => value,
        by => value.div_ceil(by),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn along(kernel: u16, stride: u16, dilation: u16, padding: u16) -> Window {
        Window { kernel: [kernel; 2], stride: [stride; 2], dilation: [dilation; 2], padding: [padding; 2] }
    }

    #[test]
    fn spans_are_what_a_walk_over_the_taps_finds() {
        for (kernel, stride, dilation, padding, size) in [
            (3, 1, 1, 1, 5),
            (3, 2, 1, 0, 7),
            (3, 1, 2, 2, 6),
            (5, 2, 1, 2, 4),
            (10, 2, 1, 4, 49),
            (2, 3, 3, 3, 9),
            (1, 1, 1, 0, 1),
        ] {
            let window = along(kernel, stride, dilation, padding);
            for position in 0..(size + padding as usize).div_ceil(stride as usize) {
                let at = |tap: usize| (position * stride as usize + tap * dilation as usize).checked_sub(padding as usize);
                let inside = || (0..kernel as usize).filter(|&tap| at(tap).is_some_and(|p| p < size));
                let span = window.rows(position, size);
                assert_eq!(span.taps, inside().count(), "{window:?} at {position} of {size}");
                if let Some(first) = inside().next() {
                    assert_eq!((span.first, span.start), (first, at(first).unwrap()), "{window:?} at {position} of {size}");
                }
            }
        }
    }
}
