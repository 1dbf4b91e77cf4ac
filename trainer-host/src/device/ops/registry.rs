//! What the registry of ops knows of each: the ops of the runtime that it becomes, their parameters, and examples.
//!
//! Whatever is to hold for every op walks [`ALL_DEVICE_OPS`](super::ALL_DEVICE_OPS): the codec, hostile bytes, int8 against f32,
//! golden vectors, the self-test of devices, the fuzzer's seeds, the table of ops in docs/format.md.

use super::{DeviceOp, ExportError, Quantization};
use crate::{
    device::{
        Clamp, DeviceGraph, Form, OutputQuantization, Value,
        encode::{Numbers, encode},
        fuse::fuse,
        ops::{Kind, Linear},
    },
    graph::Shape,
    numeric::random::Random,
};
use samara_runtime::{
    OpDef,
    format::{
        cursor::Cursor,
        writer::{ModelFile, decode_parameters, encode_parameters},
    },
};
use serde::{Serialize, de::DeserializeOwned};

/// A host's twin: one file of `device/ops`.
#[derive(Debug)]
pub struct DeviceOpKind {
    /// The file's name.
    pub name: &'static str,
    /// What it becomes in a file: every op of the runtime is in one kind.
    pub encodings: &'static [Encoding],
    /// Configurations that between them use every option, every loop of the kernels and its odd end. Hostile files start from the
    /// smallest of each op and damage every bit of them: these should have some hundred bytes.
    pub examples: fn() -> Vec<OpExample>,
    /// What LiteRT gives for it in int8.
    #[cfg(test)]
    pub(crate) golden: &'static [super::golden::Golden],
}

/// An op of the runtime with its parameters.
#[derive(Debug)]
pub struct Encoding {
    /// The op.
    pub op: &'static OpDef,
    /// Its parameters, for people: types and names in the order of the file.
    pub parameters: &'static str,
    /// Parameters read as a device reads them.
    pub by_cursor: fn(&[u8]) -> Option<Reading>,
    /// Parameters read by serde and the `postcard` crate.
    pub by_postcard: fn(&[u8]) -> Option<Reading>,
}

/// Parameters that were read, whatever their type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The value, as serde writes it.
    pub canonical: Vec<u8>,
    /// How many bytes were read.
    pub length: usize,
}

