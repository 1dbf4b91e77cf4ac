//! The golden vectors in `tests/golden`: single int8 ops as LiteRT's reference kernels compute them. `make.py` there makes
//! them and says what the fields hold.

use crate::single::f32_bytes;
use samara_runtime::{ALL_OPS, ElementType, LoadError, Model, Session, arena::AlignedBuffer, crc32, ops::window::Window};
use samara_trainer::device::{Clamp, Quantization};
use serde::{Deserialize, Deserializer, de::Error};
use std::path::Path;

/// The file of one op.
#[derive(Debug, Deserialize)]
pub struct Vectors {
    /// The op.
    pub op: String,
    /// The version of LiteRT that made the file.
    pub litert: String,
    /// The cases.
    pub cases: Vec<Case>,
}

/// One model and what it gives.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// The inputs.
    pub inputs: Vec<GoldenPort>,
    /// The output.
    pub output: GoldenPort,
    /// Inputs and LiteRT's outputs.
    pub samples: Vec<Sample>,
    /// `none`, `relu` or `relu6`: the fused activation.
    #[serde(default)]
    pub clamp: Option<String>,
    /// Weights `[channels][kernel height][kernel width][depth]`.
    #[serde(default, deserialize_with = "hexadecimal")]
    pub weights: Vec<u8>,
    /// Scale of each channel's weights.
    #[serde(default)]
    pub weight_scales: Vec<f32>,
    /// Bias of each channel, with the scale of input times weights.
    #[serde(default)]
    pub bias: Vec<i32>,
    /// The window of a convolution or pool.
    #[serde(default)]
    pub window: Option<Window>,
    /// Axis of a concatenation, the batch not counted.
    #[serde(default)]
    pub axis: usize,
    /// Rows above and columns to the left.
    #[serde(default)]
    pub padding: [usize; 2],
    /// Name of a pointwise function.
    #[serde(default)]
    pub function: String,
    /// Its parameter.
    #[serde(default)]
    pub alpha: f32,
    /// Slope of each channel of a parametric ReLU.
    #[serde(default)]
    pub slopes: Vec<f32>,
    /// How often rows and columns are repeated.
    #[serde(default)]
    pub factors: [usize; 2],
}

/// An input or output.
#[derive(Debug, Deserialize)]
pub struct GoldenPort {
    /// `i8` or `f32`.
    #[serde(rename = "type")]
    pub element_type: String,
    /// Its shape, without the batch.
    pub shape: Vec<usize>,
    /// Its scale, if int8.
    #[serde(default)]
    pub scale: f32,
    /// Its zero point, if int8.
    #[serde(default)]
    pub zero_point: i8,
}

impl GoldenPort {
    /// Its quantization, if int8.
    pub fn quantization(&self) -> Option<Quantization> {
        (self.element_type == "i8").then_some(Quantization { scale: self.scale, zero_point: self.zero_point })
    }

    /// Shape and quantization.
    pub fn port(&self) -> crate::single::Port {
        (self.shape.clone(), self.quantization())
    }
}

/// Inputs and LiteRT's output, as bytes.
#[derive(Debug, Deserialize)]
pub struct Sample {
    /// By input.
    #[serde(deserialize_with = "hexadecimal_list")]
    pub inputs: Vec<Vec<u8>>,
    /// Of the output.
    #[serde(deserialize_with = "hexadecimal")]
    pub output: Vec<u8>,
}

impl Case {
    /// The fused activation as bounds.
    ///
    /// # Panics
    /// If its name is unknown.
    pub fn bounds(&self) -> Clamp {
        match self.clamp.as_deref() {
            None | Some("none") => Clamp::NONE,
            Some("relu") => Clamp { minimum: 0.0, maximum: f32::INFINITY },
            Some("relu6") => Clamp { minimum: 0.0, maximum: 6.0 },
            Some(other) => panic!("case {}: unknown clamp {other}", self.name),
        }
    }

    /// Weights in real numbers, a row per channel.
    pub fn real_rows(&self) -> Vec<Vec<f32>> {
        let fan_in = self.weights.len() / self.weight_scales.len();
        let rows = self.weights.chunks_exact(fan_in).zip(&self.weight_scales);
        rows.map(|(row, scale)| row.iter().map(|&weight| f32::from(weight as i8) * scale).collect()).collect()
    }

    /// Biases in real numbers.
    pub fn real_bias(&self) -> Vec<f32> {
        let product =
            |(&bias, &scale): (&i32, &f32)| (f64::from(bias) * f64::from(scale) * f64::from(self.inputs[0].scale)) as f32;
        self.bias.iter().zip(&self.weight_scales).map(product).collect()
    }
}

/// The vectors of `op`.
///
/// # Panics
/// If the file is not there or not as expected.
pub fn read(op: &str) -> Vectors {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("{op}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn bytes_of<E: Error>(text: &str) -> Result<Vec<u8>, E> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).map_err(E::custom)?, 16).map_err(E::custom)).collect()
}

fn hexadecimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    bytes_of(&String::deserialize(deserializer)?)
}

fn hexadecimal_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<u8>>, D::Error> {
    Vec::<String>::deserialize(deserializer)?.iter().map(|text| bytes_of(text)).collect()
}

/// Rounds of a golden file.
const ROUNDS: usize = 3;

/// Runs a model file on fixed inputs, and gives a line per round and output: `round output checksum`.
///
/// # Errors
/// If the runtime refuses the file.
pub fn checksums(file: &[u8]) -> Result<String, LoadError> {
    let bytes = AlignedBuffer::copy_of(file);
    let model = Model::parse(bytes.as_slice(), ALL_OPS)?;
    let mut arena = AlignedBuffer::zeros(model.arena_bytes());
    let mut session = Session::new(&model, arena.as_mut_slice())?;
    let mut lines = String::new();
    for round in 0..ROUNDS {
        for (number, tensor) in (0..).map_while(|number| Some((number, model.tensor(model.input(number)?)))) {
            let value = |i: usize| (i * 73 + number * 31 + round * 97) as u8;
            let input = match tensor.element_type {
                ElementType::I8 => (0..tensor.elements()).map(value).collect(),
                ElementType::F32 => {
                    f32_bytes(&(0..tensor.elements()).map(|i| f32::from(value(i) as i8) / 16.0).collect::<Vec<_>>())
                }
            };
            session.input_bytes_mut(number).expect("an input of that number").copy_from_slice(&input);
        }
        session.run();
        for (number, output) in (0..).map_while(|number| Some((number, session.output_bytes(number)?))) {
            lines += &format!("{round} {number} {:08x}\n", crc32(output));
        }
    }
    Ok(lines)
}
