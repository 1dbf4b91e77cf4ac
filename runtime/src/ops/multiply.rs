//! Product of two tensors, clamped. The second has the first's shape, or is a vector `[1, .., 1, C]` that every pixel is
//! multiplied with (a squeeze-and-excitation gate).
//!
//! int8: `q = clamp(zero_point + ((((x_1 - zero_point_1) * (x_2 - zero_point_2)) << shift) * multiplier + 2^31 >> 32))`.
//! f32: `clamp(x_1 * x_2)`.

use super::linear::ClampF32;
use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Buffers, Lengths, NodeCheck, NodeRun, OpDef, as_f32_mut, as_i8_mut, ensure, in_place},
    quant,
    tensor::ElementType::{self, F32, I8},
};

/// Parameters of the int8 op in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    /// `scale_1 * scale_2 / scale_out * 2^(32 - shift)`.
    pub multiplier: i32,
    /// 0 to 14.
    pub shift: u8,
    /// Lowest output.
    pub minimum: i8,
    /// Highest output.
    pub maximum: i8,
}

/// Largest shift: a product of two differences has 16 bits.
pub const LARGEST_SHIFT: u32 = 14;

impl Parameters {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { multiplier: cursor.i32(), shift: cursor.u8(), minimum: cursor.i8(), maximum: cursor.i8() }
    }
}

pub(super) fn check_form(node: &NodeCheck<'_>, element_type: ElementType) -> Result<(), NodeFault> {
    let [a, b] = node.inputs(element_type)?;
    let vector = b.elements() == b.channels() && b.channels() == a.channels();
    ensure(a.same_form(&node.output) && (b.same_form(&a) || vector), NodeFault::Shape)
}

fn check_i8(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    check_form(node, I8)?;
    let parameters = node.parameters(Parameters::decode)?;
    let fits = u32::from(parameters.shift) <= LARGEST_SHIFT && parameters.minimum <= parameters.maximum;
    ensure(fits, NodeFault::Quantization)
}

fn run_i8(node: &mut NodeRun<'_>) {
    let Parameters { multiplier, shift, minimum, maximum } = Parameters::decode(&mut node.parameters());
    let (a, b, zero_point) = (node.input(0), node.input(1), node.output.zero_point);
    let Buffers { output, inputs, .. } = node.buffers_in_place();
    let second = inputs.read_i8(&b);
    for values in as_i8_mut(output).chunks_exact_mut(second.len().max(1)) {
        for (x, &y) in values.iter_mut().zip(second) {
            let product = (i32::from(*x) - i32::from(a.zero_point)) * (i32::from(y) - i32::from(b.zero_point));
            let (shift, zero_point) = (shift.into(), zero_point.into());
            *x = quant::requantize(product, shift, multiplier, zero_point, minimum.into(), maximum.into());
        }
    }
}

fn check_f32(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    check_form(node, F32)?;
    node.parameters(ClampF32::decode)?.check()
}

fn run_f32(node: &mut NodeRun<'_>) {
    let clamp = ClampF32::decode(&mut node.parameters());
    let second = node.input(1);
    let Buffers { output, inputs, .. } = node.buffers_in_place();
    let second = inputs.read_f32(&second);
    for values in as_f32_mut(output).chunks_exact_mut(second.len().max(1)) {
        values.iter_mut().zip(second).for_each(|(x, &y)| *x = clamp.apply(*x * y));
    }
}

/// int8.
pub static MULTIPLY_I8: OpDef =
    OpDef { code: 24, name: "multiply_i8", alias: in_place, lengths: Lengths::Rows, check: check_i8, run: run_i8 };
/// f32.
pub static MULTIPLY_F32: OpDef =
    OpDef { code: 25, name: "multiply_f32", alias: in_place, lengths: Lengths::Rows, check: check_f32, run: run_f32 };
