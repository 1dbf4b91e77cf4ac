//! Decision trees: `y[k] = bias[k] +` what the leaves say of output `k` that a walk through each tree ends at.
//!
//! The input may have any shape: its elements are features, numbered from 0. A walk begins at the tree's root and goes from each split to the child
//! `below` where `x[feature] <= threshold`, else (and for NaN) to the child `above`, until it comes to a leaf. A leaf is a row of `width`
//! values, which are added to the outputs from the tree's `first` on: of a random forest all outputs, of boosted trees with one output each
//! a single one. Trees are walked, and rows added, in their order.
//!
//! int8: thresholds are in the input's quantization, the values of leaves int8 with one scale; sums are i32, and are requantized
//! once, in the end. f32: plain sums.
//!
//! A reference to a split or a leaf is a u16, bit 15 set for a leaf. Children lie behind their split, so every walk ends. Constants, one
//! behind the other; a split of an int8 forest takes 7 bytes, and equal leaves are there once:
//!
//! | what | type | of each |
//! |---|---|---|
//! | biases | i32 or f32 | output |
//! | trees | u16 reference to the root, u16 first output | tree |
//! | children | u16 reference below, u16 above | split |
//! | features | u16, an odd number of them padded with one | split |
//! | thresholds | i8 or f32 | split |
//! | leaves | `width` times i8 or f32 | leaf |

use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Lengths, NodeCheck, NodeRun, OpDef, as_f32, as_f32_mut, as_i8, as_i8_mut, as_i32, copy, disjoint, ensure},
    quant,
    tensor::{
        ElementType::{self, F32, I8},
        Tensor,
    },
};

/// What both element types have in the file; all parameters of the f32 op.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Form {
    /// Offset of the constants.
    pub constants: u32,
    /// Number of trees.
    pub trees: u32,
    /// Number of splits, of all trees together.
    pub splits: u32,
    /// Number of leaves, of all trees together.
    pub leaves: u32,
    /// Values of a leaf.
    pub width: u32,
}

/// Parameters of the int8 op in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct ParametersI8 {
    /// The trees.
    pub form: Form,
    /// Requantizes the sums.
    pub multiplier: i32,
    /// 0 to 7.
    pub shift: u8,
}

/// Set in a reference to a leaf.
pub const LEAF: u16 = 1 << 15;
/// Most splits, and most leaves.
pub const MAXIMUM_NODES: usize = 1 << 15;
/// Most trees: `128 * 2^16` is a sum of 24 bits.
pub const MAXIMUM_TREES: usize = 1 << 16;
/// Most elements of the input.
pub const MAXIMUM_FEATURES: usize = 1 << 16;
/// Most elements of the output.
pub const MAXIMUM_OUTPUTS: usize = 1 << 12;
/// Biases of int8 are less, so that no sum leaves 32 bits.
pub const BIAS_LIMIT: i32 = 1 << 30;
/// Largest shift.
pub const LARGEST_SHIFT: u32 = 7;

impl Form {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { constants: cursor.u32(), trees: cursor.u32(), splits: cursor.u32(), leaves: cursor.u32(), width: cursor.u32() }
    }

    /// Bytes of the constants. They fit 32 bits, if the numbers are within their limits.
    const fn bytes(&self, outputs: usize, element_bytes: usize) -> usize {
        let (trees, splits) = (self.trees as usize, self.splits as usize);
        let values = splits + self.leaves as usize * self.width as usize;
        4 * (outputs + trees + splits) + feature_bytes(splits) + element_bytes * values
    }

    fn check(&self, node: &NodeCheck<'_>, element_type: ElementType) -> Result<(), NodeFault> {
        let [input] = node.inputs(element_type)?;
        let (features, outputs) = (input.elements(), node.output.elements());
        ensure(features <= MAXIMUM_FEATURES && outputs <= MAXIMUM_OUTPUTS, NodeFault::Shape)?;
        let fits = self.trees as usize <= MAXIMUM_TREES
            && self.splits as usize <= MAXIMUM_NODES
            && self.leaves as usize <= MAXIMUM_NODES
            && self.width as usize <= outputs;
        ensure(fits, NodeFault::Parameter)?;
        let element_bytes = if element_type == I8 { 1 } else { 4 };
        let constants = Constants::cut(node.constants(self.constants, self.bytes(outputs, element_bytes))?, self, outputs);
        let is_sound = constants.are_sound(self, features, outputs);
        ensure(is_sound, NodeFault::Parameter)?;
        let small = |&bias: &i32| -BIAS_LIMIT < bias && bias < BIAS_LIMIT;
        ensure(element_type == F32 || as_i32(constants.biases).iter().all(small), NodeFault::Quantization)
    }
}

