//! Normalization of each row over the last axis (Ba and others 2016): `y_c = gamma_c * (x_c - mean) / sqrt(variance + epsilon) +
//! beta_c`, mean and variance those of the row's `n` values, clamped.
//!
//! int8, in integers alone. The scale of the input cancels but for epsilon, its zero point altogether: with `S = sum x_c`,
//! `W = n * sum x_c^2 - S^2` (`n^2` times the variance) and `E = round(2^12 * epsilon * n^2 / scale_in^2)`, a normalized value is
//! `(n * x_c - S) / sqrt(W + E / 2^12)`.
//!
//! - `D = max(2^12 * W + E, 1)`; `z` = its leading zeros in 64 bits, the last bit cleared; `r = floor(sqrt(D << z))`, `2^31 <= r < 2^32`;
//!   `q = floor(2^63 / r)`; `s = 34 - z / 2`
//! - `N_c = ((n * x_c - S) * q + 2^(s - 1)) >> s`, the normalized value in units of `2^-23`
//! - `y_c = clamp(zero_point + ((N_c * multiplier_c + bias_c * 2^16 + 2^31) >> 32))`, `multiplier = round(gamma / scale_out * 2^9)`,
//!   `bias = round(beta / scale_out * 2^16)`
//!
//! All sums and products in 64 bits, where they fit: rows have at most 16,384 values. f32: sums in order, divided by `n`; the
//! variance is the mean of squared differences.

use super::linear::ClampF32;
use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    op::{Lengths, NodeCheck, NodeRun, OpDef, as_f32_mut, as_i8_mut, ensure, in_place},
    quant,
    tensor::ElementType::{self, F32, I8},
};

/// Parameters of the int8 op in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct ParametersI8 {
    /// Where the multipliers stand among the constants, i32 for each channel, the biases behind them.
    pub constants: u32,
    /// `E >> epsilon_shift`.
    pub epsilon: u32,
    /// 0 to 30.
    pub epsilon_shift: u8,
    /// Lowest output.
    pub minimum: i8,
    /// Highest output.
    pub maximum: i8,
}

impl ParametersI8 {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self {
            constants: cursor.u32(),
            epsilon: cursor.u32(),
            epsilon_shift: cursor.u8(),
            minimum: cursor.i8(),
            maximum: cursor.i8(),
        }
    }
}

/// Parameters of the f32 op in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct ParametersF32 {
    /// Where gamma stands among the constants, f32 for each channel, beta behind it.
    pub constants: u32,
    /// What is added to the variance.
    pub epsilon: f32,
    /// The clamp.
    pub clamp: ClampF32,
}

impl ParametersF32 {
    /// Reads what the file holds.
    pub fn decode(cursor: &mut Cursor<'_>) -> Self {
        Self { constants: cursor.u32(), epsilon: cursor.f32(), clamp: ClampF32::decode(cursor) }
    }
}

/// Most values of a row.
pub const MAXIMUM_CHANNELS: usize = 1 << 14;

/// Largest shift of epsilon: `D` stays below `2^63`.
pub const LARGEST_EPSILON_SHIFT: u8 = 30;

fn check_form(node: &NodeCheck<'_>, element_type: ElementType, constants: u32) -> Result<(), NodeFault> {
    let [input] = node.inputs(element_type)?;
    let channels = input.channels();
    ensure(input.same_form(&node.output) && channels <= MAXIMUM_CHANNELS, NodeFault::Shape)?;
    node.constants(constants, channels * 8).map(|_| ())
}

fn check_i8(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let parameters = node.parameters(ParametersI8::decode)?;
    check_form(node, I8, parameters.constants)?;
    let fits = parameters.epsilon_shift <= LARGEST_EPSILON_SHIFT && parameters.minimum <= parameters.maximum;
    ensure(fits, NodeFault::Quantization)
}

/// `1 / sqrt(variance + epsilon)` of a row as the factor `q` and the shift `s` of the formula, and the row's sum.
fn reciprocal(row: &[i8], epsilon: u64) -> (i64, u32, i64) {
    let (mut sum, mut squares) = (0i64, 0i64);
    for &x in row {
        let x = i64::from(x);
        sum += x;
        squares += x * x;
    }
    let spread = (((row.len() as i64 * squares - sum * sum) as u64) << 12) + epsilon;
    let spread = if spread == 0 { 1 } else { spread };
    let zeros = spread.leading_zeros() & !1;
    let root = quant::square_root(spread << zeros);
    (quant::divide(1 << 63, root) as i64, 34 - zeros / 2, sum)
}

