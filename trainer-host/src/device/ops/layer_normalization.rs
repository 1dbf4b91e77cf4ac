//! Normalization of rows over the last axis.

use super::{
    DeviceOpKind, OpExample,
    registry::{encoding, scattered},
};
use crate::device::{Clamp, Constants, DeviceOp, Encoded, ExportError, NodeContext, Quantization, Rows};
use samara_runtime::ops::layer_normalization::{
    LARGEST_EPSILON_SHIFT, LAYER_NORMALIZATION_F32, LAYER_NORMALIZATION_I8, MAXIMUM_CHANNELS, ParametersF32, ParametersI8,
};

/// `gamma * (x - mean) / sqrt(variance + epsilon) + beta`, mean and variance those of each row of the last axis.
#[derive(Debug, Clone)]
pub struct LayerNormalization {
    /// One factor per value of a row.
    pub gamma: Vec<f32>,
    /// One shift per value of a row.
    pub beta: Vec<f32>,
    /// What is added to the variance.
    pub epsilon: f32,
    /// The clamp behind it.
    pub clamp: Clamp,
}

impl LayerNormalization {
    /// `2^12 * epsilon * n^2 / scale^2` as a number of 32 bits and a shift. What does not fit is the largest: normalized values are next
    /// to nothing there.
    fn epsilon_of(&self, scale: f32) -> (u32, u8) {
        let wanted = (4096.0 * f64::from(self.epsilon) * (self.gamma.len() as f64 / f64::from(scale)).powi(2)).round();
        let shifted = |shift: u8| (wanted / f64::from(1u32 << shift)).round();
        let shift = (0..LARGEST_EPSILON_SHIFT).find(|&shift| shifted(shift) <= f64::from(u32::MAX));
        let shift = shift.unwrap_or(LARGEST_EPSILON_SHIFT);
        (shifted(shift) as u32, shift)
    }
}

impl DeviceOp for LayerNormalization {
    fn fuse_clamp(&mut self, clamp: Clamp) -> bool {
        self.clamp = self.clamp.then(clamp);
        true
    }

    fn rows(&self, context: &NodeContext<'_>) -> Rows {
        context.each_row(1)
    }

    fn encode_f32(&self, _: &NodeContext<'_>, constants: &mut Constants) -> Result<Encoded, ExportError> {
        let constants = constants.push_f32(&[&self.gamma[..], &self.beta].concat());
        let parameters = ParametersF32 { constants, epsilon: self.epsilon, clamp: self.clamp.into() };
        Ok(Encoded::new(&LAYER_NORMALIZATION_F32, &parameters))
    }

