//! Decision trees.

use super::{DeviceOpKind, OpExample, linear::multiplier, registry::encoding};
use crate::{
    device::{Constants, DeviceOp, Encoded, ExportError, NodeContext, Quantization},
    forest::{Full, Parts, Rows, Trees, full},
};
use samara_runtime::ops::forest::{BIAS_LIMIT, FOREST_F32, FOREST_I8, Form, LARGEST_SHIFT, ParametersI8, scratch_bytes};

/// What walks through trees end at, added up.
#[derive(Debug, Clone)]
pub struct Forest {
    /// The trees.
    pub trees: Trees,
}

/// Leaves as int8: `real = scale * (q + 128) + least`.
struct Leaves {
    scale: f64,
    least: f64,
}

impl Leaves {
    /// For all values of leaves; where they are all one, as fine as sums need.
    fn of(parts: &Parts, output_scale: f32) -> Self {
        let (least, most) = parts.leaves.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), &value| {
            (if value < least { value } else { least }, if value > most { value } else { most })
        });
        let (least, most) = if least > most { (0.0, 0.0) } else { (f64::from(least), f64::from(most)) };
        Self { scale: ((most - least) / 255.0).max(f64::from(output_scale) / 65536.0), least }
    }

    fn quantized(&self, value: f32) -> i8 {
        ((f64::from(value) - self.least) / self.scale - 128.0).round() as i8
    }
}

/// The largest int8 value that goes below a threshold; `None` if none does.
fn quantized_threshold(threshold: f32, input: Quantization) -> Option<i8> {
    let value = (f64::from(threshold) / f64::from(input.scale) + f64::from(input.zero_point)).floor();
    (value >= -128.0).then_some(value as i8)
}

/// Constants in the order of the op.
fn constants_of(biases: &[[u8; 4]], parts: &Parts, below: &[u16], thresholds: &[u8], leaves: &[u8]) -> Vec<u8> {
    let pairs = |one: &[u16], other: &[u16]| -> Vec<u8> {
        one.iter().zip(other).flat_map(|(one, other)| [*one, *other]).flat_map(u16::to_le_bytes).collect()
    };
    let mut features = parts.features.clone();
    features.resize(features.len().next_multiple_of(2), 0);
    let mut bytes = biases.concat();
    bytes.extend(pairs(&parts.roots, &parts.firsts));
    bytes.extend(pairs(below, &parts.above));
    bytes.extend(features.into_iter().flat_map(u16::to_le_bytes));
    bytes.extend_from_slice(thresholds);
    bytes.extend_from_slice(leaves);
    bytes
}

impl Forest {
    fn form(&self, constants: u32, leaves: usize) -> Form {
        let parts = self.trees.parts();
        Form {
            constants,
            trees: parts.roots.len() as u32,
            splits: parts.features.len() as u32,
            leaves: leaves as u32,
            width: parts.width as u32,
        }
    }

    /// The sum's value that stands for each bias and what leaves take off, in steps of leaves.
    fn biases(&self, leaves: &Leaves) -> Vec<f64> {
        let Parts { biases, firsts, width, .. } = self.trees.parts();
        let mut sums: Vec<f64> = biases.iter().map(|&bias| f64::from(bias) / leaves.scale).collect();
        for &first in firsts {
            let first = usize::from(first);
            sums[first..first + width].iter_mut().for_each(|sum| *sum += leaves.least / leaves.scale + 128.0);
        }
        sums.into_iter().map(|sum| (sum + 0.5).floor()).collect()
    }
}

impl DeviceOp for Forest {
    /// Comparisons on the longest ways, and what is added: what a walk takes at most.
    fn macs(&self, _: &NodeContext<'_>) -> u64 {
        let comparisons: usize = self.trees.depths().iter().sum();
        (comparisons + self.trees.trees() * self.trees.parts().width) as u64
    }

    fn least_output_scale(&self, _: &[Quantization]) -> f32 {
        (Leaves::of(self.trees.parts(), 0.0).scale / f64::from(1u32 << (LARGEST_SHIFT - 2))) as f32
    }

