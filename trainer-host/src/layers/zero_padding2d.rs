//! Zeros around an image: inputs `[H, W, C]`, outputs `[top + H + bottom, left + W + right, C]`.

use serde::{Deserialize, Serialize};

use super::windows::{Size2D, checked, image_of, image_on_device, lower_on_images, one_or_two_axes};
use super::{Backward, Example, Forward, Layer, LayerBase, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::Shape;

/// Surrounds an image with zeros.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ZeroPadding2D {
    base: LayerBase,
    /// Axes of the image: 2, or 1 for a sequence.
    #[serde(deserialize_with = "one_or_two_axes")]
    rank: usize,
    /// Top, bottom.
    rows: [usize; 2],
    /// Left, right.
    columns: [usize; 2],
}

/// What the padding on a side may be at most, far beyond any image, so that sizes do not overflow.
const LARGEST_PADDING: usize = 1 << 16;

impl ZeroPadding2D {
    /// The same on opposite sides: a number, or `[rows above and below, columns left and right]`.
    pub fn new(padding: impl Into<Size2D>) -> Self {
        let [vertical, horizontal] = padding.into().0;
        Self::with_sides([vertical; 2], [horizontal; 2])
    }

    /// `[top, bottom]` rows and `[left, right]` columns.
    pub fn with_sides(rows: [usize; 2], columns: [usize; 2]) -> Self {
        Self { base: LayerBase::new(), rank: 2, rows, columns }
    }

    /// Steps before and after a sequence.
    pub(super) fn along_steps(sides: [usize; 2]) -> Self {
        Self { rank: 1, ..Self::with_sides([0; 2], sides) }
    }

    /// Rows above and below, and columns to the left and to the right.
    pub fn sides(&self) -> ([usize; 2], [usize; 2]) {
        (self.rows, self.columns)
    }

    /// Calls `visit` with the place of each row of an image within the padded image, in order.
    fn for_each_row(&self, [height, width, channels]: [usize; 3], mut visit: impl FnMut(usize)) {
        let padded = width + self.columns[0] + self.columns[1];
        (0..height).for_each(|row| visit(((row + self.rows[0]) * padded + self.columns[0]) * channels));
    }
}

impl Layer for ZeroPadding2D {
    identity!("ZeroPadding2D", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        if let Some(side) = self.rows.iter().chain(&self.columns).find(|&&side| side > LARGEST_PADDING) {
            return Err(format!("at most {LARGEST_PADDING} zeros on a side, not {side}"));
        }
        let [rows, columns] = [self.rows, self.columns].map(|sides| sides.iter().sum::<usize>());
        let [height, width, channels] = image_of(inputs, self.rank)?;
        let padded = [height + rows, width + columns, channels];
        Ok(Shape::from(&padded[2 - self.rank..]))
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let image = checked(image_of(pass.input_shapes, self.rank));
        let row = image[1] * image[2];
        let outputs = pass.output.chunks_exact_mut(pass.output_shape.size());
        for (output, input) in outputs.zip(pass.inputs.get(0).chunks_exact(image.iter().product())) {
            output.fill(0.0);
            let mut rows = input.chunks_exact(row);
            self.for_each_row(image, |start| {
                if let Some(values) = rows.next() {
                    output[start..start + row].copy_from_slice(values);
                }
            });
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let image = checked(image_of(pass.input_shapes, self.rank));
        let row = image[1] * image[2];
        let Some(slot) = pass.input_gradients.get_mut(0) else { return };
        let accumulate = slot.accumulate;
        let outputs = pass.output_gradient.chunks_exact(pass.output_shape.size());
        for (gradient, output_gradient) in slot.values.chunks_exact_mut(image.iter().product()).zip(outputs) {
            let mut rows = gradient.chunks_exact_mut(row);
            self.for_each_row(image, |start| {
                if let Some(values) = rows.next() {
                    super::GradientSlot { values, accumulate }.add(&output_gradient[start..start + row]);
                }
            });
        }
    }

    fn describe(&self) -> String {
        let ([top, bottom], [left, right]) = self.sides();
        if self.rank == 1 {
            return format!("before {left}, after {right}");
        }
        format!("top {top}, bottom {bottom}, left {left}, right {right}")
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let Self { rank, rows: [top, _], columns: [left, _], .. } = *self;
        let image = image_on_device(rank, &lowering.output_shape);
        let (top, left) = if rank == 1 { (left, 0) } else { (top, left) };
        Ok(lower_on_images(lowering, "pad", ops::Pad { top, left }, image))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(ZeroPadding2D::new(1), &[&[3, 4, 2]]),
        Example::new(ZeroPadding2D::with_sides([0, 2], [3, 1]), &[&[2, 3, 3]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check};
    use super::*;

    #[test]
    fn agrees_with_the_naive_reference() {
        for (rows, columns) in [([1, 1], [1, 1]), ([0, 0], [0, 0]), ([2, 0], [0, 3]), ([0, 1], [2, 1])] {
            for [height, width, channels] in [[3, 4, 2], [1, 1, 17], [5, 2, 1]] {
                let layer = ZeroPadding2D::with_sides(rows, columns);
                let [padded_rows, padded_columns] = [height + rows[0] + rows[1], width + columns[0] + columns[1]];
                check(&layer, &[Shape::from([height, width, channels])], &|inputs, _| {
                    let value = |place: usize| {
                        let (pixel, channel) = (place / channels, place % channels);
                        let row = (pixel / padded_columns).checked_sub(rows[0]).filter(|&row| row < height);
                        let column = (pixel % padded_columns).checked_sub(columns[0]).filter(|&column| column < width);
                        match (row, column) {
                            (Some(row), Some(column)) => inputs[0][(row * width + column) * channels + channel],
                            _ => 0.0,
                        }
                    };
                    (0..padded_rows * padded_columns * channels).map(value).collect()
                });
            }
        }
    }

    #[test]
    fn sides_are_where_they_belong() {
        let layer = ZeroPadding2D::with_sides([1, 0], [0, 2]);
        let mut harness = Harness::new(&layer, &[Shape::from([1, 2, 1])], 1);
        harness.inputs[0].copy_from_slice(&[1.0, 2.0]);
        assert_eq!(harness.output_shape, Shape::from([2, 4, 1]));
        assert_eq!(harness.forward(), [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0]);
        assert_eq!(ZeroPadding2D::new([1, 2]).sides(), ([1, 1], [2, 2]));
    }

    #[test]
    fn wants_an_image_and_small_sides() {
        let error = ZeroPadding2D::new(1).output_shape(&[Shape::from([5, 5])]).expect_err("no image");
        assert_eq!(error, "one input of shape [height, width, channels]");
        let error = ZeroPadding2D::new(usize::MAX).output_shape(&[Shape::from([1, 1, 1])]).expect_err("too large");
        assert_eq!(error, format!("at most 65536 zeros on a side, not {}", usize::MAX));
    }
}
