//! What an op of the runtime is on the host: how it folds, how quantization passes through it, how it is encoded.

use super::{ExportError, ops::WeightBits};
use crate::graph::{LengthRule, Shape};
use samara_runtime::{format::writer::encode_parameters, ops::linear::ClampF32};
use serde::Serialize;
use std::collections::HashMap;
use std::fmt;

/// Scale and zero point of an int8 tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantization {
    /// Real units per step, positive.
    pub scale: f32,
    /// The int8 value of real zero.
    pub zero_point: i8,
}

impl Quantization {
    /// The scale of the same tensor in int16: a power of two finer where the zero point is 0 or an end of int8, and large enough for
    /// all that int8 covers.
    pub fn wide_scale(self) -> f32 {
        let (below, above) = (128 + i16::from(self.zero_point), 128 - i16::from(self.zero_point));
        self.scale * f32::from(below.max(above)) / 32768.0
    }
}

/// The form in which a node computes, and in which a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// int8 throughout.
    I8,
    /// Activations int16, weights int8.
    I16,
    /// f32.
    F32,
}

impl Form {
    /// `"i8"`, `"i16"` or `"f32"`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::F32 => "f32",
        }
    }
}

/// How an op ties the quantization of its output to that of its inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OutputQuantization {
    /// Not at all: the output's own range decides.
    Free,
    /// Inputs and output have one scale and zero point.
    Shared,
    /// The output's is given.
    Fixed(Quantization),
}

/// Bounds of a clamp, in real numbers; infinite for none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clamp {
    /// Lowest value.
    pub minimum: f32,
    /// Highest value.
    pub maximum: f32,
}

impl Clamp {
    /// No clamp.
    pub const NONE: Self = Self { minimum: f32::NEG_INFINITY, maximum: f32::INFINITY };

    /// This clamp, then `other`.
    pub fn then(self, other: Self) -> Self {
        let bound = |value: f32| {
            if value < other.minimum {
                other.minimum
            } else if value > other.maximum {
                other.maximum
            } else {
                value
            }
        };
        Self { minimum: bound(self.minimum), maximum: bound(self.maximum) }
    }

    /// `true` if a positive factor may be moved from behind the clamp to before it.
    pub fn is_homogeneous(self) -> bool {
        [self.minimum, self.maximum].into_iter().all(|bound| bound == 0.0 || bound.is_infinite())
    }

    /// The bounds as int8 values.
    pub fn quantized(self, quantization: Quantization) -> (i8, i8) {
        let bound = |value: f32| samara_runtime::quant::quantize(value, quantization.scale, quantization.zero_point);
        (bound(self.minimum), bound(self.maximum))
    }
}

impl From<Clamp> for ClampF32 {
    fn from(Clamp { minimum, maximum }: Clamp) -> Self {
        Self { minimum, maximum }
    }
}

/// How the rows of an op's output, those of the first dimension, come from the rows of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// From all of them.
    All,
    /// Each from the row of the same number in every input.
    Each,
    /// Each from the row of that number and what the op remembers of those before.
    Past,
    /// Each from the row of that number and those behind it, beside rows of what goes forward: no stream has them.
    Future,
    /// Each from a window of rows.
    Windows {
        /// Rows from its first to its last.
        extent: usize,
        /// Rows from one window to the next.
        stride: usize,
        /// Rows of zeros before the first row.
        padding: usize,
    },
}

/// What an op has to do with single steps of a sequence of variable length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steps {
    /// What it makes of a step is one.
    Passed,
    /// It takes a step, zeros if there is none.
    Taken,
    /// It puts all steps below each other, as many as there are.
    Gathered,
}

/// A node's tensors as an op sees them.
#[derive(Debug, Clone)]
pub struct NodeContext<'a> {
    /// The node's name, for errors.
    pub name: &'a str,
    /// Shapes of the inputs.
    pub inputs: Vec<&'a Shape>,
    /// Shape of the output.
    pub output: &'a Shape,
}

