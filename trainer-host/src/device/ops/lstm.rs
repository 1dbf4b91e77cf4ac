//! LSTM.

use super::{
    DeviceOpKind, OpExample,
    recurrent::{self, HIDDEN, Kernels},
    registry::encoding,
};
use crate::device::{Constants, DeviceOp, Encoded, ExportError, NodeContext, OutputQuantization, Quantization, Rows};
use samara_runtime::ops::{
    lstm::{LSTM_F32, LSTM_I8, ParametersF32, ParametersI8, memory_f32, memory_i8},
    recurrent::Memory,
};

/// A long short-term memory; gates in the order i, f, g, o.
#[derive(Debug, Clone)]
pub struct Lstm {
    kernels: Kernels,
    /// The largest magnitude of a cell.
    cell: f32,
}

/// Cells' magnitude where nobody measured it.
const USUAL_CELL: f32 = 8.0;

impl Lstm {
    /// With these kernels.
    pub fn new(kernels: Kernels) -> Self {
        Self { kernels, cell: USUAL_CELL }
    }

    fn units(&self) -> usize {
        self.kernels.recurrent.len() / 4
    }

    /// Bits of the cell behind the point: with as many as fit beside its largest magnitude.
    fn cell_bits(&self) -> u8 {
        (0..=15).rev().find(|&bits| f64::from(self.cell) <= f64::powi(2.0, 15 - i32::from(bits))).unwrap_or(0)
    }
}

impl DeviceOp for Lstm {
    fn macs(&self, context: &NodeContext<'_>) -> u64 {
        self.kernels.macs(context.inputs[0][0])
    }

    fn output_quantization(&self) -> OutputQuantization {
        OutputQuantization::Fixed(HIDDEN)
    }

    fn fold_input(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        self.kernels.fold_input(scale, shift)
    }

    fn inner_magnitude(&self, context: &NodeContext<'_>, input: &dyn Fn(usize) -> Vec<f32>) -> f32 {
        let (values, features, units) = (input(0), context.inputs[0].channels(), self.units());
        let (mut hidden, mut cells, mut largest) = (vec![0.0f32; units], vec![0.0f32; units], 0.0);
        let dot = |row: &[f32], x: &[f32]| row.iter().zip(x).map(|(a, b)| a * b).sum::<f32>();
        let logistic = |x: f32| 1.0 / (1.0 + (-x).exp());
        for step in self.kernels.order.walk(values.len() / features) {
            let x = &values[step * features..][..features];
            let Kernels { input, recurrent, bias, .. } = &self.kernels;
            let sums: Vec<f32> =
                (0..4 * units).map(|row| bias[row] + dot(&input[row], x) + dot(&recurrent[row], &hidden)).collect();
            for unit in 0..units {
                let [i, f, g, o] = [0, 1, 2, 3].map(|gate| sums[gate * units + unit]);
                cells[unit] = logistic(f) * cells[unit] + logistic(i) * g.tanh();
                hidden[unit] = logistic(o) * cells[unit].tanh();
                largest = if cells[unit].abs() > largest { cells[unit].abs() } else { largest };
            }
        }
        largest
    }

    fn take_inner_magnitude(&mut self, magnitude: f32) {
        self.cell = magnitude;
    }

    fn rows(&self, _: &NodeContext<'_>) -> Rows {
        self.kernels.order.rows()
    }

    fn stream(&mut self) {
        self.kernels.order.stateful = true;
    }

    fn encode_f32(&self, _: &NodeContext<'_>, constants: &mut Constants) -> Result<Encoded, ExportError> {
        let ([kernel, recurrent, bias], flags) = (self.kernels.encode_f32(constants), self.kernels.order.flags());
        let Memory { scratch, state } = memory_f32(self.units(), flags);
        let parameters = ParametersF32 { kernel, recurrent, bias, flags };
        Ok(Encoded::new(&LSTM_F32, &parameters).with_scratch(scratch).with_state(state))
    }

    fn encode_i8(
        &self,
        context: &NodeContext<'_>,
        inputs: &[Quantization],
        _: Quantization,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let [input, recurrent] = self.kernels.encode_i8(context, inputs[0], constants)?;
        let flags = self.kernels.order.flags();
        let Memory { scratch, state } = memory_i8(context.inputs[0].channels(), self.units(), flags);
        let parameters = ParametersI8 { input, recurrent, cell_bits: self.cell_bits(), flags };
        Ok(Encoded::new(&LSTM_I8, &parameters).with_scratch(scratch).with_state(state))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "lstm",
    encodings: &[
        encoding!(LSTM_I8, ParametersI8, "2 × product int8, u8 bits of the cell, u8 flags"),
        encoding!(
            LSTM_F32,
            ParametersF32,
            "u32 offset of the kernel, u32 of the recurrent kernel, u32 of the biases, u8 flags"
        ),
    ],
    examples,
    #[cfg(test)]
    golden: &[],
};

fn examples() -> Vec<OpExample> {
    recurrent::examples("lstm", 4, false, Lstm::new)
}
