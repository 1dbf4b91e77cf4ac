//! int8 and int16 ops against LiteRT's reference kernels: the same tensors, weights and biases, our exporter's parameters, our kernels.
//!
//! The vectors are in `tests/golden`; `make.py` there makes them and says what the fields hold. Outputs may differ by one unit,
//! since LiteRT rounds twice where we round once (`docs/golden.md`). Each file also has the fraction of outputs that may differ
//! at all, so that a kernel that is off by one everywhere fails.

use super::{ALL_DEVICE_OPS, DeviceOp};
use crate::{
    device::{
        Clamp, DeviceGraph, Form, Quantization,
        encode::{Numbers, encode},
        run::DeviceModel,
    },
    graph::Shape,
};
use samara_runtime::{ALL_OPS, format::writer::ModelFile, ops::lstm::LSTM_I8};
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

/// A file of vectors that an op is held against.
#[derive(Debug)]
pub struct Golden {
    /// Its name without the ending.
    pub file: &'static str,
    /// The fraction of outputs that may differ, by one unit.
    pub differing: f64,
    /// The model of a case.
    pub model: fn(&Case) -> DeviceGraph,
}

/// A file of vectors, the fraction of outputs that may differ, and the model of a case.
pub const fn vectors(file: &'static str, differing: f64, model: fn(&Case) -> DeviceGraph) -> Golden {
    Golden { file, differing, model }
}

/// The file of one op.
#[derive(Debug, Deserialize)]
struct Vectors {
    litert: String,
    cases: Vec<Case>,
}

/// One model and what it gives.
#[derive(Debug, Deserialize)]
pub struct Case {
    name: String,
    inputs: Vec<Port>,
    output: Port,
    samples: Vec<Sample>,
    #[serde(flatten)]
    fields: BTreeMap<String, serde_json::Value>,
}

/// An input or output.
#[derive(Debug, Deserialize)]
struct Port {
    /// `i8`, `i16` or `f32`.
    #[serde(rename = "type")]
    element_type: String,
    /// Without the batch.
    shape: Vec<usize>,
    #[serde(default)]
    scale: f32,
    #[serde(default)]
    zero_point: i8,
}

/// Inputs and LiteRT's output, in hexadecimal.
#[derive(Debug, Deserialize)]
struct Sample {
    inputs: Vec<String>,
    output: String,
}

impl Case {
    /// The op on the case's tensors.
    pub fn model(&self, op: impl DeviceOp + 'static) -> DeviceGraph {
        let inputs: Vec<Shape> = self.inputs.iter().map(|port| port.shape.clone().into()).collect();
        DeviceGraph::single(self.name.clone(), op, &inputs, self.output.shape.clone().into())
    }

    /// What the case has under that name.
    pub fn field<T: DeserializeOwned>(&self, name: &str) -> T {
        let value = self.fields.get(name).cloned().unwrap_or_default();
        serde_json::from_value(value).unwrap_or_else(|error| panic!("{}: {name}: {error}", self.name))
    }

    /// Elements of the output.
    pub fn size(&self) -> usize {
        self.output.shape.iter().product()
    }

    /// The fused activation as bounds.
    pub fn clamp(&self) -> Clamp {
        match self.field::<String>("clamp").as_str() {
            "none" => Clamp::NONE,
            "relu" => Clamp { minimum: 0.0, maximum: f32::INFINITY },
            "relu6" => Clamp { minimum: 0.0, maximum: 6.0 },
            other => panic!("{}: unknown clamp {other}", self.name),
        }
    }

    /// Weights in real numbers, a row per channel; biases; and the scale of each row.
    pub fn linear(&self) -> (Vec<Vec<f32>>, Vec<f32>, Vec<f32>) {
        let (scales, bias): (Vec<f32>, Vec<i32>) = (self.field("weight_scales"), self.field("bias"));
        let weights = bytes_of(&self.field::<String>("weights"));
        let rows = weights.chunks_exact(weights.len() / scales.len()).zip(&scales);
        let rows = rows.map(|(row, scale)| row.iter().map(|&weight| f32::from(weight as i8) * scale).collect()).collect();
        let real =
            |(&bias, &scale): (&i32, &f32)| (f64::from(bias) * f64::from(scale) * f64::from(self.inputs[0].scale)) as f32;
        (rows, bias.iter().zip(&scales).map(real).collect(), scales)
    }