    fn encode_f32(&self, _: &NodeContext<'_>, constants: &mut Constants) -> Result<Encoded, ExportError> {
        let parts = self.trees.parts();
        let biases: Vec<[u8; 4]> = parts.biases.iter().map(|bias| bias.to_le_bytes()).collect();
        let [thresholds, leaves] =
            [&parts.thresholds, &parts.leaves].map(|values| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>());
        let constants = constants.push(constants_of(&biases, parts, &parts.below, &thresholds, &leaves));
        Ok(Encoded::new(&FOREST_F32, &self.form(constants, self.trees.leaves())))
    }

    fn encode_i8(
        &self,
        context: &NodeContext<'_>,
        inputs: &[Quantization],
        output: Quantization,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let mut parts = self.trees.parts().clone();
        let scales = Leaves::of(&parts, output.scale);
        let Some((multiplier, shift)) = multiplier(scales.scale / f64::from(output.scale), LARGEST_SHIFT) else {
            return Err(context.error(format!("its output's scale {} is too small for its leaves'", output.scale)));
        };
        let biases = self.biases(&scales);
        let reach = 128.0 * self.trees.trees() as f64;
        let largest = biases.iter().fold(0.0, |largest: f64, bias| largest.max(bias.abs()));
        if largest >= f64::from(BIAS_LIMIT) || (largest + reach) * f64::from(1u32 << shift) >= 2f64.powi(31) {
            return Err(context.error("its biases are too large for its leaves: sums would leave 32 bits"));
        }
        // Nothing goes below a threshold under int8: both ways lead above.
        let mut thresholds = Vec::with_capacity(parts.thresholds.len());
        for (split, &threshold) in parts.thresholds.iter().enumerate() {
            let quantized = quantized_threshold(threshold, inputs[0]);
            if quantized.is_none() {
                parts.below[split] = parts.above[split];
            }
            thresholds.push(quantized.unwrap_or(i8::MIN) as u8);
        }
        let mut rows = Rows::new();
        let references: Result<Vec<u16>, Full> = parts
            .leaves
            .chunks_exact(parts.width)
            .map(|row| {
                let row: Vec<i8> = row.iter().map(|&value| scales.quantized(value)).collect();
                rows.push(&row, |value| u32::from(value as u8))
            })
            .collect();
        let references = references.map_err(|Full| context.error("it has too many leaves"))?;
        for child in parts.roots.iter_mut().chain(&mut parts.below).chain(&mut parts.above) {
            if let Some(leaf) = child.checked_sub(samara_runtime::ops::forest::LEAF) {
                *child = references[usize::from(leaf)];
            }
        }
        let biases: Vec<[u8; 4]> = biases.iter().map(|&bias| (bias as i32).to_le_bytes()).collect();
        let leaves: Vec<u8> = rows.values.iter().map(|&value| value as u8).collect();
        let constants = constants.push(constants_of(&biases, &parts, &parts.below, &thresholds, &leaves));
        let parameters = ParametersI8 { form: self.form(constants, rows.len()), multiplier, shift: shift as u8 };
        Ok(Encoded::new(&FOREST_I8, &parameters).with_scratch(scratch_bytes(context.output.size())))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "forest",
    encodings: &[
        encoding!(
            FOREST_I8,
            ParametersI8,
            "u32 offset of the constants, u32 trees, u32 splits, u32 leaves, u32 values of a leaf, i32 multiplier, u8 shift"
        ),
        encoding!(FOREST_F32, Form, "u32 offset of the constants, u32 trees, u32 splits, u32 leaves, u32 values of a leaf"),
    ],
    examples,
    #[cfg(test)]
    golden: &[],
};

fn examples() -> Vec<OpExample> {
    let example = |name, input: &[usize], trees: Trees| {
        let outputs = trees.parts().outputs;
        OpExample::new(name, Forest { trees }, &[input], &[outputs])
    };
    vec![
        example("forest", &[5], full(5, 3, 3, 2, 2, 3.0)),
        example("forest_boosted", &[2, 3, 2], full(12, 4, 1, 9, 3, 4.0)),
        example("forest_of_leaves", &[3], full(3, 2, 2, 3, 0, 1.0)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::{DeviceGraph, encode::Numbers, run::answer},
        numeric::random::Random,
    };

    /// Equal to the formula, whose walks decide by real numbers, and within the roundings of leaves and of the sum of real numbers.
    #[test]
    fn int8_is_its_formula_and_decides_as_real_numbers_do() {
        let mut random = Random::new(6, 0);
        for (inputs, outputs, width, count, depth, zero_point) in
            [(5, 3, 3, 2, 2, -3i8), (40, 10, 10, 25, 5, -128), (9, 4, 1, 30, 3, 127), (3, 1, 1, 1, 0, 0), (2, 2, 1, 7, 6, 5)]
        {
            // Some thresholds are beyond what the input can be.
            let trees = full(inputs, outputs, width, count, depth, 9.0);
            let op = Forest { trees: trees.clone() };
            let graph = DeviceGraph::single("forest", op, &[[inputs].into()], [outputs].into());
            let input = Quantization { scale: 0.05, zero_point };
            let output = Quantization { scale: 0.02 * (count as f32).sqrt(), zero_point: 7 };
            let numbers = Numbers::I8 { quantizations: &[input, output], float_ports: false };
            let scales = Leaves::of(trees.parts(), output.scale);
            let biases = Forest { trees: trees.clone() }.biases(&scales);
            let (multiplier, shift) = multiplier(scales.scale / f64::from(output.scale), LARGEST_SHIFT).expect("a multiplier");
            for _ in 0..20 {
                let values: Vec<i8> = (0..inputs).map(|_| random.bits() as i8).collect();
                let bytes: Vec<u8> = values.iter().map(|&value| value as u8).collect();
                let real = |&q: &i8| (f64::from(input.scale) * (f64::from(q) - f64::from(zero_point))) as f32;
                let reals: Vec<f32> = values.iter().map(real).collect();
                let (mut wanted, mut exact) = (vec![0.0; outputs], vec![0.0f32; outputs]);
                trees.answer(&reals, &mut exact);
                for (tree, &first) in trees.parts().firsts.iter().enumerate() {
                    let leaf = trees.leaf(tree, &reals);
                    for place in 0..width {
                        wanted[usize::from(first) + place] +=
                            f64::from(scales.quantized(trees.parts().leaves[leaf * width + place]));
                    }
                }
                let found = answer(&graph, numbers, &[&bytes]);
                for (k, &found) in found.iter().enumerate() {
                    let sum = (biases[k] + wanted[k]) as i128;
                    let expected = (7 + (((sum << shift) * i128::from(multiplier) + (1 << 31)) >> 32)).clamp(-128, 127);
                    assert_eq!(i128::from(found as i8), expected, "output {k} of {trees:?}");
                    let clipped = (f64::from(exact[k]) / f64::from(output.scale) + 7.0).clamp(-128.0, 127.0);
                    let bound = 0.51 + (0.5 * count as f64 + 0.5) * scales.scale / f64::from(output.scale);
                    let distance = clipped - f64::from(found as i8);
                    assert!(distance.abs() <= bound, "{distance} from the real number, at most {bound}: {trees:?}");
                }
            }
        }
    }

    #[test]
    fn a_split_takes_seven_bytes_and_equal_leaves_are_there_once() {
        let trees = full(30, 1, 1, 20, 6, 2.0);
        let graph = DeviceGraph::single("forest", Forest { trees }, &[[30].into()], [1].into());
        let of = Quantization { scale: 0.05, zero_point: 0 };
        let numbers = Numbers::I8 { quantizations: &[of, of], float_ports: false };
        let file = crate::device::encode::encode(&graph, numbers).expect("a file");
        let most = 20 * 63 * 7 + 20 * 4 + 4 + 256;
        assert!(file.constants.len() <= most + 16, "{} bytes, {most} expected", file.constants.len());
    }

    #[test]
    fn thresholds_go_down_to_what_int8_holds() {
        let input = Quantization { scale: 0.5, zero_point: 10 };
        let of = |threshold| quantized_threshold(threshold, input);
        assert_eq!([of(0.0), of(0.4), of(0.5), of(-0.1)], [Some(10), Some(10), Some(11), Some(9)]);
        assert_eq!([of(1000.0), of(-69.0), of(-69.1)], [Some(127), Some(-128), None]);
    }
}