pub(super) fn by_cursor<P: Serialize>(bytes: &[u8], decode: impl FnOnce(&mut Cursor<'_>) -> Option<P>) -> Option<Reading> {
    let mut cursor = Cursor::new(bytes);
    let value = decode(&mut cursor)?;
    let length = bytes.len() - cursor.remaining().len();
    cursor.is_sound().then(|| Reading { canonical: encode_parameters(&value), length })
}

pub(super) fn by_postcard<P: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<Reading> {
    let (value, length) = decode_parameters::<P>(bytes)?;
    Some(Reading { canonical: encode_parameters(&value), length })
}

/// An [`Encoding`] from an op and, if it has any, the type of its parameters and what they are.
macro_rules! encoding {
    ($op:path) => {
        $crate::device::ops::Encoding {
            op: &$op,
            parameters: "none",
            by_cursor: |bytes| $crate::device::ops::registry::by_cursor(bytes, |_| Some(())),
            by_postcard: $crate::device::ops::registry::by_postcard::<()>,
        }
    };
    ($op:path, $parameters:ty, $text:literal) => {
        $crate::device::ops::Encoding {
            op: &$op,
            parameters: $text,
            by_cursor: |bytes| {
                // Parameters that may be none, as an unknown function, are an `Option` already.
                $crate::device::ops::registry::by_cursor(bytes, |cursor| {
                    Option::<$parameters>::from(<$parameters>::decode(cursor))
                })
            },
            by_postcard: $crate::device::ops::registry::by_postcard::<$parameters>,
        }
    };
}
pub(super) use encoding;

/// An op in one configuration, on tensors of one shape: a model of its own.
#[derive(Debug)]
pub struct OpExample {
    /// Its name.
    pub name: String,
    /// The model.
    pub graph: DeviceGraph,
    /// `true` if it exists in int8 with f32 ports only: the conversions between the two.
    pub float_ports: bool,
    /// Forms of the nodes in a file of mixed forms, for what only such files have. None: that file has all nodes in int16, if all can be.
    pub forms: Vec<Form>,
}

impl OpExample {
    /// An op on inputs of these shapes.
    pub fn new(name: impl Into<String>, op: impl DeviceOp + 'static, inputs: &[&[usize]], output: &[usize]) -> Self {
        let name = name.into();
        let inputs: Vec<Shape> = inputs.iter().map(|&shape| shape.into()).collect();
        let graph = DeviceGraph::single(name.clone(), op, &inputs, output.into());
        Self { name, graph, float_ports: false, forms: Vec::new() }
    }

    /// A [`Linear`] with random weights, the outputs of about the inputs' magnitude.
    pub(super) fn linear(name: &str, kind: Kind, input: &[usize], output: &[usize], clamp: Clamp) -> Self {
        let depth = input.last().copied().unwrap_or(1);
        let fan_in = match kind {
            Kind::Dense => depth,
            Kind::Conv2d(window) => window.taps() * depth,
            Kind::DepthwiseConv2d(window) => window.taps(),
        };
        let channels = output.last().copied().unwrap_or(1);
        let largest = (3.0 / fan_in as f32).sqrt();
        let rows = scattered(channels * fan_in, largest).chunks_exact(fan_in).map(<[f32]>::to_vec).collect();
        Self::new(name, Linear { clamp, ..Linear::new(kind, rows, scattered(channels, 0.5)) }, &[input], output)
    }

    /// All of them in one model, each with inputs and an output of its own.
    pub fn side_by_side(name: &str, examples: impl IntoIterator<Item = Self>) -> Self {
        let mut graph = DeviceGraph { name: name.to_owned(), ..DeviceGraph::default() };
        examples.into_iter().for_each(|example| graph.append(example.graph));
        Self { name: name.to_owned(), graph, float_ports: false, forms: Vec::new() }
    }

    /// Quantization of each of the graph's values. They differ where the op lets them.
    pub fn quantizations(&self) -> Vec<Quantization> {
        let mut all = vec![Quantization { scale: 0.05, zero_point: -3 }; self.graph.values.len()];
        for node in &self.graph.nodes {
            match node.op.output_quantization() {
                OutputQuantization::Shared => {}
                OutputQuantization::Fixed(fixed) => all[node.output.0] = fixed,
                OutputQuantization::Free => {
                    for (number, &Value(input)) in node.inputs.iter().enumerate().skip(1) {
                        all[input] = Quantization { scale: 0.05 / (number + 1) as f32, zero_point: 9 * number as i8 };
                    }
                    all[node.output.0] = Quantization { scale: 0.06, zero_point: 7 };
                }
            }
            for (number, &Value(input)) in node.inputs.iter().enumerate() {
                all[input] = node.op.input_quantization(number).unwrap_or(all[input]);
            }
        }
        all
    }

    /// The model file in f32.
    ///
    /// # Errors
    /// If the op cannot be encoded.
    pub fn f32_file(&self) -> Result<ModelFile, ExportError> {
        encode(&self.graph, Numbers::F32)
    }

    /// The model file in int8, fused.
    ///
    /// # Errors
    /// If the op cannot be encoded.
    pub fn i8_file(&self) -> Result<ModelFile, ExportError> {
        let quantizations = self.quantizations();
        fuse(encode(&self.graph, Numbers::I8 { quantizations: &quantizations, float_ports: self.float_ports })?)
    }

    /// The model file in int16 or in the example's own [`forms`](Self::forms). `None` if a node has no int16.
    ///
    /// # Errors
    /// If the op cannot be encoded.
    pub fn i16_file(&self) -> Result<Option<ModelFile>, ExportError> {
        let mut forms = self.forms.clone();
        if forms.is_empty() {
            forms = vec![Form::I16; self.graph.nodes.len()];
            if self.float_ports || !self.graph.nodes.iter().all(|node| node.op.takes_i16()) {
                return Ok(None);
            }
        }
        let quantizations = self.quantizations();
        let numbers = Numbers::Mixed { quantizations: &quantizations, float_ports: self.float_ports, forms: &forms };
        encode(&self.graph, numbers).map(Some)
    }

    /// Every file of the example, by name.
    ///
    /// # Errors
    /// If the op cannot be encoded.
    pub fn files(&self) -> Result<Vec<(String, ModelFile)>, ExportError> {
        let mut files = vec![(format!("{}_i8", self.name), self.i8_file()?)];
        if !self.float_ports {
            files.push((format!("{}_f32", self.name), self.f32_file()?));
        }
        files.extend(self.i16_file()?.map(|file| (format!("{}_i16", self.name), file)));
        Ok(files)
    }
}

/// Numbers between `-largest` and `largest` without order, the same in each run.
pub(super) fn scattered(count: usize, largest: f32) -> Vec<f32> {
    let mut random = Random::new(count as u64, 0);
    (0..count).map(|_| (random.uniform() as f32 * 2.0 - 1.0) * largest).collect()
}
