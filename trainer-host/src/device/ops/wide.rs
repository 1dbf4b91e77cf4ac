//! int16 activations: what ops need to be encoded for them, and the conversions to and from them.

use super::{
    DeviceOpKind, Linear, OpExample, Rescale, WeightBits,
    linear::{RealMatrix, weight_scales},
    registry::encoding,
};
use crate::device::{Clamp, Constants, DeviceGraph, Encoded, ExportError, Form, NodeContext};
use samara_runtime::{
    ops::{
        lut,
        wide::{
            convert::{DEQUANTIZE_I16, QUANTIZE_I16},
            linear::LARGEST_SHIFT,
            lut::{ENTRIES, LUT_I16},
            rescale::{self, RESCALE},
        },
    },
    quant::{self, SHORT_SUM},
};

/// `(m, s)`: the largest shift `s` up to `largest_shift`, and at least 1, with `m = floor(factor * 2^s + 0.5) <= 2^31 - 1`.
pub(super) fn multiplier(factor: f64, largest_shift: u32) -> Option<(i32, u32)> {
    (1..=largest_shift).rev().find_map(|shift| Some((multiplier_at(factor, shift)?, shift)))
}

fn multiplier_at(factor: f64, shift: u32) -> Option<i32> {
    let multiplier = (factor * f64::powi(2.0, shift as i32) + 0.5).floor();
    (multiplier <= f64::from(i32::MAX)).then_some(multiplier as i32)
}

/// Bounds as int16 values.
pub(super) fn bounds(clamp: Clamp, scale: f32) -> (i16, i16) {
    (quant::quantize_i16(clamp.minimum, scale), quant::quantize_i16(clamp.maximum, scale))
}

/// Each of `factors` times `2^shift`, rounded, with the largest shift up to `largest_shift`, and at least 1, that leaves all within 31
/// bits.
pub(super) fn scaled_alike(factors: &[f64], largest_shift: u32) -> Option<(Vec<i32>, u32)> {
    let at = |shift: u32| -> Option<Vec<i32>> {
        let scaled = factors.iter().map(|factor| (factor * f64::powi(2.0, shift as i32) + 0.5).floor());
        scaled.map(|scaled| (scaled.abs() <= f64::from(i32::MAX)).then_some(scaled as i32)).collect()
    };
    (1..=largest_shift).rev().find_map(|shift| Some((at(shift)?, shift)))
}

/// Two factors, as [`scaled_alike`].
pub(super) fn factors(factors: [f64; 2], largest_shift: u32) -> Option<([i32; 2], u32)> {
    let (scaled, shift) = scaled_alike(&factors, largest_shift)?;
    Some(([scaled[0], scaled[1]], shift))
}

/// A table for `function` between two int16 tensors.
pub(super) fn encode_lut(input: f32, output: f32, constants: &mut Constants, function: impl Fn(f64) -> f64) -> Encoded {
    let point = |i: usize| {
        let real = f64::from(input) * (128.0 * i as f64 - 32768.0);
        quant::quantize_i16(function(real) as f32, output)
    };
    let bytes = (0..ENTRIES).flat_map(|i| point(i).to_le_bytes()).collect();
    Encoded::new(&LUT_I16, &lut::Parameters { table: constants.push(bytes) })
}

/// From int8 or int16 to another scale, one of both int16.
pub(in crate::device) fn rescale(context: &NodeContext<'_>, input: f32, output: f32) -> Result<Encoded, ExportError> {
    let Some((multiplier, shift)) = multiplier(f64::from(input) / f64::from(output), rescale::LARGEST_SHIFT) else {
        return Err(context.error(format!("the scale {output} is too small for numbers of scale {input}")));
    };
    Ok(Encoded::new(&RESCALE, &rescale::Parameters { multiplier, shift: shift as u8 }))
}

/// An int8 matrix with what its products with int16 inputs need.
#[derive(Debug)]
pub(super) struct Matrix16 {
    /// The weights.
    pub rows: Vec<Vec<i8>>,
    /// Bias and multiplier of each row.
    pub pairs: Vec<i32>,
    /// Right shift of products with multipliers.
    pub shift: u32,
}

/// A row in int8, its bias, and how far its accumulator reaches.
struct Row {
    weights: Vec<i8>,
    bias: i64,
    reach: f64,
    scale: f64,
}

