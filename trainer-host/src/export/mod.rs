//! From a trained graph to a model file.
//!
//! ```text
//! Model ──lower──> DeviceGraph ──simplify──> DeviceGraph ──encode──> ModelFile ──> bytes
//!  layers say how        f32, ops of the      batch-norms folded,      f32 or int8,
//!                        runtime              activations fused        arena planned
//! ```
//!
//! A [`DeviceGraph`] knows real numbers only. What an op needs for one element type is in its file in [`ops`], as
//! implementations of [`DeviceOp`]; nothing here matches over kinds of ops.

pub mod encode;
pub mod lower;
pub mod ops;
pub mod plan;
pub mod run;
pub mod simplify;

use crate::graph::Shape;
use samara_runtime::format::writer::encode_parameters;
use serde::Serialize;
use std::collections::HashMap;
use std::fmt;

/// Why a graph cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A layer has no counterpart on the device, or not with this configuration.
    #[error("layer {layer:?} cannot be exported: {reason}")]
    Layer {
        /// Name of the layer's node.
        layer: String,
        /// What stands in the way.
        reason: String,
    },
    /// The calibration data does not fit the model.
    #[error("calibration: {0}")]
    Calibration(String),
    /// A model has more of something than the file can say.
    #[error("the model has {found} {what}, a file holds at most {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much there may be.
        limit: usize,
    },
    /// The runtime refused a file that was just written: a defect of the exporter.
    #[error("the exported file was refused by the runtime: {0}")]
    Refused(#[from] samara_runtime::LoadError),
}

/// A tensor of a [`DeviceGraph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(crate) usize);

/// Scale and zero point of an int8 tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantization {
    /// Real units per step, positive.
    pub scale: f32,
    /// The int8 value of real zero.
    pub zero_point: i8,
}

/// How an op ties the quantization of its output to that of its inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tie {
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

/// A node's tensors as an op sees them when it is encoded.
#[derive(Debug, Clone)]
pub struct Site<'a> {
    /// The node's name, for errors.
    pub name: &'a str,
    /// Shapes of the inputs.
    pub inputs: Vec<&'a Shape>,
    /// Shape of the output.
    pub output: &'a Shape,
}

impl Site<'_> {
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
}

impl Encoded {
    /// An op with parameters and no scratch memory.
    pub fn new(op: &'static samara_runtime::OpDef, parameters: &impl Serialize) -> Self {
        Self { op, parameters: encode_parameters(parameters), scratch_bytes: 0 }
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

/// An op of the runtime, in real numbers: the host's twin of a file in `samara_runtime::ops`.
pub trait DeviceOp: fmt::Debug + Send + Sync {
    /// Multiply-accumulates (of one sample), 0 for ops that have none.
    fn macs(&self, site: &Site<'_>) -> u64 {
        let _ = site;
        0
    }

    /// How quantization passes through.
    fn tie(&self) -> Tie {
        Tie::Free
    }

    /// The smallest scale that the output may have, given the inputs': below it, multipliers leave their range.
    fn least_output_scale(&self, inputs: &[Quantization]) -> f32 {
        let _ = inputs;
        0.0
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

    /// Takes in `scale[c] * x + shift[c]` that comes before, per channel of the last axis of the only input. Exact, or `false`.
    fn fold_input(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        let _ = (scale, shift);
        false
    }

    /// Scales and shifts, if this op is nothing else.
    fn as_scale_shift(&self) -> Option<(&[f32], &[f32])> {
        None
    }

    /// `true` if scaling by `scale[c]` and shifting per channel before this op is the same as doing so behind it, elements
    /// keeping their place modulo the number of channels.
    fn lets_pass(&self, scale: &[f32]) -> bool {
        let _ = scale;
        false
    }

    /// The op for f32 tensors.
    fn encode_f32(&self, site: &Site<'_>, constants: &mut Constants) -> Result<Encoded, ExportError>;

    /// The op for int8 tensors of the given quantization.
    fn encode_i8(
        &self,
        site: &Site<'_>,
        inputs: &[Quantization],
        output: Quantization,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError>;
}

/// A node of a [`DeviceGraph`].
#[derive(Debug)]
pub struct DeviceNode {
    /// Its name.
    pub name: String,
    /// What it computes.
    pub op: Box<dyn DeviceOp>,
    /// Its inputs.
    pub inputs: Vec<Value>,
    /// Its output.
    pub output: Value,
}

/// A graph of the runtime's ops on real numbers. Nodes stand in the order in which they run.
#[derive(Debug, Default)]
pub struct DeviceGraph {
    /// The model's name.
    pub name: String,
    /// Shape and name of each value.
    pub values: Vec<(Shape, String)>,
    /// The nodes.
    pub nodes: Vec<DeviceNode>,
    /// The inputs.
    pub inputs: Vec<Value>,
    /// The outputs.
    pub outputs: Vec<Value>,
}

impl DeviceGraph {
    /// A new value.
    pub fn value(&mut self, shape: Shape, name: impl Into<String>) -> Value {
        self.values.push((shape, name.into()));
        Value(self.values.len() - 1)
    }

    /// A new input of the model.
    pub fn input(&mut self, shape: Shape, name: impl Into<String>) -> Value {
        let value = self.value(shape, name);
        self.inputs.push(value);
        value
    }

    /// A new node, and its output.
    pub fn push(&mut self, name: impl Into<String>, op: impl DeviceOp + 'static, inputs: &[Value], output: Shape) -> Value {
        let name = name.into();
        let output = self.value(output, name.clone());
        self.nodes.push(DeviceNode { name, op: Box::new(op), inputs: inputs.to_vec(), output });
        output
    }

    /// Shape of a value.
    pub fn shape(&self, value: Value) -> &Shape {
        &self.values[value.0].0
    }

    /// What `node` sees of its tensors.
    pub fn site<'a>(&'a self, node: &'a DeviceNode) -> Site<'a> {
        Site {
            name: &node.name,
            inputs: node.inputs.iter().map(|&input| self.shape(input)).collect(),
            output: self.shape(node.output),
        }
    }
}

impl crate::Model {
    /// The model as a simplified graph of the runtime's ops, with the parameters' present values.
    ///
    /// # Errors
    /// If a layer has no counterpart on the device.
    pub fn device_graph(&self) -> Result<DeviceGraph, ExportError> {
        let mut graph = lower::lower(self.name(), self.graph())?;
        simplify::simplify(&mut graph);
        Ok(graph)
    }

    /// The model as a file in f32.
    ///
    /// # Errors
    /// If a layer has no counterpart on the device.
    pub fn export_f32(&self) -> Result<Vec<u8>, ExportError> {
        encode::to_checked_bytes(&encode::encode(&self.device_graph()?, encode::Numbers::F32, plan::plan)?)
    }

    /// The model as a file in int8, quantized after training: ranges are taken from the samples, one tensor per input.
    ///
    /// # Errors
    /// If a layer has no counterpart on the device, or the samples do not fit the model's inputs.
    pub fn export_int8(
        &self,
        samples: &[crate::data::Tensor],
        options: crate::quantize::Options,
    ) -> Result<Vec<u8>, ExportError> {
        self.check_inputs(samples).map_err(|error| ExportError::Calibration(error.to_string()))?;
        let inputs: Vec<&[f32]> = samples.iter().map(|tensor| tensor.values()).collect();
        encode::to_checked_bytes(&crate::quantize::quantize(&mut self.device_graph()?, &inputs, options)?)
    }
}
