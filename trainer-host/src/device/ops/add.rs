//! Weighted sum of two tensors, with a clamp: sums, differences, averages.

use super::{DeviceOpKind, OpExample, registry::encoding, wide};
use crate::device::{Clamp, Constants, DeviceOp, Encoded, ExportError, NodeContext, Quantization, Rows};
use samara_runtime::ops::{
    add::{ADD_F32, ADD_I8, ParametersF32, ParametersI8, factors},
    wide::add::{self, ADD_I16},
};

/// `c_1 * x_1 + c_2 * x_2` for two tensors of one shape.
#[derive(Debug, Clone, Copy)]
pub struct Add {
    /// Coefficients of the inputs.
    pub coefficients: [f32; 2],
    /// The clamp behind it.
    pub clamp: Clamp,
}

impl DeviceOp for Add {
    fn fuse_clamp(&mut self, clamp: Clamp) -> bool {
        self.clamp = self.clamp.then(clamp);
        true
    }

    fn least_output_scale(&self, inputs: &[Quantization]) -> f32 {
        let [a, b] = [0, 1].map(|input| inputs[input].scale * self.coefficients[input].abs());
        // A little more than the 32 times that an input's may be larger, so that rounding does not decide.
        (if a > b { a } else { b }) / 31.0
    }

    fn rows(&self, context: &NodeContext<'_>) -> Rows {
        context.each_row(1)
    }

    fn encode_f32(&self, _: &NodeContext<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(Encoded::new(&ADD_F32, &ParametersF32 { coefficients: self.coefficients, clamp: self.clamp.into() }))
    }

    fn encode_i8(
        &self,
        context: &NodeContext<'_>,
        inputs: &[Quantization],
        output: Quantization,
        _: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let pair = |quantization: Quantization| (quantization.scale, quantization.zero_point);
        let bounds = self.clamp.quantized(output);
        match factors([pair(inputs[0]), pair(inputs[1])], self.coefficients, pair(output), bounds) {
            Some(parameters) => Ok(Encoded::new(&ADD_I8, &parameters)),
            None => Err(context.error(format!(
                "the sum's scale {} is more than 32 times below an input's ({}, {})",
                output.scale, inputs[0].scale, inputs[1].scale
            ))),
        }
    }

    fn takes_i16(&self) -> bool {
        true
    }

    fn encode_i16(
        &self,
        context: &NodeContext<'_>,
        inputs: &[f32],
        output: f32,
        _: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let ratio = |input: usize| f64::from(self.coefficients[input]) * f64::from(inputs[input]) / f64::from(output);
        let Some((factors, shift)) = wide::factors([ratio(0), ratio(1)], add::LARGEST_SHIFT) else {
            return Err(context.error(format!("the sum's scale {output} is too small for its inputs'")));
        };
        let (minimum, maximum) = wide::bounds(self.clamp, output);
        Ok(Encoded::new(&ADD_I16, &add::Parameters { factors, shift: shift as u8, minimum, maximum }))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "add",
    encodings: &[
        encoding!(ADD_I8, ParametersI8, "i32 offset, 2 × i32 factors, u8 shift, i8 minimum, i8 maximum"),
        encoding!(ADD_F32, ParametersF32, "2 × f32 coefficients, clamp"),
        encoding!(ADD_I16, add::Parameters, "2 × i32 factors, u8 shift, i16 minimum, i16 maximum"),
    ],
    examples,
    #[cfg(test)]
    golden: &[
        super::golden::vectors("add", 0.1, |case| case.model(Add { coefficients: [1.0; 2], clamp: case.clamp() })),
        super::golden::vectors("add_i16", 0.1, |case| case.model(Add { coefficients: [1.0; 2], clamp: case.clamp() })),
        super::golden::vectors("subtract", 0.1, |case| case.model(Add { coefficients: [1.0, -1.0], clamp: case.clamp() })),
    ],
};

fn examples() -> Vec<OpExample> {
    let clamp = Clamp { minimum: 0.0, maximum: 6.0 };
    vec![
        OpExample::new("add", Add { coefficients: [1.0, -0.5], clamp }, &[&[3, 4], &[3, 4]], &[3, 4]),
        OpExample::new("add_odd", Add { coefficients: [1.0; 2], clamp: Clamp::NONE }, &[&[5, 5, 3], &[5, 5, 3]], &[5, 5, 3]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::DeviceGraph;

    /// 1.25 times the first scale is rounded down in f32, so that its 32nd part is 32 times below it and a little more.
    #[test]
    fn the_least_scale_of_a_sum_can_be_encoded() {
        let op = Add { coefficients: [0.5, 1.25], clamp: Clamp::NONE };
        let graph = DeviceGraph::single("sum", op, &[[1].into(), [1].into()], [1].into());
        let context = graph.context(&graph.nodes[0]);
        for number in 0..1000 {
            let inputs =
                [0.000_668_335_4, 0.006_010_939 + 1e-7 * number as f32].map(|scale| Quantization { scale, zero_point: 3 });
            let output = Quantization { scale: op.least_output_scale(&inputs), zero_point: 0 };
            let encoded = op.encode_i8(&context, &inputs, output, &mut Constants::default());
            assert!(encoded.is_ok(), "{inputs:?}, {output:?}");
        }
    }
}
