//! A batch-norm that could not be folded.

use super::{
    DeviceOpKind, OpExample,
    registry::{encoding, scattered},
    wide,
};
use crate::device::{Clamp, Constants, DeviceOp, Encoded, ExportError, NodeContext, Quantization, Rows};
use samara_runtime::ops::{
    linear::LinearF32,
    scale_shift::{Parameters, SCALE_SHIFT_F32, SCALE_SHIFT_I8},
    wide::{
        linear::LinearI16,
        scale_shift::{self as wide_scale_shift, SCALE_SHIFT_I16},
    },
};

/// `scale[c] * x + shift[c]` per channel of the last axis, with a clamp.
#[derive(Debug, Clone)]
pub struct ScaleShift {
    /// Factors.
    pub scale: Vec<f32>,
    /// Summands.
    pub shift: Vec<f32>,
    /// The clamp behind it.
    pub clamp: Clamp,
}

/// Weights have 20 bits: channels whose factors are a thousandth of the largest are left with ten.
const LARGEST_WEIGHT: f64 = ((1 << 19) - 1) as f64;
/// Summands stay within this, in units of the products.
const LARGEST_SUMMAND: f64 = (1 << 26) as f64;
/// Multipliers are below 2^31 with this shift at most, as the runtime checks.
const LARGEST_SHIFT: u32 = 16;

impl ScaleShift {
    fn largest_scale(&self) -> f64 {
        self.scale
            .iter()
            .fold(0.0, |largest: f64, &scale| if f64::from(scale.abs()) > largest { scale.abs().into() } else { largest })
    }

    /// The scale of the weights, given the input's: 0 if all are zero and nothing is shifted.
    fn weight_scale(&self, input_scale: f64) -> f64 {
        let own = self.largest_scale() / LARGEST_WEIGHT;
        let largest_shift = self.shift.iter().fold(0.0, |largest: f64, &b| largest.max(f64::from(b.abs())));
        let least = largest_shift / input_scale / LARGEST_SUMMAND;
        if own >= least { own } else { least }
    }
}

impl DeviceOp for ScaleShift {
    /// A quarter of the products' scale: with shifts up to 3, accumulators stay within 32 bits.
    fn least_output_scale(&self, inputs: &[Quantization]) -> f32 {
        let input_scale = f64::from(inputs[0].scale);
        (input_scale * self.weight_scale(input_scale) / 4.0) as f32
    }

    fn fuse_clamp(&mut self, clamp: Clamp) -> bool {
        self.clamp = self.clamp.then(clamp);
        true
    }

    fn fold_output(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        if self.clamp != Clamp::NONE {
            return false;
        }
        for ((a, b), (scale, shift)) in self.scale.iter_mut().zip(&mut self.shift).zip(scale.iter().zip(shift)) {
            *a *= scale;
            *b = *b * scale + shift;
        }
        true
    }

    fn scale_output(&mut self, factors: &[f32]) -> bool {
        if !self.clamp.is_homogeneous() || factors.len() != self.scale.len() {
            return false;
        }
        for ((a, b), factor) in self.scale.iter_mut().zip(&mut self.shift).zip(factors) {
            *a *= factor;
            *b *= factor;
        }
        true
    }

    /// Weights of 20 bits: a factor of 64 leaves 14.
    fn takes_factors_for_free(&self) -> bool {
        true
    }

    fn fold_input(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        if scale.len() != self.scale.len() {
            return false;
        }
        for ((a, b), (scale, shift)) in self.scale.iter_mut().zip(&mut self.shift).zip(scale.iter().zip(shift)) {
            *b += *a * shift;
            *a *= scale;
        }
        true
    }

    fn as_scale_shift(&self) -> Option<(&[f32], &[f32])> {
        (self.clamp == Clamp::NONE).then_some((&self.scale, &self.shift))
    }

    fn rows(&self, context: &NodeContext<'_>) -> Rows {
        context.each_row(self.scale.len())
    }

    fn encode_f32(&self, _: &NodeContext<'_>, constants: &mut Constants) -> Result<Encoded, ExportError> {
        let parameters = LinearF32 {
            weights: constants.push_f32(&self.scale),
            bias: constants.push_f32(&self.shift),
            clamp: self.clamp.into(),
        };
        Ok(Encoded::new(&SCALE_SHIFT_F32, &parameters))
    }

