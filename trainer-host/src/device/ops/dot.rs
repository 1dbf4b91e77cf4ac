//! Products and cosines of rows.

use super::{DeviceOpKind, OpExample, linear::multiplier, registry::encoding};
use crate::device::{Constants, DeviceOp, Encoded, ExportError, NodeContext, OutputQuantization, Quantization};
use samara_runtime::ops::dot::{DOT_F32, DOT_I8, MAXIMUM_FAN_IN, ParametersF32, ParametersI8};

/// `y[i, j] = sum_k a[i, k] * b[j, k]`, or the cosine of both rows.
#[derive(Debug, Clone, Copy)]
pub struct Dot {
    /// Whether the product is divided by the lengths of both rows.
    pub normalized: bool,
}

/// Largest shift of accumulators.
const LARGEST_SHIFT: u32 = 1;

impl DeviceOp for Dot {
    fn macs(&self, context: &NodeContext<'_>) -> u64 {
        (context.output.size() * context.inputs[0].channels()) as u64
    }

    fn output_quantization(&self) -> OutputQuantization {
        if self.normalized {
            OutputQuantization::Fixed(Quantization { scale: 1.0 / 128.0, zero_point: 0 })
        } else {
            OutputQuantization::Free
        }
    }

    fn least_output_scale(&self, inputs: &[Quantization]) -> f32 {
        // Half of what the largest shift allows, so that rounding does not decide.
        2.0 * inputs[0].scale * inputs[1].scale
    }

    fn encode_f32(&self, _: &NodeContext<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&DOT_F32, &ParametersF32 { normalized: self.normalized.into() }))
    }

    fn encode_i8(
        &self,
        context: &NodeContext<'_>,
        inputs: &[Quantization],
        output: Quantization,
        _: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let fan_in = context.inputs[0].channels();
        if fan_in > MAXIMUM_FAN_IN {
            return Err(context.error(format!("an int8 dot product has at most {MAXIMUM_FAN_IN} terms, this one has {fan_in}")));
        }
        let factor = f64::from(inputs[0].scale) * f64::from(inputs[1].scale) / f64::from(output.scale);
        let (multiplier, shift) = match multiplier(factor, LARGEST_SHIFT) {
            _ if self.normalized => (0, 0),
            Some(found) => found,
            None => return Err(context.error(format!("its output's scale {} is too small for its inputs'", output.scale))),
        };
        let parameters = ParametersI8 { normalized: self.normalized.into(), multiplier, shift: shift as u8 };
        Ok(Encoded::new(&DOT_I8, &parameters))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "dot",
    encodings: &[
        encoding!(DOT_I8, ParametersI8, "u8 normalized, i32 multiplier, u8 shift"),
        encoding!(DOT_F32, ParametersF32, "u8 normalized"),
    ],
    examples,
    #[cfg(test)]
    golden: &[],
};

fn examples() -> Vec<OpExample> {
    let example = |name, normalized, a: &[usize], b: &[usize], output: &[usize]| {
        OpExample::new(name, Dot { normalized }, &[a, b], output)
    };
    vec![
        example("dot", false, &[3, 4], &[2, 4], &[3, 2]),
        example("dot_cosines", true, &[3, 5], &[4, 5], &[3, 4]),
        example("dot_vector", false, &[4, 7], &[7], &[4]),
        example("dot_cosine", true, &[9], &[9], &[1]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::{DeviceGraph, encode::Numbers, run::answer},
        numeric::random::Random,
    };

    /// Equal to the formula in 128 bits, and within 0.51 units of real numbers.
    #[test]
    fn int8_is_its_formula() {
        let mut random = Random::new(6, 0);
        for (normalized, fan_in, spread) in
            [(false, 9, 256), (false, 700, 256), (true, 1, 9), (true, 9, 256), (true, 700, 30), (true, 3, 4)]
        {
            let (rows, columns) = (3, 4);
            let shapes = [[rows, fan_in].into(), [columns, fan_in].into()];
            let op = Dot { normalized };
            let graph = DeviceGraph::single("dot", op, &shapes, [rows, columns].into());
            let output = match op.output_quantization() {
                OutputQuantization::Fixed(fixed) => fixed,
                _ => Quantization { scale: 0.004 * (fan_in as f32).sqrt(), zero_point: 3 },
            };
            let inputs = [Quantization { scale: 0.1, zero_point: 1 }, Quantization { scale: 0.005, zero_point: -2 }];
            let mut values = |count: usize| -> Vec<i8> {
                (0..count).map(|_| (random.below(spread) as i32 - spread as i32 / 2) as i8).collect()
            };
            let (a, b) = (values(rows * fan_in), values(columns * fan_in));
            let quantizations = [inputs[0], inputs[1], output];
            let numbers = Numbers::I8 { quantizations: &quantizations, float_ports: false };
            let [bytes_a, bytes_b] = [&a, &b].map(|values| values.iter().map(|&value| value as u8).collect::<Vec<_>>());
            let ours = answer(&graph, numbers, &[&bytes_a, &bytes_b]);
            let mut ours = ours.iter().map(|&byte| byte as i8);
            for a in a.chunks_exact(fan_in) {
                for b in b.chunks_exact(fan_in) {
                    let sum = |of: &dyn Fn(i128, i128) -> i128| -> i128 {
                        a.iter().zip(b).map(|(&a, &b)| of(i128::from(a) - 1, i128::from(b) + 2)).sum()
                    };
                    let (product, squares) = (sum(&|a, b| a * b), [sum(&|a, _| a * a), sum(&|_, b| b * b)]);
                    let factor = f64::from(0.1f32) * f64::from(0.005f32) / f64::from(output.scale);
                    let (wanted, real) = if !normalized {
                        let multiplier = (factor * 2f64.powi(32) + 0.5).floor() as i128;
                        (3 + ((product * multiplier + (1 << 31)) >> 32), 3.0 + product as f64 * factor)
                    } else if squares.contains(&0) {
                        (0, 0.0)
                    } else {
                        let both = (squares[0] * squares[1]) as u64;
                        let zeros = both.leading_zeros() / 2;
                        let root = i128::from((both << (2 * zeros)).isqrt());
                        let rounded = ((product << zeros) * 256 + root).div_euclid(2 * root);
                        (rounded, 128.0 * product as f64 / (both as f64).sqrt())
                    };
                    let found = ours.next().expect("an output");
                    assert_eq!(i128::from(found), wanted.clamp(-128, 127), "{a:?} and {b:?}");
                    let distance = real.clamp(-128.0, 127.0) - f64::from(found);
                    assert!(distance.abs() < 0.51, "{found} is {distance} from the real number");
                }
            }
        }
    }
}
