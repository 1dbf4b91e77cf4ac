//! Mean over some axes of a tensor of any rank: `y[kept] = sum over the others of x / n`. The output has the elements of the kept
//! axes in their order, under any shape: with or without axes of one element in place of the others.
//!
//! int8: scale and zero point are the same on both sides; `floor((2 * sum + n) / (2 * n))`, n at most 65,536. f32: the sum in row
//! order, divided by n.

use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Lengths, NodeCheck, NodeRun, OpDef, as_f32_mut, as_i8_mut, disjoint, ensure},
    quant,
    tensor::{
        ElementType::{self, F32, I8},
        Tensor,
    },
};
use core::num::NonZeroU32;

/// Parameters in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    /// The axes that the mean is over: bit `i` for axis `i`, 0 the outermost; at least one, all below the rank.
    pub axes: u8,
}

impl Parameters {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { axes: cursor.u8() }
    }

    /// Sizes of the axes that the mean is over, and of the others; 1 in place of an axis that is not meant.
    fn split(&self, tensor: &Tensor) -> [[u32; 4]; 2] {
        let (mut over, mut kept) = ([1; 4], [1; 4]);
        let sizes = over.iter_mut().zip(&mut kept).zip(tensor.dimensions).enumerate();
        sizes.for_each(|(axis, ((over, kept), size))| *(if self.axes >> axis & 1 == 1 { over } else { kept }) = size);
        [over, kept]
    }
}

/// Most int8 values of one mean: the sum stays within 32 bits.
pub const MAXIMUM_COUNT: u32 = 1 << 16;

fn check(node: &NodeCheck<'_>, element_type: ElementType) -> Result<(), NodeFault> {
    let [input] = node.inputs(element_type)?;
    let parameters = node.parameters(Parameters::decode)?;
    ensure(parameters.axes != 0 && parameters.axes >> input.rank == 0, NodeFault::Shape)?;
    // The products are of some of a tensor's dimensions, whose product is at most 2^28.
    let [count, kept] = parameters.split(&input).map(|sizes| sizes.iter().product::<u32>());
    ensure(kept as usize == node.output.elements(), NodeFault::Shape)?;
    // Over all rows that there are, or within each.
    let (from, to) = (input.length_group, node.output.length_group);
    ensure(to == if parameters.axes & 1 == 1 { 0 } else { from }, NodeFault::Length)?;
    ensure(element_type == F32 || count <= MAXIMUM_COUNT, NodeFault::Shape)?;
    ensure(input.same_quantization(&node.output), NodeFault::Quantization)
}

/// Offsets in `tensor` of all elements along axes of these sizes, in row order.
fn offsets(tensor: &Tensor, sizes: [u32; 4]) -> impl Iterator<Item = usize> {
    let [_, b, c, d] = tensor.dimensions.map(|size| size as usize);
    let [first, second, third, fourth] = sizes.map(|size| 0..size as usize);
    first.flat_map(move |i| {
        let (third, fourth) = (third.clone(), fourth.clone());
        second.clone().flat_map(move |j| {
            let fourth = fourth.clone();
            third.clone().flat_map(move |k| fourth.clone().map(move |l| ((i * b + j) * c + k) * d + l))
        })
    })
}

/// Sums the inputs of each output by `add`, and writes what `mean` makes of the sum.
fn reduce<T: Copy, S: Copy>(
    (parameters, input): (&Parameters, &Tensor),
    from: &[T],
    to: &mut [T],
    (zero, add): (S, impl Fn(S, T) -> S),
    mean: impl Fn(S) -> T,
) {
    let [over, kept] = parameters.split(input);
    for (to, start) in to.iter_mut().zip(offsets(input, kept)) {
        let from = from.get(start..).unwrap_or_default();
        *to = mean(offsets(input, over).filter_map(|offset| from.get(offset).copied()).fold(zero, &add));
    }
}

fn count(parameters: &Parameters, input: &Tensor) -> u32 {
    let [over, _] = parameters.split(input);
    over.iter().product()
}

fn run_i8(node: &mut NodeRun<'_>) {
    let (parameters, input) = (Parameters::decode(&mut node.parameters()), node.input(0));
    let Some(count) = NonZeroU32::new(count(&parameters, &input)) else { return };
    let buffers = node.buffers();
    let (from, to) = (buffers.inputs.read_i8(&input), as_i8_mut(buffers.output));
    let add = |sum: i32, x: i8| sum.wrapping_add(i32::from(x));
    reduce((&parameters, &input), from, to, (0, add), |sum| quant::mean(sum, count));
}

fn run_f32(node: &mut NodeRun<'_>) {
    let (parameters, input) = (Parameters::decode(&mut node.parameters()), node.input(0));
    let count = count(&parameters, &input) as f32;
    let buffers = node.buffers();
    let (from, to) = (buffers.inputs.read_f32(&input), as_f32_mut(buffers.output));
    reduce((&parameters, &input), from, to, (0.0, |sum: f32, x: f32| sum + x), |sum| sum / count);
}

/// int8.
pub static MEAN_I8: OpDef =
    OpDef { code: 31, name: "mean_i8", alias: disjoint, lengths: Lengths::Checked, check: |node| check(node, I8), run: run_i8 };
/// f32.
pub static MEAN_F32: OpDef = OpDef {
    code: 32,
    name: "mean_f32",
    alias: disjoint,
    lengths: Lengths::Checked,
    check: |node| check(node, F32),
    run: run_f32,
};