impl NodeContext<'_> {
    /// [`Rows::Each`] if inputs and output have as many rows, and every value that repeats along the elements, `period` of them,
    /// begins anew in each.
    pub fn each_row(&self, period: usize) -> Rows {
        let rows = self.output.first();
        let repeats = |shape: &Shape| shape[1..].iter().product::<usize>().is_multiple_of(period);
        let fits = self.inputs.iter().all(|input| input.first() == rows && (period == 1 || repeats(input)));
        if rows.is_some() && self.output.len() > 1 && fits { Rows::Each } else { Rows::All }
    }

    /// What follows for lengths if rows come so from rows.
    pub fn length_rule(&self, rows: Rows) -> Option<LengthRule> {
        match rows {
            Rows::All | Rows::Future => None,
            Rows::Each => Some(LengthRule::Kept),
            Rows::Past if self.output.len() == self.inputs[0].len() => Some(LengthRule::Kept),
            Rows::Past => Some(LengthRule::Reduced),
            Rows::Windows { extent, stride, padding } => {
                let (inputs, outputs) = (self.inputs[0][0] as i64, self.output[0] as i64);
                // Rows of zeros below the last row: any number at stride 1, none at others, where they depend on the length.
                let add = if stride == 1 { outputs - inputs } else { padding as i64 + stride as i64 - extent as i64 };
                let fits = (inputs + add).checked_div_euclid(stride as i64) == Some(outputs);
                let (add, stride) = (i32::try_from(add).ok()?, u16::try_from(stride).ok()?);
                fits.then_some(LengthRule::Windows { add, stride })
            }
        }
    }

    /// An error that names the node.
    pub fn error(&self, reason: impl Into<String>) -> ExportError {
        ExportError::Layer { layer: self.name.to_owned(), reason: reason.into() }
    }
}

/// An encoded op.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The runtime's op.
    pub op: &'static samara_runtime::OpDef,
    /// Its parameters in postcard's wire format.
    pub parameters: Vec<u8>,
    /// Its need of scratch memory.
    pub scratch_bytes: usize,
    /// What it remembers from run to run.
    pub state_bytes: usize,
}

impl Encoded {
    /// An op with parameters and no scratch memory.
    pub fn new(op: &'static samara_runtime::OpDef, parameters: &impl Serialize) -> Self {
        Self { op, parameters: encode_parameters(parameters), scratch_bytes: 0, state_bytes: 0 }
    }

    /// The same with a state.
    pub fn with_state(mut self, bytes: usize) -> Self {
        self.state_bytes = bytes;
        self
    }

    /// The same with scratch memory.
    pub fn with_scratch(mut self, bytes: usize) -> Self {
        self.scratch_bytes = bytes;
        self
    }
}

/// The constants of a file in the making. Equal constants are stored once, so shared weights are, too.
#[derive(Debug, Default)]
pub struct Constants {
    bytes: Vec<u8>,
    known: HashMap<Vec<u8>, u32>,
}

impl Constants {
    /// Stores bytes at a multiple of 16, and says where.
    pub fn push(&mut self, bytes: Vec<u8>) -> u32 {
        if let Some(&offset) = self.known.get(&bytes) {
            return offset;
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(16), 0);
        let offset = self.bytes.len() as u32;
        self.bytes.extend(&bytes);
        self.known.insert(bytes, offset);
        offset
    }

