//! Slice: some rows of the first axis, those from `start` on: `y[i, ...] = x[start + i, ...]`.
//!
//! Inputs `[T, ...]`; outputs `[rows, ...]`, or `[...]` for a single row.

use std::ops::{Bound, RangeBounds};

use serde::{Deserialize, Serialize};

use super::{Backward, Example, Forward, Layer, LayerBase, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::Shape;

/// Some consecutive rows of the first axis: steps of a sequence, lines of an image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Slice {
    base: LayerBase,
    start: usize,
    /// The row behind the last; `None` for the input's end.
    end: Option<usize>,
    /// A single row, without the first axis.
    is_row: bool,
    /// What the rows are, where another layer made them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
}

impl Slice {
    /// The row of this number, from 0, without the first axis: of a sequence `[T, C]`, the step's features `[C]`.
    pub fn row(number: usize) -> Self {
        Self { base: LayerBase::new(), start: number, end: Some(number.saturating_add(1)), is_row: true, label: None }
    }

    /// The rows of these numbers, from 0: `Slice::rows(2..5)`, `Slice::rows(1..)`.
    pub fn rows(range: impl RangeBounds<usize>) -> Self {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => Some(last.saturating_add(1)),
            Bound::Excluded(&end) => Some(end),
            Bound::Unbounded => None,
        };
        Self { base: LayerBase::new(), start, end, is_row: false, label: None }
    }

    /// With a name for what the rows are.
    pub(super) fn labelled(self, label: &str) -> Self {
        Self { label: Some(label.to_owned()), ..self }
    }

    /// Values before the first row, and in all rows.
    fn place(&self, input: &Shape) -> (usize, usize) {
        let row: usize = input[1..].iter().product();
        (self.start * row, (self.end.unwrap_or(input[0]) - self.start) * row)
    }
}

impl Layer for Slice {
    identity!("Slice", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [input] = inputs else { return Err("one input".to_owned()) };
        let rows = input.first().copied().unwrap_or(0);
        let end = self.end.unwrap_or(rows);
        if self.start >= end {
            return Err(format!("rows to take, not those from {} to before {end}", self.start));
        }
        if end > rows {
            return Err(format!("an input of at least {end} rows"));
        }
        match (self.is_row, &input[1..]) {
            (true, []) => Ok(Shape::from([1])),
            (true, row) => Ok(Shape::from(row)),
            (false, row) => Ok([&[end - self.start], row].concat().into()),
        }
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let (start, size) = self.place(&pass.input_shapes[0]);
        let inputs = pass.inputs.get(0).chunks_exact(pass.input_shapes[0].size());
        for (output, input) in pass.output.chunks_exact_mut(size).zip(inputs) {
            output.copy_from_slice(&input[start..][..size]);
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let Some(slot) = pass.input_gradients.get_mut(0) else { return };
        let (start, size) = self.place(&pass.input_shapes[0]);
        let gradients = slot.to_add().chunks_exact_mut(pass.input_shapes[0].size());
        for (input, output) in gradients.zip(pass.output_gradient.chunks_exact(size)) {
            input[start..][..size].iter_mut().zip(output).for_each(|(sum, part)| *sum += part);
        }
    }

    fn describe(&self) -> String {
        match (&self.label, self.end) {
            (Some(label), _) => label.clone(),
            _ if self.is_row => format!("row {}", self.start),
            (_, Some(end)) => format!("rows {}..{end}", self.start),
            (_, None) => format!("rows {}..", self.start),
        }
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let input = lowering.input_shape(0);
        let (start, _) = self.place(input);
        let rows = self.end.unwrap_or(input[0]) - self.start;
        match lowering.packed(self.start, rows) {
            Some(part) => Ok(part),
            None => Ok(lowering.output(ops::Slice { start })),
        }
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(Slice::rows(1..3), &[&[4, 3]]),
        Example::new(Slice::rows(2..), &[&[5, 2, 2]]),
        Example::new(Slice::row(3), &[&[4, 5]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::check;
    use super::*;

    #[test]
    fn agrees_with_the_naive_reference() {
        check(&Slice::rows(1..=2), &[Shape::from([4, 3])], &|inputs, _| inputs[0][3..9].to_vec());
        check(&Slice::rows(..2), &[Shape::from([3, 2, 2])], &|inputs, _| inputs[0][..8].to_vec());
        check(&Slice::rows(2..), &[Shape::from([5])], &|inputs, _| inputs[0][2..].to_vec());
        check(&Slice::row(1), &[Shape::from([3, 2])], &|inputs, _| inputs[0][2..4].to_vec());
    }

    #[test]
    fn shapes_and_faults() {
        let shape = |layer: Slice, input: &[usize]| layer.output_shape(&[Shape::from(input)]);
        assert_eq!(shape(Slice::row(2), &[3, 4, 2]).unwrap(), Shape::from([4, 2]));
        assert_eq!(shape(Slice::row(2), &[3]).unwrap(), Shape::from([1]));
        assert_eq!(shape(Slice::rows(2..4), &[3, 4]).unwrap_err(), "an input of at least 4 rows");
        assert_eq!(shape(Slice::rows(3..), &[3, 4]).unwrap_err(), "rows to take, not those from 3 to before 3");
        assert_eq!(
            [Slice::rows(3..), Slice::rows(1..4), Slice::row(2)].map(|layer| layer.describe()),
            ["rows 3..", "rows 1..4", "row 2"]
        );
    }
}