    /// The model in int8 or int16, with f32 ports if it has one.
    fn file(&self, golden: &Golden) -> ModelFile {
        let graph = (golden.model)(self);
        let ports = || self.inputs.iter().chain([&self.output]);
        let float_ports = ports().any(|port| port.element_type == "f32");
        let is_wide = ports().any(|port| port.element_type == "i16");
        let quantized = |port: &Port| match port.element_type.as_str() {
            "f32" => None,
            // What makes the scale of int16 the port's.
            "i16" => Some(Quantization { scale: port.scale * 256.0, zero_point: 0 }),
            _ => Some(Quantization { scale: port.scale, zero_point: port.zero_point }),
        };
        let mut quantizations: Vec<_> = ports().filter_map(quantized).collect();
        quantizations.resize(graph.values.len(), *quantizations.last().expect("a quantized port"));
        let forms = vec![if is_wide { Form::I16 } else { Form::I8 }; graph.nodes.len()];
        let numbers = Numbers::Mixed { quantizations: &quantizations, float_ports, forms: &forms };
        encode(&graph, numbers).unwrap_or_else(|error| panic!("{} {}: {error}", golden.file, self.name))
    }

    /// What goes in, and what LiteRT says comes out. Conversions go there and back.
    fn bytes(&self, sample: &Sample) -> (Vec<Vec<u8>>, Vec<u8>) {
        let (inputs, output) =
            (sample.inputs.iter().map(|input| bytes_of(input)).collect::<Vec<_>>(), bytes_of(&sample.output));
        let Port { scale, zero_point, .. } = self.output;
        match (self.inputs[0].element_type.as_str(), self.output.element_type.as_str()) {
            ("f32", _) => {
                let real = |q: i32| (scale * (q - i32::from(zero_point)) as f32).to_le_bytes();
                (inputs, self.integers(&output).into_iter().flat_map(real).collect())
            }
            (_, "f32") => (vec![output.clone()], output),
            _ => (inputs, output),
        }
    }

    /// The bytes of the output as integers.
    fn integers(&self, bytes: &[u8]) -> Vec<i32> {
        match self.output.element_type.as_str() {
            "i16" => bytes.as_chunks().0.iter().map(|&two| i16::from_le_bytes(two).into()).collect(),
            _ => bytes.iter().map(|&byte| i32::from(byte as i8)).collect(),
        }
    }
}

/// Hexadecimal bytes.
pub fn bytes_of(text: &str) -> Vec<u8> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap_or_default(), 16).expect("hexadecimal");
    text.as_bytes().chunks(2).map(pair).collect()
}

fn directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden"))
}

/// What a file of vectors holds.
pub fn read<T: DeserializeOwned>(file: &str) -> T {
    let text = fs::read_to_string(directory().join(format!("{file}.json"))).expect("a file of vectors");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}.json: {error}"))
}