impl ParametersI8 {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { form: Form::decode(cursor), multiplier: cursor.i32(), shift: cursor.u8() }
    }
}

/// Scratch bytes of the int8 op: a sum for each output.
pub const fn scratch_bytes(outputs: usize) -> usize {
    4 * outputs
}

const fn feature_bytes(splits: usize) -> usize {
    (2 * splits).next_multiple_of(4)
}

/// The constants, cut into their parts.
#[derive(Debug, Clone, Copy)]
struct Constants<'a> {
    biases: &'a [u8],
    trees: &'a [[u16; 2]],
    children: &'a [[u16; 2]],
    features: &'a [u16],
    thresholds: &'a [u8],
    leaves: &'a [u8],
}

impl<'a> Constants<'a> {
    /// From the bytes that there are for this form.
    #[inline(never)] // One for both element types, for check and run.
    fn cut(bytes: &'a [u8], form: &Form, outputs: usize) -> Self {
        let (trees, splits) = (form.trees as usize, form.splits as usize);
        let element_bytes = if bytes.len() == form.bytes(outputs, 1) { 1 } else { 4 };
        let mut rest = bytes;
        let mut part = |length: usize| {
            let (part, behind) = rest.split_at_checked(length).unwrap_or_default();
            rest = behind;
            part
        };
        let (biases, trees, children) = (part(4 * outputs), part(4 * trees), part(4 * splits));
        let features = part(feature_bytes(splits));
        Self {
            biases,
            trees: bytemuck::try_cast_slice(trees).unwrap_or_default(),
            children: bytemuck::try_cast_slice(children).unwrap_or_default(),
            features: bytemuck::try_cast_slice(features).unwrap_or_default(),
            thresholds: part(element_bytes * splits),
            leaves: rest,
        }
    }

    /// Whether all references are to what is there, children lie behind their splits, and rows of leaves within the outputs.
    fn are_sound(&self, form: &Form, features: usize, outputs: usize) -> bool {
        let (splits, leaves, width) = (form.splits as usize, form.leaves as usize, form.width as usize);
        let is_there = |reference: u16, least: usize| {
            let number = usize::from(reference & !LEAF);
            if reference & LEAF == 0 { least <= number && number < splits } else { number < leaves }
        };
        let roots = self.trees.iter().all(|&[root, first]| is_there(root, 0) && usize::from(first) + width <= outputs);
        let mut children = self.children.iter().enumerate();
        roots
            && children.all(|(split, &[below, above])| is_there(below, split + 1) && is_there(above, split + 1))
            && self.features.iter().take(splits).all(|&feature| usize::from(feature) < features)
    }

    /// Where a walk from this reference ends: the number of a leaf.
    #[inline(always)]
    fn walk<T: Copy + PartialOrd>(&self, root: u16, input: &[T], thresholds: &[T]) -> usize {
        let mut at = root;
        while at & LEAF == 0 {
            let split = usize::from(at);
            let (Some(&[below, above]), Some(&feature)) = (self.children.get(split), self.features.get(split)) else { break };
            let (Some(x), Some(threshold)) = (input.get(usize::from(feature)), thresholds.get(split)) else { break };
            at = if x <= threshold { below } else { above };
        }
        usize::from(at & !LEAF)
    }

