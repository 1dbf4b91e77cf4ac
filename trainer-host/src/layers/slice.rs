//! Slice: some rows of the first axis, those from `start` on: `y[i, ...] = x[start + i, ...]`.
//!
//! Inputs `[T, ...]`; outputs `[rows, ...]`, or `[...]` for a single row. Of sequences of several lengths: the first step, each sample's last
//! one, or all from one on.

use std::ops::{Bound, RangeBounds};

use serde::{Deserialize, Serialize};

use super::{Backward, Example, Forward, Layer, LayerBase, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::{LengthRule, Shape};

/// Some consecutive rows of the first axis: steps of a sequence, lines of an image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Slice {
    base: LayerBase,
    start: usize,
    /// The row behind the last; `None` for the input's end.
    end: Option<usize>,
    /// A single row, without the first axis.
    is_row: bool,
    /// The last row, a sample's own.
    #[serde(default)]
    is_last: bool,
    /// What the rows are, where another layer made them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
}

impl Slice {
    /// The row of this number, from 0, without the first axis: of a sequence `[T, C]`, the step's features `[C]`.
    pub fn row(number: usize) -> Self {
        let end = Some(number.saturating_add(1));
        Self { base: LayerBase::new(), start: number, end, is_row: true, is_last: false, label: None }
    }

    /// The last row, without the first axis: of a sequence `[T, C]` the features `[C]` of its last step. Of sequences of several lengths
    /// that is each sample's own last step, where [`row`](Self::row) would find what fills shorter ones up.
    pub fn last() -> Self {
        Self { is_last: true, end: None, ..Self::row(0) }
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
        Self { base: LayerBase::new(), start, end, is_row: false, is_last: false, label: None }
    }

    /// With a name for what the rows are.
    pub(super) fn labelled(self, label: &str) -> Self {
        Self { label: Some(label.to_owned()), ..self }
    }

    /// Values before the first row, and in all rows, of a sample with so many.
    fn place(&self, input: &Shape, length: usize) -> (usize, usize) {
        let row: usize = input[1..].iter().product();
        match self.is_last {
            true => ((length - 1) * row, row),
            false => (self.start * row, (self.end.unwrap_or(input[0]) - self.start) * row),
        }
    }

    /// As [`place`](Self::place), of each sample.
    fn places<'a>(&'a self, input: &'a Shape, lengths: Option<&'a [u32]>) -> impl Iterator<Item = (usize, usize)> {
        let length = move |sample: usize| lengths.map_or(input[0], |lengths| lengths[sample] as usize);
        (0..).map(move |sample| self.place(input, length(sample)))
    }
}

impl Layer for Slice {
    identity!("Slice", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [input] = inputs else { return Err("one input".to_owned()) };
        let rows = input.first().copied().unwrap_or(0);
        if self.is_last && rows == 0 {
            return Err("an input of rows".to_owned());
        }
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

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        match (self.is_row, self.end) {
            // States are there at any length.
            _ if self.label.is_some() && self.is_row => Ok(LengthRule::Reduced),
            (true, _) if self.start == 0 => Ok(LengthRule::Reduced),
            (false, None) => {
                let start = i32::try_from(self.start).map_err(|_| "fewer steps to leave out".to_owned())?;
                Ok(LengthRule::Windows { add: -start, stride: 1 })
            }
            _ => Err("the first step (`Slice::row(0)`), the last (`Slice::last()`), or all from one on (`Slice::rows(1..)`): samples may \
             be too short to have others"
                .to_owned()),
        }
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let shape = &pass.input_shapes[0];
        let inputs = pass.inputs.get(0).chunks_exact(shape.size());
        let outputs = pass.output.chunks_exact_mut(pass.output_shape.size());
        for ((output, input), (start, size)) in outputs.zip(inputs).zip(self.places(shape, pass.lengths)) {
            output.copy_from_slice(&input[start..][..size]);
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let Some(slot) = pass.input_gradients.get_mut(0) else { return };
        let shape = &pass.input_shapes[0];
        let gradients = slot.to_add().chunks_exact_mut(shape.size());
        let outputs = pass.output_gradient.chunks_exact(pass.output_shape.size());
        for ((input, output), (start, size)) in gradients.zip(outputs).zip(self.places(shape, pass.lengths)) {
            input[start..][..size].iter_mut().zip(output).for_each(|(sum, part)| *sum += part);
        }
    }

    fn describe(&self) -> String {
        match (&self.label, self.end) {
            (Some(label), _) => label.clone(),
            _ if self.is_last => "the last row".to_owned(),
            _ if self.is_row => format!("row {}", self.start),
            (_, Some(end)) => format!("rows {}..{end}", self.start),
            (_, None) => format!("rows {}..", self.start),
        }
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let input = lowering.input_shape(0);
        let (start, size) = self.place(input, input[0]);
        let row = input.size() / input[0];
        // Of a sequence of variable length, the last step may be any.
        let is_any = self.is_last && lowering.is_variable;
        let part = if is_any { None } else { lowering.packed(start / row, size / row) };
        match part {
            Some(part) => Ok(part),
            None if self.is_last => Ok(lowering.output(ops::Slice::last(size))),
            None => Ok(lowering.output(ops::Slice::after(start))),
        }
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(Slice::rows(1..3), &[&[4, 3]]),
        Example::new(Slice::rows(2..), &[&[5, 2, 2]]),
        Example::new(Slice::row(3), &[&[4, 5]]),
        Example::new(Slice::last(), &[&[4, 5]]),
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
        check(&Slice::last(), &[Shape::from([3, 2])], &|inputs, _| inputs[0][4..6].to_vec());
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
