//! Some consecutive elements.

use super::{DeviceOpKind, OpExample, registry::encoding};
use crate::device::{Constants, DeviceOp, Encoded, ExportError, NodeContext, OutputQuantization, Rows, Steps};
use crate::graph::LengthRule;
use samara_runtime::ops::slice::{FROM_END, PADDED, Parameters, SLICE};

/// The elements from `start` on, as many as the output has.
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    /// Elements before the first; or, from the end, those from it on.
    pub start: usize,
    /// Counts from the end of what there is, a sequence's last step for one.
    pub from_end: bool,
    /// Zeros stand for elements that there are not, behind the last step of a sequence.
    pub padded: bool,
}

impl Slice {
    /// From the element on before which there are so many.
    pub fn after(start: usize) -> Self {
        Self { start, from_end: false, padded: false }
    }

    /// The last elements, so many.
    pub fn last(elements: usize) -> Self {
        Self { start: elements, from_end: true, padded: false }
    }

    /// A step of a sequence of variable length, which may be too short to have it.
    pub fn step(start: usize) -> Self {
        Self { start, from_end: false, padded: true }
    }

    /// Whether all is of the first row, or the last, which there is at any length.
    fn is_of_one_row(&self, context: &NodeContext<'_>) -> bool {
        let row = context.inputs[0].size() / context.inputs[0][0];
        self.start + if self.from_end { 0 } else { context.output.size() } <= row
    }
}

impl DeviceOp for Slice {
    /// Of what comes at a time, the last row is the last.
    fn rows(&self, context: &NodeContext<'_>) -> Rows {
        let is_step = context.output.len() < context.inputs[0].len() && self.is_of_one_row(context);
        if self.from_end && is_step { Rows::Past } else { Rows::All }
    }

    fn length_rule(&self, context: &NodeContext<'_>) -> Option<LengthRule> {
        if self.padded || self.is_of_one_row(context) {
            return Some(LengthRule::Reduced);
        }
        let [inputs, outputs] = [context.inputs[0], context.output].map(|shape| (shape[0], shape.size() / shape[0]));
        let is_rest = !self.from_end && inputs.1 == outputs.1 && self.start == inputs.0.checked_sub(outputs.0)? * inputs.1;
        let add = i32::try_from(outputs.0).ok()? - i32::try_from(inputs.0).ok()?;
        is_rest.then_some(LengthRule::Windows { add, stride: 1 })
    }

    fn steps(&self) -> Steps {
        if self.padded { Steps::Taken } else { Steps::Passed }
    }

    fn output_quantization(&self) -> OutputQuantization {
        OutputQuantization::Shared
    }

    fn takes_i16(&self) -> bool {
        true
    }

    fn encode_f32(&self, _: &NodeContext<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        let flag = |is: bool, flag: u32| if is { flag } else { 0 };
        let start = self.start as u32 | flag(self.from_end, FROM_END) | flag(self.padded, PADDED);
        Ok(Encoded::new(&SLICE, &Parameters { start }))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "slice",
    encodings: &[encoding!(
        SLICE,
        Parameters,
        "u32 elements before the first; with bit 31, from it to the end; with bit 30, zeros behind the last"
    )],
    examples,
    #[cfg(test)]
    golden: &[],
};

fn examples() -> Vec<OpExample> {
    vec![
        OpExample::new("slice", Slice::after(6), &[&[4, 3]], &[2, 3]),
        OpExample::new("slice_odd", Slice::after(5), &[&[3, 4, 5]], &[13]),
        OpExample::new("slice_last", Slice::last(3), &[&[4, 3]], &[3]),
        OpExample::new("slice_padded", Slice::step(9), &[&[4, 3]], &[2, 3]),
    ]
}