fn run_i8(node: &mut NodeRun<'_>) {
    let ParametersI8 { constants, epsilon, epsilon_shift, minimum, maximum } = ParametersI8::decode(&mut node.parameters());
    let (channels, zero_point) = (node.output.channels(), i64::from(node.output.zero_point));
    let epsilon = u64::from(epsilon) << (epsilon_shift & 31);
    let constants: &[i32] = bytemuck::try_cast_slice(node.constants(constants, channels * 8)).unwrap_or_default();
    let (multipliers, biases) = constants.split_at_checked(channels).unwrap_or_default();
    for row in as_i8_mut(node.buffers_in_place().output).chunks_exact_mut(channels.max(1)) {
        let (factor, shift, sum) = reciprocal(row, epsilon);
        for (x, (&multiplier, &bias)) in row.iter_mut().zip(multipliers.iter().zip(biases)) {
            let difference = channels as i64 * i64::from(*x) - sum;
            let normalized = (difference * factor + (1 << (shift - 1))) >> shift;
            let scaled = (normalized * i64::from(multiplier) + (i64::from(bias) << 16) + (1 << 31)) >> 32;
            *x = quant::clamp((zero_point + scaled) as i32, minimum.into(), maximum.into());
        }
    }
}

fn check_f32(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let parameters = node.parameters(ParametersF32::decode)?;
    check_form(node, F32, parameters.constants)?;
    parameters.clamp.check()
}

fn run_f32(node: &mut NodeRun<'_>) {
    let ParametersF32 { constants, epsilon, clamp } = ParametersF32::decode(&mut node.parameters());
    let channels = node.output.channels();
    let constants: &[f32] = bytemuck::try_cast_slice(node.constants(constants, channels * 8)).unwrap_or_default();
    let (gamma, beta) = constants.split_at_checked(channels).unwrap_or_default();
    let count = channels as f32;
    for row in as_f32_mut(node.buffers_in_place().output).chunks_exact_mut(channels.max(1)) {
        let mean = row.iter().fold(0.0, |sum, x| sum + x) / count;
        let squares = row.iter().fold(0.0, |sum, x| sum + (x - mean) * (x - mean));
        let deviation = libm::sqrtf(squares / count + epsilon);
        for (x, (gamma, beta)) in row.iter_mut().zip(gamma.iter().zip(beta)) {
            *x = clamp.apply((*x - mean) / deviation * gamma + beta);
        }
    }
}

/// int8.
pub static LAYER_NORMALIZATION_I8: OpDef =
    OpDef { code: 44, name: "layer_normalization_i8", alias: in_place, lengths: Lengths::Rows, check: check_i8, run: run_i8 };
/// f32.
pub static LAYER_NORMALIZATION_F32: OpDef = OpDef {
    code: 45,
    name: "layer_normalization_f32",
    alias: in_place,
    lengths: Lengths::Rows,
    check: check_f32,
    run: run_f32,
};

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::random::Generator;

    #[test]
    fn the_reciprocal_is_that_of_real_numbers() {
        let mut generator = Generator::new(3);
        for length in [1usize, 2, 3, 10, 129, MAXIMUM_CHANNELS] {
            for spread in [0u32, 1, 20, 128] {
                for epsilon in [0u64, 1, 1000, 1 << 40, 1 << 62] {
                    let mut value = || (generator.next_u32() % (2 * spread + 1)) as i32 - spread as i32;
                    let row: Vec<i8> = (0..length).map(|_| value().clamp(-128, 127) as i8).collect();
                    let (factor, shift, sum) = reciprocal(&row, epsilon);
                    let n = row.len() as f64;
                    let squares: f64 = row.iter().map(|&x| f64::from(x).powi(2)).sum();
                    let spread = n * squares - (sum as f64).powi(2) + epsilon as f64 / 4096.0;
                    let wanted = 1.0 / if spread > 0.0 { spread.sqrt() } else { 1.0 / 64.0 };
                    let found = factor as f64 / 2f64.powi(shift as i32 + 23);
                    assert!((found / wanted - 1.0).abs() < 1e-9, "{found} instead of {wanted}: {length} values");
                }
            }
        }
    }

    #[test]
    fn extremes_stay_within_64_bits() {
        // One value at the top, all others at the bottom: the largest normalized value, sqrt(n - 1).
        let mut row = vec![-128i8; MAXIMUM_CHANNELS];
        row[0] = 127;
        let (factor, shift, sum) = reciprocal(&row, 0);
        let difference = row.len() as i64 * 127 - sum;
        let product = difference.checked_mul(factor).and_then(|product| product.checked_add(1 << (shift - 1)));
        let normalized = product.expect("64 bits") >> shift;
        let wanted = f64::from(MAXIMUM_CHANNELS as u32 - 1).sqrt() * f64::from(1 << 23);
        assert!((normalized as f64 - wanted).abs() < 2.0, "{normalized} instead of {wanted}");
        let scaled =
            normalized.checked_mul(i64::from(i32::MIN)).and_then(|scaled| scaled.checked_add(i64::from(i32::MIN) << 16));
        assert!(scaled.is_some());
    }
}