    /// Adds what the leaves say to the sums.
    #[inline(always)]
    fn add_leaves<T: Copy + PartialOrd, S: Copy>(
        &self,
        width: usize,
        input: &[T],
        (thresholds, leaves): (&[T], &[T]),
        sums: &mut [S],
        add: impl Fn(S, T) -> S,
    ) {
        for &[root, first] in self.trees {
            let start = self.walk(root, input, thresholds).wrapping_mul(width);
            let row = leaves.get(start..).and_then(|rows| rows.get(..width)).unwrap_or_default();
            for (sum, &value) in sums.iter_mut().skip(usize::from(first)).zip(row) {
                *sum = add(*sum, value);
            }
        }
    }
}

fn check_i8(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let parameters = node.parameters(ParametersI8::decode)?;
    parameters.form.check(node, I8)?;
    ensure(u32::from(parameters.shift) <= LARGEST_SHIFT, NodeFault::Quantization)?;
    node.scratch(scratch_bytes(node.output.elements()))
}

fn run_i8(node: &mut NodeRun<'_>) {
    let ParametersI8 { form, multiplier, shift } = ParametersI8::decode(&mut node.parameters());
    let (input, output) = (node.input(0), node.output);
    let outputs = output.elements();
    let constants = Constants::cut(node.constants(form.constants, form.bytes(outputs, 1)), &form, outputs);
    let buffers = node.buffers();
    let sums = buffers.scratch.get_mut(..scratch_bytes(outputs)).unwrap_or_default();
    let sums: &mut [i32] = bytemuck::try_cast_slice_mut(sums).unwrap_or_default();
    copy(sums, as_i32(constants.biases));
    let values = (as_i8(constants.thresholds), as_i8(constants.leaves));
    let input = buffers.inputs.read_i8(&input);
    constants.add_leaves(form.width as usize, input, values, sums, |sum, value| sum.wrapping_add(value.into()));
    for (value, &sum) in as_i8_mut(buffers.output).iter_mut().zip(&*sums) {
        *value = quant::requantize(sum, shift.into(), multiplier, output.zero_point.into(), -128, 127);
    }
}

fn check_f32(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    node.parameters(Form::decode)?.check(node, F32)
}

fn run_f32(node: &mut NodeRun<'_>) {
    let form = Form::decode(&mut node.parameters());
    let (input, outputs): (Tensor, usize) = (node.input(0), node.output.elements());
    let constants = Constants::cut(node.constants(form.constants, form.bytes(outputs, 4)), &form, outputs);
    let buffers = node.buffers();
    let sums = as_f32_mut(buffers.output);
    copy(sums, as_f32(constants.biases));
    let values = (as_f32(constants.thresholds), as_f32(constants.leaves));
    constants.add_leaves(form.width as usize, buffers.inputs.read_f32(&input), values, sums, |sum, value| sum + value);
}

/// int8.
pub static FOREST_I8: OpDef =
    OpDef { code: 52, name: "forest_i8", alias: disjoint, lengths: Lengths::Refused, check: check_i8, run: run_i8 };
