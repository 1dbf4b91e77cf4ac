//! Mean over some axes.

use super::{DeviceOpKind, OpExample, registry::encoding};
use crate::device::{Constants, DeviceOp, Encoded, ExportError, NodeContext, OutputQuantization, Quantization, Rows};
use crate::graph::LengthRule;
use samara_runtime::ops::mean::{MAXIMUM_COUNT, MEAN_F32, MEAN_I8, Parameters};

/// The mean over some axes (0 is the outermost; the batch does not count). The output has the other axes' elements in their order.
#[derive(Debug, Clone)]
pub struct Mean {
    /// The axes.
    pub axes: Vec<usize>,
}

impl Mean {
    fn parameters(&self) -> Parameters {
        // A file holds tensors of rank 4 at most.
        Parameters { axes: self.axes.iter().filter(|&&axis| axis < 4).fold(0, |axes, axis| axes | 1 << axis) }
    }
}

impl DeviceOp for Mean {
    fn output_quantization(&self) -> OutputQuantization {
        OutputQuantization::Shared
    }

    fn rows(&self, context: &NodeContext<'_>) -> Rows {
        if self.axes.contains(&0) { Rows::All } else { context.each_row(1) }
    }

    fn length_rule(&self, context: &NodeContext<'_>) -> Option<LengthRule> {
        if self.axes.contains(&0) { Some(LengthRule::Reduced) } else { context.length_rule(self.rows(context)) }
    }

    fn encode_f32(&self, _: &NodeContext<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&MEAN_F32, &self.parameters()))
    }

    fn encode_i8(
        &self,
        context: &NodeContext<'_>,
        _: &[Quantization],
        _: Quantization,
        _: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let count = context.inputs[0].size() / context.output.size().max(1);
        if count > MAXIMUM_COUNT as usize {
            return Err(context.error(format!("an int8 mean is over at most {MAXIMUM_COUNT} values, this one is over {count}")));
        }
        Ok(Encoded::new(&MEAN_I8, &self.parameters()))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "mean",
    encodings: &[
        encoding!(MEAN_I8, Parameters, "u8 axes, a bit each, 1 for the outermost"),
        encoding!(MEAN_F32, Parameters, "u8 axes, a bit each, 1 for the outermost"),
    ],
    examples,
    #[cfg(test)]
    // Ours is the nearest value (a test below), halves up. LiteRT is not always the nearest value: it gives 6 for 98 / 15, 10 for
    // 85 / 9 (21 of the 34 outputs of 320 that differ); the other 13 are halves.
    golden: &[super::golden::vectors("mean", 0.12, |case| case.model(Mean { axes: case.field("axes") }))],
};

fn examples() -> Vec<OpExample> {
    let example = |name, axes: &[usize], input, output| OpExample::new(name, Mean { axes: axes.to_vec() }, &[input], output);
    vec![
        example("mean", &[1], &[2, 5], &[2]),
        example("mean_rows", &[0], &[4, 3], &[1, 3]),
        example("mean_all", &[0, 1, 2], &[3, 3, 5], &[1]),
        example("mean_outer", &[0, 2], &[3, 4, 5], &[4]),
        example("mean_rank_4", &[1, 3], &[2, 3, 4, 5], &[2, 1, 4, 1]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::{DeviceGraph, encode::Numbers, run::answer},
        numeric::random::Random,
    };

    /// Over every set of axes of every rank: int8 by its formula, to the bit, and f32 within 1e-5 of the sum of magnitudes.
    #[test]
    fn is_its_formula() {
        let mut random = Random::new(5, 0);
        for (rank, axes) in (1..=4).flat_map(|rank| (1..1usize << rank).map(move |axes| (rank, axes))) {
            let shape: Vec<usize> = (0..rank).map(|_| 1 + random.below(5)).collect();
            let output: Vec<usize> = (0..rank).map(|axis| if axes >> axis & 1 == 1 { 1 } else { shape[axis] }).collect();
            let values: Vec<i8> = (0..shape.iter().product()).map(|_| random.bits() as i8).collect();
            let mut groups = vec![Vec::new(); output.iter().product()];
            for (place, &value) in values.iter().enumerate() {
                let mut rest = place;
                let mut index = [0; 4];
                for axis in (0..rank).rev() {
                    index[axis] = rest % shape[axis];
                    rest /= shape[axis];
                }
                let at = (0..rank).fold(0, |at, axis| at * output[axis] + index[axis] % output[axis]);
                groups[at].push(i64::from(value));
            }
            let op = Mean { axes: (0..rank).filter(|axis| axes >> axis & 1 == 1).collect() };
            let graph = DeviceGraph::single("mean", op, &[shape.clone().into()], output.into());
            let quantizations = [Quantization { scale: 0.1, zero_point: -7 }; 2];
            let bytes: Vec<u8> = values.iter().map(|&value| value as u8).collect();
            let ours = answer(&graph, Numbers::I8 { quantizations: &quantizations, float_ports: false }, &[&bytes]);
            let rounded = |group: &Vec<i64>| {
                let n = group.len() as i64;
                (2 * group.iter().sum::<i64>() + n).div_euclid(2 * n) as u8
            };
            assert_eq!(ours, groups.iter().map(rounded).collect::<Vec<_>>(), "axes {axes:#b} of {shape:?}");
            let bytes: Vec<u8> = values.iter().flat_map(|&value| f32::from(value).to_le_bytes()).collect();
            for (ours, group) in answer(&graph, Numbers::F32, &[&bytes]).as_chunks().0.iter().zip(&groups) {
                let expected = group.iter().sum::<i64>() as f64 / group.len() as f64;
                let distance = (f64::from(f32::from_le_bytes(*ours)) - expected).abs();
                assert!(distance <= 1e-5 * 128.0, "axes {axes:#b} of {shape:?}: off by {distance}");
            }
        }
    }
}