    /// The products' scale `s` is the input's times `max|scale| / 2^19`, larger if a shift would not fit 27 bits:
    /// `acc = (shift / s - weight * zero_point_in) + weight * x`, and `s / scale_out` becomes multiplier and shift.
    fn encode_i8(
        &self,
        context: &NodeContext<'_>,
        inputs: &[Quantization],
        output: Quantization,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let input_scale = f64::from(inputs[0].scale);
        let mut weight_scale = self.weight_scale(input_scale);
        if weight_scale <= 0.0 {
            weight_scale = f64::from(output.scale) / input_scale;
        }
        let factor = input_scale * weight_scale / f64::from(output.scale);
        let Some((multiplier, shift)) = super::linear::multiplier(factor, LARGEST_SHIFT) else {
            return Err(
                context.error(format!("its output's scale {} is too small for its input's {input_scale}", output.scale))
            );
        };
        let mut pairs = Vec::new();
        for (&scale, &offset) in self.scale.iter().zip(&self.shift) {
            let weight = (f64::from(scale) / weight_scale).round();
            let bias = (f64::from(offset) / (input_scale * weight_scale)).round() - weight * f64::from(inputs[0].zero_point);
            if (weight.abs() * 128.0 + bias.abs()) * f64::from(1u32 << shift) >= f64::from(1u32 << 31) {
                return Err(context.error("its accumulator would leave 32 bits"));
            }
            pairs.extend([bias as i32, weight as i32]);
        }
        let (minimum, maximum) = self.clamp.quantized(output);
        let parameters = Parameters { channels: constants.push_i32(pairs), multiplier, shift: shift as u8, minimum, maximum };
        Ok(Encoded::new(&SCALE_SHIFT_I8, &parameters))
    }

    fn takes_i16(&self) -> bool {
        true
    }

    fn encode_i16(
        &self,
        context: &NodeContext<'_>,
        inputs: &[f32],
        output: f32,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let factors: Vec<f64> =
            self.scale.iter().map(|&scale| f64::from(scale) * f64::from(inputs[0]) / f64::from(output)).collect();
        // Biases are in units of 2^15 products.
        let offsets = self.shift.iter().map(|&shift| f64::from(shift) / f64::from(output) / 32768.0);
        let all: Vec<f64> = factors.iter().copied().chain(offsets).collect();
        let Some((numbers, shift)) = wide::scaled_alike(&all, wide_scale_shift::LARGEST_SHIFT) else {
            return Err(context.error(format!("its output's scale {output} is too small for its input's {}", inputs[0])));
        };
        let (multipliers, biases) = numbers.split_at(factors.len());
        let pairs = biases.iter().zip(multipliers).flat_map(|(&bias, &multiplier)| [bias, multiplier]);
        let (minimum, maximum) = wide::bounds(self.clamp, output);
        let channels = constants.push_i32(pairs);
        let parameters = LinearI16 { weights: 0, channels, shift: shift as u8, minimum, maximum };
        Ok(Encoded::new(&SCALE_SHIFT_I16, &parameters))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "scale_shift",
    encodings: &[
        encoding!(SCALE_SHIFT_I8, Parameters, "u32 offset of the channels, i32 multiplier, u8 shift, i8 minimum, i8 maximum"),
        encoding!(SCALE_SHIFT_F32, LinearF32, "linear f32"),
        encoding!(SCALE_SHIFT_I16, LinearI16, "linear int16"),
    ],
    examples,
    #[cfg(test)]
    golden: &[super::golden::vectors("scale_shift", 0.005, |case| {
        // LiteRT has no such op; a 1x1 depthwise convolution computes the same.
        let (rows, shift, _) = case.linear();
        case.model(ScaleShift { scale: rows.concat(), shift, clamp: case.clamp() })
    })],
};

fn examples() -> Vec<OpExample> {
    let op = |scale, shift| ScaleShift { scale, shift, clamp: Clamp::NONE };
    let small = op(vec![0.5, -1.5, 1.0], vec![0.25, 1.0, -2.0]);
    vec![
        OpExample::new("scale_shift", small, &[&[3, 2, 3]], &[3, 2, 3]),
        OpExample::new("scale_shift_odd", op(scattered(7, 1.5), scattered(7, 2.0)), &[&[4, 5, 7]], &[4, 5, 7]),
    ]
}