    fn encode_i8(
        &self,
        context: &NodeContext<'_>,
        inputs: &[Quantization],
        output: Quantization,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let channels = self.gamma.len();
        if channels > MAXIMUM_CHANNELS {
            return Err(
                context.error(format!("in int8, at most {MAXIMUM_CHANNELS} values are normalized, these are {channels}"))
            );
        }
        // Saturated: what leaves these ranges is far outside of int8.
        let fixed =
            |value: &f32, bits: u32| (f64::from(*value) / f64::from(output.scale) * f64::from(1u32 << bits)).round() as i32;
        let multipliers = self.gamma.iter().map(|gamma| fixed(gamma, 9));
        let numbers = constants.push_i32(multipliers.chain(self.beta.iter().map(|beta| fixed(beta, 16))));
        let (epsilon, epsilon_shift) = self.epsilon_of(inputs[0].scale);
        let (minimum, maximum) = self.clamp.quantized(output);
        let parameters = ParametersI8 { constants: numbers, epsilon, epsilon_shift, minimum, maximum };
        Ok(Encoded::new(&LAYER_NORMALIZATION_I8, &parameters))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "layer_normalization",
    encodings: &[
        encoding!(
            LAYER_NORMALIZATION_I8,
            ParametersI8,
            "u32 offset of multipliers and biases, u32 epsilon, u8 its shift, i8 minimum, i8 maximum"
        ),
        encoding!(LAYER_NORMALIZATION_F32, ParametersF32, "u32 offset of gamma and beta, f32 epsilon, clamp"),
    ],
    examples,
    #[cfg(test)]
    golden: &[],
};

fn examples() -> Vec<OpExample> {
    let example = |name, shape: &[usize], clamp| {
        let channels = shape[shape.len() - 1];
        let gamma = scattered(channels, 0.5).iter().map(|value| 1.0 + value).collect();
        let op = LayerNormalization { gamma, beta: scattered(channels + 1, 0.5)[1..].to_vec(), epsilon: 1e-3, clamp };
        OpExample::new(name, op, &[shape], shape)
    };
    vec![
        example("layer_normalization", &[3, 8], Clamp { minimum: 0.0, maximum: f32::INFINITY }),
        example("layer_normalization_odd", &[2, 3, 17], Clamp::NONE),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::{DeviceGraph, encode::Numbers, run::answer},
        numeric::random::Random,
    };

    /// Equal to the formula in 128 bits, and within two thirds of a unit of real numbers.
    #[test]
    fn int8_is_its_formula() {
        let mut random = Random::new(4, 0);
        for (channels, spread, scale, epsilon) in [
            (1, 100, 0.1, 1e-3),
            (2, 256, 0.1, 1e-3),
            (9, 3, 0.02, 1e-3),
            (64, 256, 0.001, 1e-3),
            (300, 40, 1.0, 1e-6),
            (7, 1, 0.1, 0.0),
        ] {
            let rows = 5;
            let mut reals = |center: f64| (0..channels).map(|_| (center + random.uniform()) as f32).collect::<Vec<f32>>();
            let op = LayerNormalization { gamma: reals(-0.5), beta: reals(-0.5), epsilon, clamp: Clamp::NONE };
            let shape = [rows, channels];
            let graph = DeviceGraph::single("norm", op.clone(), &[shape.into()], shape.into());
            let (input, output) = (Quantization { scale, zero_point: 11 }, Quantization { scale: 0.013, zero_point: -5 });
            let values: Vec<i8> =
                (0..rows * channels).map(|_| (random.below(spread) as i32 - spread as i32 / 2) as i8).collect();
            let numbers = Numbers::I8 { quantizations: &[input, output], float_ports: false };
            let bytes: Vec<u8> = values.iter().map(|&value| value as u8).collect();
            let ours: Vec<i8> = answer(&graph, numbers, &[&bytes]).into_iter().map(|byte| byte as i8).collect();
            let (stored, shift) = op.epsilon_of(scale);
            for (row, ours) in values.chunks_exact(channels).zip(ours.chunks_exact(channels)) {
                let n = channels as i128;
                let sum: i128 = row.iter().map(|&x| i128::from(x)).sum();
                let squares: i128 = row.iter().map(|&x| i128::from(x).pow(2)).sum();
                let spread = (((n * squares - sum * sum) << 12) + (i128::from(stored) << shift)).max(1) as u64;
                let zeros = spread.leading_zeros() / 2 * 2;
                let factor = (1i128 << 63) / i128::from((spread << zeros).isqrt());
                let bits = 34 - zeros / 2;
                let mean = sum as f64 / n as f64;
                let variance = squares as f64 / n as f64 - mean * mean;
                let deviation = (variance * f64::from(scale).powi(2) + f64::from(epsilon)).sqrt() / f64::from(scale);
                for (c, (&x, &found)) in row.iter().zip(ours).enumerate() {
                    let normalized = ((n * i128::from(x) - sum) * factor + (1 << (bits - 1))) >> bits;
                    let fixed =
                        |value: f32, bits: i32| (f64::from(value) / f64::from(output.scale) * 2f64.powi(bits)).round() as i128;
                    let scaled = normalized * fixed(op.gamma[c], 9) + (fixed(op.beta[c], 16) << 16);
                    let wanted = (-5 + ((scaled + (1 << 31)) >> 32)).clamp(-128, 127);
                    assert_eq!(i128::from(found), wanted, "{x} in {row:?}");
                    let part = if deviation > 0.0 { (f64::from(x) - mean) / deviation } else { 0.0 };
                    let real = part * f64::from(op.gamma[c]) + f64::from(op.beta[c]);
                    let distance = (real / f64::from(output.scale) - 5.0).clamp(-128.0, 127.0) - f64::from(found);
                    assert!(distance.abs() < 0.67, "{found} is {distance} from the real number, {x} in {row:?}");
                }
            }
        }
    }
}