/// Runs all cases of a file, and says what is wrong.
fn check(golden: &Golden, used: &mut BTreeSet<u16>) -> Vec<String> {
    let vectors: Vectors = read(golden.file);
    let mut faults = Vec::new();
    let (mut outputs, mut different, mut inside) = (0, 0, 0);
    for case in &vectors.cases {
        let file = case.file(golden);
        used.extend(file.nodes.iter().map(|node| node.code));
        let device = DeviceModel::new(&file.to_bytes()).expect("a file that the runtime accepts");
        let samples: Vec<_> = case.samples.iter().map(|sample| case.bytes(sample)).collect();
        let found = device.run_each(
            samples.len(),
            |session, sample| {
                for (number, bytes) in samples[sample].0.iter().enumerate() {
                    session.input_bytes_mut(number)?.copy_from_slice(bytes);
                }
                Ok(())
            },
            |session, _| session.output_bytes(0).unwrap_or_default().to_vec(),
        );
        for (number, (ours, (_, theirs))) in found.expect("inputs that fit").iter().zip(&samples).enumerate() {
            assert_eq!(ours.len(), theirs.len(), "{} {}: number of outputs", golden.file, case.name);
            let is_exact = golden.differing == 0.0;
            let (ours, theirs) = (case.integers(ours), case.integers(theirs));
            let most = if case.output.element_type == "i16" { i32::from(i16::MAX) } else { i32::from(i8::MAX) };
            for (place, (&ours, &theirs)) in ours.iter().zip(&theirs).enumerate() {
                let distance = ours.abs_diff(theirs);
                if distance > u32::from(!is_exact) {
                    let what = format!("{} {} sample {number} output {place}", golden.file, case.name);
                    faults.push(format!("{what}: ours {ours}, LiteRT's {theirs}"));
                }
                different += usize::from(distance > 0);
                inside += usize::from(theirs > -most - 1 && theirs < most);
            }
            outputs += ours.len();
        }
    }
    let fraction = different as f64 / outputs as f64;
    println!(
        "{}: {different} of {outputs} outputs differ from LiteRT {}, {:.2}%",
        golden.file,
        vectors.litert,
        fraction * 100.0
    );
    if fraction > golden.differing {
        faults.push(format!("{}: {different} of {outputs} outputs differ, allowed is {}", golden.file, golden.differing));
    }
    if inside * 4 <= outputs {
        faults.push(format!("{}: only {inside} of {outputs} outputs lie within the bounds of their type", golden.file));
    }
    faults
}

/// Of int16 ops: LiteRT's sigmoid and softmax of int16 are tables of its own, several units off, and a layer of no weights is none of
/// its ops.
const WITHOUT_INT16_VECTORS: &[&str] = &["lut_i16", "softmax_i16", "scale_shift_i16"];

/// Ops that nothing in LiteRT can be held against: an embedding, a delay and a slice move elements, without arithmetic; a layer
/// normalization and cosines are no single operators there, LiteRT has no GRU and no trees, and its simple RNN not in int8. Tests beside them hold
/// them against their formulas and real numbers, layers with int4 weights against those with int8 weights 16 times as large, and
/// fused ops against those of which they were made.
const WITHOUT_VECTORS: &[&str] = &[
    "embedding",
    "delay",
    "slice",
    "layer_normalization_i8",
    "dot_i8",
    "gru_i8",
    "simple_rnn_i8",
    "dense_i4",
    "conv2d_i4",
    "conv2d_add_i8",
    "forest_i8",
];
/// What has states goes from each of LiteRT's to the next: lstm.rs.
const STEP_BY_STEP: [(&str, u8); 1] = [("lstm", LSTM_I8.code)];

#[test]
fn every_op_is_within_one_unit_of_litert() {
    let (mut faults, mut used, mut files) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for golden in ALL_DEVICE_OPS.iter().flat_map(|kind| kind.golden) {
        faults.extend(check(golden, &mut used));
        files.insert(golden.file.to_owned());
    }
    for (file, code) in STEP_BY_STEP {
        used.insert(code.into());
        files.insert(file.to_owned());
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let without = [WITHOUT_VECTORS, WITHOUT_INT16_VECTORS].concat();
    for op in ALL_OPS.iter().filter(|op| !op.name.ends_with("_f32") && !without.contains(&op.name)) {
        let has_vectors = used.contains(&op.code.into());
        assert!(has_vectors, "{} has no golden vectors: write a file in tests/golden and name it in the op's twin", op.name);
    }
    let paths = fs::read_dir(directory()).expect("the golden files").map(|entry| entry.expect("a golden file").path());
    let json = paths.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    let there: BTreeSet<String> =
        json.map(|path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned()).collect();
    assert_eq!(there, files, "the files in tests/golden, and those that ops are held against");
}