/// f32.
pub static FOREST_F32: OpDef =
    OpDef { code: 53, name: "forest_f32", alias: disjoint, lengths: Lengths::Refused, check: check_f32, run: run_f32 };

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    /// Two trees over three features: `x0 <= 5 ? (x2 <= -1 ? leaf 0 : leaf 1) : leaf 2`, and leaf 1 without a split.
    const FORM: Form = Form { constants: 0, trees: 2, splits: 2, leaves: 3, width: 2 };
    const CHILDREN: [[u16; 2]; 2] = [[1, LEAF | 2], [LEAF, LEAF | 1]];
    const SOUND: Constants<'static> = Constants {
        biases: &[],
        trees: &[[0, 0], [LEAF | 1, 1]],
        children: &CHILDREN,
        features: &[0, 2],
        thresholds: &[],
        leaves: &[],
    };

    #[test]
    fn a_walk_goes_below_up_to_the_threshold() {
        let thresholds = [5i8, -1];
        for (input, leaf) in [([5, 0, -1], 0), ([5, 0, 0], 1), ([6, 0, -128], 2), ([-128, 127, -128], 0)] {
            assert_eq!(SOUND.walk(0, &input, &thresholds), leaf, "{input:?}");
        }
        let nan = f32::NAN;
        assert_eq!(SOUND.walk(0, &[nan, 0.0, 0.0], &[5.0, -1.0]), 2, "NaN goes above");
        assert_eq!(SOUND.walk(LEAF | 2, &[0i8; 3], &thresholds), 2, "a tree without a split");
    }

    #[test]
    fn leaves_are_added_from_the_trees_first_output_on() {
        let leaves = [1i8, 2, 10, 20, 100, 127];
        let mut sums = [7i32, 0, -1];
        SOUND.add_leaves(2, &[6i8, 0, 0], (&[5, -1], &leaves), &mut sums, |sum, value| sum + i32::from(value));
        assert_eq!(sums, [107, 137, 19]);
    }

    #[test]
    fn references_that_lead_astray_are_refused() {
        let sound = |constants: &Constants<'_>, features, outputs| constants.are_sound(&FORM, features, outputs);
        assert!(sound(&SOUND, 3, 3));
        assert!(!sound(&SOUND, 2, 3), "a feature that the input does not have");
        assert!(!sound(&SOUND, 3, 2), "a row of a leaf beyond the outputs");
        for trees in [[[2, 0], [0, 0]], [[0, 0], [LEAF | 3, 0]]] {
            assert!(!sound(&Constants { trees: &trees, ..SOUND }, 3, 3), "{trees:?}");
        }
        for (split, side, reference) in [(0, 0, 0), (1, 1, 1), (1, 0, 0), (0, 1, 2), (1, 1, LEAF | 3)] {
            let mut children = CHILDREN;
            children[split][side] = reference;
            assert!(!sound(&Constants { children: &children, ..SOUND }, 3, 3), "{children:?}");
        }
    }

    #[test]
    fn the_largest_forest_has_sizes_of_32_bits() {
        let most = |count: usize| count as u32;
        let form = Form {
            constants: 0,
            trees: most(MAXIMUM_TREES),
            splits: most(MAXIMUM_NODES),
            leaves: most(MAXIMUM_NODES),
            width: most(MAXIMUM_OUTPUTS),
        };
        assert!(form.bytes(MAXIMUM_OUTPUTS, 4) < 1 << 31);
        assert!(i64::from(BIAS_LIMIT) + 128 * MAXIMUM_TREES as i64 <= i64::from(i32::MAX));
    }

    #[test]
    fn parts_lie_one_behind_the_other() {
        let form = Form { constants: 0, trees: 1, splits: 3, leaves: 2, width: 2 };
        for (element_bytes, size) in [(1, 8 + 4 + 12 + 8 + 3 + 4), (4, 8 + 4 + 12 + 8 + 12 + 16)] {
            assert_eq!(form.bytes(2, element_bytes), size);
            let words: Vec<u32> = (0..size as u32).collect();
            let bytes = &bytemuck::cast_slice::<u32, u8>(&words)[..size];
            let parts = Constants::cut(bytes, &form, 2);
            let lengths = [parts.biases.len(), parts.trees.len(), parts.children.len(), parts.features.len()];
            assert_eq!(lengths, [8, 1, 3, 4]);
            assert_eq!([parts.thresholds.len(), parts.leaves.len()], [3, 4].map(|count| count * element_bytes));
        }
    }
}