impl Row {
    fn quantize(row: &[f32], bias: f32, input_scale: f64, scale: f64) -> Self {
        let weights: Vec<i8> = row.iter().map(|&weight| WeightBits::Eight.round(weight, scale)).collect();
        let magnitude: f64 = weights.iter().map(|&weight| f64::from(weight).abs()).sum();
        let bias = (f64::from(bias) / (input_scale * scale)).round() as i64;
        Self { weights, bias, reach: 32768.0 * magnitude + bias.unsigned_abs() as f64, scale }
    }

    /// Whether kernels can take its sum: in 32 bits if it is short.
    fn fits(&self) -> bool {
        (self.weights.len() > SHORT_SUM || self.reach < f64::powi(2.0, 31)) && i32::try_from(self.bias).is_ok()
    }
}

impl Matrix16 {
    /// Quantizes a layer's rows for inputs and outputs of the given scales. Rows whose sums would leave their bits get coarser weights.
    pub fn quantize(context: &NodeContext<'_>, layer: &Linear, input: f32, output: f32) -> Result<Self, ExportError> {
        let (input, output) = (f64::from(input), f64::from(output));
        let given = layer.weight_scales.as_deref();
        let real = RealMatrix { rows: &layer.rows, bias: &layer.bias, bits: WeightBits::Eight, scales: given };
        let (scales, largest) = weight_scales(real, input);
        let largest = if largest > 0.0 { largest } else { output / input };
        let mut rows = Vec::new();
        for (channel, (row, &bias)) in layer.rows.iter().zip(&layer.bias).enumerate() {
            let of_scale = |scale: f64| Row::quantize(row, bias, input, scale);
            let scale = if scales[channel] == 0.0 { largest } else { scales[channel] };
            let mut found = of_scale(scale);
            if !found.fits() && given.is_none() {
                // A little more, so that rounding does not decide.
                found = of_scale(scale * found.reach / f64::powi(2.0, 31) * 1.01);
            }
            if !found.fits() {
                return Err(context.error(format!("channel {channel}'s accumulator would leave 32 bits")));
            }
            rows.push(found);
        }
        let factor = |row: &Row| input * row.scale / output;
        let of_shift = |shift: u32| -> Option<Vec<i32>> {
            let multipliers = rows.iter().map(|row| multiplier_at(factor(row), shift)).collect::<Option<Vec<_>>>()?;
            let product = |(row, &multiplier): (&Row, &i32)| row.reach * f64::from(multiplier);
            rows.iter().zip(&multipliers).map(product).all(|product| product < f64::powi(2.0, 62)).then_some(multipliers)
        };
        let found = (1..=LARGEST_SHIFT).rev().find_map(|shift| Some((shift, of_shift(shift)?)));
        let Some((shift, multipliers)) = found else {
            return Err(context.error(format!("its output's scale {output} is too small for its input's {input}")));
        };
        let pairs = rows.iter().zip(multipliers).flat_map(|(row, multiplier)| [row.bias as i32, multiplier]).collect();
        Ok(Self { rows: rows.into_iter().map(|row| row.weights).collect(), pairs, shift })
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "wide",
    encodings: &[
        encoding!(RESCALE, rescale::Parameters, "i32 multiplier, u8 shift"),
        encoding!(QUANTIZE_I16),
        encoding!(DEQUANTIZE_I16),
    ],
    examples,
    #[cfg(test)]
    golden: &[
        super::golden::vectors("rescale_i16", 0.06, |case| case.model(Rescale)),
        super::golden::vectors("quantize_i16", 0.0, |case| case.model(super::Reshape)),
    ],
};

/// Every conversion between f32, int8 and int16: f32 ports, and between them int16, int16 of another scale, int8, and int16.
fn examples() -> Vec<OpExample> {
    let mut graph = DeviceGraph { name: "conversions".to_owned(), ..DeviceGraph::default() };
    let mut value = graph.input([13].into(), "input");
    for name in ["first", "second", "third"] {
        value = graph.push(name, Rescale, &[value], [13].into());
    }
    graph.outputs.push(value);
    vec![OpExample { name: "convert_wide".to_owned(), graph, float_ports: true, forms: vec![Form::I16, Form::I8, Form::I16] }]
}