    /// Stores f32 values.
    pub fn push_f32(&mut self, values: &[f32]) -> u32 {
        self.push(values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// Stores i32 values.
    pub fn push_i32(&mut self, values: impl IntoIterator<Item = i32>) -> u32 {
        self.push(values.into_iter().flat_map(i32::to_le_bytes).collect())
    }

    /// Stores int8 values.
    pub fn push_i8(&mut self, values: &[i8]) -> u32 {
        self.push(values.iter().map(|&value| value as u8).collect())
    }

    /// All of them.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Cloning of boxed ops: what every op that is `Clone` has.
pub trait CloneOp {
    /// The same op once more.
    fn clone_op(&self) -> Box<dyn DeviceOp>;
}

impl<T: DeviceOp + Clone + 'static> CloneOp for T {
    fn clone_op(&self) -> Box<dyn DeviceOp> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn DeviceOp> {
    fn clone(&self) -> Self {
        (**self).clone_op()
    }
}

/// An op of the runtime, in real numbers: the host's twin of a file in `samara_runtime::ops`.
pub trait DeviceOp: CloneOp + fmt::Debug + Send + Sync {
    /// Multiply-accumulates (of one sample), 0 for ops that have none.
    fn macs(&self, context: &NodeContext<'_>) -> u64 {
        let _ = context;
        0
    }

    /// `true` if the input is tokens: an input of the model that holds integers, in every file.
    fn takes_tokens(&self) -> bool {
        false
    }

    /// How quantization passes through.
    fn output_quantization(&self) -> OutputQuantization {
        OutputQuantization::Free
    }

    /// What an input must be in int8, if that is given; another node brings it there.
    fn input_quantization(&self, input: usize) -> Option<Quantization> {
        let _ = input;
        None
    }

    /// The smallest scale that the output may have, given the inputs': below it, multipliers leave their range.
    fn least_output_scale(&self, inputs: &[Quantization]) -> f32 {
        let _ = inputs;
        0.0
    }

    /// `true` if the output is the only input under another shape.
    fn is_reshape(&self) -> bool {
        false
    }

    /// The largest magnitude of what the op keeps to itself in f32, given the values of each input: a number that int8 needs to
    /// know, as it needs to know the range of tensors. 0 for ops without such.
    fn inner_magnitude(&self, context: &NodeContext<'_>, input: &dyn Fn(usize) -> Vec<f32>) -> f32 {
        let _ = (context, input);
        0.0
    }

    /// Takes in what [`inner_magnitude`](Self::inner_magnitude) gave at most, over all samples.
    fn take_inner_magnitude(&mut self, magnitude: f32) {
        let _ = magnitude;
    }

    /// Takes in a clamp that follows. `false` if it cannot.
    fn fuse_clamp(&mut self, clamp: Clamp) -> bool {
        let _ = clamp;
        false
    }

    /// The clamp that this op is, if it is nothing else.
    fn as_clamp(&self) -> Option<Clamp> {
        None
    }

    /// Takes in `scale[c] * y + shift[c]` that follows, per channel of the last axis. `false` if it cannot.
    fn fold_output(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        let _ = (scale, shift);
        false
    }

    /// Multiplies each channel of the output (of the last axis) by a positive factor. `false` if it cannot, exactly.
    fn scale_output(&mut self, factors: &[f32]) -> bool {
        let _ = factors;
        false
    }

    /// `true` if each channel of the input meets int8 weights whose scale no other channel shares (or finer ones): a factor per
    /// channel, folded into them, costs no precision.
    fn takes_factors_for_free(&self) -> bool {
        false
    }

    /// Takes in `scale[i % scale.len()] * x[i] + shift[i % scale.len()]`, for each element `i` of the only input, that comes
    /// before. Exact, or `false`.
    fn fold_input(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        let _ = (scale, shift);
        false
    }

    /// Scales and shifts, if this op is nothing else.
    fn as_scale_shift(&self) -> Option<(&[f32], &[f32])> {
        None
    }

    /// `true` if `scale[i % scale.len()] * x[i]` and a shift like it, of each element `i` of the only input, may be computed
    /// behind this op as well: element `j` of the output depends only on elements `i` with `i % scale.len() == j % scale.len()`,
    /// and commutes with such a scale. A reshape may stand between, so the input can have other than `scale.len()` channels.
    fn lets_pass(&self, context: &NodeContext<'_>, scale: &[f32]) -> bool {
        let _ = (context, scale);
        false
    }

    /// How rows come from rows: what a stream needs to know, of which a few rows come at a time.
    fn rows(&self, context: &NodeContext<'_>) -> Rows {
        let _ = context;
        Rows::All
    }

    /// How many rows the output has of inputs that may have fewer than their shapes say; `None` if what it computes of fewer is not
    /// the beginning of what it computes of all.
    fn length_rule(&self, context: &NodeContext<'_>) -> Option<LengthRule> {
        context.length_rule(self.rows(context))
    }

    /// What it does with single steps of a sequence of variable length.
    fn steps(&self) -> Steps {
        Steps::Passed
    }

    /// Makes the op one for a stream: windows get the rows before them with the others, so they have no padding; what is remembered
    /// stays from run to run.
    fn stream(&mut self) {}

    /// How many bits an int8 file keeps of each weight, if that may be chosen.
    fn weight_bits(&mut self) -> Option<&mut WeightBits> {
        None
    }

    /// Takes into its bias what rounding the weights to int8 moves each output's mean by, given the mean of each channel of the input.
    fn correct_bias(&mut self, context: &NodeContext<'_>, input: Quantization, output: Quantization, means: &[f32]) {
        let _ = (context, input, output, means);
    }

    /// The op for f32 tensors.
    fn encode_f32(&self, context: &NodeContext<'_>, constants: &mut Constants) -> Result<Encoded, ExportError>;

    /// The op for int8 tensors of the given quantization; that for f32 if the op moves elements of any type.
    fn encode_i8(
        &self,
        context: &NodeContext<'_>,
        inputs: &[Quantization],
        output: Quantization,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let _ = (inputs, output);
        self.encode_f32(context, constants)
    }

    /// `true` if there is an op for int16 tensors.
    fn takes_i16(&self) -> bool {
        false
    }

    /// The op for int16 tensors of the given scales; that for f32 if the op moves elements of any type.
    fn encode_i16(
        &self,
        context: &NodeContext<'_>,
        inputs: &[f32],
        output: f32,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let _ = (inputs, output);
        if self.takes_i16() {
            return self.encode_f32(context, constants);
        }
        Err(context.error("it has no kernel for int16 activations"))
    }
}
